"""What limits have let in and refused, from the table that HAProxy counts it in (`plan.limit_tables`).

Its counters begin anew in each worker, like those of `show stat`, and go on growing here in the same way.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace

from steelyard.model.configuration import Configuration
from steelyard.observe.statistics import ClientLimitCounters, Statistics
from steelyard.plan import limit_tables as tables

#: what HAProxy is asked
SHOW = f"show table {tables.LIMITS}"

_ENTRY = re.compile(r"^0x[0-9a-f]+: key=(\d+) (.*)$", re.MULTILINE)
_COUNTER = re.compile(r"\b(conn_cur|gpc\d+)=(\d+)")

#: connections now, then every counter in its order
LimitRow = tuple[int, ...]
_NOTHING: LimitRow = (0,) * (1 + tables.COUNTERS)


def limit_rows(text: str) -> dict[int, LimitRow]:
    """The counters by index of service, from the answer to `SHOW`; none where there is no such table."""
    found: dict[int, LimitRow] = {}
    for key, rest in _ENTRY.findall(text):
        values = dict(_COUNTER.findall(rest))
        names = ("conn_cur", *(f"gpc{number}" for number in range(tables.COUNTERS)))
        found[int(key)] = tuple(int(values.get(name, 0)) for name in names)
    return found


class LimitCounters:
    """Adds up workers."""

    def __init__(self) -> None:
        self._base: dict[int, LimitRow] = {}
        self._last: dict[int, LimitRow] = {}

    def grow(self, rows: Mapping[int, LimitRow]) -> dict[int, LimitRow]:
        """Take in the rows of the present worker; gives everything that was ever counted."""
        for key, last in self._last.items():
            row = rows.get(key, _NOTHING)
            if any(now < before for now, before in zip(row[1:], last[1:], strict=True)):
                base = self._base.get(key, _NOTHING)
                self._base[key] = tuple(one + two for one, two in zip(base, (0, *last[1:]), strict=True))
        self._last = dict(rows)
        return {
            key: tuple(
                one + two for one, two in zip(rows.get(key, _NOTHING), self._base.get(key, _NOTHING), strict=True)
            )
            for key in self._base.keys() | rows.keys()
        }


def with_limits(sample: Statistics, rows: Mapping[int, LimitRow], configuration: Configuration) -> Statistics:
    """The sample with what limits counted."""
    if not rows:
        return sample
    services = dict(sample.services)
    for index, row in rows.items():
        if index in services:
            services[index] = replace(
                services[index],
                connections_blocked=row[1 + tables.BLOCKED_CONNECTIONS],
                connection_rate_blocked=row[1 + tables.BLOCKED_CONNECTION_RATE],
                request_rate_blocked=row[1 + tables.BLOCKED_REQUEST_RATE],
            )
    listening = frozenset(index for index, service in configuration.services.items() if not service.is_sub)
    return replace(sample, services=services, clients=_of_clients(rows, listening))


def _of_clients(rows: Mapping[int, LimitRow], listening: frozenset[int]) -> ClientLimitCounters:
    """What the limits of clients let in and refused. `listening` are services that clients connect to."""

    def total(counter: int) -> int:
        return sum(row[1 + counter] for key, row in rows.items() if key in listening)

    return ClientLimitCounters(
        connections=sum(row[0] for key, row in rows.items() if key in listening),
        connections_admitted=total(tables.ADMITTED_CONNECTIONS),
        requests_admitted=total(tables.ADMITTED_REQUESTS),
        rules_admitted=total(tables.MATCHED),
        connections_blocked=total(tables.BLOCKED_CLIENT_CONNECTIONS),
        connection_rate_blocked=total(tables.BLOCKED_CLIENT_CONNECTION_RATE),
        requests_blocked=total(tables.BLOCKED_CLIENT_REQUEST_RATE),
        rules_blocked=total(tables.BLOCKED_RULE),
    )
