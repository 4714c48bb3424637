"""HTTP/2 load over TLS: connections with several streams at a time.

GOAWAY is honoured: no new stream on that connection, the streams it covers finish, the rest run on a new connection.
RFC 9113 6.8 and 8.7: a stream above GOAWAY's last identifier, and one reset with REFUSED_STREAM, has certainly not been
processed, so a client repeats it; such repeats are counted as `retried`, not as failures.

h2 (4.x) closes its whole state machine on GOAWAY and then refuses the frames of streams that are still allowed to
finish, so GOAWAY frames are taken out before h2 sees the bytes.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.exceptions
from tests.support.load_worker.record import Record
from tests.support.load_worker.settings import Settings

_READ_BYTES = 64 * 1024
_FRAME_HEADER = 9
_GOAWAY = 7
_MOST_RETRIES = 5
_REST_AFTER_REFUSAL = 0.02


class SafeToRetry(Exception):
    """The server has certainly not processed this stream."""


class FrameFilter:
    """Cuts a byte stream into whole frames; GOAWAY frames come out as their last stream identifier instead."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[bytes | int]:
        self._buffer += data
        while len(self._buffer) >= _FRAME_HEADER:
            end = _FRAME_HEADER + int.from_bytes(self._buffer[:3], "big")
            if len(self._buffer) < end:
                return
            frame = bytes(self._buffer[:end])
            del self._buffer[:end]
            if frame[3] == _GOAWAY:
                yield int.from_bytes(frame[_FRAME_HEADER : _FRAME_HEADER + 4], "big") & 0x7FFFFFFF
            else:
                yield frame


@dataclass(eq=False)
class _Stream:
    done: asyncio.Future[tuple[int, bytes]]
    status: int = 0
    body: bytearray = field(default_factory=bytearray)

    def fail(self, error: Exception) -> None:
        if not self.done.done():
            self.done.set_exception(error)


class _Link:
    """One connection. `usable` until GOAWAY or its end; streams already open may still finish."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._h2 = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True))
        self._h2.initiate_connection()
        self._flush()
        self._streams: dict[int, _Stream] = {}
        self._last_allowed: int | None = None
        self._ended = False
        self._reading = asyncio.create_task(self._read())

    @property
    def usable(self) -> bool:
        return not self._ended and self._last_allowed is None

    async def exchange(self, headers: list[tuple[str, str]]) -> tuple[int, bytes]:
        number = self._h2.get_next_available_stream_id()
        stream = _Stream(asyncio.get_running_loop().create_future())
        self._streams[number] = stream
        self._h2.send_headers(number, headers, end_stream=True)
        self._flush()
        try:
            return await stream.done
        finally:
            self._streams.pop(number, None)
            if not self._streams and not self.usable:
                self.close()

    def close(self) -> None:
        self._reading.cancel()
        self._writer.close()

    async def closed(self) -> None:
        self.close()
        with contextlib.suppress(OSError):  # how the other side ends a connection we are done with does not matter
            await self._writer.wait_closed()

    def _flush(self) -> None:
        self._writer.write(self._h2.data_to_send())

    async def _read(self) -> None:
        frames = FrameFilter()
        error: Exception = ConnectionResetError("closed before the response was whole")
        try:
            while data := await self._reader.read(_READ_BYTES):
                for item in frames.feed(data):
                    if isinstance(item, int):
                        self._going_away(item)
                    else:
                        for event in self._h2.receive_data(item):
                            self._handle(event)
                self._flush()
        except (OSError, h2.exceptions.ProtocolError) as problem:
            error = problem
        self._ended = True
        for stream in list(self._streams.values()):
            stream.fail(error)

    def _going_away(self, last: int) -> None:
        self._last_allowed = last
        for number, stream in list(self._streams.items()):
            if number > last:
                stream.fail(SafeToRetry("above the last stream of GOAWAY"))
        if not self._streams:
            self._writer.close()

    def _handle(self, event: h2.events.Event) -> None:
        stream = self._streams.get(getattr(event, "stream_id", None) or 0)
        if isinstance(event, h2.events.DataReceived):
            self._h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            if stream is not None:
                stream.body += event.data
        elif stream is None:
            return
        elif isinstance(event, h2.events.ResponseReceived):
            stream.status = int(dict(event.headers)[b":status"])
        elif isinstance(event, h2.events.StreamEnded):
            if not stream.done.done():
                stream.done.set_result((stream.status, bytes(stream.body)))
        elif isinstance(event, h2.events.StreamReset):
            if event.error_code == h2.errors.ErrorCodes.REFUSED_STREAM:
                stream.fail(SafeToRetry("REFUSED_STREAM"))
            else:
                stream.fail(ConnectionResetError(f"stream reset, code {event.error_code}"))


class Http2Worker:
    """One client: a connection at a time, `streams` requests on it at once."""

    def __init__(
        self, settings: Settings, record: Record, stop: asyncio.Event, number: int, context: ssl.SSLContext
    ) -> None:
        self._settings = settings
        self._record = record
        self._stop = stop
        self._number = number
        self._context = context
        self._link: _Link | None = None
        self._opening = asyncio.Lock()
        pseudo = [(":method", "GET"), (":scheme", "https"), (":authority", settings.authority)]
        self._headers = [*pseudo, (":path", settings.path), *((k.lower(), v) for k, v in settings.headers)]

    async def run(self) -> None:
        await asyncio.gather(*(self._stream() for _ in range(self._settings.streams)))
        if self._link is not None:
            await self._link.closed()

    async def _stream(self) -> None:
        while not self._stop.is_set():
            await self._once()
            await asyncio.sleep(self._settings.pause)

    async def _once(self) -> None:
        started = time.perf_counter()
        for _ in range(_MOST_RETRIES):
            step = "connect"
            try:
                async with asyncio.timeout(self._settings.timeout):
                    link = await self._usable_link()
                    step = "stream"
                    status, body = await link.exchange(self._headers)
            except SafeToRetry:
                self._record.retried += 1
                continue
            except (OSError, TimeoutError, h2.exceptions.ProtocolError) as error:
                self._record.failure(f"{step}: {type(error).__name__}: {error}")
                await asyncio.sleep(_REST_AFTER_REFUSAL)
                return
            self._record.answered(status, body, time.perf_counter() - started)
            return
        self._record.failure(f"refused {_MOST_RETRIES} times in a row")

    async def _usable_link(self) -> _Link:
        async with self._opening:
            if self._link is not None and not self._link.usable:
                self._record.reconnects += 1
                self._link = None
            if self._link is None:
                self._link = await self._open()
            return self._link

    async def _open(self) -> _Link:
        reader, writer = await asyncio.open_connection(
            self._settings.address,
            self._settings.port,
            local_addr=self._settings.source(self._number),
            ssl=self._context,
            server_hostname=self._settings.sni or "",
        )
        agreed = writer.get_extra_info("ssl_object").selected_alpn_protocol()
        if agreed != "h2":
            writer.close()
            raise ConnectionError(f"the server agreed to {agreed!r}, not to h2")
        return _Link(reader, writer)
