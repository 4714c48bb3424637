"""Who is served while servers and services come and go: the borders between up, down, disabled and changed."""

from __future__ import annotations

import subprocess

import pytest
from tests.engine.rig import Rig, eventually, hold, member, open_requests
from tests.support.origin import Origin, TcpOrigin
from tests.support.ports import free_port

from steelyard.model.commands import AddServer, Batch, ChangeServer, ChangeService, RemoveServer

pytestmark = pytest.mark.engine


# --- services ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("change", ["disabled", "moved"])
def test_a_kept_alive_connection_is_answered_after_its_service_stopped_listening(
    rig: Rig, one: Origin, change: str
) -> None:
    service = rig.http(one)
    old = service.port
    with service.connect() as connection, service.connect() as other:
        assert connection.request("/").json["request"] == other.request("/").json["request"] == 1
        service.change(**({"enabled": False} if change == "disabled" else {"port": free_port()}))
        with pytest.raises(ConnectionRefusedError):
            service.connect(port=old)
        assert not connection.closed_by_server(0.5)
        for each in (connection, other):
            reply = each.request("/")
            assert (reply.status, reply.json["request"]) == (200, 2)


@pytest.mark.needs("curl")
def test_an_http2_request_ends_well_after_its_service_was_disabled(rig: Rig, one: Origin) -> None:
    """HAProxy announces the end of the connection (GOAWAY, graceful), and what was asked is answered."""
    service = rig.http(one, ssl_acceleration=True, allow_http2=True)
    curl = [
        "curl",
        "--http2",
        "--insecure",
        "--silent",
        "--max-time",
        "8",
        "--write-out",
        "%{http_version} %{http_code}",
    ]
    command = [*curl, "--output", "/dev/null", f"{service.url}/sleep?ms=1000"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as client:
        one.wait_for_requests(1)
        service.change(enabled=False)
        assert client.communicate(timeout=10)[0] == "2 200"
    service.change(enabled=True)
    assert service.fetch().status == 200


def test_long_requests_end_well_over_every_change_of_a_service(rig: Rig, one: Origin) -> None:
    service = rig.http(one)
    with service.connect() as connection:
        connection.socket.sendall(b"GET /sleep?ms=1500 HTTP/1.1\r\nHost: a\r\n\r\n")
        one.wait_for_requests(1)
        service.change(port=free_port(), idle_time=100)
        service.change(enabled=False)
        assert connection.socket.recv(15) == b"HTTP/1.1 200 Te"


# --- checks --------------------------------------------------------------------------------------------------------


def test_answers_to_checks_decide_and_the_first_good_one_brings_clients_back(rig: Rig, one: Origin) -> None:
    one.statuses["/probe"] = 401
    service = rig.http(one, check_type="http", check_url="/probe")
    server = service.servers[0]
    assert service.fetch().status == 200
    one.statuses["/probe"] = 403
    server.wait_until("down")
    reply = service.fetch()
    assert (reply.status, server.status) == (503, "Down")
    assert reply.seconds < 1
    one.statuses["/probe"] = 401
    server.wait_until("up")
    assert service.fetch().status == 200


def test_a_generic_service_resets_while_all_are_down_and_serves_after_a_good_check(
    rig: Rig, line_one: TcpOrigin, line_two: TcpOrigin
) -> None:
    service = rig.tcp(line_one, line_two)
    for origin in (line_one, line_two):
        origin.refuse()
        service.server(origin).wait_until("down")
    with pytest.raises(ConnectionResetError), service.connect() as connection:
        connection.socket.settimeout(5)
        connection.socket.recv(1)
    line_two.resume()
    service.server(line_two).wait_until("up")
    with service.connect() as connection:
        connection.socket.sendall(b"hello\n")
        assert connection.socket.recv(64) == b"two: hello\n"


# --- real servers --------------------------------------------------------------------------------------------------


def test_a_batch_of_server_changes_takes_effect_together_without_a_reload(
    rig: Rig, one: Origin, two: Origin, three: Origin
) -> None:
    with Origin("four") as four:
        service = rig.http(one, two, three, schedule="wrr")
        numbers = {origin.name: service.server(origin).index for origin in (one, two, three)}
        with rig.without_reload():
            rig.do(
                Batch(
                    [
                        ChangeServer(service.index, numbers["one"], {"weight": 3000}),
                        ChangeServer(service.index, numbers["two"], {"enabled": False}),
                        RemoveServer(service.index, numbers["three"]),
                        AddServer(service.index, member(four, weight=1000)),
                    ]
                )
            )
            service.server(four).wait_until("up")
            service.names(8)  # the first rounds after a change may begin anywhere in a cycle
            assert service.spread(8) == {"one": 6, "four": 2}
            service.server(two).change(enabled=True)
            service.server(two).wait_until("up")
            service.names(10)
            assert service.spread(10) == {"one": 6, "four": 2, "two": 2}


def test_what_was_changed_at_run_time_holds_after_a_reload(rig: Rig, one: Origin, two: Origin, three: Origin) -> None:
    service = rig.http(one, two, three, schedule="wrr")
    with rig.without_reload():
        service.server(one).change(weight=2000)
        service.server(two).change(limit=1)
        service.server(three).change(enabled=False)
    service.change(add_via=6)
    assert service.spread(6) == {"one": 4, "two": 2}
    have = service.server(three).in_engine()
    assert have is not None
    assert have.admin == "maint"
    held = hold(service, (one, two), 6)
    assert (open_requests(one), open_requests(two)) == (5, 1)
    for connection in held:
        connection.close()
    service.server(three).change(enabled=True)
    service.server(three).wait_until("up")
    assert "three" in service.names(4)


def test_the_last_server_goes_and_the_first_comes_without_a_reload(rig: Rig, one: Origin, two: Origin) -> None:
    service = rig.http(one)
    with rig.without_reload():
        service.server(one).remove()
        assert service.fetch().status == 503
        service.add(two).wait_until("up")
        assert service.name() == "two"
        service.add(one).wait_until("up")
        assert set(service.names(4)) == {"one", "two"}


def test_a_disabled_server_is_changed_removed_and_added_again(rig: Rig, one: Origin, two: Origin) -> None:
    service = rig.http(servers=[member(one), member(two, enabled=False)])
    with rig.without_reload():
        service.server(two).change(weight=500)
        assert set(service.names(4)) == {"one"}
        service.server(two).remove()
        added = service.add(two, enabled=False)
        assert added.status == "Disabled"
        assert set(service.names(4)) == {"one"}
        added.change(enabled=True)
        added.wait_until("up")
        assert set(service.names(4)) == {"one", "two"}


def test_all_disabled_is_503_until_one_is_enabled(rig: Rig, one: Origin, two: Origin) -> None:
    service = rig.http(one, two)
    with rig.without_reload():
        rig.do(Batch([ChangeServer(service.index, server.index, {"enabled": False}) for server in service.servers]))
        assert service.fetch().status == 503
        service.server(one).change(enabled=True)
        eventually(lambda: service.fetch().status == 200, "served again")
        assert set(service.names(2)) == {"one"}


def test_a_server_and_its_service_change_in_one_batch(rig: Rig, one: Origin, two: Origin) -> None:
    """One reload brings both; the server added with it takes clients after its first good check."""
    service = rig.http(one, add_via=6)
    rig.do(
        Batch(
            [
                ChangeService(service.index, {"add_via": 5}),
                AddServer(service.index, member(two)),
                RemoveServer(service.index, service.server(one).index),
            ]
        )
    )
    service.server(two).wait_until("up")
    reply = service.fetch()
    assert (reply.name, reply.seen_headers["x-forwarded-for"]) == ("two", ["127.0.0.1"])
