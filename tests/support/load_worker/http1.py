"""HTTP/1.1 load: keep-alive connections, or a new connection for each request.

The client is well behaved: it leaves when a response says `Connection: close`, and opens another connection when the
server has closed an idle one before the next request was written. It never repeats a request: one that was written and
got no answer has failed, on a reused connection too.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import time

import h11
from tests.support.load_worker.record import Record
from tests.support.load_worker.settings import Settings

_READ_BYTES = 64 * 1024
_REST_AFTER_REFUSAL = 0.02


class _Link:
    """One connection and its parser."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._parser = h11.Connection(h11.CLIENT)
        self.used = 0

    @property
    def closed_while_idle(self) -> bool:
        return self._reader.at_eof() or self._reader.exception() is not None

    @property
    def reusable(self) -> bool:
        return self._parser.our_state is h11.IDLE and self._parser.their_state is h11.IDLE

    async def exchange(self, request: h11.Request) -> tuple[int, bytes]:
        self.used += 1
        wire = (self._parser.send(request) or b"") + (self._parser.send(h11.EndOfMessage()) or b"")
        self._writer.write(wire)
        status, body = 0, bytearray()
        while True:
            event = self._parser.next_event()
            if event is h11.NEED_DATA:
                data = await self._reader.read(_READ_BYTES)
                if not data and not status:
                    raise ConnectionResetError("closed before any response")
                self._parser.receive_data(data)
            elif isinstance(event, h11.Response):
                status = event.status_code
            elif isinstance(event, h11.Data):
                body += event.data
            elif isinstance(event, h11.EndOfMessage):
                break
        if self._parser.our_state is h11.DONE and self._parser.their_state is h11.DONE:
            self._parser.start_next_cycle()
        return status, bytes(body)

    async def close(self) -> None:
        self._writer.close()
        with contextlib.suppress(OSError):  # how the other side ends a connection we are done with does not matter
            await self._writer.wait_closed()


class Http1Worker:
    """One client. `run` returns when `stop` is set and the request in flight has ended."""

    def __init__(
        self, settings: Settings, record: Record, stop: asyncio.Event, number: int, context: ssl.SSLContext | None
    ) -> None:
        self._settings = settings
        self._record = record
        self._stop = stop
        self._number = number
        self._context = context
        self._keep = settings.kind in ("http1", "https1")
        headers = [("Host", settings.authority), *settings.headers]
        if not self._keep:
            headers.append(("Connection", "close"))
        self._request = h11.Request(method="GET", target=settings.path, headers=headers)
        self._link: _Link | None = None

    async def run(self) -> None:
        while not self._stop.is_set():
            await self._once()
            await asyncio.sleep(self._settings.pause)
        await self._leave()

    async def _once(self) -> None:
        started = time.perf_counter()
        if self._link is not None and self._link.closed_while_idle:
            self._record.reconnects += 1
            await self._leave()
        used = self._link.used if self._link is not None else 0
        step = "connect"
        try:
            async with asyncio.timeout(self._settings.timeout):
                if self._link is None:
                    self._link = await self._open()
                step = "response"
                status, body = await self._link.exchange(self._request)
        except (OSError, EOFError, TimeoutError, h11.ProtocolError) as error:
            where = f"{step} on a connection used {'before' if used else 'for the first time'}"
            self._record.failure(f"{where}: {type(error).__name__}: {error}")
            await self._leave()
            await asyncio.sleep(_REST_AFTER_REFUSAL)
            return
        self._record.answered(status, body, time.perf_counter() - started)
        if not self._keep or not self._link.reusable:
            await self._leave()

    async def _open(self) -> _Link:
        settings = self._settings
        reader, writer = await asyncio.open_connection(
            settings.address,
            settings.port,
            local_addr=settings.source(self._number),
            ssl=self._context,
            server_hostname=(settings.sni or "") if self._context else None,
        )
        return _Link(reader, writer)

    async def _leave(self) -> None:
        if self._link is not None:
            link, self._link = self._link, None
            await link.close()
