"""What members of a service count as now, for people."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from rich.table import Table

from steelyard.cli import output


def weight_table(found: Mapping[str, Any]) -> Table:
    """One line for each member: its configured weight, what it counts as now, and why."""
    columns = ("rs", "address", "static", "now", "HAProxy", "load", "response", "reason")
    return output.table(columns, _rows(found), right=("rs", "static", "now", "HAProxy", "load", "response"))


def _rows(found: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    for member in found["members"]:
        where = output.endpoint(member) if "address" in member else f"sub-service {member['sub_service']}"
        yield (
            str(member["index"]),
            where,
            str(member["static_weight"]),
            str(member["weight"]),
            _with(member["engine_weight"], ""),
            _with(member["load"], " %"),
            _with(member["response_ms"], " ms"),
            member["reason"],
        )


def _with(value: Any, unit: str) -> str:
    return "" if value is None else f"{value:g}{unit}"
