"""Limits of connections, requests and bandwidth (`reference/behaviour.md`, section 13).

There are three kinds beside those of virtual services: global ones, those of each client, and rules that limit what a
client may ask for. A limit of 0 is none. What a client may do is told by the longest network that fits its address, and
by the default where none does; each client of a network may do that much.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self, get_args

from pydantic import BaseModel, ConfigDict, field_validator, model_validator
from pydantic_core import PydanticCustomError

from steelyard.model.access_list import network
from steelyard.model.errors import OperatorError
from steelyard.model.regular_expression import as_python, expression, refuse_dangerous
from steelyard.model.setting import Setting, Settings

if TYPE_CHECKING:
    from steelyard.model.configuration import Configuration
    from steelyard.model.virtual_service import VirtualService

_SECTION = "limits"

Kind = Literal["connections", "connections_per_second", "requests_per_second", "bandwidth"]
KINDS: tuple[Kind, ...] = get_args(Kind)

MOST_RATE = 1_000_000
MOST_CONNECTIONS = 100_000_000
MOST_CLIENT_CONNECTIONS = 1_000_000
LEAST_BANDWIDTH = 16
MOST_BANDWIDTH = 99_999_999

#: networks with limits of their own, of each kind
MOST_NETWORKS = 10_000
#: bandwidths that differ: HAProxy has a filter for each, on every service
MOST_BANDWIDTHS = 32
#: each has a counter of each client, and HAProxy has 100 of them, of which two are in use
MOST_RULES = 98

#: what `match` of a rule has added when the rule is for what does not match
NEGATED = 64

_DROP, _TOO_MANY, _UNAVAILABLE = 0, 1, 2


def _rate(wire: str, label: str, explanation: str) -> Setting:
    return Setting(wire, _SECTION, label, explanation, unit="per second", ge=0, le=MOST_RATE)


def _bandwidth(wire: str, label: str, explanation: str) -> Setting:
    return Setting(
        wire, _SECTION, label, explanation, unit="kbit/s", ge=LEAST_BANDWIDTH, le=MOST_BANDWIDTH, or_zero=True
    )


class LimitParameters(Settings):
    """Limits of everything together and of each client, and what a client is told (`loadmaster-api/08`, 8.12)."""

    noun: ClassVar[str] = "limit parameter"

    max_connections: Annotated[
        int,
        Setting(
            "MaxConnsLimit",
            _SECTION,
            "Concurrent connections",
            "Most connections of all virtual services together; 0 is no limit.",
            ge=0,
            le=MOST_CONNECTIONS,
        ),
    ] = 0
    connections_per_second: Annotated[
        int, _rate("MaxCPSLimit", "Connections per second", "New connections of all services; 0 is no limit.")
    ] = 0
    requests_per_second: Annotated[
        int, _rate("MaxRPSLimit", "Requests per second", "Requests of all services; 0 is no limit.")
    ] = 0
    bandwidth: Annotated[
        int,
        _bandwidth(
            "MaxBandwidthLimit",
            "Bandwidth",
            "Bytes of all services, in either direction; 0 is no limit. Needs HAProxy 2.7 or newer.",
        ),
    ] = 0
    answer: Annotated[
        int,
        Setting(
            "SendRateLimitError",
            _SECTION,
            "Answer to a request over a limit",
            "What a client is told. A connection over a limit is closed at once, whatever this says.",
            choices={_DROP: "close the connection", _TOO_MANY: "429", _UNAVAILABLE: "503"},
        ),
    ] = _DROP
    fail_on_rate_limit: Annotated[
        bool,
        Setting(
            "RateLimitFail",
            _SECTION,
            "Fail on RS/Sub-VS Rate Limiting",
            "Refuse a request whose real server has reached its rate, in place of choosing another one.",
            built=False,
            why_unbuilt="it is about rate limits of real servers, which are not built",
        ),
    ] = False
    logging: Annotated[
        bool,
        Setting(
            "LimitLogging",
            _SECTION,
            "Generate Limiter Statistics",
            "Tell every five seconds, in the log of events and to syslog hosts of level info, what limits have let in"
            " and refused, if that is more than before.",
        ),
    ] = False
    repeat_delay: Annotated[
        int,
        Setting(
            "ClientRepeatDelay",
            _SECTION,
            "Client Message Repeat Delay",
            "How long a client that was refused by a limit has to be quiet before the next message about it.",
            unit="seconds",
            ge=10,
            le=86_400,
        ),
    ] = 60
    client_connections: Annotated[
        int,
        Setting(
            "ClientMaxConnsLimit",
            _SECTION,
            "Concurrent connections of a client",
            "Default for each client; 0 is no limit.",
            ge=0,
            le=MOST_CLIENT_CONNECTIONS,
        ),
    ] = 0
    client_connections_per_second: Annotated[
        int, _rate("ClientCPSLimit", "Connections per second of a client", "Default for each client; 0 is no limit.")
    ] = 0
    client_requests_per_second: Annotated[
        int, _rate("ClientRPSLimit", "Requests per second of a client", "Default for each client; 0 is no limit.")
    ] = 0
    client_bandwidth: Annotated[
        int,
        _bandwidth(
            "ClientMaxBandwidthLimit",
            "Bandwidth of a client",
            "Default for each client, in either direction; 0 is no limit. Needs HAProxy 2.7 or newer.",
        ),
    ] = 0

    def of_client(self, kind: Kind) -> int:
        """The default of each client."""
        found: int = getattr(self, f"client_{kind}")
        return found

    def of_all(self, kind: Kind) -> int:
        """The limit of everything together."""
        found: int = self.max_connections if kind == "connections" else getattr(self, kind)
        return found


class LimitRule(Settings):
    """How many requests a second that a pattern matches each client may send."""

    noun: ClassVar[str] = "limiting rule"

    name: Annotated[
        str,
        Setting(
            "name",
            _SECTION,
            "Name",
            "What it is called.",
            max_length=64,
            filled=True,
            pattern=r"[A-Za-z0-9_][A-Za-z0-9_.-]*",
            pattern_says="letters, digits, _ . and -, not beginning with . or -",
        ),
    ]
    pattern: Annotated[
        str,
        Setting("pattern", _SECTION, "Pattern", "The regular expression requests are compared with.", max_length=1000),
    ]
    limit: Annotated[
        int,
        Setting("limit", _SECTION, "Limit", "Requests of each client.", unit="requests per second", ge=1, le=MOST_RATE),
    ]
    match: Annotated[
        int,
        Setting(
            "match",
            _SECTION,
            "Match",
            "What the pattern is compared with: the path with its query, the host, or the user agent.",
            choices={
                0: "request",
                1: "host",
                2: "user agent",
                64: "not the request",
                65: "not the host",
                66: "not the user agent",
            },
        ),
    ] = 0

    @field_validator("pattern")
    @classmethod
    def _sound(cls, value: str) -> Any:
        problem = "it is empty" if not expression(value) else refuse_dangerous(value, only_matches=True)
        if problem is not None:
            raise PydanticCustomError("rule", "{why}", {"why": problem, "name": "pattern"})
        return value

    @property
    def negated(self) -> bool:
        """Whether it is for requests that do not match."""
        return self.match >= NEGATED

    @property
    def subject(self) -> int:
        """What the pattern is compared with: 0 the request, 1 the host, 2 the user agent."""
        return self.match % NEGATED

    @property
    def key(self) -> str:
        """What its counters are known by, wherever it stands among the others."""
        return hashlib.sha256(self.name.encode()).hexdigest()[:12]

    def fits(self, request: Request) -> bool:
        """Whether it is about a request."""
        text = (request.path, request.host, request.user_agent)[self.subject]
        found = as_python(self.pattern).search(text.encode("utf-8", "surrogateescape")) is not None
        return found is not self.negated


class LimitEntries(BaseModel):
    """Limits of clients by network, and the limiting rules in their order. Networks are canonical."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    connections: dict[str, int] = {}
    connections_per_second: dict[str, int] = {}
    requests_per_second: dict[str, int] = {}
    bandwidth: dict[str, int] = {}
    rules: tuple[LimitRule, ...] = ()

    def of(self, kind: Kind) -> Mapping[str, int]:
        """The networks with their limits of one kind."""
        found: Mapping[str, int] = getattr(self, kind)
        return found

    def rule(self, name: str) -> LimitRule | None:
        """The rule of that name."""
        return next((rule for rule in self.rules if rule.name == name), None)

    def with_limit(self, kind: Kind, where: str, limit: int | None) -> LimitEntries:
        """With the limit of a network, or, for None, without it."""
        others = {key: value for key, value in self.of(kind).items() if key != where}
        found = others if limit is None else {**others, where: limit}
        if len(found) > MOST_NETWORKS:
            raise OperatorError(
                f"There would be more than {MOST_NETWORKS} networks with limits of this kind",
                field="network",
                value=where,
                allowed=f"at most {MOST_NETWORKS}",
                remedy="Join addresses to networks",
            )
        if kind == "bandwidth" and len(set(found.values()) - {0}) > MOST_BANDWIDTHS:
            raise OperatorError(
                f"There would be more than {MOST_BANDWIDTHS} different bandwidths of clients",
                field="limit",
                value=limit,
                allowed=", ".join(map(str, sorted(set(others.values())))),
                remedy="Give one of the bandwidths there are",
            )
        return self.model_copy(update={kind: dict(sorted(found.items(), key=_order))})

    @field_validator(*KINDS)
    @classmethod
    def _canonical(cls, value: dict[str, int]) -> dict[str, int]:
        for where in value:
            if network(where) != where:
                raise ValueError(f"{where} is not a network as it is stored")
        return value

    @model_validator(mode="after")
    def _allowed(self) -> Self:
        for kind in KINDS:
            for limit in self.of(kind).values():
                checked_limit(kind, limit)
        if len({rule.name for rule in self.rules}) != len(self.rules):
            raise ValueError("two limiting rules have the same name")
        return self


def _order(pair: tuple[str, int]) -> tuple[int, int, int]:
    found = ip_network(pair[0])
    return found.version, int(found.network_address), found.prefixlen


_MOST: Mapping[Kind, int] = {
    "connections": MOST_CLIENT_CONNECTIONS,
    "connections_per_second": MOST_RATE,
    "requests_per_second": MOST_RATE,
    "bandwidth": MOST_BANDWIDTH,
}


def checked_limit(kind: Kind, limit: int) -> int:
    """The limit of a client, if it is one. Raises `OperatorError`."""
    least = LEAST_BANDWIDTH if kind == "bandwidth" else 0
    if limit and not least <= limit <= _MOST[kind]:
        allowed = f"{'0 or ' if least else ''}{least} to {_MOST[kind]}"
        raise OperatorError(
            f"The limit {limit} is out of range; allowed: {allowed}",
            field="limit",
            value=limit,
            allowed=allowed,
            remedy="Give an allowed value; 0 is no limit",
        )
    return limit


def refuse_above_global(parameters: LimitParameters, service: VirtualService) -> None:
    """Raise `OperatorError` when a limit of a service is above the one of all services together."""
    for kind in KINDS:
        name = "max_connections" if kind == "connections" else kind
        own, most = getattr(service, name), parameters.of_all(kind)
        if most and own > most:
            wire, globally = type(service).wire_name(name), LimitParameters.wire_name(name)
            raise OperatorError(
                f"{wire} {own} of {service.title} is above the limit of all services, {globally} {most}",
                field=name,
                value=own,
                allowed=f"0 to {most}",
                remedy=f"Give {most} or less, or raise {globally}",
            )


@dataclass(frozen=True)
class Request:
    """What limits look at in a request. `path` has its query."""

    path: str = "/"
    host: str = ""
    user_agent: str = ""


@dataclass(frozen=True)
class AppliedLimit:
    """A limit that holds, and where it comes from, in words. `unit` is "connections", "kbit/s" and so on."""

    kind: Kind
    limit: int
    why: str


def client_limit(configuration: Configuration, kind: Kind, address: str) -> tuple[int, str | None]:
    """What a client may do, and by which network; None when it is the default. 0 is no limit."""
    entries = configuration.limit_entries.of(kind)
    client = ip_address(network(address).partition("/")[0])
    for prefix in range(client.max_prefixlen, -1, -1):
        where = str(ip_network((client, prefix), strict=False))
        if where in entries:
            return entries[where], where
    return configuration.limits.of_client(kind), None


def limits_of(
    configuration: Configuration, service: VirtualService, address: str, request: Request | None = None
) -> tuple[AppliedLimit, ...]:
    """The limits a client of a service meets, in the order they are looked at. Raises `OperatorError` for no address.

    Those of a sub-service come after those of its parent.
    """
    found: list[AppliedLimit] = []
    parent = configuration.services[service.parent] if service.is_sub else None
    listening = parent or service
    for kind in KINDS:
        if kind == "requests_per_second" and not listening.is_http:
            continue
        own = _own(listening, kind)
        found.append(AppliedLimit(kind, own, f"virtual service {listening.title}"))
        found.append(AppliedLimit(kind, configuration.limits.of_all(kind), "all virtual services together"))
        limit, where = client_limit(configuration, kind, address)
        found.append(AppliedLimit(kind, limit, f"each client of {where}" if where else "each client, by default"))
        if parent is not None:
            found.append(AppliedLimit(kind, _own(service, kind), service.title))
    if request is not None and listening.is_http:
        rule = next((rule for rule in configuration.limit_entries.rules if rule.fits(request)), None)
        if rule is not None:
            found.append(AppliedLimit("requests_per_second", rule.limit, f"limiting rule {rule.name}, each client"))
    return tuple(one for one in found if one.limit)


def _own(service: VirtualService, kind: Kind) -> int:
    found: int = service.max_connections if kind == "connections" else getattr(service, kind)
    return found
