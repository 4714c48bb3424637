"""The life of a record: when it is looked up, refreshed, discarded (`reference/behaviour.md`, 5.2, 5.3 and 7.5)."""

from __future__ import annotations

import time
from itertools import count

import pytest
from tests.engine.rig import Rig, Service
from tests.support.clients import Connection
from tests.support.origin import Origin, TcpOrigin

pytestmark = pytest.mark.engine


def _left(service: Service) -> float:
    """Seconds left of the only record."""
    ((_, left),) = service.records().values()
    return left


def _by_name(name: str, *origins: Origin) -> Origin:
    return next(origin for origin in origins if origin.name == name)


def _url_of(service: Service, name: str, urls: count[int]) -> str:
    """A URL that is recorded for that server."""
    for number in urls:
        url = f"/known/{number}"
        if service.name(url) == name:
            return url
    raise AssertionError


# --- the timer
# ---------------------------------------------------------------------------------------------------------


def test_the_timer_restarts_at_each_new_connection_and_not_by_requests_inside_one(rig: Rig, one: Origin) -> None:
    service = rig.http(one, persistence="src", persistence_timeout=60)
    with service.connect() as connection:
        connection.request("/")
        assert 59 < _left(service) <= 60
        time.sleep(1.2)
        for _ in range(3):
            connection.request("/")
        assert _left(service) < 59
        service.fetch("/")
        assert _left(service) > 59.5
        time.sleep(1.2)
    # nor does the end of the connection
    time.sleep(0.2)
    assert _left(service) < 59


def test_the_timer_of_a_tcp_record_is_not_restarted_by_traffic(rig: Rig, line_one: TcpOrigin) -> None:
    service = rig.tcp(line_one, persistence="src", persistence_timeout=60)

    def talk(connection: Connection) -> None:
        connection.socket.sendall(b"hello\n")
        assert connection.socket.recv(64) == b"one: hello\n"

    with service.connect() as connection:
        talk(connection)
        assert 59 < _left(service) <= 60
        time.sleep(1.2)
        talk(connection)
        assert _left(service) < 59
        with service.connect() as another:
            talk(another)
        assert _left(service) > 59.5
        time.sleep(1.2)
    time.sleep(0.2)
    assert _left(service) < 59


@pytest.mark.parametrize("persistence", ["src", "cookie-hash", "active-cookie", "active-cook-src", "super", "cookie"])
def test_no_mode_restarts_the_timer_inside_a_connection(rig: Rig, one: Origin, persistence: str) -> None:
    name = "JSESSIONID" if persistence == "cookie" else ""
    service = rig.http(one, persistence=persistence, persistence_timeout=60, cookie=name)
    request = {"User-Agent": "a", "Cookie": "JSESSIONID=1; steelyard=2"}
    with service.connect() as connection:
        connection.request("/", headers=request)
        time.sleep(1.1)
        connection.request("/", headers=request)
        assert _left(service) < 59


@pytest.mark.requirement("S3-40")
def test_the_timeout_is_the_service_s_own(rig: Rig, one: Origin) -> None:
    service = rig.http(one, persistence="src", persistence_timeout=1200)
    service.fetch("/")
    assert 1199 < _left(service) <= 1200


# --- the first request only
# --------------------------------------------------------------------------------------------


def test_only_the_first_request_of_a_connection_is_looked_up(rig: Rig, one: Origin, two: Origin) -> None:
    service = rig.http(one, two, persistence="url")
    urls = count()
    home, away = _url_of(service, "one", urls), _url_of(service, "two", urls)
    before = len(service.records())
    with service.connect() as connection:
        assert connection.request(home).name == "one"
        assert connection.request(away).name == "one"
        assert connection.request("/never-seen").name == "one"
    assert len(service.records()) == before, "what comes later in a connection makes no record"
    assert service.name(away) == "two"


def test_always_check_looks_up_every_request_and_stores_no_changed_key(rig: Rig, one: Origin, two: Origin) -> None:
    rig.layer7(always_check_persistence=1)
    service = rig.http(one, two, persistence="url")
    urls = count()
    home, away = _url_of(service, "one", urls), _url_of(service, "two", urls)
    before = len(service.records())
    with service.connect() as connection:
        assert connection.request(home).name == "one"
        assert connection.request(away).name == "two"
        assert connection.request("/never-seen").name == "two", "a key without a record stays where it is"
        assert connection.request(home).name == "one"
    assert len(service.records()) == before


def test_always_check_with_changes_stores_the_keys_it_meets(rig: Rig, one: Origin, two: Origin) -> None:
    rig.layer7(always_check_persistence=2)
    service = rig.http(one, two, persistence="url")
    urls = count()
    home, away = _url_of(service, "one", urls), _url_of(service, "two", urls)
    before = len(service.records())
    with service.connect() as connection:
        assert connection.request(home).name == "one"
        assert connection.request(away).name == "two"
        assert connection.request("/changed").name == "two"
    assert len(service.records()) == before + 1
    assert {service.name("/changed") for _ in range(4)} == {"two"}


@pytest.mark.parametrize("always", [1, 2])
def test_a_proxy_s_connection_serves_many_clients_with_always_check(
    rig: Rig, one: Origin, two: Origin, always: int
) -> None:
    """Each cookie that is issued brings its client back, also when a proxy puts several clients on one connection."""
    rig.layer7(always_check_persistence=always)
    service = rig.http(one, two, persistence="active-cookie")
    with service.connect() as connection:
        replies = [connection.request("/") for _ in range(4)]
    for reply in replies:
        if reply.cookies:
            assert {service.name(cookies=reply.cookies) for _ in range(3)} == {reply.name}


# --- servers that go
# ---------------------------------------------------------------------------------------------------


def test_the_record_of_a_server_that_is_down_is_discarded_and_the_client_does_not_move_back(
    rig: Rig, one: Origin, two: Origin, three: Origin
) -> None:
    service = rig.http(one, two, three, persistence="src")
    lost = _by_name(service.name(), one, two, three)
    lost.refuse()
    service.server(lost).wait_until("down")
    moved = service.name()
    assert moved != lost.name
    assert set(service.names(3)) == {moved}
    lost.resume()
    service.server(lost).wait_until("up")
    assert set(service.names(4)) == {moved}


@pytest.mark.parametrize("persistence", ["src", "cookie-hash"])
def test_a_client_moved_inside_a_connection_stays_where_it_was_moved(
    rig: Rig, one: Origin, two: Origin, three: Origin, persistence: str
) -> None:
    service = rig.http(one, two, three, persistence=persistence)
    mine = {"Cookie": "a=b"}
    with service.connect() as connection:
        lost = _by_name(connection.request("/", headers=mine).name, one, two, three)
        lost.refuse(cut=True)
        service.server(lost).wait_until("down")
        moved = connection.request("/", headers=mine).name
        assert moved != lost.name
        assert connection.request("/", headers=mine).name == moved
        lost.resume()
        service.server(lost).wait_until("up")
        assert connection.request("/", headers=mine).name == moved
    assert set(service.names(4, headers=mine)) == {moved}


@pytest.mark.requirement("S4-21")
def test_a_disabled_server_serves_clients_with_a_record_and_no_others(
    rig: Rig, one: Origin, two: Origin, three: Origin
) -> None:
    service = rig.http(one, two, three, persistence="src")
    mine = _by_name(service.name(source="127.0.0.81"), one, two, three)
    with rig.without_reload():
        service.server(mine).change(enabled=False)
    time.sleep(0.3)
    left = service.records()["127.0.0.81"][1]
    assert set(service.names(3, source="127.0.0.81")) == {mine.name}
    assert service.records()["127.0.0.81"][1] > left, "the record of a draining server is refreshed"
    strangers = {service.name(source=f"127.0.0.{n}") for n in range(90, 98)}
    assert mine.name not in strangers
    with rig.without_reload():
        service.server(mine).change(enabled=True)
    service.server(mine).wait_until("up")
    assert mine.name in {service.name(source=f"127.0.0.{n}") for n in range(100, 108)}


def test_draining_goes_on_over_a_reload(rig: Rig, one: Origin, two: Origin, three: Origin) -> None:
    service = rig.http(one, two, three, persistence="src")
    mine = _by_name(service.name(source="127.0.0.81"), one, two, three)
    service.server(mine).change(enabled=False)
    service.change(add_via=6)
    assert set(service.names(3, source="127.0.0.81")) == {mine.name}
    assert mine.name not in {service.name(source=f"127.0.0.{n}") for n in range(90, 98)}


@pytest.mark.requirement("S4-21")
def test_clients_are_rescheduled_when_the_drain_time_is_over(rig: Rig, one: Origin, two: Origin, three: Origin) -> None:
    """The checking process puts the server into maintenance at the end of the drain, which lasts a minute at least."""
    service = rig.http(one, two, three, persistence="src")
    mine = _by_name(service.name(), one, two, three)
    server = service.server(mine)
    server.change(enabled=False)
    assert service.name() == mine.name
    rig.ask(f"set server {service.key}/{server.key} state maint")
    moved = service.name()
    assert moved != mine.name
    rig.ask(f"set server {service.key}/{server.key} state ready")
    rig.ask(f"set server {service.key}/{server.key} health up")
    assert set(service.names(4)) == {moved}, "the old record is gone"


def test_without_persistence_a_disabled_server_gets_no_new_client(rig: Rig, one: Origin, two: Origin) -> None:
    service = rig.http(one, two)
    with rig.without_reload():
        service.server(one).change(enabled=False)
        assert set(service.names(6)) == {"two"}
        service.server(one).change(enabled=True)
        service.server(one).wait_until("up")
        assert set(service.names(6)) == {"one", "two"}


def test_drain_time_zero_cuts_the_connections_of_a_disabled_server(
    rig: Rig, line_one: TcpOrigin, line_two: TcpOrigin
) -> None:
    rig.layer7(drain_time=0)
    service = rig.tcp(line_one, line_two, persistence="src")
    with service.connect() as connection:
        connection.socket.sendall(b"hello\n")
        name = connection.socket.recv(64).decode().split(":")[0]
        gone = line_one if name == "one" else line_two
        with rig.without_reload():
            service.server(gone).change(enabled=False)
        assert connection.closed_by_server(3.0)
    with service.connect() as connection:
        connection.socket.sendall(b"hello\n")
        assert connection.socket.recv(64).decode().split(":")[0] != name


def test_with_a_drain_time_the_connections_of_a_disabled_server_are_kept(
    rig: Rig, line_one: TcpOrigin, line_two: TcpOrigin
) -> None:
    for persistence in ("none", "src"):
        service = rig.tcp(line_one, line_two, persistence=persistence)
        with service.connect() as connection:
            connection.socket.sendall(b"hello\n")
            name = connection.socket.recv(64).decode().split(":")[0]
            service.server(line_one if name == "one" else line_two).change(enabled=False)
            time.sleep(0.3)
            connection.socket.sendall(b"again\n")
            assert connection.socket.recv(64).decode() == f"{name}: again\n"


def test_changing_the_mode_starts_afresh(rig: Rig, one: Origin, two: Origin, three: Origin) -> None:
    service = rig.http(one, two, three, persistence="src")
    service.names(3)
    assert len(service.records()) == 1
    service.change(persistence="none")
    assert set(service.names(3)) == {"one", "two", "three"}


def test_the_record_of_a_removed_server_is_discarded(rig: Rig, one: Origin, two: Origin, three: Origin) -> None:
    service = rig.http(one, two, three, persistence="src")
    gone = _by_name(service.name(), one, two, three)
    service.server(gone).remove()
    moved = service.name()
    assert moved != gone.name
    service.add(gone).wait_until("up")
    assert set(service.names(4)) == {moved}
