"""Limits: which hold for a request, and whether they are reached now.

The rules are those of `compile.haproxy.limits`: all limits are looked at first, and the first that is reached decides
what the client is told. What is counted is read from HAProxy's tables and holds for this moment only.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address

from steelyard.compile.haproxy.limit_rules import KEY_OF_ALL
from steelyard.explain.report import Result
from steelyard.explain.situation import Asking, Visit, ask_counters
from steelyard.model.limits import Kind, LimitRule, Request, client_limit
from steelyard.model.virtual_service import VirtualService
from steelyard.plan.limit_tables import ADMITTED_CONNECTIONS, ADMITTED_REQUESTS, CLIENTS, LIMITS, rule_counter

#: the counter of each kind, as tables show it; a rate is that of a second
_COUNTERS: dict[Kind, str] = {
    "connections": "conn_cur",
    "connections_per_second": f"gpc{ADMITTED_CONNECTIONS}_rate(1000)",
    "requests_per_second": f"gpc{ADMITTED_REQUESTS}_rate(1000)",
}
_UNITS: dict[Kind, str] = {
    "connections": "connections",
    "connections_per_second": "new connections a second",
    "requests_per_second": "requests a second",
    "bandwidth": "kbit/s",
}
_STATUS = {1: 429, 2: 503}


@dataclass(frozen=True)
class _Limit:
    """A limit with the table, the key and the counter that say how far it is used."""

    kind: Kind
    limit: int
    whose: str
    table: str
    key: str
    counter: str


def limited(visit: Visit) -> Asking[Result | None]:
    """The limits of a service; a result when one is reached now."""
    details: list[str] = []
    reached: _Limit | None = None
    for limit in _limits(visit):
        used = (yield from ask_counters(limit.table, limit.key)).get(limit.counter, 0)
        over = used >= limit.limit
        details.append(
            f"{limit.whose}: {limit.limit} {_UNITS[limit.kind]}, now {used}{', which is reached' if over else ''}"
        )
        reached = limit if over and reached is None else reached
    details += _bandwidths(visit)
    if reached is None:
        if details:
            visit.note("limits", "none is reached now", *details)
        return None
    visit.note("limits", f"{reached.whose} is reached: {reached.limit} {_UNITS[reached.kind]}", *details)
    why = f"a limit is reached now: {reached.whose}, {reached.limit} {_UNITS[reached.kind]}"
    status = _STATUS.get(visit.situation.configuration.limits.answer, 0)
    # a connection over a limit is closed at once; a sub-service knows requests only
    if not status or not visit.service.is_http or (reached.kind != "requests_per_second" and not visit.service.is_sub):
        return Result("closed", why)
    return Result("answered", why, status=status)


def _limits(visit: Visit) -> Iterator[_Limit]:
    configuration, service = visit.situation.configuration, visit.service
    client = _table_key(visit.request.client)
    kinds: tuple[Kind, ...] = ("connections", "connections_per_second", "requests_per_second")
    for kind in kinds:
        if kind == "requests_per_second" and not service.is_http:
            continue
        places = [(_own(service, kind), service.title, LIMITS, str(service.index))]
        if not service.is_sub:
            of_client, where = client_limit(configuration, kind, visit.request.client)
            whose = f"each client of {where}" if where else "each client"
            places.append((configuration.limits.of_all(kind), "all virtual services", LIMITS, str(KEY_OF_ALL)))
            places.append((of_client, whose, CLIENTS, client))
        yield from (
            _Limit(kind, limit, whose, table, key, _COUNTERS[kind]) for limit, whose, table, key in places if limit
        )
    rule = _rule(visit)
    if rule is not None:
        whose = f"limiting rule {rule.name}, for each client"
        place = visit.situation.configuration.limit_entries.rules.index(rule)
        counter = f"gpc{rule_counter(place)}_rate(1000)"
        yield _Limit("requests_per_second", rule.limit, whose, CLIENTS, client, counter)


def _rule(visit: Visit) -> LimitRule | None:
    """The first limiting rule that is about the request."""
    if visit.service.is_sub or not visit.service.is_http:
        return None
    request = visit.request
    looked_at = Request(request.path_and_query, request.last_line("host") or "", request.last_line("user-agent") or "")
    return next((rule for rule in visit.situation.configuration.limit_entries.rules if rule.fits(looked_at)), None)


def _bandwidths(visit: Visit) -> Iterator[str]:
    """Bandwidths, which slow an answer and refuse none."""
    configuration, service = visit.situation.configuration, visit.service
    found = [(service.bandwidth, service.title)]
    if not service.is_sub:
        of_client, where = client_limit(configuration, "bandwidth", visit.request.client)
        found.append((configuration.limits.bandwidth, "all virtual services"))
        found.append((of_client, f"each client of {where}" if where else "each client"))
    return (f"{whose}: {limit} kbit/s in each direction" for limit, whose in found if limit)


def _own(service: VirtualService, kind: Kind) -> int:
    found: int = service.max_connections if kind == "connections" else getattr(service, kind)
    return found


def _table_key(address: str) -> str:
    """A client as the tables of clients have it, which are of IPv6 addresses."""
    found = ip_address(address)
    return address if isinstance(found, IPv6Address) else f"::ffff:{address}"
