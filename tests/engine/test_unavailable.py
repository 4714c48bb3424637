"""What clients get when no real server is available, on real traffic (`reference/behaviour.md`, section 7.6)."""

from __future__ import annotations

import base64
import contextlib
import json
from collections.abc import Iterator

import pytest
from tests.engine.rig import Rig, Service, eventually, hold
from tests.support.certificates import leaf
from tests.support.clients import Connection, Http2Client, Reply, fetch
from tests.support.origin import Origin, TcpOrigin
from tests.support.ports import free_port

from steelyard.explain.request import Request
from steelyard.model.commands import CreateSubService

pytestmark = pytest.mark.engine

PAGE = "<!DOCTYPE html><title>Gone fishing</title><p>Back at nine. Größe.</p>"


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


@contextlib.contextmanager
def _failed(origin: Origin, service: Service) -> Iterator[None]:
    """While it lasts the origin is no server to be had, not for its recorded clients either."""
    service.rig.layer7(drain_time=0)
    server = service.server(origin)
    server.change(enabled=False)
    server.wait_until("maint")
    yield
    server.change(enabled=True)
    server.wait_until("up")


def _status(service: Service) -> str:
    return service.rig.started.appliance.states()[service.index].status


# --- redirects ------------------------------------------------------------------------------------------------------


def _redirector(rig: Rig, url: str = "https://%h%s", code: int = 302, **settings: object) -> Service:
    return rig.http(error_code=code, error_url=url, **settings)


def test_a_service_without_real_servers_redirects(rig: Rig) -> None:
    service = _redirector(rig)
    reply = service.fetch("/shop/list?a=1&b=%20x", headers={"Host": "shop.example"})
    assert (reply.status, reply.header("location")) == (302, "https://shop.example/shop/list?a=1&b=%20x")
    assert reply.header("content-type") == "text/html; charset=utf-8"
    assert "302 Found" in reply.text
    assert _status(service) == "Redirect"


@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
def test_each_redirect_has_its_status(rig: Rig, code: int) -> None:
    reply = _redirector(rig, code=code).fetch("/", method="POST", body=b"x" * 100_000)
    assert reply.status == code


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("shop.example:8080", "shop.example"),
        ("shop.example:", "shop.example"),
        ("[2001:db8::1]:8080", "[2001:db8::1]"),
        ("[2001:db8::1]", "[2001:db8::1]"),
        ("192.0.2.7:80", "192.0.2.7"),
        ("SHOP.example", "shop.example"),
    ],
)
def test_the_port_of_the_host_is_dropped(rig: Rig, host: str, expected: str) -> None:
    assert _redirector(rig).fetch("/x", headers={"Host": host}).header("location") == f"https://{expected}/x"


def test_without_a_usable_host_the_address_is_named(rig: Rig) -> None:
    service = _redirector(rig)
    wildcard = _redirector(rig, address="0.0.0.0", port=free_port("127.0.0.9"))
    six = _redirector(rig, address="::1", port=free_port("::1"))
    ask = b"GET /x HTTP/1.0\r\n\r\n"
    assert b"location: https://127.0.0.1/x\r\n" in _raw(service, ask)
    assert b"location: https://127.0.0.9/x\r\n" in _raw(wildcard, ask, "127.0.0.9")
    assert b"location: https://[::1]/x\r\n" in _raw(six, ask)


def _raw(service: Service, data: bytes, address: str | None = None) -> bytes:
    with contextlib.closing(Connection(address or service.address, service.port)) as connection:
        connection.socket.sendall(data)
        connection.socket.settimeout(5)
        found = b""
        with contextlib.suppress(TimeoutError, ConnectionResetError):
            while b"\r\n\r\n" not in found and (chunk := connection.socket.recv(65536)):
                found += chunk
        return found


_NASTY_HOSTS = (
    b"evil.example/@shop.example",
    b"evil.example#",
    b"evil.example\\x",
    b"user@evil.example",
    b"a b",
    b"a\tb",
    b"a%0d%0aSet-Cookie:x=1",
    b"a\x00b",
    b"a\x0bSet-Cookie: x=1",
    b'a"b',
    b"a'b,c",
    b"\xc3\xbc.example",
    b"[::1",
    b"::1",
    b"%[src]",
    b"-",
    b"..",
    b"",
)
_NASTY_TARGETS = (
    b"/%0d%0aSet-Cookie:%20x=1",
    b"/%0D%0ALocation:%20https://evil.example",
    b"/\r",
    b"/\rSet-Cookie: x=1",
    b"/\x00",
    b"/\x0b\x0cx",
    b"/\x7f",
    b"/\x85\xe2\x80\xa8",
    b"//evil.example/",
    b"/\\evil.example",
    b"/%[src]%%%h%s",
    b"/\"'`$(id)${HOME};#,)(",
    b"/a?b=\"'<script>",
    b"http://evil.example/abc",
    b"http://evil.example",
    b"*",
    b"/" + b"\xff" * 50,
)


@pytest.mark.parametrize("tls", [False, True])
def test_no_request_puts_anything_of_its_own_into_the_answer(rig: Rig, tls: bool) -> None:
    """Whatever is asked, the redirect has one Location, to a plain host or the address, and no header more."""
    service = _redirector(rig, ssl_acceleration=tls) if tls else _redirector(rig)
    asked = [(target, b"shop.example") for target in _NASTY_TARGETS] + [(b"/x", host) for host in _NASTY_HOSTS]
    redirected = 0
    for target, host in asked:
        with service.connect() as connection:
            connection.socket.sendall(b"GET %s HTTP/1.1\r\nHost: %s\r\n\r\n" % (target, host))
            connection.socket.settimeout(5)
            head = b""
            while b"\r\n\r\n" not in head and (chunk := connection.socket.recv(65536)):
                head += chunk
        head, _, _ = head.partition(b"\r\n\r\n")
        status, *lines = head.split(b"\r\n")
        if b" 400 " in status:
            continue
        redirected += 1
        assert b" 302 " in status, (target, host, head)
        headers = dict(line.split(b": ", 1) for line in lines)
        assert set(headers) == {b"location", b"content-type", b"content-length"}, (target, host, head)
        assert len(lines) == 3
        allowed = (b"https://shop.example/", b"https://127.0.0.1/", b"https://evil.example/")
        location = headers[b"location"]
        assert location.startswith(allowed), (target, host, location)
        if location.startswith(allowed[2]):
            assert target.startswith(b"http://evil.example"), "the host of an absolute URL is the host asked for"
        assert all(0x21 <= byte <= 0x7E for byte in location), (target, host, location)
    assert redirected > 10


def test_http2_requests_put_nothing_into_the_answer(rig: Rig) -> None:
    service = _redirector(rig, ssl_acceleration=True, allow_http2=True, url="https://%h:8443%s")
    with Http2Client() as client:
        reply = client.request(f"{service.url}/a/%0d%0aSet-Cookie:x?y=%[src]")
    assert reply.status == 302
    assert reply.header("location") == "https://127.0.0.1:8443/a/%0d%0aSet-Cookie:x?y=%[src]"
    assert reply.header("set-cookie") is None


def test_a_long_url_is_repeated_whole(rig: Rig) -> None:
    path = "/" + "x" * 7000
    assert _redirector(rig).fetch(path).header("location") == f"https://127.0.0.1{path}"


@pytest.mark.parametrize(
    ("url", "location"),
    [
        ("/sorry", "/sorry"),
        ("https://status.example/?from=%h%s", "https://status.example/?from=shop.example/a?b=c"),
        ("https://www.%h/%41%s", "https://www.shop.example/%41/a?b=c"),
        ("http://[2001:db8::5]:81%s", "http://[2001:db8::5]:81/a?b=c"),
        ("https://shop.example/it's$(x);*", "https://shop.example/it's$(x);*"),
    ],
)
def test_the_url_of_a_redirect_is_as_configured(rig: Rig, url: str, location: str) -> None:
    reply = _redirector(rig, url).fetch("/a?b=c", headers={"Host": "shop.example"})
    assert reply.header("location") == location


def test_a_redirect_ends_when_a_real_server_is_there(rig: Rig, one: Origin) -> None:
    service = rig.http(one, error_code=302, error_url="https://elsewhere.example%s")
    assert service.name() == "one"
    with _failed(one, service):
        assert service.fetch("/a").header("location") == "https://elsewhere.example/a"
        assert _status(service) == "Down"
    assert service.name() == "one"


def test_many_requests_on_one_connection_are_redirected_each(rig: Rig) -> None:
    service = _redirector(rig)
    with service.connect() as connection:
        for number in range(3):
            reply = connection.request(f"/{number}", headers={"Host": f"h{number}.example"})
            assert reply.header("location") == f"https://h{number}.example/{number}"


# --- error codes and pages ------------------------------------------------------------------------------------------


def test_a_plain_503_without_any_setting(rig: Rig) -> None:
    assert rig.http().fetch("/").status == 503


def test_an_error_code_comes_with_a_plain_page(rig: Rig) -> None:
    service = rig.http(error_code=404)
    reply = service.fetch("/")
    assert (reply.status, reply.header("content-type")) == (404, "text/html; charset=utf-8")
    assert reply.text.startswith("<!DOCTYPE html>") and "<h1>404 Not Found</h1>" in reply.text
    for word in ("haproxy", "steelyard", "vs1", "rs1", "127.0.0.1"):
        assert word not in reply.text.lower()
    assert _status(service) == "Fail Message"


@pytest.mark.parametrize(("code", "status"), [(0, 503), (503, 503), (200, 200), (404, 404), (299, 299), (505, 505)])
def test_a_page_is_sent_with_the_code(rig: Rig, code: int, status: int) -> None:
    reply = rig.http(error_code=code, error_page=_base64(PAGE)).fetch("/")
    assert (reply.status, reply.text) == (status, PAGE)


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (PAGE, "text/html; charset=utf-8"),
        ("back at nine\r\n\r\nX-Not: a header", "text/plain; charset=utf-8"),
        (json.dumps({"error": "down"}), "application/json"),
    ],
)
def test_a_page_says_what_it_is(rig: Rig, content: str, kind: str) -> None:
    reply = rig.http(error_page=_base64(content)).fetch("/")
    assert (reply.header("content-type"), reply.text) == (kind, content)
    assert reply.header("x-not") is None


def test_the_largest_page_arrives_whole(rig: Rig) -> None:
    content = "x" * 15_000
    service = rig.http(error_page=_base64(content), ssl_acceleration=True, security_header_options=6)
    reply = service.fetch("/")
    assert reply.text == content
    assert reply.header("strict-transport-security") == "max-age=31536000; includeSubDomains; preload"


def test_a_new_page_takes_the_place_of_the_old(rig: Rig) -> None:
    service = rig.http(error_page=_base64("one"))
    assert service.fetch("/").text == "one"
    service.change(error_page=_base64("two"))
    assert service.fetch("/").text == "two"
    service.change(error_page="")
    assert service.fetch("/").status == 503


def test_a_head_request_gets_no_page(rig: Rig) -> None:
    reply = rig.http(error_code=404).fetch("/", method="HEAD")
    assert (reply.status, reply.body) == (404, b"")


def test_a_real_servers_own_503_passes(rig: Rig, one: Origin) -> None:
    service = rig.http(one, error_code=404, error_page=_base64(PAGE))
    one.statuses["/busy"] = 503
    reply = service.fetch("/busy")
    assert (reply.status, reply.name) == (503, "one")
    with service.connect() as connection:
        assert connection.request("/busy").status == 503
        assert connection.request("/").status == 200


def test_a_real_server_that_just_died_counts_as_unavailable(rig: Rig) -> None:
    """The client must not see what no check has seen yet."""
    with Origin("one") as origin:
        service = rig.http(origin, error_code=404, check_type="none")
    assert service.fetch("/").status == 404


# --- a drained server, a full server --------------------------------------------------------------------------------

_INSTEAD = {
    "code": {"error_code": 404},
    "redirect": {"error_code": 302, "error_url": "https://%h%s"},
}


@pytest.mark.parametrize("instead", [*_INSTEAD, "sorry"])
def test_a_drained_server_still_serves_its_recorded_clients(rig: Rig, one: Origin, two: Origin, instead: str) -> None:
    settings = _INSTEAD.get(instead) or {"standby_address": two.address, "standby_port": two.port}
    service = rig.http(one, persistence="src", **settings)
    assert service.name(source="127.0.0.50") == "one"
    service.server(one).change(enabled=False)
    service.server(one).wait_until("drain")
    assert service.name(source="127.0.0.50") == "one"
    new = service.fetch("/", source="127.0.0.51")
    assert _answered_instead(new, instead)


def _answered_instead(reply: Reply, instead: str) -> bool:
    if instead == "sorry":
        return reply.status == 200 and reply.name == "two"
    return reply.status == {"code": 404, "redirect": 302}[instead]


@pytest.mark.parametrize("instead", [*_INSTEAD, "sorry"])
def test_a_full_server_counts_as_unavailable(rig: Rig, one: Origin, two: Origin, instead: str) -> None:
    settings = _INSTEAD.get(instead) or {"standby_address": two.address, "standby_port": two.port}
    service = rig.http(servers=[{"address": one.address, "port": one.port, "limit": 1}], **settings)
    (held,) = hold(service, [one], 1, seconds=2.5)
    assert _answered_instead(service.fetch("/"), instead)
    held.close()
    eventually(lambda: service.fetch("/").status == 200 and service.name() == "one", "there is a place again")


# --- the sorry server -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("persistence", ["none", "src", "active-cookie"])
@pytest.mark.parametrize("schedule", ["rr", "sh", "lc"])
def test_the_sorry_server_is_used_only_while_no_other_is(
    rig: Rig, one: Origin, two: Origin, persistence: str, schedule: str
) -> None:
    service = rig.http(
        one, persistence=persistence, schedule=schedule, standby_address=two.address, standby_port=two.port
    )
    assert service.names(5) == ["one"] * 5
    with service.connect() as connection, Http2Client():
        with _failed(one, service):
            assert service.names(2) == ["two"] * 2
            assert connection.request("/").name == "two"
            assert _status(service) == "Sorry"
            cookies = {}
            if persistence == "active-cookie":
                cookies = {"Cookie": "; ".join(f"{k}={v}" for k, v in service.fetch("/").cookies.items())}
        # neither the connection nor a record keeps a client there
        assert connection.request("/").name == "one"
        assert service.name(headers=cookies) == "one"
    assert service.names(3) == ["one"] * 3


def test_an_http2_connection_leaves_the_sorry_server(rig: Rig, one: Origin, two: Origin) -> None:
    service = rig.http(one, ssl_acceleration=True, allow_http2=True, standby_address=two.address, standby_port=two.port)
    with Http2Client() as client:
        with _failed(one, service):
            assert [client.request(service.url).name for _ in range(2)] == ["two", "two"]
        assert [client.request(service.url).name for _ in range(2)] == ["one", "one"]


def test_the_sorry_server_is_never_checked(rig: Rig, one: Origin, two: Origin) -> None:
    service = rig.http(one, standby_address=two.address, standby_port=two.port, check_type="http", check_url="/health")
    two.clear()
    with _failed(one, service):
        eventually(lambda: one.requests, "a check")
    assert [seen for seen in two.requests if seen.path == "/health"] == []


def test_a_service_with_nothing_but_a_sorry_server(rig: Rig, one: Origin) -> None:
    service = rig.http(standby_address=one.address, standby_port=one.port)
    assert service.names(2) == ["one", "one"]
    assert _status(service) == "Sorry"


def test_the_sorry_server_comes_before_the_error_code(rig: Rig, one: Origin) -> None:
    service = rig.http(standby_address=one.address, standby_port=one.port, error_code=404)
    assert service.name() == "one"
    service.change(standby_address="")
    assert service.fetch("/").status == 404
    assert service.setting("standby_port") == 0


def test_another_address_of_the_sorry_server_needs_no_reload(rig: Rig, one: Origin, two: Origin) -> None:
    service = rig.http(standby_address=one.address, standby_port=one.port)
    assert service.name() == "one"
    with rig.without_reload():
        service.change(standby_port=two.port)
        assert service.name() == "two"


def test_a_sorry_server_for_plain_tcp(rig: Rig, line_one: TcpOrigin, line_two: TcpOrigin) -> None:
    service = rig.tcp(line_one, standby_address=line_two.address, standby_port=line_two.port, persistence="src")
    assert _greeting(service) == "one"
    with _failed(line_one, service):  # type: ignore[arg-type]
        assert _greeting(service, "127.0.0.60") == "two"
        assert _status(service) == "Sorry"
    assert _greeting(service, "127.0.0.60") == "one"


def _end(service: Service, source: str | None = None) -> str:
    """How a connection that gets no server ends."""
    try:
        return f"answered {_greeting(service, source)}"
    except ConnectionResetError:
        return "reset"
    except IndexError:
        return "closed"


def _said(service: Service, source: str = "127.0.0.1") -> str:
    """What explain says of it."""
    told = service.rig.explain(Request(service=service.index, client=source))
    return " ".join(step.says for step in told.steps if step.name == "no real server")


def test_plain_tcp_is_reset_when_no_server_is_there(rig: Rig, line_one: TcpOrigin, line_two: TcpOrigin) -> None:
    empty = rig.tcp()
    assert _end(empty) == "reset"
    assert "the connection is reset" in _said(empty)
    service = rig.tcp(line_one, line_two, persistence="src")
    with service.connect(source="127.0.0.61") as connection:
        connection.socket.sendall(b"hello\n")
        assert connection.socket.recv(100)
        with rig.without_reload():
            for server in service.servers:
                server.change(enabled=False)
                server.wait_until("drain")
        # a disabled server still has its recorded clients, and a client without a record is told nothing worse
        assert _end(service, "127.0.0.61").startswith("answered")
        assert _end(service, "127.0.0.62") == "closed"
        assert "the connection is closed" in _said(service, "127.0.0.62")
        with _failed(line_one, service), _failed(line_two, service):  # type: ignore[arg-type]
            assert _end(service, "127.0.0.61") == "reset"
            connection.socket.sendall(b"still here\n")
            assert "the connection is reset" in _said(service, "127.0.0.61")
    rig.layer7(drain_time=300)
    assert _end(service).startswith("answered")


def _greeting(service: Service, source: str | None = None) -> str:
    with service.connect(source=source) as connection:
        connection.socket.sendall(b"hello\n")
        return connection.socket.recv(100).split()[0].decode().strip(":")


def test_a_sorry_server_behind_reencryption_is_spoken_to_in_tls(rig: Rig, one: Origin) -> None:
    with Origin("sorry", tls=leaf("sorry.example").server_context()) as sorry:
        service = rig.http(
            ssl_acceleration=True, ssl_reencrypt=True, standby_address=sorry.address, standby_port=sorry.port
        )
        assert service.name() == "sorry"


def test_removing_and_adding_real_servers_keeps_the_sorry_server(rig: Rig, one: Origin, two: Origin) -> None:
    service = rig.http(standby_address=two.address, standby_port=two.port)
    with rig.without_reload():
        server = service.add(one)
        server.wait_until("up")
        assert service.name() == "one"
        server.remove()
        assert service.name() == "two"


def test_a_reload_keeps_what_is_used_now(rig: Rig, one: Origin, two: Origin) -> None:
    service = rig.http(one, standby_address=two.address, standby_port=two.port)
    with _failed(one, service):
        service.change(idle_time=700)
        assert service.names(2) == ["two", "two"]
    assert service.name() == "one"


def test_the_redirect_of_another_host_name(rig: Rig) -> None:
    """`fetch` itself, to be sure that nothing above depends on how the rig asks."""
    service = _redirector(rig)
    assert fetch(service.url + "/z").header("location") == "https://127.0.0.1/z"


# --- sub-services ---------------------------------------------------------------------------------------------------


def _sub(rig: Rig, parent: Service, **settings: object) -> None:
    rig.do(CreateSubService(parent.index, {"check_type": "none", **settings}))


@pytest.mark.parametrize("instead", [*_INSTEAD, "sorry"])
def test_a_sub_service_does_as_its_parent(rig: Rig, two: Origin, instead: str) -> None:
    settings = _INSTEAD.get(instead) or {"standby_address": two.address, "standby_port": two.port}
    parent = rig.http(**settings)
    _sub(rig, parent)
    _sub(rig, parent)
    for _ in range(3):
        reply = parent.fetch("/a", headers={"Host": "shop.example:81"})
        assert _answered_instead(reply, instead)
        if instead == "redirect":
            assert reply.header("location") == "https://shop.example/a"
