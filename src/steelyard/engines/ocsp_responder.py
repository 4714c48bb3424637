"""Asking an OCSP responder: one POST, one answer, within a time and a size (RFC 6960, appendix A)."""

from __future__ import annotations

import contextlib
import http.client
import socket
import ssl
import threading
import time
from urllib.parse import urlsplit

#: an answer takes milliseconds; whoever ends the control plane waits for one that is under way
SECONDS = 5.0
#: answers have one to three KiB
_MOST_BYTES = 65_536


class NoAnswer(Exception):
    """The responder gave none. The text says what happened instead."""


def ask_responder(url: str, request: bytes, seconds: float = SECONDS) -> bytes:
    """The body of the responder's answer. Blocks for at most about that time. Raises `NoAnswer`."""
    deadline = time.monotonic() + seconds
    try:
        where = urlsplit(url)
        connection = _connection(where.scheme, where.hostname or "", where.port, seconds)
    except (ValueError, http.client.InvalidURL) as failure:
        raise NoAnswer(f"its address is malformed: {failure}") from failure
    # the time-out of a socket begins anew with every byte
    watchdog = threading.Timer(seconds, _hang_up, (connection,))
    watchdog.daemon = True
    watchdog.start()
    try:
        target = (where.path or "/") + (f"?{where.query}" if where.query else "")
        headers = {"Content-Type": "application/ocsp-request", "Accept": "application/ocsp-response"}
        connection.request("POST", target, request, headers)
        response = connection.getresponse()
        if response.status != 200:
            raise NoAnswer(f"it answers {response.status} {response.reason}".rstrip())
        body = response.read(_MOST_BYTES + 1)
        if time.monotonic() >= deadline:
            raise TimeoutError
    except (OSError, http.client.HTTPException) as failure:
        if isinstance(failure, TimeoutError) or time.monotonic() >= deadline:
            raise NoAnswer(f"no answer within {seconds:g} s") from failure
        words = getattr(failure, "strerror", None) or str(failure) or type(failure).__name__
        raise NoAnswer(words.lower()) from failure
    finally:
        watchdog.cancel()
        connection.close()
    if len(body) > _MOST_BYTES:
        raise NoAnswer(f"its answer has more than {_MOST_BYTES} bytes")
    return body


def _connection(scheme: str, host: str, port: int | None, seconds: float) -> http.client.HTTPConnection:
    if scheme != "https":
        return http.client.HTTPConnection(host, port or 80, timeout=seconds)
    # an answer is believed for its own signature, so it does not matter whose connection it comes over
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return http.client.HTTPSConnection(host, port or 443, timeout=seconds, context=context)


def _hang_up(connection: http.client.HTTPConnection) -> None:
    """End a conversation that another thread is in."""
    with contextlib.suppress(OSError):  # it has just ended
        if connection.sock is not None:
            connection.sock.shutdown(socket.SHUT_RDWR)
