"""One timed attempt of any check: connect, exchange, and every way it can fail, told in an operator's words.

The time-out covers the whole attempt. Plain sockets with the loop's `sock_*` calls are used instead of streams: a
check exchanges a few hundred bytes, and a transport costs more than the exchange.
"""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import ssl
import time
from collections.abc import Awaitable, Callable

from steelyard.health.transcript import Answer, Outcome, Transcript, endpoint, milliseconds, printable

#: An attempt that timed out this much too late was delayed by this host (stopped, starved): it proves nothing.
STALL_SECONDS = 1.0

#: Errors of this host and not of the real server: no descriptors, buffers or local ports.
_LOCAL = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.EADDRNOTAVAIL})


class Line:
    """The connection of one attempt. `connected` is when it was made, on the monotonic clock."""

    __slots__ = ("address", "began", "connected", "port")

    def __init__(self, address: str, port: int) -> None:
        self.address = address
        self.port = port
        self.began = time.monotonic()
        self.connected: float | None = None

    async def connect(self) -> socket.socket:
        """A connected, non-blocking socket; the caller closes it."""
        family = socket.AF_INET6 if ":" in self.address else socket.AF_INET
        sock = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        try:
            await asyncio.get_running_loop().sock_connect(sock, (self.address, self.port))
        except BaseException:
            sock.close()
            raise
        self.connected = time.monotonic()
        return sock

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
    reason = getattr(failure, "reason", None)
    return printable(reason.replace("_", " ").lower() if reason else str(failure))


def _silent(line: Line, timeout: float) -> Answer:
    late = time.monotonic() - line.began - timeout
    if late > STALL_SECONDS:
        return Answer(Outcome.UNASKED, "", f"this host was held up for {late:.1f} s; the attempt does not count")
    where = endpoint(line.address, line.port)
    connect_ms = line.connect_ms()
    if connect_ms is None:
        return Answer(Outcome.SILENT, "", f"no answer within {timeout:g} s (no connection to {where})")
    return Answer(Outcome.SILENT, "", f"no answer within {timeout:g} s (connected after {milliseconds(connect_ms)})")


def _failed(line: Line, failure: OSError) -> Answer:
    where = endpoint(line.address, line.port)
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
