"""What happens on connections: time-outs, bodies, tunnels, broken requests (`reference/behaviour.md`, section 8)."""

from __future__ import annotations

import contextlib
import os
import socket
import time

import pytest
from tests.engine.rig import Rig, Service
from tests.support.clients import Connection
from tests.support.origin import Origin, TcpOrigin

pytestmark = pytest.mark.engine

MEGABYTES_10 = 10 * 1024 * 1024


def _read_until(connection: Connection, end: bytes, timeout: float = 5.0) -> bytes:
    connection.socket.settimeout(timeout)
    got = b""
    while not got.endswith(end):
        data = connection.socket.recv(65536)
        if not data:
            break
        got += data
    return got


def _raw(service: Service, request: bytes) -> bytes:
    """Everything the service says until it closes or falls silent."""
    with service.connect() as connection:
        connection.socket.sendall(request)
        connection.socket.settimeout(1.0)
        got = b""
        with contextlib.suppress(TimeoutError, ConnectionResetError):
            while data := connection.socket.recv(65536):
                got += data
        return got


# --- idle time-out -------------------------------------------------------------------------------------------------


def test_an_idle_connection_is_closed_after_the_idle_time(rig: Rig, one: Origin) -> None:
    service = rig.http(one, idle_time=2)
    with service.connect() as connection:
        connection.request("/")
        started = time.monotonic()
        assert connection.closed_by_server(4.0)
        assert 1.5 < time.monotonic() - started < 3.5


def test_a_connection_that_is_used_in_time_is_kept(rig: Rig, one: Origin) -> None:
    service = rig.http(one, idle_time=2)
    with service.connect() as connection:
        for _ in range(4):
            assert connection.request("/").status == 200
            time.sleep(1)


def test_a_connection_without_any_request_is_closed_silently(rig: Rig, one: Origin) -> None:
    service = rig.http(one, idle_time=2)
    with service.connect() as connection:
        assert _read_until(connection, b"never") == b""
    assert one.request_count == 0


def test_an_idle_tcp_connection_is_closed_on_both_sides(rig: Rig, line_one: TcpOrigin) -> None:
    service = rig.tcp(line_one, idle_time=2)
    with service.connect() as connection:
        connection.socket.sendall(b"hello\n")
        assert connection.socket.recv(64) == b"one: hello\n"
        assert connection.closed_by_server(4.0)


def test_bytes_in_one_direction_keep_a_tcp_connection(rig: Rig) -> None:
    with Ticking() as server:
        service = rig.service((), servers=[{"address": "127.0.0.1", "port": server.port}], idle_time=2)
        with service.connect() as connection:
            connection.socket.settimeout(3)
            started = time.monotonic()
            while time.monotonic() - started < 4.5:
                assert connection.socket.recv(16), "closed although the server speaks"


class Ticking(TcpOrigin):
    """Says something twice a second and never listens."""

    def __init__(self) -> None:
        super().__init__("ticking")

    async def serve(self, number: int, reader: object, writer: object) -> None:
        import asyncio

        assert isinstance(writer, asyncio.StreamWriter)
        while True:
            writer.write(b"tick\n")
            await writer.drain()
            await asyncio.sleep(0.5)


# --- requests and bodies -------------------------------------------------------------------------------------------


def test_a_client_may_wait_for_100_continue(rig: Rig, one: Origin) -> None:
    service = rig.http(one)
    with service.connect() as connection:
        connection.socket.sendall(
            b"POST /upload HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n"
        )
        assert _read_until(connection, b"\r\n\r\n").startswith(b"HTTP/1.1 100")
        connection.socket.sendall(b"hello")
        answer = _read_until(connection, b"}")
    assert answer.startswith(b"HTTP/1.1 200")
    assert one.requests[-1].body == b"hello"
    assert one.requests[-1].header("expect") == "100-continue"


def test_large_bodies_pass_both_ways(rig: Rig, one: Origin) -> None:
    service = rig.http(one)
    body = os.urandom(MEGABYTES_10)
    one.bodies["/upload"] = b"done"
    reply = service.fetch("/upload", method="POST", body=body, headers={"Content-Type": "application/octet-stream"})
    assert reply.body == b"done"
    assert one.requests[-1].body == body
    one.bodies["/download"] = body
    assert service.fetch("/download").body == body


def test_chunked_requests_pass(rig: Rig, one: Origin) -> None:
    service = rig.http(one)
    answer = _raw(
        service,
        b"POST /chunks HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
        b"5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n",
    )
    assert answer.startswith(b"HTTP/1.1 200")
    assert one.requests[-1].body == b"hello world"


def test_head_gets_no_body_and_the_connection_goes_on(rig: Rig, one: Origin) -> None:
    service = rig.http(one)
    with service.connect() as connection:
        head = connection.request("/bytes/500", method="HEAD")
        assert (head.status, head.body, head.header("content-length")) == (200, b"", "500")
        assert len(connection.request("/bytes/500").body) == 500


@pytest.mark.parametrize("status", [204, 301, 304, 401, 404, 500])
def test_answers_pass_as_the_server_gave_them(rig: Rig, one: Origin, status: int) -> None:
    service = rig.http(one)
    reply = service.fetch(f"/status/{status}")
    assert (reply.status, reply.header("x-origin")) == (status, "one")


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "PROPFIND", "MKCOL"])
def test_methods_pass(rig: Rig, one: Origin, method: str) -> None:
    service = rig.http(one)
    assert service.fetch("/any", method=method).json["method"] == method


def test_http_1_0_clients_are_served(rig: Rig, one: Origin) -> None:
    service = rig.http(one)
    assert service.fetch(version="1.0").status == 200


def test_pipelined_requests_are_answered_in_order(rig: Rig, one: Origin) -> None:
    service = rig.http(one)
    answers = _raw(service, b"".join(b"GET /%d HTTP/1.1\r\nHost: a\r\n\r\n" % number for number in range(3)))
    assert [answers.index(b'"url": "/%d"' % number) for number in range(3)] == sorted(
        answers.index(b'"url": "/%d"' % number) for number in range(3)
    )


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"this is no HTTP\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nBroken header\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nA\x00B: c\r\n\r\n",
        b"GET /a b c HTTP/1.1\r\nHost: a\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X-Long: " + b"x" * 40000 + b"\r\n\r\n",
    ],
    ids=["text", "no colon", "NUL", "blanks in the URL", "two lengths", "negative length", "40 kB header"],
)
def test_a_malformed_request_is_answered_400_and_never_forwarded(rig: Rig, one: Origin, request_bytes: bytes) -> None:
    service = rig.http(one)
    assert _raw(service, request_bytes).startswith(b"HTTP/1.1 400")
    assert one.request_count == 0
    assert service.fetch().status == 200


def test_conflicting_framing_does_not_smuggle_a_request(rig: Rig, one: Origin) -> None:
    service = rig.http(one)
    answer = _raw(
        service,
        b"POST /outer HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n",
    )
    smuggled = [seen for seen in one.requests if seen.path == "/smuggled" and seen.connection == 0]
    assert not smuggled
    assert answer.startswith(b"HTTP/1.1 ")
    for seen in one.requests:
        assert seen.header("content-length") is None or seen.header("transfer-encoding") is None


# --- tunnels -------------------------------------------------------------------------------------------------------


class Upgrade(TcpOrigin):
    """Switches protocols as a WebSocket server does, then echoes bytes."""

    def __init__(self) -> None:
        super().__init__("upgrade")

    async def serve(self, number: int, reader: object, writer: object) -> None:
        import asyncio

        assert isinstance(reader, asyncio.StreamReader)
        assert isinstance(writer, asyncio.StreamWriter)
        await reader.readuntil(b"\r\n\r\n")
        writer.write(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
        )
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()


def _upgraded(service: Service) -> Connection:
    connection = service.connect()
    connection.socket.sendall(
        b"GET /chat HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    head = _read_until(connection, b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 101"), head
    return connection


def test_an_upgraded_connection_is_a_tunnel(rig: Rig) -> None:
    with Upgrade() as server:
        service = rig.http(server, persistence="src")
        with _upgraded(service) as connection:
            for data in (b"\x81\x05hello", os.urandom(100_000)):
                connection.socket.sendall(data)
                got = b""
                while len(got) < len(data):
                    got += connection.socket.recv(65536)
                assert got == data


def test_a_tunnel_survives_reloads_and_ends_by_idle_time(rig: Rig) -> None:
    with Upgrade() as server:
        service = rig.http(server, idle_time=3)
        with _upgraded(service) as connection:
            for number in range(3):
                service.change(add_via=4 + number % 2)
                connection.socket.sendall(b"still")
                assert connection.socket.recv(16) == b"still"
            assert connection.closed_by_server(5.0)


# --- generic TCP ---------------------------------------------------------------------------------------------------


def test_generic_services_pass_lines(rig: Rig, line_one: TcpOrigin, line_two: TcpOrigin) -> None:
    service = rig.tcp(line_one, line_two)
    with service.connect() as first, service.connect() as second:
        for text in ("a", "b"):
            for connection in (first, second):
                connection.socket.sendall(f"{text}\n".encode())
        assert {_read_until(first, b"b\n"), _read_until(second, b"b\n")} == {b"one: a\none: b\n", b"two: a\ntwo: b\n"}


@pytest.mark.parametrize("persistence", ["none", "src"])
@pytest.mark.parametrize("server_init", [0, 1])
def test_the_server_may_speak_first(rig: Rig, line_one: TcpOrigin, persistence: str, server_init: int) -> None:
    line_one.speaks_first = True
    service = rig.tcp(line_one, persistence=persistence, server_init=server_init)
    with service.connect() as connection:
        started = time.monotonic()
        assert connection.socket.recv(16) == b"one\n"
        assert time.monotonic() - started < 0.5
        connection.socket.sendall(b"hello\n")
        assert connection.socket.recv(64) == b"one: hello\n"


def test_half_closed_connections_get_their_answer(rig: Rig, line_one: TcpOrigin) -> None:
    service = rig.tcp(line_one)
    with service.connect() as connection:
        connection.socket.sendall(b"last words\n")
        connection.socket.shutdown(socket.SHUT_WR)
        assert _read_until(connection, b"never") == b"one: last words\n"


def test_binary_data_passes_untouched(rig: Rig) -> None:
    class Echo(TcpOrigin):
        async def serve(self, number: int, reader: object, writer: object) -> None:
            import asyncio

            assert isinstance(reader, asyncio.StreamReader)
            assert isinstance(writer, asyncio.StreamWriter)
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()

    with Echo("echo") as server:
        service = rig.tcp(server)
        data = os.urandom(500_000)
        with service.connect() as connection:
            connection.socket.setblocking(True)
            got = b""
            for start in range(0, len(data), 50_000):
                connection.socket.sendall(data[start : start + 50_000])
                while len(got) < start + 50_000:
                    got += connection.socket.recv(65536)
        assert got == data
