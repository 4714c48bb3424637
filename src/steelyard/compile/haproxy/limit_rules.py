"""What every service needs to know of the limits that are not its own, and the tables and lookups these share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum

from steelyard.model.configuration import Configuration
from steelyard.model.limits import KINDS, Kind, LimitEntries, LimitParameters, LimitRule
from steelyard.plan import limit_tables as tables
from steelyard.plan.haproxy import Lookup, Section, directive, lookup_path

#: the entry of everything together; services begin with 1
KEY_OF_ALL = 0

#: entries of services: HAProxy takes memory for those there are
_MOST_SERVICES = 65_536
#: entries of clients; where there are more, the one that was quiet for the longest time goes
_MOST_CLIENTS = 1_048_576
#: longer than what a rate looks back on
_CLIENT_SECONDS = 10

_TEXT = ("content-type", "text/plain", "hdr", "Retry-After", "1", "string")
#: what a client is told whose request is over a limit, by the value of SendRateLimitError
ANSWERS: Mapping[int, tuple[str, ...]] = {
    0: ("reject",),
    1: ("return", "status", "429", *_TEXT, "Too Many Requests"),
    2: ("return", "status", "503", *_TEXT, "Service Unavailable"),
}


class BlockedBy(IntEnum):
    """Why something was refused; the value is the counter of the service that counts it."""

    CONNECTIONS = tables.BLOCKED_CONNECTIONS
    CONNECTION_RATE = tables.BLOCKED_CONNECTION_RATE
    REQUEST_RATE = tables.BLOCKED_REQUEST_RATE
    CLIENT_CONNECTIONS = tables.BLOCKED_CLIENT_CONNECTIONS
    CLIENT_CONNECTION_RATE = tables.BLOCKED_CLIENT_CONNECTION_RATE
    CLIENT_REQUEST_RATE = tables.BLOCKED_CLIENT_REQUEST_RATE
    RULE = tables.BLOCKED_RULE


@dataclass(frozen=True)
class RuleShape:
    """A limiting rule without its number, which is looked up."""

    key: str
    pattern: str
    subject: int
    negated: bool


@dataclass(frozen=True)
class LimitPlan:
    """The limits beside those of a service: what of them makes the rules. Numbers that are looked up are not here."""

    of_all: frozenset[str] = frozenset()
    clients: frozenset[str] = frozenset()
    rules: tuple[RuleShape, ...] = ()
    answer: int = 0
    bandwidth: int = 0
    client_bandwidths: tuple[int, ...] = ()


def _client_limits(parameters: LimitParameters, entries: LimitEntries, kind: Kind) -> tuple[tuple[str, str], ...]:
    """Networks with their limits, and the whole of both families with the default. Nothing when all are 0.

    Both wholes are there because HAProxy (2.6 and 2.8) looks for an IPv4 client that no IPv4 entry fits among the IPv6
    ones.
    """
    default = parameters.of_client(kind)
    found = {"0.0.0.0/0": default, "::/0": default, **entries.of(kind)}
    if not any(found.values()):
        return ()
    return tuple((where, str(limit)) for where, limit in found.items())


def limit_plan(configuration: Configuration) -> LimitPlan:
    """What of the limits of a configuration makes the rules of every service."""
    parameters, entries = configuration.limits, configuration.limit_entries
    bandwidths = {parameters.client_bandwidth, *entries.bandwidth.values()} - {0}
    return LimitPlan(
        frozenset(kind for kind in KINDS if kind != "bandwidth" and parameters.of_all(kind)),
        frozenset(kind for kind in KINDS if _client_limits(parameters, entries, kind)),
        tuple(_shape(rule) for rule in entries.rules),
        parameters.answer,
        parameters.bandwidth,
        tuple(sorted(bandwidths)),
    )


def _shape(rule: LimitRule) -> RuleShape:
    return RuleShape(rule.key, rule.pattern, rule.subject, rule.negated)


def _used(configuration: Configuration, *, http: bool = False) -> bool:
    """Whether a listener is there whose rules use the lookups that services share."""
    return any(
        service.enabled and not service.is_sub and (service.is_http or not http)
        for service in configuration.services.values()
    )


def limit_lookups(configuration: Configuration) -> tuple[Lookup, ...]:
    """The numbers that the rules of all services look up. One that no rule uses would not be in HAProxy."""
    parameters, entries = configuration.limits, configuration.limit_entries
    found: list[Lookup] = []
    of_all = tuple(
        (kind, str(parameters.of_all(kind))) for kind in KINDS if kind != "bandwidth" and parameters.of_all(kind)
    )
    only_requests = {kind for kind, _ in of_all} <= {"requests_per_second"}
    if of_all and _used(configuration, http=only_requests):
        found.append(Lookup("limits", of_all))
    for kind in KINDS:
        limits = _client_limits(parameters, entries, kind)
        if limits and _used(configuration, http=kind == "requests_per_second"):
            found.append(Lookup(f"limits-{kind}", limits))
    if entries.rules and _used(configuration, http=True):
        found.append(Lookup("limits-rules", tuple((rule.key, str(rule.limit)) for rule in entries.rules)))
    return tuple(found)


def limit_sections(configuration: Configuration) -> tuple[Section, ...]:
    """The tables that the rules of any service count in."""
    plan, services = limit_plan(configuration), configuration.services.values()
    numbers = any(s.max_connections or s.connections_per_second or s.requests_per_second for s in services)
    found: list[Section] = []
    if numbers or plan.of_all or plan.clients - {"bandwidth"} or plan.rules:
        counters = (f"conn_cur,gpc({tables.COUNTERS})", f"gpc_rate({tables.COUNTERS_WITH_RATE},1s)")
        found.append(_table(tables.LIMITS, "integer", _MOST_SERVICES, ",".join(counters)))
    if plan.clients - {"bandwidth"} or plan.rules:
        stored = f"{tables.MARK},conn_cur,gpc_rate({tables.rule_counter(len(plan.rules))},1s)"
        found.append(_table(tables.CLIENTS, "ipv6", _MOST_CLIENTS, stored, _CLIENT_SECONDS))
    if plan.bandwidth or any(service.bandwidth for service in services):
        found.append(_table(tables.BANDWIDTH, "integer", _MOST_SERVICES, _BYTES, _CLIENT_SECONDS))
    if plan.client_bandwidths:
        found.append(_table(tables.CLIENT_BANDWIDTH, "ipv6", _MOST_CLIENTS, _BYTES, _CLIENT_SECONDS))
    return tuple(found)


_BYTES = "bytes_in_rate(1s),bytes_out_rate(1s)"


def _table(name: str, kind: str, size: int, store: str, expire_seconds: int | None = None) -> Section:
    expire = () if expire_seconds is None else ("expire", f"{expire_seconds}s")
    words = ("stick-table", "type", kind, "size", str(size), *expire, "store", store)
    # without its own word for it HAProxy warns that the defaults are used in two ways
    return Section(("backend", name, "from", "steelyard"), (directive(*words),))


def limit_words(lookup: str, name: str) -> str:
    """The sample expression of a number that is looked up by name."""
    return f"str({name}),map_str_int({lookup_path(lookup)},0)"


def address_lookup(kind: Kind) -> str:
    """The sample expression of what the client may do."""
    return f"src,map_ip_int({lookup_path(f'limits-{kind}')},0)"
