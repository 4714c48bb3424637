"""The official Python SDK: virtual services, created, read, changed and deleted, with traffic through each state."""

from __future__ import annotations

from typing import Any

import pytest
from tests.clients.sdk_session import SdkRaised, SdkSession
from tests.clients.traffic import answering, refuses_connections, wait_for_origins, wait_for_shares
from tests.clients.waiting import eventually
from tests.support.api_clients import LoadMasterClient
from tests.support.clients import Connection, fetch
from tests.support.origin import Origin
from tests.support.ports import free_port
from tests.support.tcp_origin import TcpOrigin

pytestmark = [pytest.mark.client, pytest.mark.needs("haproxy")]

_NEW_SERVICE = """
    vs = lm.create_virtual_service("127.0.0.1", port, "tcp")
    vs.vstype = vstype
    vs.save()
"""


def make(sdk: SdkSession, port: int, *origins: Origin | TcpOrigin, vstype: str = "http") -> None:
    """`vs`: a saved service with those real servers, which take traffic by now."""
    sdk(_NEW_SERVICE, port=port, vstype=vstype)
    for origin in origins:
        sdk("vs.create_real_server('127.0.0.1', rsport).save()", rsport=origin.port)
    if vstype == "http":
        wait_for_origins(port, *[origin.name for origin in origins] or ["503"])
    else:
        eventually(lambda: not refuses_connections(port))


def record(lm: LoadMasterClient, index: object) -> dict[str, Any]:
    """The v2 record without what changes on its own."""
    status, found = lm.v2("showvs", vs=index)
    assert status == 200, found
    del found["Status"]
    for server in found.get("Rs", []):
        del server["Status"]
    return found


def test_a_new_service_carries_traffic_and_reads_back_as_it_was_set(sdk: SdkSession, one: Origin, port: int) -> None:
    sdk(
        """
        vs = lm.create_virtual_service("127.0.0.1", port, "tcp")
        vs.nickname = "Shop.web-1"
        vs.vstype = "http"
        vs.schedule = "lc"
        vs.idletime = 120
        vs.checktype = "http"
        vs.checkurl = "/health"
        vs.checkuse1_1 = "Y"
        vs.checkuseget = 1
        vs.save()
        """,
        port=port,
    )
    sdk("vs.create_real_server('127.0.0.1', rsport).save()", rsport=one.port)

    wait_for_origins(port, "one")
    expected = {
        "vs": "127.0.0.1",
        "port": str(port),
        "prot": "tcp",
        "nickname": "Shop.web-1",
        "vstype": "http",
        "schedule": "lc",
        "idletime": "120",
        "checktype": "http",
        "checkurl": "/health",
        "checkuse1_1": "Y",
        "checkuseget": "1",
        "enable": "Y",
        "status": "Up",
    }
    sdk("again = lm.get_virtual_service(index=vs.index)")
    assert sdk("{name: getattr(again, name) for name in names}", names=list(expected)) == expected
    checked = eventually(lambda: [seen for seen in one.requests if seen.path == "/health"])
    assert (checked[0].method, checked[0].version) == ("GET", "1.1")


def test_a_service_is_found_by_index_by_address_and_by_name(sdk: SdkSession, port: int) -> None:
    make(sdk, port)
    sdk("vs.nickname = 'found'; vs.update()")

    by_index = sdk("lm.get_virtual_service(index=vs.index).nickname")
    by_address = sdk("lm.get_virtual_service(address='127.0.0.1', port=port, protocol='tcp').nickname", port=port)
    by_name = sdk("[(found.vs, found.port) for found in lm.get_virtual_services() if found.nickname == 'found']")

    assert (by_index, by_address, by_name) == ("found", "found", [["127.0.0.1", str(port)]])
    assert sdk("list(lm.vs) == [int(vs.index)]") is True


def test_listing_without_with_one_and_with_several_services(sdk: SdkSession) -> None:
    ports = [free_port() for _ in range(3)]
    assert sdk("[]+lm.get_virtual_services()") == []
    for count, port in enumerate(ports, 1):
        sdk("lm.create_virtual_service('127.0.0.1', port, 'tcp').save()", port=port)
        assert sdk("[int(found.port) for found in lm.get_virtual_services()]") == ports[:count]
        assert sdk("[int(found.port) for found in lm.get_all_objects()]") == ports[:count]


def test_all_objects_hold_their_real_servers(sdk: SdkSession, one: Origin, two: Origin, port: int) -> None:
    make(sdk, port, one, two)
    found = sdk("[[int(rs.rsport) for rs in found.real_servers] for found in lm.get_all_objects()]")
    assert found == [[one.port, two.port]]
    assert sdk("len(lm.get_all_objects(with_timestamp=True)[0])") == 1


def test_an_update_changes_what_traffic_sees(sdk: SdkSession, one: Origin, two: Origin, port: int) -> None:
    make(sdk, port, one, two)
    wait_for_shares(port, one=4, two=4)

    sdk("vs.persist = 'src'; vs.persisttimeout = 600; vs.update()")
    assert sdk("[vs.persist, vs.persisttimeout]") == ["src", 600]
    eventually(lambda: answering(port), lambda found: len(found) == 1)

    sdk("vs.persist = None; vs.update()")
    assert sdk("[vs.persist, vs.persisttimeout]") == [None, None]
    wait_for_shares(port, one=4, two=4)


def test_a_disabled_service_takes_no_traffic_and_an_enabled_one_does(sdk: SdkSession, one: Origin, port: int) -> None:
    make(sdk, port, one)

    sdk("vs.enable = 'N'; vs.update()")
    assert sdk("[vs.enable, lm.get_virtual_service(index=vs.index).status]") == ["N", "Disabled"]
    eventually(lambda: refuses_connections(port))

    sdk("vs.enable = 'Y'; vs.update()")
    wait_for_origins(port, "one")
    assert sdk("lm.get_virtual_service(index=vs.index).status") == "Up"


def test_a_service_moves_to_another_port(sdk: SdkSession, one: Origin, port: int) -> None:
    make(sdk, port, one)
    index, other = sdk("vs.index"), free_port()

    sdk("vs.vsport = other; vs.update()", other=other)

    wait_for_origins(other, "one")
    eventually(lambda: refuses_connections(port))
    assert sdk("[(found.index, found.port) for found in lm.get_virtual_services()]") == [[index, str(other)]]


def test_a_service_moves_to_another_address(sdk: SdkSession, one: Origin, port: int) -> None:
    make(sdk, port, one)
    sdk("vs.vsaddress = '127.0.0.2'; vs.update()")
    eventually(lambda: answering(port, address="127.0.0.2"), lambda found: set(found) == {"one"})
    assert refuses_connections(port)
    assert sdk("lm.get_virtual_service(address='127.0.0.2', port=port, protocol='tcp').index == vs.index") is True


def test_a_deleted_service_is_gone_for_clients_and_readers(sdk: SdkSession, one: Origin, port: int) -> None:
    make(sdk, port, one)

    sdk("vs.delete()")

    eventually(lambda: refuses_connections(port))
    with pytest.raises(SdkRaised) as raised:
        sdk("vs.refresh()")
    assert (raised.value.kinds[0], str(raised.value), raised.value.status) == (
        "KempTechApiException",
        "Unknown VS",
        422,
    )


def test_a_generic_service_carries_any_bytes(sdk: SdkSession, port: int) -> None:
    with TcpOrigin("echo") as echo:
        make(sdk, port, echo, vstype="gen")
        assert sdk("[vs.vstype, vs.checktype]") == ["gen", "tcp"]
        with Connection("127.0.0.1", port) as connection:
            connection.socket.sendall(b"\x00\xffhello\n")
            assert connection.socket.recv(100)


@pytest.mark.parametrize("vstype", ["http", "gen"])
def test_saving_a_whole_record_read_back_changes_nothing(
    sdk: SdkSession, lm: LoadMasterClient, one: Origin, port: int, vstype: str
) -> None:
    make(sdk, port, one, vstype=vstype)
    index = sdk("vs.index")
    before = record(lm, index)

    for reading in ("vs.refresh(); vs.update()", "again = lm.get_virtual_service(index=vs.index); again.update()"):
        sdk(reading)
        assert record(lm, index) == before
    sdk("[found.update() for found in lm.get_virtual_services()]; None")
    assert record(lm, index) == before


def test_saving_a_rich_record_read_back_changes_nothing(
    sdk: SdkSession, lm: LoadMasterClient, one: Origin, port: int
) -> None:
    make(sdk, port, one)
    index = sdk("vs.index")
    changes: dict[str, object] = {
        "NickName": "rich one",
        "Persist": "active-cookie",
        "Cookie": "SERVERID",
        "PersistTimeout": 3600,
        "Schedule": "wlc",
        "CheckType": "http",
        "CheckUrl": "/health?a=b&c=<d>",
        "CheckHost": "shop.example",
        "CheckUse1.1": True,
        "CheckUseGet": 2,
        "CheckPostData": "a=1&b=caf\u00e9",
        "CheckCodes": "401 403",
        "CheckHeaders": "X-Check:one|X-Other:two",
        "CheckPort": one.port,
        "AddVia": 5,
        "ExtraPorts": f"{free_port()}",
        "Idletime": 300,
        "ServerInit": 3,
        "AllowHTTP2": False,
    }
    lm.must("modvs", changes | {"vs": index})
    before = record(lm, index)
    assert (before["CheckPostData"], before["Persist"]) == ("a=1&b=caf\u00e9", "active-cookie")

    sdk("again = lm.get_virtual_service(index=vs.index); again.update()")

    assert record(lm, index) == before
    assert sdk("[again.checkpostdata, again.nickname]") == ["a=1&b=caf\u00e9", "rich one"]


def test_a_clone_is_the_same_service_on_another_port(
    sdk: SdkSession, lm: LoadMasterClient, one: Origin, port: int
) -> None:
    make(sdk, port, one)
    sdk("vs.persist = 'src'; vs.persisttimeout = 600; vs.schedule = 'wrr'; vs.update()")
    other = free_port()
    original = record(lm, sdk("vs.index"))

    sdk("clone = lm.clone_virtual_service(lm.get_virtual_service(index=vs.index), port=other)", other=other)
    sdk("clone.create_real_server('127.0.0.1', rsport).save()", rsport=one.port)

    wait_for_origins(other, "one")
    wait_for_origins(port, "one")
    copied = record(lm, sdk("clone.index"))
    unlike = {name for name in original if original[name] != copied[name]}
    assert unlike == {"Index", "VSPort", "Rs"}
    assert (copied["Index"], copied["VSPort"]) == (2, str(other))


def test_a_client_that_sends_python_values_is_understood(sdk: SdkSession, one: Origin, port: int) -> None:
    make(sdk, port, one)
    sdk("vs.enable = False; vs.idletime = 90; vs.update()")
    assert sdk("[vs.enable, vs.idletime]") == ["N", "90"]
    sdk("vs.enable = True; vs.update()")
    assert sdk("vs.enable") == "Y"


def test_a_nickname_beyond_ascii_is_refused_or_kept_whole(sdk: SdkSession, port: int) -> None:
    make(sdk, port)
    try:
        sdk("vs.nickname = name; vs.update()", name="caf\u00e9")
    except SdkRaised as raised:
        assert raised.kinds[0] == "KempTechApiException"
        assert "NickName" in str(raised)
    else:
        assert sdk("vs.refresh(); vs.nickname") == "caf\u00e9"


@pytest.mark.parametrize(
    ("code", "text"),
    [
        ("lm.get_virtual_service(index=4711)", "Unknown VS"),
        ("lm.get_virtual_service(address='127.0.0.1', port=1, protocol='tcp')", "Unknown VS"),
        ("lm.create_virtual_service('127.0.0.1', port, 'tcp').save()", "already exists"),
        ("vs.schedule = 'sometimes'; vs.update()", "Schedule"),
        ("vs.idletime = 'long'; vs.update()", "Idletime"),
        ("vs.idletime = 10 ** 9; vs.update()", "Idletime"),
        ("vs.persist = 'udpsip'; vs.update()", "Persist"),
        ("vs.schedule = 'adaptive'; vs.checktype = 'none'; vs.schedule = 'dl'; vs.update()", "Schedule"),
        ("vs.checkurl = 'a' * 127; vs.update()", "CheckUrl"),
        ("lm.create_virtual_service('192.0.2.1', 80, 'tcp').save()", "192.0.2.1"),
        ("sub = vs.create_sub_virtual_service(); sub.save()", "sub-services"),
        ("vs.create_real_server('127.0.0.1', 70).delete()", "Unknown RS"),
    ],
)
def test_a_refusal_is_an_exception_of_the_sdk_with_our_text(
    sdk: SdkSession, lm: LoadMasterClient, one: Origin, port: int, code: str, text: str
) -> None:
    make(sdk, port, one)
    before = record(lm, sdk("vs.index"))
    with pytest.raises(SdkRaised) as raised:
        sdk(code, port=port)
    assert raised.value.kinds[0] == "KempTechApiException"
    assert raised.value.status == 422
    assert text in str(raised.value)
    assert record(lm, 1) == before
    assert len(lm.must("listvs").data.findall("VS")) == 1
    assert fetch(f"http://127.0.0.1:{port}/").name == "one"


def test_a_port_in_use_by_another_program_is_refused_by_name(sdk: SdkSession, one: Origin) -> None:
    with pytest.raises(SdkRaised, match=str(one.port)) as raised:
        sdk("lm.create_virtual_service('127.0.0.1', port, 'tcp').save()", port=one.port)
    assert raised.value.status == 422
    assert sdk("len(lm.get_virtual_services())") == 0
