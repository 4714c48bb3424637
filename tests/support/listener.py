"""A listening socket in a thread, with the faults tests need: refuse connections, come back, cut what is open.

Rule: an origin keeps its port for life. `refuse` closes the listening socket, so clients get a real RST; `resume`
listens on the same port again, which SO_REUSEADDR allows even with connections in TIME_WAIT.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
import ssl
import struct
from typing import Self

from tests.support.background_loop import BackgroundLoop
from tests.support.ports import free_port

_BACKLOG = 4096
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


async def _settle() -> None:
    # asyncio takes several turns from accepting a connection to running its handler, and from abort to closing.
    for _ in range(6):
        await asyncio.sleep(0)


class Listener:
    """Base of the origins. Subclasses say in `serve` what happens on a connection; its end closes the connection."""

    def __init__(self, name: str, address: str, port: int | None, tls: ssl.SSLContext | None = None) -> None:
        self.name = name
        self.address = address
        self.port = port if port is not None else free_port(address)
        self._tls = tls
        self._background = BackgroundLoop(f"origin-{name}")
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()
        self._accepted = 0
        try:
            self._begin(chooses=port is None)
        except BaseException:
            self._background.stop()
            raise

    def _begin(self, *, chooses: bool) -> None:
        """Listen; where the port is ours to choose, on another one when somebody was faster."""
        for left in range(5 if chooses else 0, -1, -1):
            try:
                self.resume()
            except OSError as failure:
                if failure.errno != errno.EADDRINUSE or not left:
                    raise
                self.port = free_port(self.address)
            else:
                return

    async def serve(self, number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Talk on the `number`-th connection (from 1)."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r}, {self.address}:{self.port})"

    @property
    def connections(self) -> int:
        """Connections accepted since the start, health checks included."""
        return self._accepted

    @property
    def open_connections(self) -> int:
        return len(self._open)

    def refuse(self, *, cut: bool = False) -> None:
        """Stop listening: new connections are refused. Open ones go on unless `cut`."""
        self._background.run(self._refuse())
        if cut:
            self.cut_connections()

    def resume(self) -> None:
        """Listen again on the same address and port."""
        if self._server is None:
            self._background.run(self._listen())

    def cut_connections(self) -> None:
        """Reset (RST) every open connection, as a crashed machine that comes back does."""
        self._background.run(self._cut())

    def stop(self) -> None:
        """Refuse, cut everything, end the thread. Safe to call twice."""
        if not self._background.loop.is_closed():
            self.refuse(cut=True)
            self._background.stop()

    async def _listen(self) -> None:
        family = socket.AF_INET6 if ":" in self.address else socket.AF_INET
        listening = socket.socket(family, socket.SOCK_STREAM)
        try:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.bind((self.address, self.port))
            self._server = await asyncio.start_server(self._accept, sock=listening, ssl=self._tls, backlog=_BACKLOG)
        except BaseException:
            listening.close()
            raise

    async def _refuse(self) -> None:
        if self._server is not None:
            await _settle()  # asyncio 3.11 loses a connection it has accepted but not yet attached to its server
            self._server.close()
            self._server = None

    async def _cut(self) -> None:
        await _settle()
        for writer in list(self._open):
            raw = writer.get_extra_info("socket")
            with contextlib.suppress(OSError):  # the other side may have closed it a moment ago
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
            writer.transport.abort()
        await _settle()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._accepted += 1
        self._open.add(writer)
        # A client that goes away ends its own conversation; what it did before is in the origin's records.
        try:
            with contextlib.suppress(OSError, EOFError):
                await self.serve(self._accepted, reader, writer)
        finally:
            self._open.discard(writer)
            writer.close()
            with contextlib.suppress(OSError, asyncio.CancelledError):
                await writer.wait_closed()
