"""CPU time per request of a service with a feature against the same service without it, in interleaved rounds.

A feature is a `Feature` in `FEATURES`, its settings by the names of the native API. The service with it, the one
without and a second one without are in one HAProxy; in each round each of them serves the same load for a moment.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median, quantiles
from typing import Any

from tests.support.ports import free_ports
from tests.support.steelyard_process import SteelyardProcess

from bench.contenders import Running
from bench.data_plane import CONNECTIONS, Effort, Turn, turn
from bench.in_force import wait_until_in_force
from bench.machine import Cores, Haproxy, haproxies, say, split_cores
from bench.origins import SERVERS, Origins, running_origins
from bench.report import Table

FULL = Effort(sittings=1, rounds=10, seconds=1)
QUICK = Effort(sittings=1, rounds=3, seconds=1)

_ROLES = ("without", "with", "without again")


@dataclass(frozen=True)
class Variant:
    """A service: its settings besides those all have, the content rules of each of its real servers, its block list."""

    settings: Mapping[str, Any] = field(default_factory=dict)
    selected_by: Sequence[Sequence[str]] = ((),) * SERVERS
    blocked: Sequence[str] = ()


@dataclass(frozen=True)
class Feature:
    """What is measured. `configuration` is what else is declared: rules, access lists, parameters.

    `asking` are more words for `wrk`, and `path` is what it asks for. `goal` is the highest ratio that is good.
    """

    name: str
    measured: Variant
    against: Variant = Variant()
    configuration: Mapping[str, Any] = field(default_factory=dict)
    path: str = "/"
    asking: tuple[str, ...] = ()
    goal: float | None = None


def _shared(rules: Sequence[str]) -> tuple[tuple[str, ...], ...]:
    """The rules dealt out to the real servers."""
    return tuple(tuple(rules[start::SERVERS]) for start in range(SERVERS))


def _hosts(count: int) -> list[str]:
    return [f"h{number}" for number in range(count)]


def _host_rules(names: Sequence[str]) -> list[dict[str, Any]]:
    return [{"name": name, "header": "Host", "pattern": rf"^{name}\.bench\.example$"} for name in names]


_HOSTS = _hosts(10_000)
_PATHS = [f"p{number}" for number in range(100)]
_BLOCKED = [f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}" for number in range(100_000)]

FEATURES = (
    Feature(
        "1 content rule (a path)",
        Variant(selected_by=(("first",), ("default",), ("default",))),
        configuration={"rules": [{"name": "first", "pattern": "/first", "match_type": "prefix"}]},
    ),
    Feature(
        "100 content rules (paths), the last one matches",
        Variant(selected_by=_shared(_PATHS)),
        configuration={
            "rules": [{"name": name, "pattern": f"/{name}/", "match_type": "prefix"} for name in _PATHS],
        },
        path=f"/{_PATHS[-1]}/page",
    ),
    Feature(
        "100 content rules (expressions), none matches",
        Variant(selected_by=(tuple(_PATHS), ("default",), ("default",))),
        configuration={"rules": [{"name": name, "pattern": f"^/{name}/[a-z]+[.]png$"} for name in _PATHS]},
    ),
    Feature(
        "10,000 hosts, against one host",
        Variant(selected_by=_shared(_HOSTS)),
        Variant(selected_by=((_HOSTS[-1],), (), ())),
        {"rules": _host_rules(_HOSTS)},
        asking=("-H", f"Host: {_HOSTS[-1]}.bench.example"),
        goal=1.1,
    ),
    Feature(
        "1 host, against no content switching",
        Variant(selected_by=(("h0",), (), ())),
        configuration={"rules": _host_rules(["h0"])},
        asking=("-H", "Host: h0.bench.example"),
    ),
    Feature(
        "a request and a response rule (headers replaced)",
        Variant({"request_rules": ["agent"], "response_rules": ["kind"]}),
        configuration={
            "rules": [
                {"name": "agent", "rule_type": 3, "header": "Host", "pattern": "127", "replacement": "128"},
                {"name": "kind", "rule_type": 3, "header": "Content-Type", "pattern": "plain", "replacement": "html"},
            ]
        },
    ),
    Feature(
        "limits of connections, their rate and requests, never reached",
        Variant({"max_connections": 1_000_000, "connections_per_second": 1_000_000, "requests_per_second": 1_000_000}),
    ),
    Feature("100,000 access-list entries, connections kept", Variant(blocked=_BLOCKED), goal=1.02),
    Feature(
        "100,000 access-list entries, a connection for each request",
        Variant(blocked=_BLOCKED),
        asking=("-H", "Connection: close"),
        goal=1.05,
    ),
    *(
        Feature(
            f"edge filter on (5 hosts, 3 directories), {says}",
            Variant(
                {
                    "esp_enabled": True,
                    "esp_logs": logs,
                    "allowed_hosts": " ".join(f"h{number}.bench.example" for number in range(5)),
                    "allowed_directories": "/owa* /ews /mapi*",
                }
            ),
            path="/ews/exchange.asmx",
            asking=("-H", "Host: h4.bench.example"),
        )
        for logs, says in ((0, "no logs"), (2, "only the refused logged"), (7, "all logged"))
    ),
)


def features(*, quick: bool) -> list[Table]:
    """A table for each HAProxy."""
    effort = QUICK if quick else FULL
    with split_cores() as cores, running_origins() as origins:
        return [
            _table({feature.name: measure(feature, origins, cores, one, effort) for feature in FEATURES}, one, cores)
            for one in haproxies()
        ]


def measure(
    feature: Feature, origins: Origins, cores: Cores, haproxy: Haproxy, effort: Effort
) -> list[dict[str, Turn]]:
    """The rounds of all sittings: a turn by role."""
    rounds: list[dict[str, Turn]] = []
    for sitting in range(effort.sittings):
        say(f"features, HAProxy {haproxy.version}, {feature.name}: sitting {sitting + 1} of {effort.sittings}")
        with contextlib.ExitStack() as stack:
            with cores.measured_child():
                steelyard = SteelyardProcess(haproxy=haproxy.path)
                steelyard.start()
            stack.callback(steelyard.stop)
            cores.move_away(steelyard.pid)
            cores.move_away(steelyard.health_pid())
            running = _declare(feature, steelyard, origins)
            for one in running.values():
                turn(one, 1)  # not counted: connections, caches and tables get warm
            for number in range(effort.rounds):
                order = _ROLES if number % 2 == 0 else _ROLES[::-1]
                rounds.append({role: turn(running[role], effort.seconds) for role in order})
    return rounds


def _declare(feature: Feature, steelyard: SteelyardProcess, origins: Origins) -> dict[str, Running]:
    """The services of all roles, from the moment they serve."""
    ports = dict(zip(_ROLES, free_ports(len(_ROLES)), strict=True))
    variants = {role: feature.measured if role == "with" else feature.against for role in _ROLES}
    services = [_service(variants[role], ports[role], origins) for role in _ROLES]
    lists = [
        {"service": {"address": "127.0.0.1", "port": ports[role]}, "block": list(variants[role].blocked)}
        for role in _ROLES
        if variants[role].blocked
    ]
    document = {"services": services, "access_lists": lists, **feature.configuration}
    answer = steelyard.native.put("/configuration", json=document)
    if answer.status_code != 200:
        raise RuntimeError(f"the configuration of {feature.name!r} was refused: {answer.text[:500]}")
    wait_until_in_force(steelyard)
    return {
        role: Running(f"http://127.0.0.1:{port}{feature.path}", steelyard.haproxy_pids, feature.asking)
        for role, port in ports.items()
    }


def _service(variant: Variant, port: int, origins: Origins) -> dict[str, Any]:
    servers = [
        {"address": "127.0.0.1", "port": origin, "rules": list(rules)}
        for origin, rules in zip(origins.plain, variant.selected_by, strict=True)
    ]
    settings = {"address": "127.0.0.1", "port": port, "service_type": "http", "check_type": "none", "schedule": "rr"}
    return {**settings, "servers": servers, **variant.settings}


def _table(found: Mapping[str, list[dict[str, Turn]]], haproxy: Haproxy, cores: Cores) -> Table:
    goals = {feature.name: feature.goal for feature in FEATURES}
    rows = []
    for name, rounds in found.items():
        # each round's cost against the mean of the two without
        ratios = [_cost(one, "with") / ((_cost(one, "without") + _cost(one, "without again")) / 2) for one in rounds]
        noise = [_cost(one, "without again") / _cost(one, "without") for one in rounds]
        low, _, high = quantiles(ratios, n=4) if len(ratios) > 1 else (ratios[0],) * 3
        goal = goals[name]
        met = "" if goal is None else f"<= {goal:g}: {'yes' if median(ratios) <= goal else '**no**'}"
        rows.append(
            (
                name,
                f"{median(_cost(one, 'without') for one in rounds):.2f}",
                f"{median(_cost(one, 'with') for one in rounds):.2f}",
                f"{median(ratios):.3f}",
                f"{low:.3f} - {high:.3f}",
                f"{median(noise):.3f}",
                met,
            )
        )
    columns = ("feature", "µs/request without", "with", "ratio of pairs", "middle half", "noise", "goal")
    notes = [f"{len(next(iter(found.values())))} rounds each, {CONNECTIONS} connections, one thread each."]
    if cores.shared:
        notes.append("Only one core: proxy, origins and load shared it.")
    return Table(f"Features, HAProxy {haproxy.version}", columns, tuple(rows), tuple(notes))


def _cost(turns: Mapping[str, Turn], role: str) -> float:
    return turns[role].microseconds
