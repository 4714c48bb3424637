"""One timed attempt of any check: connect, exchange, and every way it can fail, told in an operator's words.

The time-out covers the whole attempt. Plain sockets are used instead of streams: a check exchanges a few hundred bytes,
and a transport costs more than the exchange.
"""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import ssl
import time
from collections.abc import Awaitable, Callable

from steelyard.health import waiting
from steelyard.health.conversation import Conversation
from steelyard.health.transcript import Answer, Outcome, Transcript, endpoint, milliseconds, printable

#: An attempt that timed out this much too late was delayed by this host (stopped, starved): it proves nothing.
STALL_SECONDS = 1.0

#: Errors of this host and not of the real server: no descriptors, buffers or local ports.
_LOCAL = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.EADDRNOTAVAIL})


class Line:
    """The connection of one attempt. `connected` is when it was made, on the monotonic clock.

    `datagrams` says that there is none to speak of; a ping has no port.
    """

    __slots__ = ("_conversation", "address", "began", "connected", "datagrams", "port")

    def __init__(self, address: str, port: int | None) -> None:
        self.address = address
        self.port = port
        self.began = time.monotonic()
        self.connected: float | None = None
        self.datagrams = False
        self._conversation: Conversation | None = None

    @property
    def heard(self) -> bytes:
        """The start of what the real server has said so far."""
        return b"" if self._conversation is None else self._conversation.heard

    @property
    def where(self) -> str:
        """Address and port as an operator writes them."""
        return self.address if self.port is None else endpoint(self.address, self.port)

    async def connect(self, kind: int = socket.SOCK_STREAM, protocol: int = 0) -> socket.socket:
        """A connected, non-blocking socket; the caller closes it."""
        family = socket.AF_INET6 if ":" in self.address else socket.AF_INET
        sock = socket.socket(family, kind | socket.SOCK_NONBLOCK, protocol)
        try:
            if kind == socket.SOCK_DGRAM:
                # It only notes the address.
                sock.connect((self.address, self.port or 0))
            else:
                await waiting.connect(sock, (self.address, self.port or 0))
        except BaseException:
            sock.close()
            raise
        self.datagrams = kind == socket.SOCK_DGRAM
        if not self.datagrams:
            self.connected = time.monotonic()
        return sock

    async def open(self) -> Conversation:
        """A connected conversation; the caller closes it."""
        self._conversation = Conversation(await self.connect())
        return self._conversation

    def left(self, timeout: float) -> float:
        """Seconds that remain of an attempt that may take `timeout`; at least 0."""
        return max(0.0, timeout - (time.monotonic() - self.began))

    def connect_ms(self) -> float | None:
        """How long connecting took; None when it never ended."""
        return None if self.connected is None else (self.connected - self.began) * 1000


async def attempt(
    line: Line, timeout: float, sent: str, exchange: Callable[[Line], Awaitable[Answer]], *, number: int, attempts: int
) -> Transcript:
    """Run one exchange within `timeout` seconds and write down what happened. Never raises but for cancellation."""
    started = time.time()
    try:
        async with asyncio.timeout(timeout):
            answer = await exchange(line)
    except TimeoutError as failure:
        # A TimeoutError with an errno is the kernel's own (ETIMEDOUT), which may come before ours.
        answer = _failed(line, failure) if failure.errno is not None else _silent(line, timeout)
    except ssl.SSLError as failure:
        answer = Answer(Outcome.FAILED, "", f"TLS handshake failed: {tls_words(failure)}")
    except OSError as failure:
        answer = _failed(line, failure)
    except UnicodeError as failure:
        answer = Answer(Outcome.FAILED, "", f"no usable name: {printable(str(failure))}")
    duration = (time.monotonic() - line.began) * 1000
    return Transcript(
        started, duration, line.connect_ms(), sent, answer.received, answer.outcome, answer.reason, number, attempts
    )


def tls_words(failure: ssl.SSLError) -> str:
    """OpenSSL's reason without its numbers and source lines."""
    if isinstance(failure, ssl.SSLCertVerificationError):
        return f"the certificate is not accepted: {printable(failure.verify_message)}"
    reason = getattr(failure, "reason", None)
    return printable(reason.replace("_", " ").lower() if reason else str(failure))


def closed(line: Line) -> Answer:
    """The other side has closed the connection before it had said what it has to."""
    where = line.where
    if not line.heard:
        return Answer(Outcome.FAILED, "", f"connection closed by {where} without an answer")
    said = printable(line.heard)
    return Answer(Outcome.FAILED, said, f"connection closed by {where} in the middle of its answer: {said}")


def _silent(line: Line, timeout: float) -> Answer:
    late = time.monotonic() - line.began - timeout
    if late > STALL_SECONDS:
        return Answer(Outcome.UNASKED, "", f"this host was held up for {late:.1f} s; the attempt does not count")
    where = line.where
    if line.datagrams:
        return Answer(Outcome.SILENT, "", f"no answer within {timeout:g} s")
    connect_ms = line.connect_ms()
    if connect_ms is None:
        return Answer(Outcome.SILENT, "", f"no answer within {timeout:g} s (no connection to {where})")
    if line.heard:
        said = printable(line.heard)
        return Answer(Outcome.SILENT, said, f"no whole answer within {timeout:g} s; it began with {said}")
    return Answer(Outcome.SILENT, "", f"no answer within {timeout:g} s (connected after {milliseconds(connect_ms)})")


def _failed(line: Line, failure: OSError) -> Answer:
    where = line.where
    if failure.errno in _LOCAL:
        words = os.strerror(failure.errno)
        return Answer(Outcome.UNASKED, "", f"this host could not ask {where}: {words.lower()}")
    if isinstance(failure, ConnectionRefusedError):
        return Answer(Outcome.FAILED, "", f"connection refused by {where}")
    if isinstance(failure, (ConnectionResetError, BrokenPipeError)):
        return Answer(Outcome.FAILED, "", f"connection reset by {where}")
    if isinstance(failure, ConnectionAbortedError):
        return Answer(Outcome.FAILED, "", f"connection closed by {where} without an answer")
    words = os.strerror(failure.errno).lower() if failure.errno and failure.errno > 0 else printable(str(failure))
    return Answer(Outcome.FAILED, "", f"no connection to {where}: {words}")
