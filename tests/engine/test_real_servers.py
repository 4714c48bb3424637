"""Real servers changed while traffic flows: what clients notice, and that HAProxy is not reloaded for it."""

from __future__ import annotations

import pytest
from tests.engine.rig import Rig, Server, Service, eventually, hold, member, open_requests
from tests.support.clients import Connection
from tests.support.origin import Origin, TcpOrigin

from steelyard.model.commands import EnableAddress

pytestmark = pytest.mark.engine


def _talk(connection: Connection, text: str = "hello") -> str:
    connection.socket.sendall(f"{text}\n".encode())
    return connection.socket.recv(64).decode().split(":")[0]


def test_a_new_weight_is_in_force_at_once(rig: Rig, one: Origin, two: Origin) -> None:
    service = rig.http(one, two, schedule="wrr")
    with rig.without_reload():
        service.server(one).change(weight=3000)
        service.names(8)
        assert service.spread(8) == {"one": 6, "two": 2}
        service.server(one).change(weight=65535)
        service.server(two).change(weight=65535)
        service.names(8)
        assert service.spread(8) == {"one": 4, "two": 4}


def test_a_server_is_added_and_removed_without_reload(rig: Rig, one: Origin, two: Origin, three: Origin) -> None:
    service = rig.http(one, two)
    with rig.without_reload():
        service.add(three).wait_until("up")
        assert set(service.names(6)) == {"one", "two", "three"}
        service.server(one).remove()
        assert set(service.names(6)) == {"two", "three"}
    service.change(add_via=6)
    assert set(service.names(6)) == {"two", "three"}


def test_an_added_server_gets_no_client_before_its_first_good_check(rig: Rig, one: Origin, two: Origin) -> None:
    service = rig.http(one)
    two.refuse()
    with rig.without_reload():
        added = service.add(two)
        assert set(service.names(6)) == {"one"}
        assert added.status == "Down"
        two.resume()
        added.wait_until("up")
        assert set(service.names(6)) == {"one", "two"}


@pytest.mark.parametrize("schedule", ["rr", "wrr", "lc", "wlc", "fixed", "sh", "uhash", "random"])
def test_servers_come_and_go_at_run_time_with_every_scheduling(
    rig: Rig, one: Origin, two: Origin, schedule: str
) -> None:
    service = rig.http(one, schedule=schedule)
    with rig.without_reload():
        service.add(two, weight=2000).wait_until("up")
        eventually(
            lambda: "two" in {service.name(f"/{n}", source=f"127.0.7.{n}") for n in range(1, 30)}, "the new one is used"
        )
        service.server(one).remove()
        assert set(service.names(4)) == {"two"}


def test_a_server_moves_to_another_address_and_port_without_reload(rig: Rig, one: Origin) -> None:
    service = rig.http(one)
    with Origin("elsewhere", address="127.0.0.2") as elsewhere, rig.without_reload():
        server = service.servers[0]
        server.change(address="127.0.0.2", port=elsewhere.port)
        server.wait_until("up")
        assert set(service.names(3)) == {"elsewhere"}
        with Origin("other-port", address="127.0.0.2") as other:
            server.change(port=other.port)
            server.wait_until("up")
            assert set(service.names(3)) == {"other-port"}


def test_a_moved_server_is_used_only_after_a_good_check(rig: Rig, one: Origin, two: Origin) -> None:
    service = rig.http(one, two)
    two.refuse()
    service.server(one).change(port=two.port + 1 if two.port + 1 != one.port else two.port + 2)
    service.servers[0].wait_until("down")
    assert service.fetch().status == 503


def test_servers_of_one_address_are_disabled_everywhere_at_once(rig: Rig, one: Origin) -> None:
    with Origin("elsewhere", address="127.0.0.2") as elsewhere:
        first, second = rig.http(one, elsewhere), rig.http(one, elsewhere)
        with rig.without_reload():
            rig.do(EnableAddress("127.0.0.2", False))
            assert set(first.names(4) + second.names(4)) == {"one"}
            rig.do(EnableAddress("127.0.0.2", True))
            for service in (first, second):
                service.server(elsewhere).wait_until("up")
                assert set(service.names(4)) == {"one", "elsewhere"}


# --- limits --------------------------------------------------------------------------------------------------------


def test_what_exceeds_a_server_s_limit_goes_to_the_others(rig: Rig, one: Origin, two: Origin) -> None:
    service = rig.http(servers=[member(one, limit=1), member(two)])
    held = hold(service, (one, two), 5)
    assert (open_requests(one), open_requests(two)) == (1, 4)
    for connection in held:
        connection.close()


def test_when_every_server_is_full_clients_get_503_and_are_served_again_later(
    rig: Rig, one: Origin, two: Origin
) -> None:
    service = rig.http(servers=[member(one, limit=2), member(two, limit=2)])
    held = hold(service, (one, two), 4, seconds=3)
    assert (open_requests(one), open_requests(two)) == (2, 2)
    reply = service.fetch()
    assert reply.status == 503
    assert reply.seconds < 2
    for connection in held:
        connection.close()
    eventually(lambda: service.fetch().status == 200, "there is room again")


def test_a_limit_is_changed_without_reload(rig: Rig, one: Origin) -> None:
    service = rig.http(one)
    with rig.without_reload():
        service.servers[0].change(limit=1)
        held = hold(service, (one,), 1)
        assert service.fetch().status == 503
        service.servers[0].change(limit=2)
        assert service.fetch().status == 200
        service.servers[0].change(limit=1)
        service.servers[0].change(limit=0)
        held += hold(service, (one,), 3)
    for connection in held:
        connection.close()


def test_a_tcp_connection_too_many_is_closed(rig: Rig, line_one: TcpOrigin, line_two: TcpOrigin) -> None:
    service = rig.tcp(servers=[member(line_one, limit=1), member(line_two, limit=1)])
    with service.connect() as first, service.connect() as second:
        assert {_talk(first), _talk(second)} == {"one", "two"}
        with service.connect() as third:
            assert third.closed_by_server(3.0)
        assert _talk(first) != _talk(second), "those that are open are not disturbed"


# --- servers that go while they are used ---------------------------------------------------------------------------


def _tcp_on(service: Service, name: str) -> Connection:
    """A connection that has reached that origin."""
    for _ in range(20):
        connection = service.connect()
        if _talk(connection) == name:
            return connection
        connection.close()
    raise AssertionError(f"nobody reached {name}")


@pytest.mark.parametrize("reloads", [0, 1])
def test_removing_a_server_cuts_its_connections_and_no_others(
    rig: Rig, line_one: TcpOrigin, line_two: TcpOrigin, reloads: int
) -> None:
    """Also those that a worker from before a reload still carries."""
    service = rig.tcp(line_one, line_two)
    with _tcp_on(service, "one") as cut, _tcp_on(service, "two") as kept:
        for _ in range(reloads):
            service.change(idle_time=300)
        with rig.without_reload():
            service.server(line_one).remove()
        assert cut.closed_by_server(3.0)
        assert _talk(kept) == "two"


def test_idle_http_clients_of_a_removed_server_go_on_elsewhere(rig: Rig, one: Origin, two: Origin) -> None:
    """HAProxy 2.8 cannot remove a server that has idle connections; it is left to a reload, unnoticed by clients."""
    service = rig.http(one, two)
    connections = [service.connect() for _ in range(6)]
    assert {connection.request("/").name for connection in connections} == {"one", "two"}
    service.server(one).remove()
    for connection in connections:
        assert connection.request("/").name == "two"
        connection.close()
    assert set(service.names(4)) == {"two"}


def test_a_request_under_way_on_a_removed_server_is_answered(rig: Rig, one: Origin, two: Origin) -> None:
    service = rig.http(one, two)
    held = hold(service, (one, two), 4, seconds=0.3)
    service.server(one).remove()
    for connection in held:
        with connection:
            assert connection.socket.recv(12) == b"HTTP/1.1 200"
    assert set(service.names(4)) == {"two"}


def test_removing_a_server_ends_its_long_requests(rig: Rig, one: Origin, two: Origin) -> None:
    service = rig.http(one, two)
    two.refuse()
    service.server(two).wait_until("down")
    (held,) = hold(service, (one,), 1)
    two.resume()
    service.server(two).wait_until("up")
    with rig.without_reload():
        service.server(one).remove()
    with held:
        assert held.socket.recv(12) in (b"", b"HTTP/1.1 502", b"HTTP/1.1 503")


@pytest.mark.requirement("S4-19")
@pytest.mark.parametrize("reloads", [0, 1])
@pytest.mark.parametrize("drop", [False, True])
def test_connections_of_a_failed_server(
    rig: Rig, line_one: TcpOrigin, line_two: TcpOrigin, drop: bool, reloads: int
) -> None:
    """They are kept unless Drop Connections on RS Failure is on."""
    rig.layer7(drop_on_failure=drop)
    service = rig.tcp(line_one, line_two)
    with _tcp_on(service, "one") as connection, _tcp_on(service, "two") as other:
        for _ in range(reloads):
            service.change(idle_time=300)
        line_one.refuse()
        service.server(line_one).wait_until("down")
        if drop:
            assert connection.closed_by_server(3.0)
        else:
            assert not connection.closed_by_server(0.5)
            assert _talk(connection) == "one"
        assert _talk(other) == "two"


def test_down_and_up_are_what_operators_see(rig: Rig, one: Origin, two: Origin) -> None:
    service = rig.http(one, two)
    server: Server = service.server(one)
    assert server.status == "Up"
    one.refuse()
    eventually(lambda: server.status == "Down", "shown as down")
    server.change(enabled=False)
    eventually(lambda: server.status == "Disabled", "shown as disabled")
    one.resume()
    server.change(enabled=True)
    eventually(lambda: server.status == "Up", "shown as up")
    assert set(service.names(4)) == {"one", "two"}


def test_a_reload_starts_from_the_verdicts_of_now(rig: Rig, one: Origin, two: Origin) -> None:
    service = rig.http(one, two)
    two.refuse()
    service.server(two).wait_until("down")
    two.resume()
    service.change(add_via=6)
    have = service.server(two).in_engine()
    assert have is not None
    two.refuse()
    service.server(two).wait_until("down")
    service.change(add_via=5)
    have = service.server(two).in_engine()
    assert have is not None
    assert not have.up, "a server that is down stays down over a reload"
