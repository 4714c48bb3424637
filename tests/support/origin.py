"""HTTP origins for tests: real servers that answer with what they saw.

    with Origin("one") as one:
        reply = fetch(one.url)
        assert reply.json["name"] == "one"
        one.statuses["/down"] = 503      # every attribute may be changed while it runs

The answer is JSON: name, peer, local, method, url, version, headers, body, tls, sni, connection (n-th accepted) and
request (n-th on that connection). Paths of its own: `/health` (answers `health_status`), `/sleep?ms=`, `/status/NNN`,
`/bytes/N` (N bytes of body).
"""

from __future__ import annotations

import asyncio
import json
import ssl
import threading
import time
import weakref
from collections import deque
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlsplit

import h11
from tests.support.listener import Listener
from tests.support.tcp_origin import TcpOrigin

__all__ = ["Origin", "Seen", "TcpOrigin"]

_READ_BYTES = 64 * 1024
_REMEMBERED_REQUESTS = 50_000


@dataclass(frozen=True, slots=True)
class Seen:
    """One request as the origin got it. Header names keep the case they came in."""

    method: str
    url: str
    version: str
    headers: tuple[tuple[str, str], ...]
    body: bytes
    peer: tuple[str, int]
    local: tuple[str, int]
    sni: str | None
    connection: int
    request: int
    at: float

    @property
    def path(self) -> str:
        return urlsplit(self.url).path

    def header(self, name: str) -> str | None:
        """The first header of that name, whatever its case; None when there is none."""
        return next((value for key, value in self.headers if key.lower() == name.lower()), None)

    def header_all(self, name: str) -> list[str]:
        return [value for key, value in self.headers if key.lower() == name.lower()]


class Origin(Listener):
    """A small HTTP/1.1 server in a thread.

    Changeable while it runs:
        statuses: status by path (without the query), before every other rule.
        bodies: raw body by path instead of the JSON.
        delay: seconds before each answer.
        silent: accepts connections and reads requests, answers nothing.
        close_each: answers with `Connection: close`.
        set_cookies: values of Set-Cookie headers to add to each answer.
        extra_headers: more headers to add to each answer.
        health_status: what `/health` answers.
    """

    def __init__(
        self, name: str, *, address: str = "127.0.0.1", port: int | None = None, tls: ssl.SSLContext | None = None
    ) -> None:
        self.statuses: dict[str, int] = {}
        self.bodies: dict[str, bytes] = {}
        self.delay = 0.0
        self.silent = False
        self.close_each = False
        self.set_cookies: list[str] = []
        self.extra_headers: list[tuple[str, str]] = []
        self.health_status = 200
        self._log: deque[Seen] = deque(maxlen=_REMEMBERED_REQUESTS)
        self._logged = threading.Condition()
        self._count = 0
        self._sni: weakref.WeakKeyDictionary[Any, str | None] = weakref.WeakKeyDictionary()
        if tls is not None:
            tls.sni_callback = self._remember_sni
        super().__init__(name, address, port, tls)

    @property
    def url(self) -> str:
        host = f"[{self.address}]" if ":" in self.address else self.address
        return f"{'https' if self._tls else 'http'}://{host}:{self.port}/"

    @property
    def requests(self) -> list[Seen]:
        """What arrived since the start or the last `clear`, oldest first (the last 50,000)."""
        with self._logged:
            return list(self._log)

    @property
    def request_count(self) -> int:
        """Requests since the start or the last `clear`."""
        return self._count

    def clear(self) -> None:
        with self._logged:
            self._log.clear()
            self._count = 0

    def wait_for_requests(self, count: int, timeout: float = 10.0) -> list[Seen]:
        """Wait until at least `count` requests are in the log.

        Raises:
            TimeoutError: they did not come in time.
        """
        with self._logged:
            if not self._logged.wait_for(lambda: self._count >= count, timeout):
                raise TimeoutError(f"{self.name} saw {self._count} of {count} requests within {timeout} s")
            return list(self._log)

    def _remember_sni(self, tls: ssl.SSLObject, server_name: str | None, _context: ssl.SSLContext) -> None:
        self._sni[tls] = server_name

    async def serve(self, number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = h11.Connection(h11.SERVER)
        asked = 0
        while True:
            try:
                got = await self._next_request(connection, reader, writer)
            except h11.RemoteProtocolError as error:
                await self._complain(connection, writer, error)
                return
            if got is None:
                return
            asked += 1
            seen = self._seen(got[0], got[1], writer, number, asked)
            with self._logged:
                self._log.append(seen)
                self._count += 1
                self._logged.notify_all()
            if self.silent:
                await reader.read()  # until the client gives up
                return
            await self._pause(seen)
            writer.write(self._response(connection, got[0], seen))
            await writer.drain()
            if connection.our_state is not h11.DONE or connection.their_state is not h11.DONE:
                return
            connection.start_next_cycle()

    async def _next_request(
        self, connection: h11.Connection, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> tuple[h11.Request, bytes] | None:
        request: h11.Request | None = None
        body = bytearray()
        while True:
            event = connection.next_event()
            if event is h11.NEED_DATA:
                if connection.they_are_waiting_for_100_continue:
                    go_on = connection.send(h11.InformationalResponse(status_code=100, headers=[]))
                    writer.write(go_on or b"")
                connection.receive_data(await reader.read(_READ_BYTES))
            elif isinstance(event, h11.Request):
                request = event
            elif isinstance(event, h11.Data):
                body += event.data
            elif isinstance(event, h11.EndOfMessage):
                assert request is not None
                return request, bytes(body)
            elif isinstance(event, h11.ConnectionClosed) or event is h11.PAUSED:
                return None

    def _seen(self, request: h11.Request, body: bytes, writer: asyncio.StreamWriter, number: int, asked: int) -> Seen:
        tls = writer.get_extra_info("ssl_object")
        return Seen(
            method=request.method.decode(),
            url=request.target.decode("latin-1"),
            version=request.http_version.decode(),
            headers=tuple((k.decode("latin-1"), v.decode("latin-1")) for k, v in request.headers.raw_items()),
            body=body,
            peer=writer.get_extra_info("peername")[:2],
            local=writer.get_extra_info("sockname")[:2],
            sni=self._sni.get(tls) if tls is not None else None,
            connection=number,
            request=asked,
            at=time.monotonic(),
        )

    async def _pause(self, seen: Seen) -> None:
        wait = self.delay
        if seen.path == "/sleep":
            wait += int(parse_qs(urlsplit(seen.url).query).get("ms", ["0"])[0]) / 1000
        if wait:
            await asyncio.sleep(wait)

    def _status(self, path: str) -> int:
        if path in self.statuses:
            return self.statuses[path]
        if path == "/health":
            return self.health_status
        if path.startswith("/status/"):
            return int(path.removeprefix("/status/"))
        return 200

    def _body(self, seen: Seen) -> tuple[str, bytes]:
        if seen.path in self.bodies:
            return "text/plain", self.bodies[seen.path]
        if seen.path.startswith("/bytes/"):
            return "application/octet-stream", b"x" * int(seen.path.removeprefix("/bytes/"))
        saw = {
            "name": self.name,
            "peer": seen.peer,
            "local": seen.local,
            "method": seen.method,
            "url": seen.url,
            "version": seen.version,
            "headers": seen.headers,
            "body": seen.body.decode("latin-1"),
            "tls": self._tls is not None,
            "sni": seen.sni,
            "connection": seen.connection,
            "request": seen.request,
        }
        return "application/json", json.dumps(saw).encode()

    def _response(self, connection: h11.Connection, request: h11.Request, seen: Seen) -> bytes:
        status = self._status(seen.path)
        media_type, body = self._body(seen)
        bodiless = status in (204, 304)
        headers = [("X-Origin", self.name)]
        if all(name.lower() != "content-type" for name, _ in self.extra_headers):
            headers.append(("Content-Type", media_type))
        headers += [("Set-Cookie", cookie) for cookie in self.set_cookies]
        headers += self.extra_headers
        if not bodiless:
            headers.append(("Content-Length", str(len(body))))
        if self.close_each:
            headers.append(("Connection", "close"))
        if 300 <= status < 400:
            headers.append(("Location", "/elsewhere"))
        if status == 401:
            headers.append(("WWW-Authenticate", 'Basic realm="origin"'))
        wire = connection.send(h11.Response(status_code=status, reason=b"Test", headers=headers)) or b""
        if not bodiless and request.method != b"HEAD":
            wire += connection.send(h11.Data(data=body)) or b""
        return wire + (connection.send(h11.EndOfMessage()) or b"")

    async def _complain(
        self, connection: h11.Connection, writer: asyncio.StreamWriter, error: h11.RemoteProtocolError
    ) -> None:
        if connection.our_state not in (h11.IDLE, h11.SEND_RESPONSE):
            return
        text = f"{self.name} cannot read this: {error}".encode()
        headers = [("Content-Length", str(len(text))), ("Connection", "close")]
        writer.write(connection.send(h11.Response(status_code=error.error_status_hint, headers=headers)) or b"")
        writer.write(connection.send(h11.Data(data=text)) or b"")
        await writer.drain()
