"""Rules, lookups and tables of limits belong together: HAProxy knows only lookups and tables that a rule names."""

from __future__ import annotations

import re
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from steelyard.compile.compiler import Compiler, EngineFacts
from steelyard.model.commands import (
    AddLimitRule,
    AddService,
    Command,
    CreateSubService,
    SetClientLimit,
    SetParameters,
)
from steelyard.model.configuration import Configuration
from steelyard.plan.haproxy import HaproxyPlan

_FACTS = EngineFacts(threads=2, lua=True, open_files=20_000)
_LIMITS = st.sampled_from((0, 0, 100))
_LOOKUP = re.compile(r"lookups/((?:vs\d+-)?limits[a-z_-]*)")
_TABLE = re.compile(r"\b(steelyard_(?:limits|clients|bandwidth|client_bandwidth))\b")


@st.composite
def _commands(draw: st.DrawFn) -> list[Command]:
    found: list[Command] = []
    names = ("max_connections", "connections_per_second", "requests_per_second", "bandwidth")
    parameters = {name: draw(_LIMITS) for name in (*names, "client_connections", "client_requests_per_second")}
    found.append(SetParameters("limits", {**parameters, "client_bandwidth": 100, "answer": draw(st.integers(0, 2))}))
    if draw(st.booleans()):
        found.append(SetParameters("limits", {"client_bandwidth": 0}))
    else:
        found.append(SetClientLimit("bandwidth", "10.0.0.0/8", draw(_LIMITS)))
    for kind in ("connections_per_second", "requests_per_second"):
        if draw(st.booleans()):
            found.append(SetClientLimit(kind, "10.0.0.0/8", draw(_LIMITS)))
    for number in range(draw(st.integers(0, 2))):
        match = draw(st.sampled_from((0, 1, 2, 64, 65, 66)))
        found.append(AddLimitRule({"name": f"r{number}", "pattern": "^/x", "limit": 5, "match": match}))
    indexes = 0
    for number in range(draw(st.integers(0, 3))):
        http = draw(st.booleans())
        settings: dict[str, Any] = {name: draw(_LIMITS) for name in names if http or name != "requests_per_second"}
        kind = "http" if http else "gen"
        where = {"address": "192.0.2.1", "port": 1000 + number, "service_type": kind, "enabled": draw(st.booleans())}
        found.append(AddService({**where, **settings}))
        indexes += 1
        if draw(st.booleans()):
            found.append(CreateSubService(indexes, {name: draw(_LIMITS) for name in settings}))
            indexes += 1
    return found


def _plan(commands: list[Command]) -> HaproxyPlan:
    configuration = Configuration()
    for command in commands:
        configuration = command.apply(configuration).configuration
    plan = Compiler(_FACTS).compile(configuration).haproxy
    assert Compiler(_FACTS).compile(configuration).haproxy == plan
    return plan


def _text(plan: HaproxyPlan) -> str:
    lines: list[str] = []
    for service in plan.services.values():
        frontend = service.frontend.directives if service.frontend is not None else ()
        for directives in (frontend, *(backend.directives for backend in service.backends)):
            lines += [" ".join(one.words) for one in directives]
    return "\n".join(lines)


@given(_commands())
def test_a_lookup_is_there_when_a_rule_uses_it_and_only_then(commands: list[Command]) -> None:
    plan = _plan(commands)
    there = {one.name for one in plan.all_lookups() if one.name.startswith("limits") or one.name.endswith("-limits")}
    assert there == set(_LOOKUP.findall(_text(plan)))


@given(_commands())
def test_every_table_a_rule_names_is_there(commands: list[Command]) -> None:
    plan = _plan(commands)
    there = [section.words[1] for section in plan.sections]
    assert len(there) == len(set(there))
    assert set(_TABLE.findall(_text(plan))) <= set(there)


def test_without_limits_there_is_nothing() -> None:
    plan = _plan([AddService({"address": "192.0.2.1", "port": 80, "service_type": "http"})])
    assert plan.sections == ()
    assert not _LOOKUP.findall(_text(plan))
    assert not _TABLE.findall(_text(plan))
