"""The load generator counts exactly: nothing lost, nothing forgiven, nothing blamed on the wrong side."""

import asyncio
import struct
import threading

import pytest
from tests.support.background_loop import BackgroundLoop
from tests.support.certificates import leaf
from tests.support.load import Load
from tests.support.load_worker.http2 import FrameFilter
from tests.support.load_worker.record import Record
from tests.support.origin import Origin
from tests.support.ports import free_port


@pytest.fixture
def origin():
    with Origin("one") as running:
        yield running


def test_every_request_is_counted(origin):
    with Load("http1", "127.0.0.1", origin.port, workers=3) as load:
        load.wait_for_more(50)
    result = load.result()
    result.assert_clean(at_least=50)
    assert result.requests == origin.request_count
    assert result.servers == {"one": result.requests}
    assert origin.connections == 3
    assert 0 < result.p50_ms <= result.p99_ms
    assert 0 < result.longest_gap < result.seconds


def test_new_connections_are_new(origin):
    with Load("http1-new", "127.0.0.1", origin.port, workers=2, sources=("127.0.5.1", "127.0.5.2")) as load:
        load.wait_for_more(20)
    load.result().assert_clean()
    assert origin.connections == origin.request_count
    assert {seen.peer[0] for seen in origin.requests} == {"127.0.5.1", "127.0.5.2"}


def test_connection_close_is_followed_without_a_failure(origin):
    with Load("http1", "127.0.0.1", origin.port, workers=2) as load:
        origin.close_each = True
        load.wait_for_more(20)
        origin.close_each = False
        load.wait_for_more(20)
    load.result().assert_clean()
    assert origin.connections > 10


def test_tls_load_asks_for_the_name():
    with Origin("secure", tls=leaf("shop.example", kind="ec").server_context()) as origin:
        with Load("https1", "127.0.0.1", origin.port, workers=2, sni="shop.example") as load:
            load.wait_for_more(20)
        load.result().assert_clean()
        assert {(seen.sni, seen.header("host")) for seen in origin.requests} == {("shop.example", "shop.example")}


def test_an_outage_shows_as_failures_and_as_a_gap(origin):
    with Load("http1", "127.0.0.1", origin.port, workers=2) as load:
        origin.refuse(cut=True)
        threading.Event().wait(0.3)
        origin.resume()
        load.wait_for_more(20)
    result = load.result()
    assert result.failed > 2
    assert any("ConnectionRefused" in reason or "Connect call failed" in reason for reason in result.reasons)
    assert result.longest_gap >= 0.25
    assert sum(result.reasons.values()) == result.failed
    with pytest.raises(AssertionError, match="failed"):
        result.assert_clean()


def test_an_unexpected_status_is_a_failure(origin):
    origin.statuses["/"] = 503
    with Load("http1", "127.0.0.1", origin.port, workers=1) as load:
        load.wait_for_more(5)
    result = load.result()
    assert result.failed == result.requests > 0
    assert "status 503" in next(iter(result.reasons))


def test_a_request_lost_on_a_reused_connection_is_a_failure():
    async def answer_once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
        await reader.readuntil(b"\r\n\r\n")
        writer.close()  # the second request was taken and never answered

    with _RawServer(answer_once) as port:
        with Load("http1", "127.0.0.1", port, workers=1) as load:
            load.wait_for_more(4)
        result = load.result()
    assert result.failed >= 2
    assert all("used before" in reason for reason in result.reasons)


def test_an_idle_connection_closed_before_the_next_request_is_no_failure():
    async def answer_then_close(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
        writer.close()

    with _RawServer(answer_then_close) as port:
        with Load("http1", "127.0.0.1", port, workers=1, pause=0.03) as load:
            load.wait_for_more(4)
        result = load.result()
    result.assert_clean(at_least=4)
    assert result.reconnects >= 4


class _RawServer:
    """A handler on a port, in a thread; entering the context gives the port."""

    def __init__(self, handler, tls=None):
        self._handler, self._tls = handler, tls
        self._background = BackgroundLoop("raw-server")

    def __enter__(self):
        port = free_port()
        self._server = self._background.run(asyncio.start_server(self._handle, "127.0.0.1", port, ssl=self._tls))
        return port

    def __exit__(self, *_):
        self._background.loop.call_soon_threadsafe(self._server.close)
        self._background.stop()

    async def _handle(self, reader, writer):
        try:
            await self._handler(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()


def _goaway_frame(last: int) -> bytes:
    return (8).to_bytes(3, "big") + b"\x07\x00" + struct.pack(">III", 0, last, 0)


def test_goaway_frames_are_found_across_any_split_of_the_bytes():
    ping = (8).to_bytes(3, "big") + b"\x06\x00" + bytes(12)
    wire = ping + _goaway_frame(2**31 - 1) + ping + _goaway_frame(7)
    for step in (1, 5, len(wire)):
        frames = FrameFilter()
        found = [item for at in range(0, len(wire), step) for item in frames.feed(wire[at : at + step])]
        assert found == [ping, 2**31 - 1, ping, 7]


def test_percentiles_and_gaps_of_a_record():
    record = Record((200,))
    for milliseconds in range(1, 101):
        record.answered(200, b'{"name": "a"}', milliseconds / 1000)
    record.answered(404, b"", 5)
    result = record.result()
    assert (result["p50_ms"], result["p99_ms"]) == (51, 100)
    assert (result["requests"], result["failed"], result["servers"]) == (101, 1, {"a": 100})
