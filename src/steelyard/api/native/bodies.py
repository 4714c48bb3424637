"""Request bodies: read bounded, parsed strictly, and taken apart member by member with messages that name the member.

A body over the limit is never kept. Up to a second bound it is still read and thrown away, because a client that is in
the middle of sending sees a reset connection, not the answer, when the server stops listening.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, NoReturn

from fastapi import Depends, Request

from steelyard.model.errors import OperatorError

MAX_BODY_BYTES = 10 * 1024 * 1024
#: a backup holds what many requests have brought
MAX_BACKUP_BYTES = 64 * 1024 * 1024
_DISCARDED_BYTES = 8 * MAX_BODY_BYTES

Member = str | int | bool | list[Any] | dict[str, Any]

_SAYS: Mapping[type, str] = {
    str: "a text",
    int: "a whole number",
    bool: "true or false",
    list: "a list",
    dict: "an object",
}


class MalformedBody(OperatorError):
    """The body is no JSON document, or not one with an object at the top."""


class BodyTooLarge(OperatorError):
    """The body is over the limit."""

    def __init__(self, limit: int = MAX_BODY_BYTES) -> None:
        super().__init__(
            f"The request body is larger than {limit // 1024**2} MB",
            field="body",
            allowed=f"at most {limit} bytes",
            remedy="Send it in several requests",
        )


async def read_bounded(request: Request, limit: int = MAX_BODY_BYTES) -> bytes:
    """The whole body. Raises `BodyTooLarge`; never holds more than `limit` bytes."""
    declared = request.headers.get("content-length", "0")
    size = int(declared) if declared.isascii() and declared.isdigit() and len(declared) < 20 else 0
    if size > _DISCARDED_BYTES:
        raise BodyTooLarge(limit)
    chunks: list[bytes] = []
    received = 0
    async for chunk in request.stream():
        received += len(chunk)
        if received > limit:
            chunks.clear()
            if received > _DISCARDED_BYTES:
                break
        else:
            chunks.append(chunk)
    if received > limit:
        raise BodyTooLarge(limit)
    return b"".join(chunks)


def parse_json(body: bytes) -> dict[str, Any]:
    """A JSON object. Refused: broken JSON, NaN and Infinity, a member given twice, text that is no Unicode."""
    try:
        text = body.decode("utf-8")
        value = json.loads(text, parse_constant=_no_constant, object_pairs_hook=_distinct)
        if "\\ud" in text or "\\uD" in text:
            json.dumps(value, ensure_ascii=False).encode("utf-8")
    except UnicodeError:
        raise MalformedBody("The request body is not UTF-8 text", field="body", remedy="Send JSON in UTF-8") from None
    except json.JSONDecodeError as failure:
        where = f"line {failure.lineno}, column {failure.colno}"
        raise MalformedBody(
            f"The request body is not JSON: {failure.msg} at {where}" if body.strip() else "The request body is empty",
            field="body",
            remedy="Send one whole JSON object",
        ) from None
    except (ValueError, RecursionError) as failure:
        why = "it is nested too deeply" if isinstance(failure, RecursionError) else str(failure)
        raise MalformedBody(f"The request body cannot be read: {why}", field="body", remedy="Send plain JSON") from None
    if not isinstance(value, dict):
        raise MalformedBody("The request body must be a JSON object", field="body", remedy='Send {"name": value, ...}')
    return value


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number in JSON")


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"{next(name for name in names if names.count(name) > 1)!r} is given twice")
    return found


async def json_with_backup(request: Request) -> dict[str, Any]:
    """The body of a request that brings a backup."""
    return parse_json(await read_bounded(request, MAX_BACKUP_BYTES))


async def json_object(request: Request) -> dict[str, Any]:
    """The body of a request that must have one."""
    return parse_json(await read_bounded(request))


async def optional_object(request: Request) -> dict[str, Any]:
    """The body of a request that may go without; none is an empty object."""
    body = await read_bounded(request)
    return parse_json(body) if body.strip() else {}


JsonObject = Annotated[dict[str, Any], Depends(json_object)]
JsonWithBackup = Annotated[dict[str, Any], Depends(json_with_backup)]
OptionalObject = Annotated[dict[str, Any], Depends(optional_object)]


def only(data: Mapping[str, Any], known: Iterable[str], what: str) -> None:
    """Refuse members that `what` does not have. Raises `OperatorError`."""
    names = tuple(known)
    for name in data:
        if name not in names:
            raise OperatorError(
                f"{name!r} is no member of {what}",
                field=name,
                allowed=", ".join(names) or "nothing",
                remedy="Remove it or correct its spelling",
            )


def text(data: Mapping[str, Any], name: str, *, secret: bool = False) -> str:
    """The member as text. Raises `OperatorError` when it is missing or another type; a secret is not repeated."""
    found: str = _typed(data, name, str, secret)
    return found


def optional_text(data: Mapping[str, Any], name: str, *, secret: bool = False) -> str | None:
    """The member as text, None when it is absent."""
    return _typed(data, name, str, secret) if name in data else None


def number(data: Mapping[str, Any], name: str) -> int:
    """The member as a whole number."""
    found: int = _typed(data, name, int)
    return found


def optional_number(data: Mapping[str, Any], name: str) -> int | None:
    """The member as a whole number, None when it is absent."""
    return _typed(data, name, int) if name in data else None


def flag(data: Mapping[str, Any], name: str) -> bool:
    """The member as true or false, false when it is absent."""
    return _typed(data, name, bool) if name in data else False


def mapping(data: Mapping[str, Any], name: str) -> dict[str, Any]:
    """The member as an object."""
    found: dict[str, Any] = _typed(data, name, dict)
    return found


def objects(data: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    """The member as a list of objects, empty when it is absent."""
    if name not in data:
        return []
    found: list[Any] = _typed(data, name, list)
    for position, item in enumerate(found):
        if not isinstance(item, dict):
            raise OperatorError(
                f"{name}[{position}] must be an object", field=name, allowed="a list of objects", remedy="Correct it"
            )
    return found


def texts(data: Mapping[str, Any], name: str) -> tuple[str, ...]:
    """The member as a list of texts, empty when it is absent."""
    found: list[Any] = _typed(data, name, list) if name in data else []
    if not all(isinstance(item, str) for item in found):
        raise OperatorError(f"{name!r} must be a list of texts", field=name, remedy='Send ["one", "two"]')
    return tuple(found)


def _typed(data: Mapping[str, Any], name: str, kind: type[Any], secret: bool = False) -> Any:
    says = _SAYS[kind]
    if name not in data:
        raise OperatorError(f"{name!r} is missing", field=name, allowed=says, remedy=f"Give {says}")
    value = data[name]
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        hint = f"Write {'[]' if kind is list else '{}'} for none" if value is None and kind in (list, dict) else None
        raise OperatorError(
            f"{name!r} must be {says}",
            field=name,
            value=None if secret or isinstance(value, (list, dict)) else value,
            allowed=says,
            remedy=hint or f"Give {says}",
        )
    return value


def uploaded(data: Mapping[str, Any], what: str, *, secret: bool = False) -> bytes:
    """What is sent either as PEM text in `pem` or as base64 in `data`. Raises `OperatorError` that names the member."""
    if ("pem" in data) == ("data" in data):
        raise OperatorError(
            f"{what} comes either as PEM text in 'pem' or as base64 in 'data'",
            field="pem",
            allowed="one of pem, data",
            remedy="Give one of the two",
        )
    if "pem" in data:
        return text(data, "pem", secret=secret).encode()
    return file_of(data, secret=secret)


def file_of(data: Mapping[str, Any], *, secret: bool = True) -> bytes:
    """A file that comes in base64 as `data`. Raises `OperatorError`; a secret one is not repeated."""
    try:
        return base64.b64decode(text(data, "data", secret=secret), validate=True)
    except (binascii.Error, ValueError):
        raise OperatorError("'data' is not base64", field="data", remedy="Encode the file in base64") from None
