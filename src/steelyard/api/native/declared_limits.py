"""Limits of clients and limiting rules in the declarative document.

"client_limits": [{"kind": "requests_per_second", "network": "198.51.100.0/24", "limit": 50}],
"limit_rules": [{"name": "search", "pattern": "^/search", "limit": 10}]
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from steelyard.api.native.bodies import number, objects, only, text
from steelyard.api.native.writing import settings_given
from steelyard.model.commands.declared_limits import DeclaredLimit
from steelyard.model.errors import OperatorError, located
from steelyard.model.limits import KINDS, Kind, LimitEntries, LimitRule

_MEMBERS = ("kind", "network", "limit")


def client_limits_document(entries: LimitEntries) -> list[dict[str, Any]]:
    """The limits of clients, as they are declared."""
    return [
        {"kind": kind, "network": network, "limit": limit}
        for kind in KINDS
        for network, limit in entries.of(kind).items()
    ]


def declared_client_limits(data: Mapping[str, Any]) -> list[DeclaredLimit]:
    """The limits of clients of a document. Raises `OperatorError` with the position of what is wrong."""
    found = []
    for position, item in enumerate(objects(data, "client_limits")):
        with located(f"client_limits[{position}]"):
            only(item, _MEMBERS, "the limit of clients")
            found.append(DeclaredLimit(_kind(text(item, "kind")), text(item, "network"), number(item, "limit")))
    return found


def declared_limit_rules(data: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The limiting rules of a document."""
    found = []
    for position, item in enumerate(objects(data, "limit_rules")):
        with located(f"limit_rules[{position}]"):
            found.append(settings_given(LimitRule, item))
    return found


def _kind(given: str) -> Kind:
    for kind in KINDS:
        if kind == given:
            return kind
    raise OperatorError(
        f"{given[:40]!r} is no kind of limit",
        field="kind",
        value=given[:40],
        allowed=", ".join(KINDS),
        remedy="Choose one of them",
    )
