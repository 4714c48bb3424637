"""Tricks against the edge filter, each a case, over HTTP/1.1 and HTTP/2.

The service lets in `/public*` on `a.example`. A trick must be refused with 400 or 403, or a cut connection, and no real
server may get anything of it; or it must be harmless: what the real server gets is below `/public` to every kind of
server there is (`tests.support.path_decoders`).
"""

from __future__ import annotations

import contextlib
import errno
import re
import socket

import pytest
from tests.engine.rig import Rig, Service
from tests.support.origin import Origin
from tests.support.path_decoders import DECODERS
from tests.support.raw_http2 import RawHttp2

HOST = b"a.example"

#: paths that must be refused
REFUSED_PATHS = {
    "elsewhere": "/private",
    "the root": "/",
    "up": "/public/../private",
    "up at the end": "/public/..",
    "up, first dot encoded": "/public/%2e./private",
    "up, second dot encoded": "/public/.%2e/private",
    "up, both encoded": "/public/%2e%2e/private",
    "up, in capitals": "/public/%2E%2E/private",
    "up, slash encoded": "/public/..%2fprivate",
    "up, all encoded": "/public%2f%2e%2e%2fprivate",
    "up by backslash": "/public/..\\private",
    "up between backslashes": "/public\\..\\private",
    "up by encoded backslash": "/public/..%5cprivate",
    "up between encoded backslashes": "/public%5c..%5cprivate",
    "up, encoded twice": "/public/%252e%252e/private",
    "up, slash encoded twice": "/public/..%252fprivate",
    "up, backslash encoded twice": "/public/..%255cprivate",
    "up, encoded three times": "/public/%25252e%25252e/private",
    "up, digits encoded": "/public/%%32%65%%32%65/private",
    "up, one digit encoded": "/public/%2%65%2%65/private",
    "up, overlong dot of two bytes": "/public/%c0%ae%c0%ae/private",
    "up, overlong slash of two bytes": "/public/..%c0%af../private",
    "up, overlong backslash": "/public/..%c1%9cprivate",
    "up, overlong of three bytes": "/public/%e0%80%ae%e0%80%ae/private",
    "up, overlong of four bytes": "/public/%f0%80%80%ae%f0%80%80%ae/private",
    "up, overlong of six bytes": "/public/%fc%80%80%80%80%ae%fc%80%80%80%80%ae/private",
    "up, overlong encoded twice": "/public/%25c0%25ae%25c0%25ae/private",
    "up by %u": "/public/%u002e%u002e/private",
    "up by %u slash": "/public/..%u2215private",
    "up by full-width dots": "/public/%ef%bc%8e%ef%bc%8e/private",
    "up by full-width slash": "/public/..%ef%bc%8fprivate",
    "up by a two-dot leader": "/public/%e2%80%a5/private",
    "up before parameters": "/public/..;/private",
    "up before named parameters": "/public/..;x=1/private",
    "up before encoded parameters": "/public/..%3b/private",
    "up before an encoded question mark": "/public/..%3f",
    "up before an encoded fragment": "/public/..%23",
    "up before a fragment": "/public/..#/x",
    "up before a NUL": "/public/..%00/private",
    "up with a blank behind": "/public/..%20/private",
    "up with a dot more": "/public/.../private",
    "up with a blank before": "/public/%20../private",
    "here": "/public/./x",
    "here, encoded": "/public/%2e/x",
    "two slashes first": "//public/x",
    "two slashes and a host": "//private.example/public",
    "slash and backslash first": "/\\private.example/public",
    "NUL": "/public%00/../private",
    "NUL at the end": "/public/x.aspx%00.jpg",
    "line break": "/public%0d%0aX-Evil:%201",
    "tab": "/public%09",
    "delete": "/public%7f",
    "half an escape": "/public%",
    "half an escape with a digit": "/public%2",
    "no escape": "/public%zz",
    "capital letters elsewhere": "/PRIVATE",
    "encoded letters of elsewhere": "/%70rivate",
    "encoded letters of what is allowed": "/%70ublic",
    "fragment": "/public#/../private",
    "parameters before": "/;x/public",
}

#: as long as they may be, where regular expressions run out of stack
LONG = {
    "dots": "." * 14_000,
    "encoded dots": "%2e" * 4_500,
    "blanks, then dots": "%20" * 4_500 + "..",
    "dots and blanks": ".%20" * 3_500,
    "full-width dots": "%ef%bc%8e" * 1_500,
    "eight encoded blanks, then eight dots": "%20" * 8 + "%2e" * 8,
    "nine encoded dots": "%2e" * 9,
    "many directories, then up": "a/" * 7_000 + "..",
}
REFUSED_PATHS |= {f"a segment of {name}": f"/public/{segment}/private" for name, segment in LONG.items()}
REFUSED_PATHS |= {f"a segment of {name}, and an escape": f"/public/{segment}/%41" for name, segment in LONG.items()}

#: paths that pass, as the real server reads them below /public; ordinary clients send such
PASSED_PATHS = {
    "plain": "/public/x",
    "capitals": "/PUBLIC/X.aspx",
    "dots in the query": "/public?back=../../private",
    "encoded dots in the query": "/public?u=%2e%2e%2fprivate&n=%00",
    "slash in the query": "/public?u=//private",
    "two slashes inside": "/public//x",
    "encoded slash": "/public/f('%2fsites%2fteam')",
    "encoded backslash": "/public/u('corp%5cann')",
    "blank": "/public/Shared%20Documents/a.docx",
    "plus": "/public/a%2Bb",
    "umlaut": "/public/M%C3%BCller",
    "umlaut of old clients": "/public/M%FCller",
    "percent sign": "/public/100%25.docx",
    "number sign": "/public/%23tag",
    "parameters": "/public/x;v=1",
    "dots in names": "/public/a..b/..c/d../.e",
    "at sign": "/public/7f9a@a.example/service.svc",
}


@pytest.fixture
def filtered(rig: Rig, one: Origin) -> Service:
    made = rig.http(one, esp_enabled=True, allowed_hosts="a.example", allowed_directories="/public*")
    one.clear()
    return made


@pytest.fixture
def filtered_tls(rig: Rig, one: Origin) -> Service:
    made = rig.http(
        one,
        ssl_acceleration=True,
        allow_http2=True,
        esp_enabled=True,
        allowed_hosts="a.example",
        allowed_directories="/public*",
    )
    one.clear()
    return made


def said(service: Service, text: bytes) -> bytes:
    """All that comes back on a connection on which `text` was sent."""
    with socket.create_connection((service.address, service.port), 5) as connection:
        found = b""
        # the proxy may cut the connection as soon as it has seen enough
        with contextlib.suppress(ConnectionError):
            connection.sendall(text)
            try:
                connection.shutdown(socket.SHUT_WR)
            except OSError as failure:
                if failure.errno != errno.ENOTCONN:
                    raise
            while data := connection.recv(65536):
                found += data
        return found


def statuses(text: bytes) -> list[int]:
    """The status of each answer, all of them the proxy's or of requests that were understood."""
    assert b"cannot read this" not in text, "the real server got something it did not understand"
    return [int(found) for found in re.findall(rb"HTTP/1\.[01] (\d\d\d)", text)]


def get(target: bytes, *headers: bytes, version: bytes = b"1.1", method: bytes = b"GET") -> bytes:
    lines = [method + b" " + target + b" HTTP/" + version, *(headers or (b"Host: " + HOST,)), b"Connection: close"]
    return b"\r\n".join([*lines, b"", b""])


def assert_refused(answers: list[int], one: Origin) -> None:
    assert set(answers) <= {400, 403}, answers
    assert [seen.url for seen in one.requests] == []


def assert_inside(one: Origin) -> None:
    assert one.requests
    for seen in one.requests:
        for name, decoder in DECODERS.items():
            assert decoder(seen.url.partition("?")[0]).lower().startswith("/public"), (name, seen.url)


def test_no_path_leads_out(filtered: Service, one: Origin) -> None:
    let_in = {}
    for name, path in REFUSED_PATHS.items():
        one.clear()
        found = statuses(said(filtered, get(path.encode())))
        if not set(found) <= {400, 403} or one.requests:
            let_in[name] = (found, [seen.url for seen in one.requests])
    assert let_in == {}


def test_no_path_leads_out_over_http_2(filtered_tls: Service, one: Origin) -> None:
    let_in = {}
    for name, path in REFUSED_PATHS.items():
        one.clear()
        with RawHttp2(filtered_tls.address, filtered_tls.port) as client:
            found = client.ask(pseudo(path.encode()))
        if found not in (400, 403, None) or one.requests:
            let_in[name] = (found, [seen.url for seen in one.requests])
    assert let_in == {}


def test_ordinary_paths_pass_as_they_are(filtered: Service, one: Origin) -> None:
    for path in PASSED_PATHS.values():
        one.clear()
        assert statuses(said(filtered, get(path.encode()))) == [200], path
        assert [seen.url for seen in one.requests] == [path]
        assert_inside(one)


def test_ordinary_paths_pass_as_they_are_over_http_2(filtered_tls: Service, one: Origin) -> None:
    with RawHttp2(filtered_tls.address, filtered_tls.port) as client:
        for path in PASSED_PATHS.values():
            one.clear()
            assert client.ask(pseudo(path.encode())) == 200, path
            assert [seen.url for seen in one.requests] == [path]
            assert_inside(one)


# --- what names the host and the target


def pseudo(path: bytes, *more: tuple[bytes, bytes], authority: bytes | None = HOST) -> list[tuple[bytes, bytes]]:
    named = [(b":authority", authority)] if authority is not None else []
    return [(b":method", b"GET"), (b":scheme", b"https"), *named, (b":path", path), *more]


OTHER = b"Host: b.example"
OURS = b"Host: a.example"
REFUSED_REQUESTS = {
    "another host": get(b"/public", OTHER),
    "no host": get(b"/public", b"X: 1"),
    "no host in HTTP/1.0": get(b"/public", b"X: 1", version=b"1.0"),
    "an empty host": get(b"/public", b"Host:"),
    "a blank host": get(b"/public", b"Host:  "),
    "two hosts, ours first": get(b"/public", OURS, OTHER),
    "two hosts, ours last": get(b"/public", OTHER, OURS),
    "two hosts in one": get(b"/public", b"Host: a.example, b.example"),
    "two hosts and a blank": get(b"/public", b"Host: a.example b.example"),
    "two hosts and a tab": get(b"/public", b"Host: b.example\ta.example"),
    "a user in the host": get(b"/public", b"Host: a.example@b.example"),
    "a port and another host": get(b"/public", b"Host: a.example:80@b.example"),
    "a port of letters": get(b"/public", b"Host: a.example:b.example"),
    "a path in the host": get(b"/public", b"Host: a.example/b"),
    "a longer host": get(b"/public", b"Host: a.example.b.example"),
    "a host before ours": get(b"/public", b"Host: b.example#a.example"),
    "a name of 14,000 labels": get(b"/public", b"Host: " + b"a." * 7_000 + b"example"),
    "a name that is too long": get(b"/public", b"Host: " + b"a" * 253 + b".example"),
    "two last dots": get(b"/public", b"Host: a.example.."),
    "a NUL in the host": get(b"/public", b"Host: a.example\0.b.example"),
    "a control character in the host": get(b"/public", b"Host: a.example\x0b"),
    "an address": get(b"/public", b"Host: 127.0.0.1"),
    "a whole address, another host in it": get(b"http://b.example/public"),
    "a whole address, another host beside it": get(b"http://a.example/public", OTHER),
    "a whole address, elsewhere": get(b"http://a.example/private"),
    "a whole address that agrees": get(b"http://a.example/public"),
    "a whole address of another scheme": get(b"file:///public"),
    "an authority alone": get(b"a.example:80"),
    "a tunnel": get(b"a.example:80", method=b"CONNECT"),
    "a tunnel to a path": get(b"/public", method=b"CONNECT"),
    "the server itself": get(b"*", method=b"OPTIONS"),
    "no slash": get(b"public"),
    "a query alone": get(b"?/public"),
    "two targets": get(b"/public /private"),
    "a tab in the target": get(b"/public\t/private"),
    "a NUL in the target": get(b"/public\0/../private"),
    "other than ASCII in the target": get("/public/ü".encode()),
    "a folded header line": get(b"/public", b"Host: b.example\r\n a.example"),
    "a blank before the colon": get(b"/public", OURS, b"Content-Length : 5"),
    "a NUL in a header": get(b"/public", OURS, b"X: a\0b"),
    "a vertical tab in a header": get(b"/public", OURS, b"X: a\x0bb"),
    "a line break alone in a header": get(b"/public", OURS, b"X: a\nHost: b.example"),
    "HTTP/0.9": b"GET /private\r\n\r\n",
    "HTTP/3.7": get(b"/public", version=b"3.7"),
    "HTTP/2.0 in a line": get(b"/public", version=b"2.0"),
    "HTTP/2.0 in a line, a whole address": get(b"http://b.example/public", version=b"2.0"),
    "HTTP/1.2, a whole address": get(b"http://b.example/public", version=b"1.2"),
    "a header of 60,000 bytes": get(b"/public", OURS, b"X: " + b"a" * 60_000),
    "a URL of 60,000 bytes": get(b"/public/" + b"a" * 60_000),
    "5,000 headers": get(b"/public", OURS, *(b"X%d: 1" % number for number in range(5000))),
}


@pytest.mark.parametrize("name", REFUSED_REQUESTS)
def test_no_request_names_another_host_or_target(filtered: Service, one: Origin, name: str) -> None:
    assert_refused(statuses(said(filtered, REFUSED_REQUESTS[name])), one)


PASSED_HOSTS = (b"A.EXAMPLE", b"a.example:80", b"a.example.", b"a.example.:443", b"A.Example:")


def test_case_port_and_last_dot_of_the_host_do_not_matter(filtered: Service, one: Origin) -> None:
    for host in PASSED_HOSTS:
        assert statuses(said(filtered, get(b"/public", b"Host: " + host))) == [200], host
    assert [seen.header("host") for seen in one.requests] == [host.decode() for host in PASSED_HOSTS]


REFUSED_HTTP_2 = {
    "another authority": pseudo(b"/public", authority=b"b.example"),
    "no authority": pseudo(b"/public", authority=None),
    "an empty authority": pseudo(b"/public", authority=b""),
    "another authority, our host": pseudo(b"/public", (b"host", HOST), authority=b"b.example"),
    "no authority, another host": pseudo(b"/public", (b"host", b"b.example"), authority=None),
    "a user in the authority": pseudo(b"/public", authority=b"a.example@b.example"),
    "a path in the authority": pseudo(b"/public", authority=b"a.example/private"),
    "two paths": pseudo(b"/public", (b":path", b"/private")),
    "an empty path": pseudo(b""),
    "no slash": pseudo(b"private"),
    "a whole address as path": pseudo(b"https://a.example/public"),
    "a blank in the path": pseudo(b"/public /private"),
    "a line break in the path": pseudo(b"/public HTTP/1.1\r\nHost: b.example\r\n\r\nGET /private"),
    "a NUL in the path": pseudo(b"/public\0"),
    "other than ASCII in the path": pseudo("/public/ü".encode()),
    "a line break in a header": pseudo(b"/public", (b"x", b"1\r\nhost: b.example")),
    "a line break in a header's name": pseudo(b"/public", (b"x: 1\r\nhost", b"b.example")),
    "chunks": pseudo(b"/public", (b"transfer-encoding", b"chunked")),
    "a connection of its own": pseudo(b"/public", (b"connection", b"close")),
    "another method in the method": [
        (b":method", b"GET /private HTTP/1.1\r\nx:"), (b":scheme", b"https"), (b":authority", HOST),
        (b":path", b"/public"),
    ],
    "a tunnel": [(b":method", b"CONNECT"), (b":authority", b"a.example:443")],
    "the server itself": [(b":method", b"OPTIONS"), (b":scheme", b"https"), (b":authority", HOST), (b":path", b"*")],
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED_HTTP_2)
def test_no_request_names_another_host_or_target_over_http_2(filtered_tls: Service, one: Origin, name: str) -> None:
    with RawHttp2(filtered_tls.address, filtered_tls.port) as client:
        found = client.ask(REFUSED_HTTP_2[name])
    assert_refused([] if found is None else [found], one)


def test_another_host_beside_our_authority_never_reaches_the_server(filtered_tls: Service, one: Origin) -> None:
    with RawHttp2(filtered_tls.address, filtered_tls.port) as client:
        client.ask(pseudo(b"/public", (b"host", b"b.example")))
    assert {value for seen in one.requests for value in seen.header_all("host")} <= {"a.example"}


# --- requests within requests

_INNER = b"GET /private HTTP/1.1\r\nHost: a.example\r\n\r\n"
_CHUNKED = b"0\r\n\r\n" + _INNER


def post(*headers: bytes, body: bytes) -> bytes:
    return b"\r\n".join([b"POST /public HTTP/1.1", OURS, *headers, b"", b""]) + body


def length(body: bytes) -> bytes:
    return b"Content-Length: %d" % len(body)


SMUGGLED = {
    "length, then chunks": post(length(_CHUNKED), b"Transfer-Encoding: chunked", body=_CHUNKED),
    "chunks, then length": post(b"Transfer-Encoding: chunked", b"Content-Length: 4", body=_CHUNKED),
    "two lengths": post(b"Content-Length: 0", length(_INNER), body=_INNER),
    "two lengths in one": post(b"Content-Length: 0, %d" % len(_INNER), body=_INNER),
    "a signed length": post(b"Content-Length: +0", body=_INNER),
    "a length in hexadecimal": post(b"Content-Length: 0x2c", body=_INNER),
    "an empty length": post(b"Content-Length:", body=_INNER),
    "a folded length": post(b"Content-Length:\r\n 44", body=_INNER),
    "folded chunks": post(b"Transfer-Encoding:\r\n chunked", length(_CHUNKED), body=_CHUNKED),
    "chunks with a blank before the colon": post(b"Transfer-Encoding : chunked", length(_CHUNKED), body=_CHUNKED),
    "chunks with a tab": post(b"Transfer-Encoding:\tchunked", length(_CHUNKED), body=_CHUNKED),
    "chunks with a vertical tab": post(b"Transfer-Encoding: \x0bchunked", length(_CHUNKED), body=_CHUNKED),
    "unknown coding": post(b"Transfer-Encoding: xchunked", length(_CHUNKED), body=_CHUNKED),
    "chunks, then identity": post(b"Transfer-Encoding: chunked, identity", length(_CHUNKED), body=_CHUNKED),
    "identity, then chunks": post(b"Transfer-Encoding: identity, chunked", length(_CHUNKED), body=_CHUNKED),
    "chunks twice": post(
        b"Transfer-Encoding: chunked", b"Transfer-Encoding: identity", length(_CHUNKED), body=_CHUNKED
    ),
    "chunks in quotes": post(b'Transfer-Encoding: "chunked"', length(_CHUNKED), body=_CHUNKED),
    "a chunk size with a sign": post(b"Transfer-Encoding: chunked", body=b"+0\r\n\r\n" + _INNER),
    "a chunk size too large": post(b"Transfer-Encoding: chunked", body=b"10000000000000000\r\n\r\n" + _INNER),
    "a chunk size with a line break alone": post(b"Transfer-Encoding: chunked", body=b"0\n\n" + _INNER),
    "chunks in HTTP/1.0": post(b"Transfer-Encoding: chunked", body=_CHUNKED).replace(b"HTTP/1.1", b"HTTP/1.0", 1),
    "a body of a GET": get(b"/public", OURS, length(_INNER)) + _INNER,
    "a line break before the header": b"POST /public HTTP/1.1\r\n "
    + OURS
    + b"\r\n"
    + length(_INNER)
    + b"\r\n\r\n"
    + _INNER,
    "another protocol": get(b"/public", OURS, b"Upgrade: h2c", b"HTTP2-Settings: AAMAAABkAAQAAP__") + _INNER,
    "a second request": get(b"/public").replace(b"Connection: close\r\n", b"") + _INNER,
}


@pytest.mark.parametrize("name", SMUGGLED)
def test_no_request_hides_in_another(filtered: Service, one: Origin, name: str) -> None:
    answers = statuses(said(filtered, SMUGGLED[name]))
    assert set(answers) <= {200, 400, 403, 422}, answers
    assert {seen.url for seen in one.requests} <= {"/public"}
    for seen in one.requests:
        lengths, codings = seen.header_all("content-length"), seen.header_all("transfer-encoding")
        assert (len(lengths), codings) in ((0, []), (1, []), (0, ["chunked"])), seen.headers


def test_what_would_take_the_request_past_the_filter_is_taken_off(filtered: Service, one: Origin) -> None:
    taken = (b"X-Original-URL: /private", b"X-Rewrite-URL: /private", b"HTTP2-Settings: AAMAAABkAAQAAP__")
    request = get(b"/public", OURS, *taken, b"Upgrade: h2c").replace(b": close", b": Upgrade, HTTP2-Settings, close")
    assert statuses(said(filtered, request)) == [200]
    names = {name.lower() for seen in one.requests for name, _ in seen.headers}
    assert not names & {"x-original-url", "x-rewrite-url", "http2-settings", "upgrade"}


def test_web_sockets_pass(filtered: Service, one: Origin) -> None:
    request = get(b"/public", OURS, b"Upgrade: websocket", b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==")
    said(filtered, request.replace(b"Connection: close", b"Connection: Upgrade"))
    assert [seen.header("upgrade") for seen in one.requests] == ["websocket"]


def test_long_paths_cost_no_worker_its_life(rig: Rig, filtered: Service, one: Origin) -> None:
    filtered.change(allowed_directories="/a*d")
    before = rig.worker
    for inside in ("%41" * 4_700, "b" * 14_000, "%" * 14_000, "%3" * 7_000, "/" * 14_000):
        assert set(statuses(said(filtered, get(b"/a" + inside.encode() + b"d")))) <= {200, 403}
    assert rig.worker == before
