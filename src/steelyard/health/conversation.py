"""A connection of one attempt: bytes out and in, plain or under TLS.

TLS runs through OpenSSL's memory buffers on the plain socket, so that one way of reading and writing serves every kind,
a connection can change to TLS after it has begun (StartTLS), and no transport has to be made and torn down. Without a
context of its own a conversation verifies no certificate, as in LoadMaster.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable
from functools import lru_cache
from typing import TypeVar

from steelyard.health import waiting

_Result = TypeVar("_Result")

#: Most bytes taken at once: what a real server sends beyond what is read stays in the kernel.
CHUNK = 8192
#: A TLS record and its overhead: reading less at once only takes more turns.
_RECORD = 16_640
#: Bytes kept for the transcript of an attempt that ends without an answer.
_HEARD = 80


@lru_cache(maxsize=1)
def unverified() -> ssl.SSLContext:
    """The one TLS context of all checks that verify nothing: making one takes milliseconds."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


class Conversation:
    """A connected, non-blocking socket. `heard` is the start of what came in."""

    __slots__ = ("_sock", "_tls", "heard")

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._tls: _Tls | None = None
        self.heard = b""

    async def secure(self, name: str | None, context: ssl.SSLContext | None = None) -> None:
        """Change to TLS, asking for `name` (SNI) if there is one. Raises `ssl.SSLError`."""
        tls = _Tls(self._sock, context or unverified(), name)
        await tls.pump(tls.session.do_handshake)
        self._tls = tls

    async def send(self, data: bytes) -> None:
        """Send all of it."""
        tls = self._tls
        if tls is None:
            await waiting.send(self._sock, data)
        else:
            await tls.pump(lambda: tls.session.write(data))

    async def receive(self, most: int = CHUNK) -> bytes:
        """What has come, at least one byte; nothing at the end."""
        tls = self._tls
        if tls is None:
            data = await waiting.receive(self._sock, most)
        else:
            try:
                data = await tls.pump(lambda: tls.session.read(most))
            except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
                # the end, with or without the farewell that many servers leave out
                data = b""
        if len(self.heard) < _HEARD:
            self.heard += data[:_HEARD]
        return data

    def close(self) -> None:
        """Close without a farewell: waiting for the other side's would let it hold the attempt open."""
        self._sock.close()


class _Tls:
    """OpenSSL's side of a connection, with the buffers between it and the socket."""

    __slots__ = ("_incoming", "_outgoing", "_sock", "session")

    def __init__(self, sock: socket.socket, context: ssl.SSLContext, name: str | None) -> None:
        self._sock = sock
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.session = context.wrap_bio(self._incoming, self._outgoing, server_hostname=name)

    async def pump(self, step: Callable[[], _Result]) -> _Result:
        """Do one thing, with as many bytes out and in as it needs."""
        while True:
            try:
                result = step()
            except ssl.SSLWantReadError:
                await self._flush()
                data = await waiting.receive(self._sock, _RECORD)
                if data:
                    self._incoming.write(data)
                else:
                    self._incoming.write_eof()
            else:
                await self._flush()
                return result

    async def _flush(self) -> None:
        if self._outgoing.pending:
            await waiting.send(self._sock, self._outgoing.read())
