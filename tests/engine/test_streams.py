"""Streams in both directions at once and in one alone: how long they live, that they pass whole (`behaviour.md`, 8)."""

from __future__ import annotations

import asyncio
import hashlib
import socket
import threading
import time
from collections.abc import Awaitable, Callable, Iterator

import pytest
from tests.engine.rig import Rig, Service, eventually
from tests.support.clients import Connection, Http2Client
from tests.support.listener import Listener
from tests.support.origin import Origin, TcpOrigin

pytestmark = pytest.mark.engine

_BIG = bytes(range(256)) * (10 * 1024 * 4)
_CHUNK = 64 * 1024
Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Scripted(Listener):
    """A server that does on each connection what the test says. A connection without a byte, a check, is no matter."""

    def __init__(self, talk: Talk) -> None:
        self._talk = talk
        super().__init__("scripted", "127.0.0.1", None)

    async def serve(self, number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self._talk(reader, writer)


def _head(connection: Connection) -> str:
    """Read up to the end of a response's head, not a byte further."""
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        byte = connection.socket.recv(1)
        if not byte:
            raise ConnectionError(f"closed after {head!r}")
        head += byte
    return head.decode("latin-1")


def _all(connection: Connection) -> bytes:
    """Everything up to the end."""
    received = bytearray()
    while data := connection.socket.recv(_CHUNK):
        received += data
    return bytes(received)


def _seconds_to_close(connection: Connection, limit: float = 6.0) -> float:
    started = time.monotonic()
    assert connection.closed_by_server(limit), f"still open after {limit} s"
    return time.monotonic() - started


def _silent_for(connection: Connection, seconds: float) -> bool:
    """Whether the connection stays open so long without a byte."""
    return not connection.closed_by_server(seconds)


# --- idle time -----------------------------------------------------------------------------------------------------


def test_a_silent_connection_is_closed_after_the_idle_time(rig: Rig, one: Origin, line_one: TcpOrigin) -> None:
    """On both sides, and not before: HTTP between requests, TCP after some bytes and before any."""
    http, tcp = rig.http(one, idle_time=2), rig.tcp(line_one, idle_time=2)
    with http.connect() as asked, tcp.connect() as talked, tcp.connect() as silent:
        assert asked.request("/").status == 200
        talked.socket.sendall(b"hello\n")
        assert talked.socket.recv(64) == b"one: hello\n"
        started = time.monotonic()
        assert _silent_for(asked, 1.2)
        assert _silent_for(talked, 0.0)
        for connection in (asked, talked, silent):
            _seconds_to_close(connection, 2.5)
        assert 1.5 < time.monotonic() - started < 3.5
    eventually(lambda: one.open_connections == line_one.open_connections == 0, "closed towards the servers too")


def test_a_server_silent_for_the_idle_time_is_given_up(rig: Rig, one: Origin) -> None:
    service = rig.http(one, idle_time=1)
    reply = service.fetch("/sleep?ms=5000")
    assert reply.status == 504
    assert 0.8 < reply.seconds < 2.5
    assert service.fetch("/sleep?ms=500").status == 200


def test_the_idle_time_of_a_service_is_changed(rig: Rig, line_one: TcpOrigin) -> None:
    service = rig.tcp(line_one, idle_time=60)
    with service.connect() as before:
        service.change(idle_time=1)
        with service.connect() as connection:
            assert _seconds_to_close(connection) < 2.5
        before.socket.sendall(b"from before\n")
        assert before.socket.recv(64) == b"one: from before\n"


@pytest.mark.requirement("S4-64")
def test_bytes_in_one_direction_keep_a_connection_open(rig: Rig) -> None:
    """Far beyond the idle time, whichever side speaks; and silence after that closes it."""
    heard = bytearray()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if await reader.readline() == b"speak\n":
            for _ in range(5):
                writer.write(b".")
                await writer.drain()
                await asyncio.sleep(0.5)
            await reader.read()
        else:
            while data := await reader.read(100):
                heard.extend(data)

    with Scripted(talk) as server:
        service = rig.tcp(server, idle_time=1)
        with service.connect() as down, service.connect() as up:
            down.socket.sendall(b"speak\n")
            up.socket.sendall(b"listen\n")
            for _ in range(5):
                up.socket.sendall(b".")
                assert down.socket.recv(1) == b"."
                assert not up.closed_by_server()
                time.sleep(0.5)
            eventually(lambda: heard == b"." * 5, "the server heard all")
            assert _seconds_to_close(up) < 2.5
            assert _seconds_to_close(down) < 2.5


@pytest.mark.requirement("S4-64")
def test_slow_uploads_and_downloads_outlive_the_idle_time(rig: Rig) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        if head.startswith(b"POST"):
            body = await reader.readexactly(5)
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n" + body)
        else:
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n")
            for _ in range(5):
                writer.write(b"d")
                await writer.drain()
                await asyncio.sleep(0.5)
        await writer.drain()

    with Scripted(talk) as server:
        service = rig.http(server, idle_time=1)
        with service.connect() as up, service.connect() as down:
            up.socket.sendall(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n")
            down.socket.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            assert _head(down).startswith("HTTP/1.1 200")
            for _ in range(5):
                up.socket.sendall(b"u")
                assert down.socket.recv(1) == b"d"
                time.sleep(0.5)
            assert _head(up).startswith("HTTP/1.1 200")
            assert up.socket.recv(5) == b"u" * 5


# --- bodies --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("tls", [False, True])
def test_ten_megabytes_pass_both_ways(rig: Rig, one: Origin, tls: bool) -> None:
    one.bodies["/big"] = _BIG
    service = rig.http(one, ssl_acceleration=tls, allow_http2=tls)
    with service.connect() as connection:
        assert connection.request("/up", method="POST", body=_BIG).status == 200
        assert connection.request("/big").body == _BIG
        assert connection.request("/").json["request"] == 3
    if tls:
        with Http2Client() as client:
            assert client.request(service.url + "/up", method="PUT", body=_BIG).status == 200
            assert client.request(service.url + "/big").body == _BIG
    uploads = [seen for seen in one.requests if seen.path == "/up"]
    assert len(uploads) == 1 + tls
    assert all(seen.body == _BIG for seen in uploads)


def test_chunked_bodies_pass_both_ways(rig: Rig, one: Origin) -> None:
    service = rig.http(one)
    with service.connect() as connection:
        chunked = b"".join(
            b"%x\r\n%b\r\n" % (len(part), part)
            for part in (_BIG[start : start + 100_000] for start in range(0, len(_BIG), 100_000))
        )
        reply = connection.request(
            "/up", method="POST", headers={"Transfer-Encoding": "chunked"}, body=chunked + b"0\r\n\r\n"
        )
        assert reply.status == 200
        assert connection.request("/").json["request"] == 2
    assert one.requests[0].body == _BIG

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.readuntil(b"\r\n\r\n"):
            writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            for start in range(0, len(_BIG), 50_000):
                part = _BIG[start : start + 50_000]
                writer.write(b"%x\r\n%b\r\n" % (len(part), part))
            writer.write(b"0\r\nX-Trailer: end\r\n\r\n")
            await writer.drain()

    with Scripted(talk) as server:
        service = rig.http(server)
        with service.connect() as connection:
            for _ in range(2):
                reply = connection.request("/")
                assert reply.body == _BIG
                assert reply.header("transfer-encoding") == "chunked"


def test_an_answer_that_ends_with_the_connection_arrives_whole(rig: Rig) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.0 200 OK\r\n\r\n" + _BIG)
        await writer.drain()

    with Scripted(talk) as server:
        assert rig.http(server).fetch(version="1.0").body == _BIG


def test_a_real_server_may_refuse_a_body_before_it_is_sent(rig: Rig) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        await writer.drain()

    with Scripted(talk) as server, rig.http(server).connect() as connection:
        connection.socket.sendall(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n")
        assert _head(connection).startswith("HTTP/1.1 413")


# --- upgrades ------------------------------------------------------------------------------------------------------

_UPGRADE = (
    b"GET /chat HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)


@pytest.fixture
def upgrading() -> Iterator[Scripted]:
    """A server that accepts upgrades, greets, and echoes what it gets in capitals; "push" makes it talk for 2 s."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        assert b"upgrade: websocket" in head.lower()
        writer.write(
            b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\nhello"
        )
        while data := await reader.read(_CHUNK):
            if data == b"push":
                for _ in range(4):
                    writer.write(b"!")
                    await asyncio.sleep(0.5)
            else:
                writer.write(data.upper())
            await writer.drain()

    with Scripted(talk) as server:
        yield server


@pytest.mark.parametrize("tls", [False, True])
def test_an_upgraded_connection_is_a_tunnel(rig: Rig, upgrading: Scripted, tls: bool) -> None:
    service = rig.http(upgrading, idle_time=1, ssl_acceleration=tls, allow_http2=tls)
    with service.connect() as connection:
        connection.socket.sendall(_UPGRADE)
        assert _head(connection).startswith("HTTP/1.1 101")
        assert connection.socket.recv(5) == b"hello"
        for text in (b"not http\r\n\r\n", b"\x81\x05bytes", b"get / http/1.1\r\n\r\n"):
            connection.socket.sendall(text)
            assert connection.socket.recv(100) == text.upper()
        if tls:
            return
        connection.socket.sendall(b"push")
        for _ in range(4):
            assert connection.socket.recv(1) == b"!"
        assert 0.5 < _seconds_to_close(connection) < 3


# --- bad requests --------------------------------------------------------------------------------------------------

_BAD = {
    "no request": b"hello\r\n\r\n",
    "return inside a header": b"GET / HTTP/1.1\r\nHost: a\r\nX-A: a\rb\r\n\r\n",
    "control sign in the target": b"GET /\x00 HTTP/1.1\r\nHost: a\r\n\r\n",
    "blank in a header's name": b"GET / HTTP/1.1\r\nHost: a\r\nX A: b\r\n\r\n",
    "blank before the colon": b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length : 3\r\n\r\nabc",
    "header without a colon": b"GET / HTTP/1.1\r\nHost: a\r\nnonsense\r\n\r\n",
    "two lengths": b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
    "negative length": b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
    "length that is no number": b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0x3\r\n\r\nabc",
    "bad chunk size": b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nabc\r\n0\r\n\r\n",
    "two hosts": b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    "bad version": b"GET / HTTP/1.1.1\r\nHost: a\r\n\r\n",
    "blank in the target": b"GET /a b HTTP/1.1\r\nHost: a\r\n\r\n",
    "head too long": b"GET / HTTP/1.1\r\nHost: a\r\nX-A: " + b"a" * 40_000 + b"\r\n\r\n",
}


def test_malformed_requests_are_answered_400_and_never_forwarded(rig: Rig, one: Origin) -> None:
    service = rig.http(one)
    answers = {name: _raw(service, data) for name, data in _BAD.items()}
    assert {name: answer.split("\r\n")[0] for name, answer in answers.items()} == dict.fromkeys(
        _BAD, "HTTP/1.1 400 Bad request"
    )
    assert one.requests == []
    assert service.fetch().status == 200


def _raw(service: Service, data: bytes) -> str:
    """The answer to these bytes; the connection has to be closed after it."""
    with service.connect(timeout=3.0) as connection:
        connection.socket.sendall(data)
        received = b""
        try:
            while more := connection.socket.recv(_CHUNK):
                received += more
        except ConnectionResetError:
            pass  # it was closed with bytes of ours unread
        return received.decode("latin-1")


# --- generic TCP ---------------------------------------------------------------------------------------------------


def test_either_side_may_close_its_half_and_the_other_goes_on(rig: Rig) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        first = await reader.readline()
        if first == b"you first\n":
            received = await reader.read(-1)
            await asyncio.sleep(0.3)
            writer.write(hashlib.sha256(received).hexdigest().encode())
        elif first == b"me first\n":
            writer.write(b"bye")
            writer.write_eof()
            told.append(await reader.read(-1))
        await writer.drain()

    told: list[bytes] = []
    with Scripted(talk) as server:
        # without checks: one that is slow on a busy machine ends the connections of a server
        service = rig.tcp(server, check_type="none")
        with service.connect() as connection:
            connection.socket.sendall(b"you first\n" + _BIG)
            connection.socket.shutdown(socket.SHUT_WR)
            assert _all(connection) == hashlib.sha256(_BIG).hexdigest().encode()
        with service.connect() as connection:
            connection.socket.sendall(b"me first\n")
            assert _all(connection) == b"bye"
            connection.socket.sendall(b"and more")
            time.sleep(0.2)
            connection.socket.sendall(b" and more")
            connection.socket.shutdown(socket.SHUT_WR)
            eventually(lambda: told == [b"and more and more"], "all arrived")


def test_ten_megabytes_pass_both_ways_at_once(rig: Rig) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(_CHUNK):
            writer.write(data)
            await writer.drain()

    with Scripted(talk) as server, rig.tcp(server, check_type="none").connect() as connection:

        def send() -> None:
            connection.socket.sendall(_BIG)
            connection.socket.shutdown(socket.SHUT_WR)

        sender = threading.Thread(target=send)
        sender.start()
        received = _all(connection)
        sender.join()
        assert received == _BIG


def test_a_reset_reaches_the_other_side(rig: Rig, line_one: TcpOrigin) -> None:
    service = rig.tcp(line_one)
    with service.connect() as connection:
        connection.socket.sendall(b"hello\n")
        assert connection.socket.recv(64) == b"one: hello\n"
        line_one.cut_connections()
        assert connection.closed_by_server(3.0)
    with service.connect() as connection:
        connection.socket.sendall(b"hello\n")
        assert connection.socket.recv(64) == b"one: hello\n"
    eventually(lambda: line_one.open_connections == 0, "the server is told that the client left")
