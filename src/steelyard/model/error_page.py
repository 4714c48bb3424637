"""The page clients get when no real server is available, as the operator gave it.

HAProxy keeps a whole answer in one buffer of 16,384 bytes and wants 1,024 of them free for headers (2.6 and 2.8 warn
above that when they read the configuration); `MAX_BYTES` leaves room for those that other settings add.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from html import escape
from http import HTTPStatus

MAX_BYTES = 15_000

_HTML = re.compile(
    rb"\s*(<\?xml[^>]*>\s*)?(<!--.*?-->\s*)*<(!doctype\s+html|html|head|body|title|h1|p|div)\b", re.I | re.S
)
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"

_DEFAULT = """<!DOCTYPE html>
<html lang="en">
<head><meta charset="utf-8"><title>{title}</title></head>
<body><h1>{title}</h1><p>{says}</p></body>
</html>
"""


def decoded_page(text: str) -> bytes:
    """The page behind its base64. Raises `ValueError` that says what is wrong."""
    try:
        content = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("is not base64") from None
    if len(content) > MAX_BYTES:
        raise ValueError(f"is a page of {len(content)} bytes")
    return content


def encoded_page(content: bytes) -> str:
    """The page as the setting holds it."""
    return base64.b64encode(content).decode("ascii")


def media_type(content: bytes) -> str:
    """What the page is: HTML, JSON or plain text, with its character set where it is known."""
    text = content.removeprefix(_BYTE_ORDER_MARK)
    try:
        decoded = text.decode("utf-8")
    except UnicodeDecodeError:
        # what a page in another character set says of itself counts only while its header says nothing
        return "text/html" if _HTML.match(text) else "text/plain"
    if _HTML.match(text):
        return "text/html; charset=utf-8"
    if decoded.lstrip()[:1] in ("{", "["):
        try:
            json.loads(decoded)
        except ValueError:
            return "text/plain; charset=utf-8"
        return "application/json"
    return "text/plain; charset=utf-8"


def phrase(status: int) -> str:
    """The words of a status; empty for one that has none."""
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""


def default_page(status: int) -> bytes:
    """The page of a status without one of its own."""
    title = escape(f"{status} {phrase(status)}".strip())
    says = "The page is at another address." if 300 <= status < 400 else "The service cannot answer. Please try again."
    return _DEFAULT.format(title=title, says=says).encode()
