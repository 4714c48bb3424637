"""Virtual services changed while traffic flows, and services with several ports."""

from __future__ import annotations

import pytest
from tests.engine.rig import Rig, Service, eventually, member
from tests.support.origin import Origin, TcpOrigin
from tests.support.ports import free_port, free_ports

from steelyard.model.commands import DuplicateService, RemoveService
from steelyard.model.errors import ConflictError, OperatorError

pytestmark = pytest.mark.engine


def _refused(service: Service, port: int | None = None) -> bool:
    try:
        service.fetch(port=port)
    except ConnectionRefusedError:
        return True
    return False


def test_a_service_is_switched_off_and_on_and_keeps_its_records(
    rig: Rig, one: Origin, two: Origin, three: Origin
) -> None:
    service = rig.http(one, two, three, persistence="src")
    before = {source: service.name(source=source) for source in ("127.0.0.1", "127.0.0.2", "127.0.0.3")}
    service.change(enabled=False)
    assert _refused(service)
    service.change(enabled=True)
    assert {source: service.name(source=source) for source in before} == before


def test_a_disabled_service_keeps_the_connections_it_has(rig: Rig, line_one: TcpOrigin) -> None:
    service = rig.tcp(line_one)
    with service.connect() as connection:
        connection.socket.sendall(b"before\n")
        assert connection.socket.recv(64) == b"one: before\n"
        service.change(enabled=False)
        assert _refused(service)
        connection.socket.sendall(b"after\n")
        assert connection.socket.recv(64) == b"one: after\n"


def test_a_service_made_disabled_does_not_listen_until_it_is_enabled(rig: Rig, one: Origin) -> None:
    service = rig.http(one, enabled=False)
    assert _refused(service)
    service.change(enabled=True)
    eventually(lambda: service.fetch().status == 200, "served")


def test_a_service_is_renamed_without_reload(rig: Rig, one: Origin) -> None:
    service = rig.http(one)
    with rig.without_reload():
        service.change(name="Shop front")
    assert service.name() == "one"


def test_a_service_moves_to_another_port_and_address(rig: Rig, one: Origin, two: Origin) -> None:
    service = rig.http(one, two, persistence="src")
    name = service.name()
    old, new = service.port, free_port()
    service.change(port=new)
    assert service.name() == name
    assert _refused(service, old)
    service.change(address="127.0.0.9")
    assert service.address == "127.0.0.9"
    assert service.name(source="127.0.0.1") == name


def test_requests_in_flight_survive_the_move(rig: Rig, line_one: TcpOrigin) -> None:
    service = rig.tcp(line_one)
    with service.connect() as connection:
        service.change(port=free_port())
        connection.socket.sendall(b"still here\n")
        assert connection.socket.recv(64) == b"one: still here\n"


def test_a_duplicate_serves_beside_the_original(rig: Rig, one: Origin, two: Origin) -> None:
    service = rig.http(one, two, persistence="src")
    outcome = rig.do(DuplicateService(service.index, port=free_port()))
    assert isinstance(outcome.key, int)
    copy = Service(rig, outcome.key)
    assert {copy.name(source=f"127.0.0.{n}") for n in range(1, 5)} == {"one", "two"}
    copy.change(persistence="none")
    copy.server(one).remove()
    assert set(copy.names(4)) == {"two"}
    assert {service.name(source=f"127.0.0.{n}") for n in range(1, 5)} == {"one", "two"}


def test_a_removed_service_is_gone_and_its_address_free(rig: Rig, one: Origin, two: Origin) -> None:
    service = rig.http(one)
    port = service.port
    url = service.url
    rig.do(RemoveService(service.index))
    again = rig.http(two, port=port)
    assert again.url == url
    assert set(again.names(3)) == {"two"}


def test_a_port_of_another_program_is_refused_and_nothing_changes(rig: Rig, one: Origin) -> None:
    service = rig.http(one)
    with pytest.raises((OperatorError, ConflictError)):
        service.change(port=one.port)
    assert service.port != one.port
    assert service.name() == "one"


def test_a_change_of_type_takes_effect(rig: Rig, one: Origin) -> None:
    service = rig.tcp(one, add_via=0)
    with service.connect() as connection:
        assert "x-forwarded-for" not in connection.request("/").seen_headers
    service.change(service_type="http", add_via=5)
    assert service.fetch().seen_headers["x-forwarded-for"] == ["127.0.0.1"]


# --- extra ports ---------------------------------------------------------------------------------------------------


def test_extra_ports_and_ranges_lead_to_one_fixed_server_port(rig: Rig, one: Origin) -> None:
    ports = free_ports(6)
    service = rig.http(one, port=ports[0], extra_ports=(str(ports[1]), f"{ports[3]}-{ports[5]}"))
    for port in (ports[0], ports[1], *ports[3:]):
        assert service.fetch(port=port).json["local"][1] == one.port
    assert _refused(service, ports[2])


def test_extra_ports_map_one_to_one_when_the_server_has_the_base_port(rig: Rig) -> None:
    ports = free_ports(4)
    with (
        Origin("first", address="127.0.0.2", port=ports[0]),
        Origin("second", address="127.0.0.2", port=ports[1]),
        Origin("last", address="127.0.0.2", port=ports[3]),
    ):
        servers = [{"address": "127.0.0.2", "port": ports[0]}]
        service = rig.http(servers=servers, port=ports[0], extra_ports=(f"{ports[1]}-{ports[3]}",))
        assert service.name() == "first"
        assert service.name(port=ports[1]) == "second"
        assert service.name(port=ports[3]) == "last"


def test_the_server_of_a_client_is_the_same_on_every_port(rig: Rig, one: Origin, two: Origin, three: Origin) -> None:
    ports = free_ports(3)
    service = rig.http(one, two, three, port=ports[0], extra_ports=(f"{ports[1]}-{ports[2]}",), persistence="src")
    names = set()
    for number in range(1, 7):
        source = f"127.0.0.{number}"
        mine = {service.name(port=port, source=source) for port in ports}
        assert len(mine) == 1
        names |= mine
    assert names == {"one", "two", "three"}


def test_mapped_ports_share_persistence_and_one_check(rig: Rig) -> None:
    """A client's records on port A decide on port B, and a server is down on all ports when its base port is."""
    ports = free_ports(2)
    with (
        Origin("two-a", address="127.0.0.2", port=ports[0]) as two_a,
        Origin("two-b", address="127.0.0.2", port=ports[1]),
        Origin("three-a", address="127.0.0.3", port=ports[0]),
        Origin("three-b", address="127.0.0.3", port=ports[1]),
    ):
        service = rig.http(
            servers=[{"address": f"127.0.0.{n}", "port": ports[0]} for n in (2, 3)],
            port=ports[0],
            extra_ports=(str(ports[1]),),
            persistence="src",
        )
        for number in range(1, 5):
            source = f"127.0.0.{number}"
            host = service.name(port=ports[0], source=source).split("-")[0]
            assert service.name(port=ports[1], source=source) == f"{host}-b"
        two_a.refuse()
        service.server(two_a).wait_until("down")
        assert {service.name(port=ports[1], source=f"127.0.0.{n}") for n in range(1, 5)} == {"three-b"}


def test_extra_ports_are_added_and_taken_away(rig: Rig, one: Origin) -> None:
    ports = free_ports(2)
    service = rig.http(one, port=ports[0])
    assert _refused(service, ports[1])
    service.change(extra_ports=(str(ports[1]),))
    assert service.name(port=ports[1]) == "one"
    service.change(extra_ports=())
    assert _refused(service, ports[1])
    assert service.name() == "one"


def test_a_server_is_added_at_run_time_to_a_service_with_extra_ports(rig: Rig, one: Origin) -> None:
    ports = free_ports(2)
    service = rig.http(one, port=ports[0], extra_ports=(str(ports[1]),))
    with Origin("base", address="127.0.0.2", port=ports[0]), Origin("extra", address="127.0.0.2", port=ports[1]):
        service.server(one).remove()
        with rig.without_reload():
            outcome = service.rig.do(_add(service, ports[0]))
        assert isinstance(outcome.key, int)
        service.servers[0].wait_until("up")
        assert (service.name(), service.name(port=ports[1])) == ("base", "extra")
        service.change(add_via=6)
        assert (service.name(), service.name(port=ports[1])) == ("base", "extra")


def _add(service: Service, port: int):  # type: ignore[no-untyped-def]
    from steelyard.model.commands import AddServer

    return AddServer(service.index, {"address": "127.0.0.2", "port": port})


# --- IPv6 ----------------------------------------------------------------------------------------------------------


def test_ipv6_services_and_servers(rig: Rig, one: Origin) -> None:
    with Origin("six", address="::1") as six:
        service = rig.http(six, one, address="::1", port=free_port("::1"), persistence="src", add_via=5)
        reply = service.fetch(source="::1")
        assert reply.seen_headers["x-forwarded-for"] == ["::1"]
        assert set(service.names(3)) == {reply.name}
        assert list(service.records()) == ["::1"]
        service.change(persistence="none")
        assert set(service.names(4)) == {"six", "one"}
        with rig.without_reload():
            service.server(one).remove()
            assert set(service.names(2)) == {"six"}
            service.add(one).wait_until("up")
            service.server(six).change(weight=5)
        assert set(service.names(4)) == {"six", "one"}


def test_an_ipv4_service_with_ipv6_servers(rig: Rig) -> None:
    with Origin("six", address="::1") as six:
        service = rig.http(servers=[member(six)])
        assert service.name() == "six"
