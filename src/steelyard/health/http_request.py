"""The request of an HTTP check, as bytes. Pure.

h11 prints HTTP/1.1 only and LoadMaster's checks are HTTP/1.0 by default, so the request is printed here, and h11
reads the answer. A control character in any part would let one check forge another request; it is refused.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from steelyard.model.errors import OperatorError
from steelyard.plan.health import Check

_FORBIDDEN = re.compile(r"[\x00-\x20\x7f]")
_FORBIDDEN_VALUE = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """`text` is what a transcript shows: the request line and the Host."""

    data: bytes
    text: str


def bracketed(host: str) -> str:
    """An IPv6 literal in brackets, anything else unchanged."""
    return f"[{host}]" if host.count(":") > 1 and not host.startswith("[") else host


def _refuse(field: str, value: str | None, allowed: str) -> OperatorError:
    return OperatorError(f"The health check's {field} cannot be sent", field=field, value=value, allowed=allowed)


def http_request(check: Check, address: str) -> HttpRequest:
    """The request a check sends to a real server at `address`. Raises `OperatorError` for what HTTP cannot carry."""
    url = check.url or "/"
    if _FORBIDDEN.search(url):
        raise _refuse("URL", url, "no space and no control character")
    host = bracketed(check.host or address)
    if _FORBIDDEN.search(host):
        raise _refuse("host", host, "no space and no control character")
    headers = {"host": ("Host", host), "user-agent": ("User-Agent", "steelyard-health")}
    if check.http11:
        headers["connection"] = ("Connection", "close")
    for name, value in check.headers:
        if not _TOKEN.fullmatch(name) or _FORBIDDEN_VALUE.search(value):
            raise _refuse("header", name, "a header name and a value without control characters")
        headers[name.lower()] = (name, value)
    body = (check.body or "").encode() if check.method == "POST" else b""
    if check.method == "POST":
        headers["content-length"] = ("Content-Length", str(len(body)))
    line = f"{check.method} {url} HTTP/1.{1 if check.http11 else 0}"
    head = "\r\n".join([line, *(f"{name}: {value}" for name, value in headers.values()), "", ""])
    return HttpRequest(head.encode() + body, f"{line}, Host: {headers['host'][1]}")
