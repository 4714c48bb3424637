"""Reading requests: bounded bodies, query strings, forms, JSON objects.

Bodies are read with a bound before anything looks at them. Names and values that hold control characters are refused
here, so that no command needs to think of them; uploaded bytes are the exception.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from typing import Any, NoReturn
from urllib.parse import parse_qsl

from starlette.requests import Request

from steelyard.api.loadmaster.failures import Refusal, missing

MAX_UPLOAD_BYTES = 10 * 1024 * 1024
#: a backup holds what many uploads have brought
MAX_BACKUP_BYTES = 64 * 1024 * 1024
#: base64 makes four bytes of three; the rest is for the other members
MAX_JSON_BYTES = MAX_UPLOAD_BYTES // 3 * 4 + 256 * 1024
#: long values come as forms; the longest LoadMaster knows has 52,428 characters at most
MAX_FORM_BYTES = 1024 * 1024
_MAX_FIELDS = 2000
_CONTROL = re.compile(r"[\x00-\x1f\x7f\x85\u2028\u2029]")
_DATA = "data"


async def read_body(request: Request, most: int) -> bytes:
    """The whole body. Raises `Refusal` 413 as soon as it is known to be longer than `most` bytes."""
    declared = request.headers.get("content-length", "")
    if declared.isdigit() and int(declared[:18]) > most:
        raise _too_long(most)
    parts: list[bytes] = []
    length = 0
    async for part in request.stream():
        length += len(part)
        if length > most:
            raise _too_long(most)
        parts.append(part)
    return b"".join(parts)


def _too_long(most: int) -> Refusal:
    return Refusal(413, f"The request body is too long; at most {most // 1024} KiB are accepted here")


def query_parameters(request: Request) -> dict[str, Any]:
    """The parameters of the URL. Raises `Refusal`."""
    return _fields(request.scope["query_string"])


def form_parameters(body: bytes) -> dict[str, Any]:
    """The parameters of a form body, whatever its media type: clients send forms under many. Raises `Refusal`."""
    return _fields(body)


def _fields(encoded: bytes) -> dict[str, Any]:
    """Names and values in UTF-8, or in ISO-8859-1, the charset v1 answers name. The last of several wins."""
    text = encoded.decode("latin-1")
    try:
        try:
            pairs = parse_qsl(text, keep_blank_values=True, errors="strict", max_num_fields=_MAX_FIELDS)
        except UnicodeDecodeError:
            pairs = parse_qsl(text, keep_blank_values=True, encoding="latin-1", max_num_fields=_MAX_FIELDS)
    except ValueError:
        raise Refusal(400, f"The request has more than {_MAX_FIELDS} parameters") from None
    return _checked(dict(pairs))


def json_parameters(body: bytes) -> dict[str, Any]:
    """The members of a v2 request. Raises `Refusal` 400 when the body is no JSON object."""
    try:
        found = json.loads(body.decode("utf-8-sig"), parse_constant=_no_number)
    except json.JSONDecodeError as failure:
        where = f"line {failure.lineno}, column {failure.colno}"
        raise Refusal(400, f"The request body is not valid JSON: {failure.msg} ({where})") from None
    except (UnicodeDecodeError, ValueError, RecursionError):
        raise Refusal(400, "The request body is not valid JSON in UTF-8") from None
    if not isinstance(found, dict):
        raise Refusal(400, "The request body must be one JSON object with the member cmd")
    return _checked(found)


def _no_number(_: str) -> NoReturn:
    raise ValueError


def _checked(given: dict[str, Any]) -> dict[str, Any]:
    for name, value in given.items():
        values = value if isinstance(value, list) else [value]
        texts = [name] if name.lower() == _DATA else [name, *(v for v in values if isinstance(v, str))]
        if any(_CONTROL.search(text) for text in texts):
            raise Refusal(422, f"Parameter {_printable(name)} holds a control character")
    return given


def _printable(name: str) -> str:
    shown = name.encode("unicode_escape").decode("ascii")
    return shown if len(shown) <= 60 else shown[:57] + "..."


def uploaded(parameters: dict[str, Any]) -> bytes:
    """The bytes a v2 upload command carries in `data`. Raises `Refusal`."""
    text = next((value for name, value in parameters.items() if name.lower() == _DATA), None)
    if not isinstance(text, str) or not text:
        raise missing(_DATA)
    try:
        found = base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError):
        raise Refusal(422, "data is not valid base64") from None
    if len(found) > MAX_UPLOAD_BYTES:
        raise _too_long(MAX_UPLOAD_BYTES)
    return found
