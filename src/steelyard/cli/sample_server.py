"""A small real server to look at: it answers every request with what it saw.

`steelyard demo` starts a few of these so that a newcomer can watch balancing, persistence and draining with curl or a
browser. The answer is a readable page, or JSON when the client asks for it (`Accept: application/json` or `?json`).

    /health          always 200, for health checks
    /sleep?ms=250    the usual answer, but that much later (at most a minute)
    /status/503      the usual answer, with that status
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import html
import json
import signal
from dataclasses import dataclass
from http import HTTPStatus
from urllib.parse import parse_qs, urlsplit

import h11

_READ_BYTES = 64 * 1024
_IDLE_SECONDS = 120.0
_LONGEST_SLEEP_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Seen:
    """One request as this server received it; header names keep the case they came in."""

    name: str
    peer: str
    method: str
    url: str
    host: str
    headers: tuple[tuple[str, str], ...]

    def as_json(self) -> bytes:
        fields = {
            "name": self.name,
            "peer": self.peer,
            "method": self.method,
            "url": self.url,
            "host": self.host,
            "headers": [list(header) for header in self.headers],
        }
        return (json.dumps(fields, indent=2) + "\n").encode()

    def as_text(self) -> bytes:
        lines = [f"Hello from {self.name}", "", f"{self.method} {self.url}", f"your address here: {self.peer}", ""]
        lines += [f"{name}: {value}" for name, value in self.headers]
        return ("\n".join(lines) + "\n").encode()

    def as_html(self) -> bytes:
        rows = "".join(f"<tr><th>{html.escape(k)}<td>{html.escape(v)}" for k, v in self.headers)
        name = html.escape(self.name)
        page = (
            f"<!doctype html><html lang=en><meta charset=utf-8><title>{name}</title>"
            "<style>body{font:16px/1.5 system-ui;margin:3em auto;max-width:45em}th{text-align:left;padding-right:1em}"
            "td{font-family:monospace;overflow-wrap:anywhere}</style>"
            f"<h1>{name}</h1><p>{html.escape(self.method)} <code>{html.escape(self.url)}</code>, "
            f"from <code>{html.escape(self.peer)}</code></p><table>{rows}</table>\n"
        )
        return page.encode()


def answer(seen: Seen) -> tuple[HTTPStatus, str, bytes]:
    """The status, media type and body for a request. A `/status/NNN` that no final HTTP status has gives 400."""
    parts = urlsplit(seen.url)
    status = HTTPStatus.OK
    if parts.path.startswith("/status/"):
        try:
            status = HTTPStatus(int(parts.path.removeprefix("/status/")))
        except ValueError:
            status = HTTPStatus.BAD_REQUEST
        if status < 200:
            status = HTTPStatus.BAD_REQUEST
    accept = next((value.lower() for name, value in seen.headers if name.lower() == "accept"), "")
    if "json" in parse_qs(parts.query, keep_blank_values=True) or "application/json" in accept:
        return status, "application/json", seen.as_json()
    if "text/html" in accept:
        return status, "text/html; charset=utf-8", seen.as_html()
    return status, "text/plain; charset=utf-8", seen.as_text()


def wanted_sleep(url: str) -> float:
    """Seconds to wait before answering: what `/sleep?ms=` asks for, 0 for any other path or an unreadable number."""
    parts = urlsplit(url)
    if parts.path != "/sleep":
        return 0.0
    try:
        milliseconds = int(parse_qs(parts.query).get("ms", ["0"])[0])
    except ValueError:
        return 0.0
    return min(max(milliseconds / 1000, 0.0), _LONGEST_SLEEP_SECONDS)


async def _next_request(connection: h11.Connection, reader: asyncio.StreamReader) -> h11.Request | None:
    """The next whole request with its body read and dropped, or None when the client is finished with us."""
    request: h11.Request | None = None
    while True:
        event = connection.next_event()
        if event is h11.NEED_DATA:
            if connection.they_are_waiting_for_100_continue:
                return request  # our final answer is enough: we do not want the body
            connection.receive_data(await asyncio.wait_for(reader.read(_READ_BYTES), _IDLE_SECONDS))
        elif isinstance(event, h11.Request):
            request = event
        elif isinstance(event, h11.EndOfMessage):
            return request
        elif isinstance(event, h11.ConnectionClosed) or event is h11.PAUSED:
            return None


class SampleServer:
    """Serves one listening socket until cancelled."""

    def __init__(self, name: str) -> None:
        self._name = name

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # A client that vanishes, idles too long or talks nonsense only ends its own connection.
        with contextlib.suppress(ConnectionError, TimeoutError, h11.ProtocolError):
            await self._converse(reader, writer)
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer_host, peer_port = writer.get_extra_info("peername")[:2]
        peer = f"[{peer_host}]:{peer_port}" if ":" in peer_host else f"{peer_host}:{peer_port}"
        connection = h11.Connection(h11.SERVER)
        while (request := await _next_request(connection, reader)) is not None:
            seen = self._seen(request, peer)
            await asyncio.sleep(wanted_sleep(seen.url))
            writer.write(self._response(connection, request, seen))
            await writer.drain()
            if connection.our_state is not h11.DONE or connection.their_state is not h11.DONE:
                return
            connection.start_next_cycle()

    def _seen(self, request: h11.Request, peer: str) -> Seen:
        headers = tuple((k.decode("latin-1"), v.decode("latin-1")) for k, v in request.headers.raw_items())
        host = next((value for name, value in headers if name.lower() == "host"), "")
        return Seen(self._name, peer, request.method.decode(), request.target.decode("latin-1"), host, headers)

    def _response(self, connection: h11.Connection, request: h11.Request, seen: Seen) -> bytes:
        status, media_type, body = answer(seen)
        bodiless = status in (HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED)
        headers = [("Content-Type", media_type), ("X-Real-Server", self._name), ("Cache-Control", "no-store")]
        if not bodiless:
            headers.append(("Content-Length", str(len(body))))
        head = h11.Response(status_code=status, reason=status.phrase.encode(), headers=headers)
        wire = connection.send(head) or b""
        if not bodiless and request.method != b"HEAD":
            wire += connection.send(h11.Data(data=body)) or b""
        return wire + (connection.send(h11.EndOfMessage()) or b"")


async def serve(name: str, address: str, port: int) -> None:
    """Serve until SIGTERM or SIGINT.

    Raises:
        OSError: the address or port cannot be listened on.
    """
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    server = await asyncio.start_server(SampleServer(name).handle, address, port, reuse_address=True)
    async with server:
        print(f"{name} listens on http://{address}:{port}/", flush=True)
        await stop.wait()


def main(arguments: list[str] | None = None) -> int:
    """Run from the command line; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m steelyard.cli.sample_server", description="A small real server that says what it saw."
    )
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--name", required=True, help="what it calls itself in every answer")
    parser.add_argument("--address", default="127.0.0.1")
    options = parser.parse_args(arguments)
    try:
        asyncio.run(serve(options.name, options.address, options.port))
    except OSError as error:
        parser.exit(1, f"{options.name} cannot listen on {options.address}:{options.port}: {error.strerror}\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
