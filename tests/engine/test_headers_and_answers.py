"""Headers that settings add, copy and rewrite, HSTS, and what happens to a connection after an error."""

from __future__ import annotations

import asyncio
import time

import pytest
from tests.engine.rig import Rig
from tests.support.certificates import leaf
from tests.support.clients import Connection, fetch_h2
from tests.support.listener import Listener
from tests.support.origin import Origin

pytestmark = pytest.mark.engine

VALUES = (
    "plain",
    "50% off",
    "%[src]",
    "%%h%s",
    "\"double\" and 'single'",
    "back\\slash \\n \\x41",
    "a,b)(c;#d",
    "$HOME ${HOME} `id`",
    "{ status 200 } if unless",
    "x" * 255,
)


@pytest.mark.parametrize("value", VALUES)
def test_a_header_is_added_as_it_was_written(rig: Rig, one: Origin, value: str) -> None:
    service = rig.http(one, extra_header_name="X-Extra", extra_header_value=value)
    assert service.fetch().seen_headers["x-extra"] == [value]


@pytest.mark.parametrize("name", ["X-A", "!#$&*+.^_`|~-", "x", "9"])
def test_a_header_may_have_any_name(rig: Rig, one: Origin, name: str) -> None:
    service = rig.http(
        one, extra_header_name=name, extra_header_value="v", copy_header_from="Host", copy_header_to=f"{name}c"
    )
    seen = service.fetch(headers={"Host": "shop.example"}).seen_headers
    assert (seen[name.lower()], seen[f"{name}c".lower()]) == (["v"], ["shop.example"])


def test_an_added_header_leaves_the_clients_own(rig: Rig, one: Origin) -> None:
    service = rig.http(one, extra_header_name="X-Extra", extra_header_value="ours")
    assert service.fetch(headers={"X-Extra": "theirs"}).seen_headers["x-extra"] == ["theirs", "ours"]


@pytest.mark.parametrize("value", ["a, b", "%[src] \"q\" 'r' \\", "x" * 4000])
def test_a_header_is_copied_whole(rig: Rig, one: Origin, value: str) -> None:
    service = rig.http(one, copy_header_from="X-From", copy_header_to="X-To")
    seen = service.fetch(headers={"X-From": value, "X-To": "forged"}).seen_headers
    assert (seen["x-from"], seen["x-to"]) == ([value], [value])


def test_without_the_header_nothing_is_copied(rig: Rig, one: Origin) -> None:
    service = rig.http(one, copy_header_from="X-From", copy_header_to="X-To")
    assert "x-to" not in service.fetch().seen_headers


@pytest.mark.parametrize(
    ("options", "value"),
    [
        (1, "max-age=31536000"),
        (2, "max-age=31536000; includeSubDomains"),
        (4, "max-age=31536000; preload"),
        (6, "max-age=31536000; includeSubDomains; preload"),
    ],
)
def test_hsts_is_on_every_answer_over_tls(rig: Rig, one: Origin, options: int, value: str) -> None:
    service = rig.http(one, ssl_acceleration=True, security_header_options=options, allow_http2=True)
    one.extra_headers = [("Strict-Transport-Security", "max-age=1")]
    assert service.fetch().header_all("strict-transport-security") == [value]
    assert fetch_h2(service.url).header_all("strict-transport-security") == [value]
    service.servers[0].remove()
    reply = service.fetch()
    assert (reply.status, reply.header_all("strict-transport-security")) == (503, [value])


def test_hsts_has_the_age_of_the_parameter_and_is_never_on_plain_http(rig: Rig, one: Origin) -> None:
    plain = rig.http(one, security_header_options=6)
    tls = rig.http(one, ssl_acceleration=True, security_header_options=1, error_code=302, error_url="https://%h%s")
    rig.layer7(security_header_age=86_400)
    try:
        assert plain.fetch().header("strict-transport-security") is None
        assert tls.fetch().header("strict-transport-security") == "max-age=86400"
        tls.servers[0].remove()
        reply = tls.fetch("/x")
        assert (reply.status, reply.header("strict-transport-security")) == (302, "max-age=86400")
    finally:
        rig.layer7(security_header_age=31_536_000)


def test_the_clients_tls_is_told_and_cannot_be_forged(rig: Rig, one: Origin) -> None:
    certified = leaf("shop.example")
    rig.certificate(f"told{one.port}", certified)
    service = rig.http(one, ssl_acceleration=True, pass_cipher=True, certificates=(f"told{one.port}",))
    forged = {f"X-SSL-{name}": "forged" for name in ("Cipher", "Protocol", "Serialid", "ClientSerialid", "SNIHost")}
    seen = service.fetch(headers=forged, sni="shop.example").seen_headers
    assert seen["x-ssl-cipher"][0].startswith("TLS_") and len(seen["x-ssl-cipher"]) == 1
    assert seen["x-ssl-protocol"] == ["TLSv1.3"]
    assert int(seen["x-ssl-serialid"][0], 16) == certified.serial
    assert seen["x-ssl-snihost"] == ["shop.example"]
    assert "x-ssl-clientserialid" not in seen


@pytest.mark.parametrize(
    ("scheme", "sent", "received"),
    [
        ("https", "http://shop.example/a?b=http://c/", "https://shop.example/a?b=http://c/"),
        ("https", "http://shop.example", "https://shop.example"),
        ("https", "http://shop.example:80/a", "https://shop.example/a"),
        ("https", "http://shop.example:8080/a", "https://shop.example:8080/a"),
        ("https", "http://[2001:db8::1]:80/", "https://[2001:db8::1]/"),
        ("https", "http://[2001:db8::1]:81", "https://[2001:db8::1]:81"),
        ("https", "HTTP://Shop.Example/", "https://Shop.Example/"),
        ("https", "https://shop.example:80/", "https://shop.example:80/"),
        ("https", "/relative", "/relative"),
        ("https", "/x?u=http://a:80/", "/x?u=http://a:80/"),
        ("http", "https://shop.example:443/a", "http://shop.example/a"),
        ("http", "https://shop.example/a", "http://shop.example/a"),
        ("http", "http://shop.example/a", "http://shop.example/a"),
        ("", "http://shop.example/a", "http://shop.example/a"),
    ],
)
def test_the_scheme_of_redirects_is_rewritten(rig: Rig, one: Origin, scheme: str, sent: str, received: str) -> None:
    service = rig.http(one, ssl_acceleration=True, ssl_rewrite=scheme)
    one.extra_headers = [("Location", sent)]
    assert service.fetch().header_all("location") == [received]


def test_a_connection_ends_after_an_error_of_our_own(rig: Rig, one: Origin) -> None:
    service = rig.http()
    with service.connect() as connection:
        assert connection.request("/").status == 503
        assert connection.request("/").status == 503
    rig.layer7(close_on_error=True)
    try:
        with service.connect() as connection:
            reply = connection.request("/")
            assert (reply.status, reply.header("connection")) == (503, "close")
            assert connection.closed_by_server(2.0)
        kept = rig.http(one)
        one.statuses["/broken"] = 500
        with kept.connect() as connection:
            assert [connection.request(path).status for path in ("/broken", "/broken", "/")] == [500, 500, 200]
    finally:
        rig.layer7(close_on_error=False)


# --- long answers, tunnels and 100-continue with everything switched on ---------------------------------------------


class Talks(Listener):
    """A server that answers 100-continue, sends events slowly, and turns into an echo when asked to upgrade."""

    def __init__(self) -> None:
        super().__init__("talks", "127.0.0.1", None)

    async def serve(self, number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
        if "upgrade: websocket" in head:
            writer.write(
                b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
            )
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        elif "expect: 100-continue" in head:
            if "/refuse" in head:
                writer.write(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            else:
                writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
                await writer.drain()
                body = await reader.readexactly(5)
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\n" + body)
        else:
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n")
            for event in range(8):
                writer.write(f"data: {event}\n\n".encode())
                await writer.drain()
                await asyncio.sleep(0.5)
        await writer.drain()
        writer.close()


EVERYTHING = {
    "error_code": 302,
    "error_url": "https://%h%s",
    "standby_address": "127.0.0.1",
    "standby_port": 9,
    "extra_header_name": "X-Extra",
    "extra_header_value": "v",
    "copy_header_from": "Host",
    "copy_header_to": "X-To",
    "ssl_acceleration": True,
    "ssl_rewrite": "https",
    "security_header_options": 6,
    "pass_cipher": True,
    "check_type": "none",
    "idle_time": 2,
}


def _until(connection: Connection, mark: bytes) -> bytes:
    found = b""
    while mark not in found and (chunk := connection.socket.recv(65536)):
        found += chunk
    return found


def test_events_arrive_one_by_one_and_outlive_the_idle_time(rig: Rig) -> None:
    with Talks() as talks:
        service = rig.http(talks, **EVERYTHING)
        with service.connect() as connection:
            connection.socket.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            started, data = time.monotonic(), b""
            first = 0.0
            while chunk := connection.socket.recv(65536):
                data += chunk
                if not first and b"data: 0" in data:
                    first = time.monotonic() - started
    assert first < 1.0, "the first event waited for others"
    assert data.count(b"data: ") == 8
    assert b"strict-transport-security: " in data


def test_a_tunnel_passes_untouched(rig: Rig) -> None:
    with Talks() as talks:
        service = rig.http(talks, **EVERYTHING)
        with service.connect() as connection:
            connection.socket.sendall(
                b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
            )
            assert b" 101 " in _until(connection, b"\r\n\r\n")
            for _ in range(4):
                sent = bytes(range(256)) * 40
                connection.socket.sendall(sent)
                received = b""
                while len(received) < len(sent):
                    received += connection.socket.recv(65536)
                assert received == sent
                time.sleep(0.8)


@pytest.mark.parametrize(("path", "status"), [("/take", b" 200 "), ("/refuse", b" 413 ")])
def test_the_real_server_decides_about_100_continue(rig: Rig, path: str, status: bytes) -> None:
    with Talks() as talks:
        service = rig.http(talks, **EVERYTHING)
        with service.connect() as connection:
            head = f"POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n"
            connection.socket.sendall(head.encode())
            first = _until(connection, b"\r\n\r\n")
            if path == "/take":
                assert first.startswith(b"HTTP/1.1 100 ")
                connection.socket.sendall(b"hello")
                first = _until(connection, b"hello")
            assert first.startswith(b"HTTP/1.1" + status)


def test_100_continue_without_a_real_server_is_answered_at_once(rig: Rig) -> None:
    service = rig.http(error_code=302, error_url="https://%h%s")
    with service.connect() as connection:
        connection.socket.settimeout(3)
        connection.socket.sendall(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n")
        assert _until(connection, b"\r\n\r\n").startswith(b"HTTP/1.1 302 ")


def test_a_hundred_megabytes_pass(rig: Rig, one: Origin) -> None:
    size = 100 * 1024 * 1024
    service = rig.http(one, **{**EVERYTHING, "idle_time": 60})
    with service.connect() as connection:
        connection.socket.sendall(f"GET /bytes/{size} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
        head = _until(connection, b"\r\n\r\n")
        left = size - len(head.partition(b"\r\n\r\n")[2])
        while left:
            chunk = connection.socket.recv(min(left, 1 << 20))
            assert chunk, f"{left} bytes are missing"
            left -= len(chunk)
