"""Asking an OCSP responder: one POST, one answer, within a time and a size (RFC 6960, appendix A)."""

from __future__ import annotations

import http.client
import time
from urllib.parse import urlsplit

SECONDS = 10.0
#: answers have one to three KiB
_MOST_BYTES = 65_536
_CHUNK = 4096


class NoAnswer(Exception):
    """The responder gave none. The text says what happened instead."""


def ask_responder(url: str, request: bytes, seconds: float = SECONDS) -> bytes:
    """The body of the responder's answer. Blocks for at most about that time. Raises `NoAnswer`."""
    deadline = time.monotonic() + seconds
    try:
        where = urlsplit(url)
        connection = http.client.HTTPConnection(where.hostname or "", where.port or 80, timeout=seconds)
    except (ValueError, http.client.InvalidURL) as failure:
        raise NoAnswer(f"its address is malformed: {failure}") from failure
    try:
        target = (where.path or "/") + (f"?{where.query}" if where.query else "")
        headers = {"Content-Type": "application/ocsp-request", "Accept": "application/ocsp-response"}
        connection.request("POST", target, request, headers)
        response = connection.getresponse()
        if response.status != 200:
            raise NoAnswer(f"it answers {response.status} {response.reason}".rstrip())
        return _body(response, deadline)
    except TimeoutError as failure:
        raise NoAnswer(f"no answer within {seconds:g} s") from failure
    except (OSError, http.client.HTTPException) as failure:
        words = getattr(failure, "strerror", None) or str(failure) or type(failure).__name__
        raise NoAnswer(words.lower()) from failure
    finally:
        connection.close()


def _body(response: http.client.HTTPResponse, deadline: float) -> bytes:
    body = b""
    while chunk := response.read1(_CHUNK):
        body += chunk
        if len(body) > _MOST_BYTES:
            raise NoAnswer(f"its answer has more than {_MOST_BYTES} bytes")
        if time.monotonic() > deadline:
            raise TimeoutError
    return body
