"""Messages about what limits refuse: clients that begin to be refused, and sums of everything. Pure.

A client that goes on being refused is not told again; only one that was quiet for the delay is (LoadMaster's Client
Message Repeat Delay).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import ip_address

from steelyard.observe.statistics import Statistics
from steelyard.plan import limit_tables as tables

#: what HAProxy is asked for clients that are marked
SHOW = f"show table {tables.CLIENTS} data.{tables.MARK} gt 0"

_ENTRY = re.compile(rf"^0x[0-9a-f]+: key=(\S+) .*?\b{tables.MARK}=(\d+)", re.MULTILINE)

#: what is known of so many clients at most; those quiet for the longest time are forgotten first
_MOST_KNOWN = 100_000
#: clients that are looked at in one go; others keep their marks until the next
_MOST_AT_A_TIME = 5000
#: messages about single clients at a time
_MOST_TOLD = 20

_WORDS = {
    tables.BLOCKED_CLIENT_CONNECTIONS: "too many connections at a time",
    tables.BLOCKED_CLIENT_CONNECTION_RATE: "too many new connections a second",
    tables.BLOCKED_CLIENT_REQUEST_RATE: "too many requests a second",
    tables.BLOCKED_RULE: "too many requests that a limiting rule matches",
}


@dataclass(frozen=True)
class LimitedClient:
    """A client that a limit has refused. `key` is HAProxy's spelling of its address, `by` the counter of the limit."""

    key: str
    by: int

    @property
    def address(self) -> str:
        """Its address; HAProxy's tables have IPv4 ones as IPv6."""
        found = ip_address(self.key)
        mapped = found.ipv4_mapped if found.version == 6 else None
        return str(mapped or found)


def marked_clients(text: str) -> tuple[LimitedClient, ...]:
    """The clients in the answer to `SHOW`, at most so many at a time; none where there is no such table."""
    found = _ENTRY.findall(text)[:_MOST_AT_A_TIME]
    return tuple(LimitedClient(key, tables.OF_CLIENTS[int(mark) - 1]) for key, mark in found)


def unmark(clients: Iterable[LimitedClient]) -> list[str]:
    """HAProxy commands that take the marks away, so that the next one tells of a later refusal."""
    return [f"set table {tables.CLIENTS} key {client.key} data.{tables.MARK} 0" for client in clients]


class LimitedClients:
    """Remembers which clients were told."""

    def __init__(self) -> None:
        self._known: dict[str, float] = {}

    def messages(self, found: Iterable[LimitedClient], delay: float, now: float) -> tuple[str, ...]:
        """What is new of clients refused at `now`, in words: a line each, and one for all that are too many."""
        news: list[LimitedClient] = []
        for one in found:
            before = self._known.pop(one.key, None)
            # the youngest stand last
            self._known[one.key] = now
            if before is None or now - before >= delay:
                news.append(one)
        for key, at in tuple(self._known.items()):
            if now - at < delay and len(self._known) <= _MOST_KNOWN:
                break
            del self._known[key]
        told = [f"Client {one.address} is refused by limits: {_WORDS[one.by]}" for one in news[:_MOST_TOLD]]
        if len(news) > _MOST_TOLD:
            told.append(f"{len(news) - _MOST_TOLD} further clients are refused by limits")
        return tuple(told)


def limit_sums(sample: Statistics) -> str:
    """What limits have let in and refused, in LoadMaster's words (its Rate Limiting guide)."""
    clients, services = sample.clients, sample.services.values()
    blocked_rate = clients.connection_rate_blocked + sum(one.connection_rate_blocked for one in services)
    blocked_most = clients.connections_blocked + sum(one.connections_blocked for one in services)
    sums = {
        "curconns": clients.connections,
        "totconns": clients.connections_admitted + blocked_rate + blocked_most,
        "totreqs": clients.requests_admitted,
        "totrulereq": clients.rules_admitted,
        "totcblocked": blocked_rate,
        "totrblocked": clients.requests_blocked + sum(one.request_rate_blocked for one in services),
        "totruleblock": clients.rules_blocked,
        "totmaxcblocked": blocked_most,
    }
    return "Limits: " + ", ".join(f"{name} {value}" for name, value in sums.items())
