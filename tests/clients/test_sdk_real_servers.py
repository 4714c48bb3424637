"""The official Python SDK: real servers in every state, with traffic."""

from __future__ import annotations

import pytest
from tests.clients.sdk_session import SdkRaised, SdkSession
from tests.clients.test_sdk_virtual_services import make
from tests.clients.traffic import answering, wait_for_origins, wait_for_shares
from tests.clients.waiting import eventually_equal
from tests.support.api_clients import LoadMasterClient
from tests.support.clients import Connection
from tests.support.origin import Origin
from tests.support.ports import free_port

pytestmark = [pytest.mark.client, pytest.mark.needs("haproxy")]


def test_a_new_real_server_reads_back_and_takes_traffic(sdk: SdkSession, one: Origin, port: int) -> None:
    make(sdk, port)

    sdk(
        "rs = vs.create_real_server('127.0.0.1', rsport); rs.weight = 300; rs.limit = 50; rs.save()",
        rsport=one.port,
    )

    wait_for_origins(port, "one")
    assert sdk("[rs.addr, rs.rsport, rs.weight, rs.limit, rs.enable, rs.forward, rs.critical, rs.follow]") == [
        "127.0.0.1",
        one.port,
        "300",
        "50",
        "Y",
        "nat",
        "N",
        "0",
    ]
    assert sdk("vs.get_real_server('127.0.0.1', rsport).rsindex == rs.rsindex", rsport=one.port) is True
    assert sdk("sorted(vs.servers) == [int(rs.rsindex)]") is True
    assert sdk("[found.status for found in vs.get_real_servers()]") == ["Up"]


def test_weights_share_the_requests(sdk: SdkSession, one: Origin, two: Origin, port: int) -> None:
    make(sdk, port, one, two)
    sdk("vs.schedule = 'wrr'; vs.update()")
    sdk("rs = vs.get_real_server('127.0.0.1', rsport); rs.weight = 3000; rs.update()", rsport=one.port)
    assert sdk("rs.weight") == "3000"
    wait_for_shares(port, one=30, two=10)


def test_disable_and_enable(sdk: SdkSession, one: Origin, two: Origin, port: int) -> None:
    make(sdk, port, one, two)

    sdk("rs = vs.get_real_server('127.0.0.1', rsport); rs.enable = 'N'; rs.update()", rsport=one.port)
    assert sdk("rs.enable") == "N"
    assert answering(port) == {"two": 8}
    assert sdk("vs.get_real_server('127.0.0.1', rsport).status", rsport=one.port) in ("Disabled", "Draining")

    sdk("rs.enable = 'Y'; rs.update()")
    wait_for_origins(port, "one", "two")
    assert sdk("[found.status for found in vs.get_real_servers()]") == ["Up", "Up"]


def test_a_kept_alive_connection_survives_changes_of_other_servers(
    sdk: SdkSession, one: Origin, two: Origin, port: int
) -> None:
    make(sdk, port, one)
    with Connection("127.0.0.1", port) as connection:
        assert connection.request("/").name == "one"
        sdk("rs = vs.create_real_server('127.0.0.1', rsport); rs.save()", rsport=two.port)
        sdk("rs.weight = 5; rs.update(); rs.enable = 'N'; rs.update(); rs.delete()")
        assert connection.request("/").name == "one"
        assert connection.reusable


def test_another_port_moves_the_traffic_and_the_index_stays(
    sdk: SdkSession, one: Origin, two: Origin, port: int
) -> None:
    make(sdk, port, one)
    sdk("rs = vs.get_real_server('127.0.0.1', rsport); index = rs.rsindex", rsport=one.port)

    sdk("rs.newport = newport; rs.update()", newport=two.port)

    wait_for_origins(port, "two")
    assert sdk("[rs.rsport, rs.rsindex == index]") == [two.port, True]
    # The SDK keeps `newport` and sends it again with the next change.
    sdk("rs.weight = 700; rs.update()")
    assert sdk("[rs.rsport, rs.weight, rs.rsindex == index]") == [two.port, "700", True]


def test_a_deleted_real_server_gets_nothing_more(sdk: SdkSession, one: Origin, two: Origin, port: int) -> None:
    make(sdk, port, one, two)

    sdk("vs.get_real_server('127.0.0.1', rsport).delete()", rsport=one.port)

    assert answering(port) == {"two": 8}
    assert sdk("[int(found.rsport) for found in vs.get_real_servers()]") == [two.port]
    with pytest.raises(SdkRaised, match=r"^Unknown RS$") as raised:
        sdk("vs.get_real_server('127.0.0.1', rsport)", rsport=one.port)
    assert raised.value.status == 422


def test_a_dead_real_server_is_shown_down_and_skipped(sdk: SdkSession, one: Origin, two: Origin, port: int) -> None:
    make(sdk, port, one, two)

    one.refuse(cut=True)
    eventually_equal(lambda: sdk("vs.get_real_server('127.0.0.1', rsport).status", rsport=one.port), "Down")
    assert answering(port) == {"two": 8}

    one.resume()
    wait_for_origins(port, "one", "two")
    assert sdk("vs.get_real_server('127.0.0.1', rsport).status", rsport=one.port) == "Up"


def test_saving_a_real_server_read_back_changes_nothing(
    sdk: SdkSession, lm: LoadMasterClient, one: Origin, port: int
) -> None:
    make(sdk, port, one)
    sdk("rs = vs.get_real_server('127.0.0.1', rsport)", rsport=one.port)
    before = lm.must("showrs", vs=1, rs="127.0.0.1", rsport=one.port).body
    sdk("rs.refresh(); rs.update(); rs.update()")
    sdk("[found.update() for found in vs.get_real_servers()]; None")
    assert lm.must("showrs", vs=1, rs="127.0.0.1", rsport=one.port).body == before


def test_a_real_server_of_a_service_that_was_not_saved_by_this_object(
    sdk: SdkSession, lm: LoadMasterClient, one: Origin, port: int
) -> None:
    """The SDK then names the service by address, port and protocol."""
    lm.must("addvs", vs="127.0.0.1", port=port, prot="tcp", vstype="http")
    sdk("loose = lm.create_virtual_service('127.0.0.1', port, 'tcp')", port=port)
    sdk("loose.create_real_server('127.0.0.1', rsport).save()", rsport=one.port)
    wait_for_origins(port, "one")
    sdk("loose.get_real_server('127.0.0.1', rsport).delete(); loose.delete()", rsport=one.port)
    assert sdk("len(lm.get_virtual_services())") == 0


def test_the_same_real_server_in_two_services(sdk: SdkSession, one: Origin, port: int) -> None:
    other = free_port()
    make(sdk, port, one)
    sdk("first = vs")
    make(sdk, other, one)
    sdk("rs = first.get_real_server('127.0.0.1', rsport); rs.enable = 'N'; rs.update()", rsport=one.port)
    eventually_equal(lambda: answering(port, 1), {"503": 1})
    assert answering(other) == {"one": 8}


@pytest.mark.parametrize(
    ("code", "text"),
    [
        ("vs.create_real_server('127.0.0.1', rsport).save()", "already"),
        ("rs.weight = 0; rs.update()", "weight"),
        ("rs.weight = 65536; rs.update()", "weight"),
        ("rs.limit = -1; rs.update()", "limit"),
        ("rs.newport = 70000; rs.update()", "port"),
        ("rs.forward = 'route'; rs.update()", "forward"),
    ],
)
def test_a_refusal_names_the_setting(
    sdk: SdkSession, lm: LoadMasterClient, one: Origin, port: int, code: str, text: str
) -> None:
    make(sdk, port, one)
    sdk("rs = vs.get_real_server('127.0.0.1', rsport)", rsport=one.port)
    before = lm.must("showrs", vs=1, rs="127.0.0.1", rsport=one.port).body
    with pytest.raises(SdkRaised) as raised:
        sdk(code, rsport=one.port)
    assert raised.value.kinds[0] == "KempTechApiException"
    assert raised.value.status == 422
    assert text in str(raised.value).lower()
    assert lm.must("showrs", vs=1, rs="127.0.0.1", rsport=one.port).body == before
