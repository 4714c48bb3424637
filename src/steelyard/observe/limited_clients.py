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

_ENTRY = re.compile(rf"^0x[0-9a-f]+: key=(\S+) .*?\b{tables.STAMP}=(\d+)", re.MULTILINE)

#: what is known of so many clients at most; those quiet for the longest time are forgotten first
_MOST_KNOWN = 100_000
#: messages about single clients at a time
_MOST_AT_ONCE = 20

_WORDS = {
    tables.BLOCKED_CLIENT_CONNECTIONS: "too many connections at a time",
    tables.BLOCKED_CLIENT_CONNECTION_RATE: "too many new connections a second",
    tables.BLOCKED_CLIENT_REQUEST_RATE: "too many requests a second",
    tables.BLOCKED_RULE: "too many requests that a limiting rule matches",
}


@dataclass(frozen=True)
class LimitedClient:
    """A client that a limit refused last at `at` (seconds since the epoch), by the counter `by`."""

    client: str
    at: int
    by: int


def question(since: int) -> tuple[str, ...]:
    """The words that ask HAProxy for clients refused in that second or later."""
    return ("table", tables.CLIENTS, f"data.{tables.STAMP}", "ge", str(max(tables.stamp_of(since), 1)))


def limited_clients(text: str) -> tuple[LimitedClient, ...]:
    """The clients in HAProxy's answer; none where there is no such table."""
    found: list[LimitedClient] = []
    for key, stamp in _ENTRY.findall(text):
        address = ip_address(key)
        mapped = address.ipv4_mapped if address.version == 6 else None
        found.append(LimitedClient(str(mapped or address), *tables.read_stamp(int(stamp))))
    return tuple(found)


class LimitedClients:
    """Remembers which clients were told."""

    def __init__(self) -> None:
        self._known: dict[str, int] = {}

    def messages(self, found: Iterable[LimitedClient], delay: float, now: float) -> tuple[str, ...]:
        """What is new, in words: a client each, and one for all that are too many."""
        news: list[LimitedClient] = []
        for one in sorted(found, key=lambda client: client.at):
            before = self._known.pop(one.client, None)
            # the youngest stand last
            self._known[one.client] = one.at
            if before is None or one.at - before >= delay:
                news.append(one)
        for client, at in tuple(self._known.items()):
            if now - at < delay and len(self._known) <= _MOST_KNOWN:
                break
            del self._known[client]
        told = [f"Client {one.client} is refused by limits: {_WORDS[one.by]}" for one in news[:_MOST_AT_ONCE]]
        if len(news) > _MOST_AT_ONCE:
            told.append(f"{len(news) - _MOST_AT_ONCE} further clients are refused by limits")
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
