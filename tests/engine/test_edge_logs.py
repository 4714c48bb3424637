"""The logs of the edge filter, from requests to files."""

from __future__ import annotations

import re
import socket
import time
from collections.abc import Sequence
from datetime import UTC, datetime

import pytest
from tests.engine.rig import Rig, Service, eventually
from tests.support.clients import fetch
from tests.support.origin import Origin
from tests.support.raw_http2 import RawHttp2

from steelyard.model.commands import ChangeService, CreateSubService, SetParameters
from steelyard.observe.edge_events import Kind


def fields(line: str) -> dict[str, str]:
    """The fields of a line, quotes and escapes as they are."""
    found = dict(re.findall(r' ([a-z]+)=("(?:[^"\\]|\\["\\]|\\x[0-9a-f]{2})*"|[^ "]+)', line))
    return {name: value[1:-1] if value.startswith('"') else value for name, value in found.items()}


def logged(rig: Rig, kind: Kind, count: int) -> Sequence[dict[str, str]]:
    """The entries of a log, once there are so many."""
    files = rig.started.appliance.edge_files()
    eventually(lambda: len(files.tail(kind, 10_000)) >= count, f"{count} lines in the {kind} log", 5)
    time.sleep(0.1)
    return [fields(line) for line in files.tail(kind, 10_000)]


@pytest.fixture
def filtered(rig: Rig, one: Origin) -> Service:
    made = rig.http(one, name="front", esp_enabled=True, allowed_hosts="a.com", allowed_directories="/owa*")
    rig.started.appliance.edge_files().clear()
    return made


def test_each_log_gets_what_is_its(rig: Rig, filtered: Service, one: Origin) -> None:
    with filtered.connect() as client:
        client.request("/owa/a?x=1", headers={"Host": "a.com"})
        local = client.local
        client.request("/owa/b", headers={"Host": "A.com:80"}, method="POST", body=b"12345")
        client.request("/owa/c", headers={"Host": "evil.com"})
    users = logged(rig, "user", 3)
    assert [(entry["method"], entry["url"], entry["action"]) for entry in users] == [
        ("GET", "/owa/a?x=1", "allowed"),
        ("POST", "/owa/b", "allowed"),
        ("GET", "/owa/c", "refused"),
    ]
    (connection,) = logged(rig, "connection", 1)
    assert connection["client"] == f"{local[0]}:{local[1]}"
    assert connection["address"] == f"127.0.0.1:{filtered.port}"
    (refused,) = logged(rig, "security", 1)
    assert (refused["service"], refused["name"], refused["host"]) == (str(filtered.index), "front", "evil.com")
    assert (refused["status"], refused["server"]) == ("403", "")
    assert refused["reason"] == "the host is not allowed"
    passed = users[0]
    assert passed["server"] == f"{filtered.server(one).index}/127.0.0.1:{one.port}"
    assert passed["status"] == "200" and int(passed["sent"]) > 100 and int(passed["received"]) > 30
    assert int(passed["ms"]) < 1000


def test_the_time_is_that_of_the_request_not_of_the_connection(rig: Rig, filtered: Service) -> None:
    with filtered.connect() as client:
        client.request("/owa/1", headers={"Host": "a.com"})
        time.sleep(1.2)
        before = datetime.now(UTC)
        client.request("/owa/2", headers={"Host": "a.com"})
    logged(rig, "user", 2)
    line = rig.started.appliance.edge_files().tail("user", 1)[0]
    assert abs((datetime.fromisoformat(line[:24]) - before).total_seconds()) < 0.3


def test_only_the_kinds_a_service_logs(rig: Rig, filtered: Service) -> None:
    for wanted, expected in ((0, (0, 0, 0)), (1, (0, 0, 2)), (2, (0, 1, 0)), (4, (2, 0, 0)), (7, (2, 1, 2))):
        filtered.change(esp_logs=wanted)
        eventually(rig.only_one_worker, "the old worker has ended, which logs what it was told to")
        files = rig.started.appliance.edge_files()
        files.clear()
        filtered.fetch("/owa", headers={"Host": "a.com"})
        filtered.fetch("/owa", headers={"Host": "b.com"})
        eventually(lambda: _counts(rig) == expected, f"{expected}, not {_counts(rig)}", 3)  # noqa: B023 - ends in here


def _counts(rig: Rig) -> tuple[int, ...]:
    files = rig.started.appliance.edge_files()
    return tuple(len(files.tail(kind, 100)) for kind in ("connection", "security", "user"))


def test_what_a_client_sends_cannot_forge_a_line(rig: Rig, filtered: Service) -> None:
    rig.layer7(log_user_agent=True)
    nasty = b'x" reason=allowed \\ \x1b[31m%[src] \xff'
    request = (
        b'GET /owa/"\\%0d%0a2026-01-01T00:00:00.000Z%20service=9?q=\'" HTTP/1.1\r\nHost: a.com\r\n'
        b"User-Agent: " + nasty + b"\r\nConnection: close\r\n\r\n"
    )
    with socket.create_connection((filtered.address, filtered.port), 5) as client:
        client.sendall(request)
        assert b"403" in client.recv(1000)
    (refused,) = logged(rig, "security", 1)
    assert refused["agent"] == 'x\\" reason=allowed \\\\ \\x1b[31m%[src] \\xff'
    assert refused["url"] == '/owa/\\"\\\\%0d%0a2026-01-01T00:00:00.000Z%20service=9?q=\'\\"'
    assert refused["reason"] == "the path could lead out of its directory"
    rig.layer7(log_user_agent=False)


def test_lines_can_be_written_in_the_common_event_format(rig: Rig, one: Origin) -> None:
    service = rig.http(one, name="front", esp_enabled=True, allowed_hosts="a.com")
    rig.layer7(cef_messages=True)
    rig.started.appliance.edge_files().clear()
    assert service.fetch("/x", headers={"Host": "b.com"}).status == 403
    eventually(lambda: rig.started.appliance.edge_files().tail("security", 1), "the line is written")
    (text,) = rig.started.appliance.edge_files().tail("security", 1)
    assert re.match(
        r"\d{4}-\d\d-\d\dT[0-9:.]+Z CEF:0\|Steelyard\|Edge filter\|[^|]+\|host\|Request refused\|6\|rt=", text
    )
    assert " dhost=b.com " in text and " cs1=front " in text
    rig.layer7(cef_messages=False)


def test_a_malformed_request_and_a_failed_handshake_are_security_events(rig: Rig, one: Origin) -> None:
    service = rig.http(one, esp_enabled=True, allowed_hosts="a.com", ssl_acceleration=True, allow_http2=True)
    rig.started.appliance.edge_files().clear()
    with socket.create_connection((service.address, service.port), 5) as client:
        client.sendall(b"GET / HTTP/1.1\r\nHost: a.com\r\n\r\n")
        client.recv(100)
    with service.connect() as secure:
        secure.socket.sendall(b"GET /\0 HTTP/1.1\r\nHost: a.com\r\n\r\n")
        secure.socket.recv(100)
    found = logged(rig, "security", 2)
    assert [entry["reason"] for entry in found] == [
        "the connection failed: SSL handshake failure",
        "the request is malformed or incomplete",
    ]


def test_http_2_is_logged_with_its_whole_url(rig: Rig, one: Origin) -> None:
    service = rig.http(one, esp_enabled=True, allowed_hosts="a.com", ssl_acceleration=True, allow_http2=True)
    rig.started.appliance.edge_files().clear()
    with RawHttp2(service.address, service.port) as client:
        for path in (b"/1", b"/2"):
            asked = [(b":method", b"GET"), (b":scheme", b"https"), (b":authority", b"a.com"), (b":path", path)]
            assert client.ask(asked) == 200
    assert [entry["url"] for entry in logged(rig, "user", 2)] == ["https://a.com/1", "https://a.com/2"]
    assert len(logged(rig, "connection", 1)) == 1


@pytest.mark.parametrize("subs", [1, 2])
def test_sub_services_log_for_themselves(rig: Rig, one: Origin, two: Origin, subs: int) -> None:
    parent = rig.service((), service_type="http", servers=[])
    for origin in (one, two)[:subs]:
        outcome = rig.do(CreateSubService(parent.index))
        assert isinstance(outcome.key, int)
        sub = Service(rig, outcome.key)
        rig.do(ChangeService(sub.index, {"esp_enabled": True, "allowed_hosts": "a.com", "esp_logs": 3}))
        sub.add(origin).wait_until("up")
    rig.started.appliance.edge_files().clear()
    eventually(lambda: parent.fetch("/x", headers={"Host": "a.com"}).status == 200, "the sub-service answers")
    logged(rig, "user", 1)
    rig.started.appliance.edge_files().clear()
    local = parent.fetch("/x", headers={"Host": "b.com"}).local
    assert local is not None
    (refused,) = logged(rig, "security", 1)
    assert (refused["client"], refused["host"]) == (f"{local[0]}:{local[1]}", "b.com")
    assert int(refused["service"]) != parent.index
    assert len(logged(rig, "user", 1)) == 1
    assert logged(rig, "connection", 0) == []


def test_requests_while_the_control_plane_is_away_are_logged_when_it_is_back(own_rig: Rig, one: Origin) -> None:
    service = own_rig.http(one, name="front", esp_enabled=True, allowed_hosts="a.com")
    url = service.url
    own_rig.let_go()
    for number in range(200):
        assert fetch(f"{url}/{number}", headers={"Host": "a.com"}).name == "one"
    own_rig.start()
    assert [entry["url"] for entry in logged(own_rig, "user", 200)] == [f"/{number}" for number in range(200)]


def test_a_long_absence_neither_stops_nor_slows_traffic(own_rig: Rig, one: Origin) -> None:
    service = own_rig.http(one, esp_enabled=True, allowed_hosts="a.com")
    address, port = service.address, service.port
    own_rig.let_go()
    request = b"GET /" + b"a" * 1400 + b" HTTP/1.1\r\nHost: b.com\r\n\r\n"
    answers = b""
    started = time.monotonic()
    with socket.create_connection((address, port), 10) as client:
        for _ in range(40):
            client.sendall(request * 20)
            while answers.count(b"</html>") < 20:
                answers += client.recv(1 << 16)
            answers = b""
    assert time.monotonic() - started < 10
    own_rig.start()
    found = logged(own_rig, "security", 100)
    assert 200 < len(found) < 800
    dropped = re.search(r"^DroppedLogs: (\d+)$", own_rig.ask("show info"), re.MULTILINE)
    assert dropped is not None and int(dropped[1]) == 800 - len(found)


def test_a_worker_that_ends_after_a_reload_still_logs(rig: Rig, filtered: Service) -> None:
    client = filtered.connect()
    client.socket.sendall(b"GET /owa?x HTTP/1.1\r\nHost: a.com\r\n")
    rig.do(SetParameters("layer7", {"log_user_agent": True}))
    client.socket.sendall(b"\r\n")
    assert b"200" in client.socket.recv(1000)
    client.close()
    assert [entry["url"] for entry in logged(rig, "user", 1)] == ["/owa?x"]
    rig.layer7(log_user_agent=False)
