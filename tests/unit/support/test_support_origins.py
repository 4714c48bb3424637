"""The origins tell the truth about what reached them, and misbehave exactly as told."""

import socket
import struct
import time

import pytest
from tests.support.certificates import authority, leaf
from tests.support.clients import Connection, fetch
from tests.support.origin import Origin, TcpOrigin
from tests.support.tcp_origin import rdp_connection_request


@pytest.fixture
def origin():
    with Origin("one") as running:
        yield running


def test_origin_answers_with_what_it_saw(origin):
    reply = fetch(
        f"{origin.url}a?b=c",
        method="POST",
        headers=[("X-Twice", "1"), ("X-Twice", "2")],
        body=b"hi",
        source="127.0.0.9",
    )
    saw = reply.json
    assert (reply.status, reply.name, saw["name"]) == (200, "one", "one")
    assert (saw["method"], saw["url"], saw["version"], saw["body"]) == ("POST", "/a?b=c", "1.1", "hi")
    assert saw["peer"] == list(reply.local)
    assert saw["peer"][0] == "127.0.0.9"
    assert saw["local"] == ["127.0.0.1", origin.port]
    assert ["X-Twice", "2"] in saw["headers"]
    assert reply.seen_headers["x-twice"] == ["1", "2"]
    assert (saw["tls"], saw["sni"]) == (False, None)
    logged = origin.requests[0]
    assert (logged.method, logged.url, logged.path, logged.body) == ("POST", "/a?b=c", "/a", b"hi")
    assert logged.header("X-TWICE") == "1"


def test_connections_and_their_requests_are_numbered(origin):
    with Connection("127.0.0.1", origin.port) as first:
        numbers = [(reply.json["connection"], reply.json["request"]) for reply in (first.request(), first.request())]
    again = fetch(origin.url).json
    assert [*numbers, (again["connection"], again["request"])] == [(1, 1), (1, 2), (2, 1)]
    assert origin.connections == 2


def test_statuses_bodies_cookies_and_health_change_while_it_runs(origin):
    assert fetch(f"{origin.url}health").status == 200
    origin.health_status = 503
    origin.statuses["/private"] = 401
    origin.bodies["/page"] = b"hello"
    origin.set_cookies = ["a=1; Path=/", "b=2"]
    assert fetch(f"{origin.url}health").status == 503
    assert fetch(f"{origin.url}private?x").header("www-authenticate") is not None
    page = fetch(f"{origin.url}page")
    assert (page.text, page.cookies) == ("hello", {"a": "1", "b": "2"})
    assert fetch(f"{origin.url}status/302").status == 302
    assert fetch(f"{origin.url}status/204").body == b""
    assert len(fetch(f"{origin.url}bytes/70000").body) == 70_000


def test_head_has_no_body_and_http_1_0_ends_the_connection(origin):
    with Connection("127.0.0.1", origin.port) as connection:
        assert connection.request(method="HEAD").body == b""
        assert connection.reusable
        assert connection.request(version="1.0").json["version"] == "1.0"
        assert not connection.reusable


def test_a_client_that_expects_100_continue_gets_it(origin):
    reply = fetch(origin.url, method="PUT", headers={"Expect": "100-continue"}, body=b"data")
    assert reply.json["body"] == "data"


def test_delay_and_sleep_take_their_time(origin):
    assert fetch(f"{origin.url}sleep?ms=60").seconds >= 0.06
    origin.delay = 0.05
    assert fetch(origin.url).seconds >= 0.05


def test_a_silent_origin_accepts_and_says_nothing(origin):
    origin.silent = True
    with pytest.raises(TimeoutError):
        fetch(origin.url, timeout=0.1)
    assert origin.wait_for_requests(1)[0].path == "/"


def test_close_each_ends_every_connection(origin):
    origin.close_each = True
    with Connection("127.0.0.1", origin.port) as connection:
        assert connection.request().header("connection") == "close"
        assert not connection.reusable
        assert connection.closed_by_server(wait=2)


def test_refuse_and_resume_keep_the_port_and_open_connections(origin):
    with Connection("127.0.0.1", origin.port) as connection:
        connection.request()
        origin.refuse()
        with pytest.raises(ConnectionRefusedError):
            fetch(origin.url)
        assert connection.request().status == 200
        assert not connection.closed_by_server()
        origin.cut_connections()
        assert connection.closed_by_server(wait=2)
    origin.resume()
    assert fetch(origin.url).status == 200


def test_a_new_origin_takes_the_port_of_a_stopped_one(origin):
    fetch(origin.url)
    origin.stop()
    with Origin("two", port=origin.port) as successor:
        assert fetch(successor.url).name == "two"


def test_origins_listen_on_any_loopback_address():
    with Origin("far", address="127.0.3.7") as origin:
        assert fetch(origin.url).json["local"] == ["127.0.3.7", origin.port]


def test_a_broken_request_gets_400(origin):
    with socket.create_connection(("127.0.0.1", origin.port), 2) as raw:
        raw.sendall(b"this is not HTTP\r\n\r\n")
        assert raw.recv(100).startswith(b"HTTP/1.1 400")


def test_a_tls_origin_records_the_name_asked_for():
    shop = leaf("shop.example", issuer=authority())
    with Origin("secure", tls=shop.server_context()) as origin:
        named = fetch(origin.url, sni="shop.example")
        unnamed = fetch(origin.url)
        assert (named.json["tls"], named.json["sni"], unnamed.json["sni"]) == (True, "shop.example", None)
        assert named.fingerprint == shop.fingerprint


def test_wait_for_requests_says_how_many_came(origin):
    fetch(origin.url)
    with pytest.raises(TimeoutError, match="one saw 1 of 2"):
        origin.wait_for_requests(2, timeout=0.05)
    origin.clear()
    assert (origin.requests, origin.request_count) == ([], 0)


def _line_client(origin: TcpOrigin) -> socket.socket:
    return socket.create_connection((origin.address, origin.port), 2)


def test_tcp_origin_answers_lines_with_its_name_and_records_peers():
    with TcpOrigin("echo") as origin, _line_client(origin) as raw:
        raw.sendall(b"hello\nagain\n")
        with raw.makefile("rb") as lines:
            assert [lines.readline(), lines.readline()] == [b"echo: hello\n", b"echo: again\n"]
        assert origin.peers[0].port == raw.getsockname()[1]
        assert origin.lines == ["hello", "again"]


def test_a_tcp_origin_that_speaks_first_greets():
    with TcpOrigin("greeter", speaks_first=True) as origin, _line_client(origin) as raw:
        assert raw.recv(100) == b"greeter\n"


def test_a_tcp_origin_can_hold_a_connection_its_client_has_closed():
    with TcpOrigin("holder") as origin, _line_client(origin) as raw:
        origin.hold = 5
        raw.shutdown(socket.SHUT_WR)
        raw.settimeout(0.1)
        with pytest.raises(TimeoutError):
            raw.recv(1)
        assert origin.open_connections == 1


@pytest.mark.parametrize("user", ["alice", None])
def test_an_rdp_origin_confirms_the_request_and_reads_its_user(user):
    with TcpOrigin("desk", rdp=True) as origin, _line_client(origin) as raw:
        raw.sendall(rdp_connection_request(user))
        with raw.makefile("rb") as answers:
            confirm = answers.read(11)
            assert struct.unpack(">BBH", confirm[:4]) == (3, 0, 11)
            assert confirm[5] == 0xD0
            assert answers.readline() == b"desk\n"
        assert origin.users == [user]


def test_stopping_an_origin_is_quick_even_with_idle_connections():
    origin = Origin("idle")
    connections = [Connection("127.0.0.1", origin.port) for _ in range(20)]
    started = time.monotonic()
    origin.stop()
    origin.stop()
    assert time.monotonic() - started < 2
    for connection in connections:
        connection.close()
