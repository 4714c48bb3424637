"""API v2 answers: one JSON object, `code` first and `status` last.

Decoders that ignore case take the later of the envelope's `status` and a record's `Status`, so the order is binding
(`reference/loadmaster-api/13`, quirk 42).
"""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

from steelyard.api.loadmaster.answers import ABSENT, Data, Enveloped, Items, Message, PerVersion, Record, Value, YesNo

MEDIA_TYPE = "application/json"


def success(answer: Enveloped) -> bytes:
    """The envelope of a command that was carried out."""
    body: dict[str, Any] = {"code": 200}
    if not isinstance(answer, Data):
        body["message"] = answer.text
    if not isinstance(answer, Message):
        body.update(_members(answer.members))
    return _document(body, "ok")


def failure(status: int, message: str) -> bytes:
    """The envelope of a command that was not."""
    return _document({"code": status, "message": message}, "fail")


def _document(body: dict[str, Any], status: str) -> bytes:
    return json.dumps({**body, "status": status}).encode("ascii") + b"\n"


def _members(record: Record) -> dict[str, Any]:
    shown = ((name, _plain(value)) for name, value in record.items())
    return {name: value for name, value in shown if value is not ABSENT}


def _plain(value: Value) -> Any:
    if isinstance(value, PerVersion):
        return _plain(value.v2)
    if isinstance(value, YesNo):
        return value.value
    if isinstance(value, Items):
        return list(value.values) or ABSENT
    if isinstance(value, tuple):
        return [_plain(item) for item in value] or ABSENT
    if isinstance(value, Decimal):
        return float(value)
    if value is ABSENT or isinstance(value, (str, int)):
        return value
    return _members(value)
