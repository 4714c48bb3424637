"""The check kinds against real servers on 127.0.0.1."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.support import certificates

from steelyard.health import attempt
from steelyard.health.probe import cycle, prepared
from steelyard.health.transcript import Outcome, Transcript
from steelyard.model.errors import OperatorError
from steelyard.plan.health import Check

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def _server(handler: Handler, tls: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    async def guarded(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await handler(reader, writer)
        except (OSError, asyncio.IncompleteReadError):
            pass  # the check has gone away, which is its right
        finally:
            writer.close()

    server = await asyncio.start_server(guarded, "127.0.0.1", 0, ssl=tls)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


def _says(answer: bytes, heard: list[bytes] | None = None) -> Handler:
    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await reader.readuntil(b"\r\n\r\n")
        if heard is not None:
            heard.append(request)
        writer.write(answer)
        await writer.drain()

    return handler


def _check(**more: Any) -> Check:
    return Check(**{"kind": "http", "interval": 9, "timeout": 1, "attempts": 2, **more})


async def _ask(check: Check, port: int, address: str = "127.0.0.1") -> list[Transcript]:
    async with asyncio.timeout(20):
        return await cycle(prepared(check, address, port), check.attempts)


async def _last(answer: bytes, **more: Any) -> Transcript:
    async with _server(_says(answer)) as port:
        return (await _ask(_check(**more), port))[-1]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def test_401_is_healthy_and_the_transcript_tells_all() -> None:
    one = await _last(b"HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: NTLM\r\n\r\n")
    assert one.outcome is Outcome.GOOD
    assert one.reason == "answered 401 Unauthorized"
    assert one.received == "HTTP/1.1 401 Unauthorized"
    assert one.sent == "HEAD / HTTP/1.0, Host: 127.0.0.1"
    assert one.connect_ms is not None
    assert 0 < one.connect_ms <= one.duration_ms
    assert one.started > 1e9


async def test_403_is_not_healthy_and_not_asked_again() -> None:
    heard: list[bytes] = []
    async with _server(_says(b"HTTP/1.0 403 Forbidden\r\n\r\n", heard)) as port:
        said = await _ask(_check(attempts=5), port)
    assert [one.outcome for one in said] == [Outcome.BAD]
    assert said[0].reason == "answered 403 Forbidden; good are 200-299, 301, 302, 401"
    assert len(heard) == 1


async def test_a_redirect_is_good_and_not_followed() -> None:
    heard: list[bytes] = []
    async with _server(_says(b"HTTP/1.1 302 Found\r\nLocation: /owa\r\nContent-Length: 0\r\n\r\n", heard)) as port:
        said = await _ask(_check(method="GET"), port)
    assert said[-1].outcome is Outcome.GOOD
    assert len(heard) == 1


async def test_a_list_of_codes_replaces_the_default() -> None:
    assert (await _last(b"HTTP/1.0 401 No\r\n\r\n", codes=(503,))).outcome is Outcome.BAD
    assert (await _last(b"HTTP/1.0 503 Busy\r\n\r\n", codes=(503,))).outcome is Outcome.GOOD
    assert (await _last(b"HTTP/1.0 204 None\r\n\r\n", codes=(503,))).outcome is Outcome.GOOD


async def test_silence_is_repeated_and_counted() -> None:
    heard: list[bytes] = []

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(await reader.readuntil(b"\r\n\r\n"))
        await reader.read()

    async with _server(silent) as port:
        said = await _ask(_check(attempts=2), port)
    assert [one.outcome for one in said] == [Outcome.SILENT, Outcome.SILENT]
    assert [one.attempt for one in said] == [1, 2]
    assert len(heard) == 2
    assert said[-1].reason.startswith("no answer within 1 s (connected after ")
    assert 950 <= said[-1].duration_ms < 1900


async def test_the_first_good_answer_after_silence_is_up() -> None:
    heard: list[bytes] = []

    async def late_starter(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(await reader.readuntil(b"\r\n\r\n"))
        if len(heard) == 1:
            await reader.read()
        writer.write(b"HTTP/1.0 200 OK\r\n\r\n")

    async with _server(late_starter) as port:
        said = await _ask(_check(attempts=3), port)
    assert [one.outcome for one in said] == [Outcome.SILENT, Outcome.GOOD]


async def test_a_slow_answer_within_the_time_is_good() -> None:
    async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        for byte in b"HTTP/1.0 200 OK\r\n\r\n":
            writer.write(bytes([byte]))
            await asyncio.sleep(0.02)

    async with _server(slow) as port:
        (one,) = await _ask(_check(), port)
    assert one.outcome is Outcome.GOOD
    assert one.duration_ms > 300


async def test_the_time_is_for_the_whole_attempt_not_for_each_byte() -> None:
    async def dripping(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for _ in range(100):
            writer.write(b"X-A: b\r\n" if _ else b"HTTP/1.0 200 OK\r\n")
            await asyncio.sleep(0.1)

    async with _server(dripping) as port:
        (one,) = await _ask(_check(attempts=1), port)
    assert one.outcome is Outcome.SILENT


@pytest.mark.parametrize("kind", ["tcp", "http", "https"])
async def test_a_refused_connection_is_repeated_and_named(kind: str) -> None:
    port = _free_port()
    said = await _ask(_check(kind=kind, attempts=3), port)
    assert [one.outcome for one in said] == [Outcome.FAILED] * 3
    assert said[-1].reason == f"connection refused by 127.0.0.1:{port}"
    assert said[-1].summary() == f"connection refused by 127.0.0.1:{port}, 3 attempts"
    assert said[-1].connect_ms is None


async def test_a_close_without_an_answer_is_repeated() -> None:
    async def closing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")

    async with _server(closing) as port:
        said = await _ask(_check(), port)
    assert [one.outcome for one in said] == [Outcome.FAILED] * 2
    assert said[-1].reason.endswith("without an answer")


@pytest.mark.parametrize(
    "garbage", [b"SSH-2.0-OpenSSH_9.2\r\n\x1b[2J\r\n", b"hello", b"HTTP/1.1 abc\r\n\r\n", b"\xff" * 9]
)
async def test_a_garbage_answer_is_down_at_once_and_shown_safely(garbage: bytes) -> None:
    async with _server(_says(garbage)) as port:
        said = await _ask(_check(attempts=3), port)
    assert [one.outcome for one in said] == [Outcome.BAD]
    assert said[0].reason.startswith("not an HTTP answer: ")
    assert all(" " <= character <= "~" for character in said[0].reason)


async def test_an_endless_answer_is_bounded() -> None:
    async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\n")
        while True:
            writer.write(b"X-Filler: " + b"a" * 4000 + b"\r\n")
            await writer.drain()

    async with _server(endless) as port:
        (one,) = await _ask(_check(attempts=1), port)
    assert one.outcome is Outcome.BAD


async def test_interim_answers_are_passed_over() -> None:
    one = await _last(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n\r\n")
    assert one.received == "HTTP/1.1 200 OK"


async def _request(**more: Any) -> bytes:
    heard: list[bytes] = []
    async with _server(_says(b"HTTP/1.0 200 OK\r\n\r\n", heard)) as port:
        await _ask(_check(**more), port)
    return heard[0]


async def test_http_1_0_with_the_real_servers_address_is_the_default() -> None:
    request = await _request()
    assert request.startswith(b"HEAD / HTTP/1.0\r\nHost: 127.0.0.1\r\n")
    assert b"Connection" not in request


async def test_http_1_1_host_url_and_headers_are_sent_as_asked() -> None:
    request = await _request(
        http11=True, method="OPTIONS", url="/owa/?a=b", host="mail.example.com", headers=(("X-Probe", "yes please"),)
    )
    assert request.startswith(b"OPTIONS /owa/?a=b HTTP/1.1\r\nHost: mail.example.com\r\n")
    assert b"\r\nX-Probe: yes please\r\n" in request
    assert b"\r\nConnection: close\r\n" in request


async def test_a_header_of_the_operators_replaces_ours() -> None:
    request = await _request(headers=(("host", "other.example.com"), ("User-Agent", "mine")))
    assert request.lower().count(b"host:") == 1
    assert b"host: other.example.com\r\n" in request
    assert b"steelyard-health" not in request


async def test_an_ipv6_host_is_bracketed() -> None:
    assert b"\r\nHost: [2001:db8::1]\r\n" in await _request(host="2001:db8::1")


async def test_a_post_sends_its_body() -> None:
    heard: list[bytes] = []

    async def posted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(await reader.readuntil(b"\r\n\r\n"))
        heard.append(await reader.readexactly(4))
        writer.write(b"HTTP/1.0 200 OK\r\n\r\n")

    async with _server(posted) as port:
        (one,) = await _ask(_check(method="POST", body="a=ü"), port)
    assert one.outcome is Outcome.GOOD
    assert b"\r\nContent-Length: 4\r\n" in heard[0]
    assert heard[1] == "a=ü".encode()


@pytest.mark.parametrize(
    "bad",
    [{"url": "/a b"}, {"url": "/\r\nX: y"}, {"host": "a\nb"}, {"headers": (("A", "b\r\nC: d"),)}, {"pattern": "("}],
)
def test_a_check_that_cannot_be_sent_is_refused_as_input(bad: dict[str, Any]) -> None:
    with pytest.raises(OperatorError):
        prepared(_check(**bad), "127.0.0.1", 80)


@pytest.mark.parametrize(
    ("answer", "more", "outcome"),
    [
        (b"HTTP/1.0 200 OK\r\n\r\nall is well", {}, Outcome.GOOD),
        (b"HTTP/1.0 200 OK\r\n\r\nall is lost", {}, Outcome.BAD),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 99\r\n\r\nwell, broken off", {}, Outcome.GOOD),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nwe\r\n2\r\nll\r\n0\r\n\r\n", {}, Outcome.GOOD),
        (b"HTTP/1.0 200 OK\r\n\r\n" + b"x" * 4096 + b"well", {}, Outcome.BAD),
        (b"HTTP/1.0 401 No\r\n\r\nlost", {}, Outcome.GOOD),
        (b"HTTP/1.0 200 OK\r\n\r\n", {"method": "HEAD"}, Outcome.GOOD),
    ],
)
async def test_a_pattern_is_looked_for_in_the_start_of_2xx_bodies(
    answer: bytes, more: dict[str, Any], outcome: Outcome
) -> None:
    one = await _last(answer, **{"method": "GET", "pattern": "w.ll", **more})
    assert one.outcome is outcome
    if outcome is Outcome.BAD:
        assert one.reason == "answered 200 OK; the first 4096 bytes of its body do not match w.ll"


async def test_https_sends_the_name_and_takes_any_certificate(tmp_path: Path) -> None:
    seen: list[str | None] = []
    context = certificates.leaf("unrelated.example.org", issuer=certificates.authority()).server_context()

    def remember(_: ssl.SSLObject, name: str | None, __: ssl.SSLContext) -> None:
        seen.append(name)

    context.sni_callback = remember
    async with _server(_says(b"HTTP/1.1 200 OK\r\n\r\n"), context) as port:
        for sni in ("mail.example.com", None):
            (one,) = await _ask(_check(kind="https", sni=sni, timeout=4), port)
            assert one.outcome is Outcome.GOOD, one.reason
    assert seen == ["mail.example.com", None]


async def test_https_to_a_plain_server_says_so() -> None:
    async with _server(_says(b"HTTP/1.0 400 Bad Request\r\n\r\n")) as port:
        said = await _ask(_check(kind="https"), port)
    assert said[-1].outcome in (Outcome.FAILED, Outcome.SILENT)
    assert said[-1].reason.startswith(("TLS handshake failed: ", "no answer within"))


async def test_https_to_a_server_that_talks_garbage_fails_in_the_handshake() -> None:
    async def garbage(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(10)
        writer.write(b"HTTP/1.0 400 Bad Request\r\n\r\n")
        await writer.drain()
        await reader.read()

    async with _server(garbage) as port:
        said = await _ask(_check(kind="https"), port)
    assert [one.outcome for one in said] == [Outcome.FAILED] * 2
    assert said[-1].reason.startswith("TLS handshake failed: ")


async def test_tcp_is_good_when_the_connection_is_accepted() -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async with _server(silent) as port:
        (one,) = await _ask(_check(kind="tcp"), port)
    assert one.outcome is Outcome.GOOD
    assert one.summary().startswith("connected in ")


async def test_no_connection_within_the_time_is_silence() -> None:
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        port = full.getsockname()[1]
        waiting = [socket.socket() for _ in range(4)]
        try:
            for one in waiting:
                one.setblocking(False)
                one.connect_ex(("127.0.0.1", port))
            await asyncio.sleep(0.1)
            (said,) = await _ask(_check(kind="tcp", attempts=1), port)
        finally:
            for one in waiting:
                one.close()
    assert said.outcome is Outcome.SILENT
    assert said.reason == f"no answer within 1 s (no connection to 127.0.0.1:{port})"


async def test_running_out_of_descriptors_is_not_the_real_servers_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    def out_of_them(*_: object) -> socket.socket:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(socket, "socket", out_of_them)
    (one,) = await _ask(_check(kind="tcp"), 80)
    assert one.outcome is Outcome.UNASKED
    assert one.reason == "this host could not ask 127.0.0.1:80: too many open files"


async def test_a_host_that_was_held_up_does_not_condemn_the_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attempt, "STALL_SECONDS", -1.0)

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async with _server(silent) as port:
        (one,) = await _ask(_check(attempts=2), port)
    assert one.outcome is Outcome.UNASKED
    assert "held up" in one.reason
