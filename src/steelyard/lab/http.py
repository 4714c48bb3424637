"""HTTP/1.1 for a lab's servers: a connection in, requests to a handler, its answers out, streams in chunks."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import parse_qs, urlsplit

import h11

from steelyard.lab.connection import Connection

_READ_BYTES = 64 * 1024
_LARGEST_BODY = 4 * 1024 * 1024
Headers = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Request:
    """One request as the server got it; header names keep the case they came in."""

    method: str
    url: str
    headers: Headers
    body: bytes
    facts: dict[str, Any]

    @property
    def path(self) -> str:
        return urlsplit(self.url).path

    @property
    def host(self) -> str:
        """The Host header as it came, with a port if it has one."""
        return self.header("host") or ""

    @property
    def tls(self) -> bool:
        return bool(self.facts["tls"])

    def header(self, name: str) -> str | None:
        """The first header of that name, whatever its case."""
        return next((value for key, value in self.headers if key.lower() == name.lower()), None)

    def cookie(self, name: str) -> str | None:
        try:
            found = SimpleCookie("; ".join(value for key, value in self.headers if key.lower() == "cookie")).get(name)
        except CookieError:
            return None
        return None if found is None else found.value

    def query(self, name: str, otherwise: str = "") -> str:
        return parse_qs(urlsplit(self.url).query).get(name, [otherwise])[0]

    def seen(self) -> dict[str, Any]:
        """Everything a server can say about it."""
        return self.facts | {
            "method": self.method,
            "url": self.url,
            "host": self.host,
            "headers": [list(one) for one in self.headers],
        }


@dataclass(frozen=True)
class Answer:
    """What to answer. `stream`, where there is one, follows the body, a chunk a piece."""

    status: int = 200
    body: bytes = b""
    media: str = "application/json"
    headers: Headers = ()
    stream: AsyncIterator[bytes] | None = field(default=None, compare=False)


Handler = Callable[[Request], Awaitable[Answer]]


def said(document: dict[str, Any], status: int = 200, headers: Headers = ()) -> Answer:
    """An answer in JSON."""
    return Answer(status, json.dumps(document).encode() + b"\n", headers=headers)


class HttpService:
    """Talks HTTP on a connection; a handler has the say."""

    def __init__(self, handler: Handler) -> None:
        self._handler = handler

    async def __call__(self, connection: Connection) -> None:
        protocol = h11.Connection(h11.SERVER)
        while True:
            try:
                got = await _next(protocol, connection)
            except h11.RemoteProtocolError as refused:
                await _complain(protocol, connection, refused)
                return
            if got is None:
                return
            request, body = got
            seen = Request(
                request.method.decode(),
                request.target.decode("latin-1"),
                tuple((k.decode("latin-1"), v.decode("latin-1")) for k, v in request.headers.raw_items()),
                body,
                connection.facts(),
            )
            await _write(protocol, connection, request, await self._handler(seen))
            if protocol.our_state is not h11.DONE or protocol.their_state is not h11.DONE:
                return
            protocol.start_next_cycle()


async def _next(protocol: h11.Connection, connection: Connection) -> tuple[h11.Request, bytes] | None:
    request: h11.Request | None = None
    body = bytearray()
    while True:
        event = protocol.next_event()
        if event is h11.NEED_DATA:
            if protocol.they_are_waiting_for_100_continue:
                connection.writer.write(protocol.send(h11.InformationalResponse(status_code=100, headers=[])) or b"")
            protocol.receive_data(await connection.reader.read(_READ_BYTES))
        elif isinstance(event, h11.Request):
            request = event
        elif isinstance(event, h11.Data):
            body += event.data
            if len(body) > _LARGEST_BODY:
                return None
        elif isinstance(event, h11.EndOfMessage):
            return None if request is None else (request, bytes(body))
        elif isinstance(event, h11.ConnectionClosed) or event is h11.PAUSED:
            return None


async def _write(protocol: h11.Connection, connection: Connection, request: h11.Request, answer: Answer) -> None:
    bodiless = answer.status in (204, 304)
    headers = [("Content-Type", answer.media), *answer.headers]
    if bodiless:
        headers = list(answer.headers)
    elif answer.stream is None:
        headers.append(("Content-Length", str(len(answer.body))))
    else:
        headers.append(("Transfer-Encoding", "chunked"))
    head = h11.Response(status_code=answer.status, reason=_phrase(answer.status).encode(), headers=headers)
    wire = protocol.send(head) or b""
    with_body = not bodiless and request.method != b"HEAD"
    if with_body and answer.body:
        wire += protocol.send(h11.Data(data=answer.body)) or b""
    if with_body and answer.stream is not None:
        connection.writer.write(wire)
        wire = b""
        async for piece in answer.stream:
            connection.writer.write(protocol.send(h11.Data(data=piece)) or b"")
            await connection.writer.drain()
    connection.writer.write(wire + (protocol.send(h11.EndOfMessage()) or b""))
    await connection.writer.drain()


def _phrase(status: int) -> str:
    """Of a status; 440 is IIS's own."""
    return "Login Time-out" if status == 440 else HTTPStatus(status).phrase


async def _complain(protocol: h11.Connection, connection: Connection, refused: h11.RemoteProtocolError) -> None:
    if protocol.our_state not in (h11.IDLE, h11.SEND_RESPONSE):
        return
    text = f"{connection.server} cannot read this: {refused}\n".encode()
    headers = [("Content-Length", str(len(text))), ("Connection", "close")]
    head = h11.Response(status_code=refused.error_status_hint, headers=headers)
    connection.writer.write((protocol.send(head) or b"") + (protocol.send(h11.Data(data=text)) or b""))
    await connection.writer.drain()
