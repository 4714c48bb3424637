"""What holds for the difference of any two plans, with the faithful fake as the model of the engine."""

from __future__ import annotations

import asyncio
import itertools
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.support.strategies import compiler, configurations, edits, histories

from steelyard.diff.haproxy import Difference, admin_state, apply_operations, difference
from steelyard.emit.haproxy.runtime import commands
from steelyard.emit.haproxy.server_state import ServerState
from steelyard.engines.haproxy.fake import FakeHaproxy
from steelyard.model.configuration import Configuration
from steelyard.model.errors import ConflictError, OperatorError
from steelyard.plan.haproxy import HaproxyPlan, Server
from steelyard.plan.operations import (
    AssignCertificate,
    LoadCertificate,
    ReplaceCertificate,
    ReplaceLookup,
    ReplaceTrust,
    UnloadCertificate,
    WithdrawCertificate,
)

# shrinking a failure takes longer than the suite's time limit
pytestmark = pytest.mark.timeout(400)

_SLOW = settings(max_examples=80, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])

#: these name files, or have them as their payload
_OF_FILES = (
    AssignCertificate,
    LoadCertificate,
    ReplaceCertificate,
    ReplaceLookup,
    ReplaceTrust,
    UnloadCertificate,
    WithdrawCertificate,
)


def compiled(configuration: Configuration) -> HaproxyPlan:
    return compiler().compile(configuration).haproxy


def started(plan: HaproxyPlan) -> FakeHaproxy:
    """A HAProxy that runs that plan, all real servers up, with weights of its own where the checks give them."""
    engine = FakeHaproxy()
    states = [
        ServerState(
            service.backend.name,
            server,
            True,
            admin_state(service.backend, server),
            55 if server.weight_by_health else server.weight,
        )
        for service in plan.services.values()
        for server in service.backend.servers
    ]
    asyncio.run(engine.start(plan, states))
    return engine


def carry_out(engine: FakeHaproxy, todo: Difference, towards: HaproxyPlan) -> None:
    async def all_of_them() -> None:
        for operation in todo.operations:
            await engine.run(operation, towards)

    asyncio.run(all_of_them())


def _server(server: Server, weighed: bool) -> tuple[Any, ...]:
    weight = server.weight if weighed else None
    return server.id, server.address, server.port, server.limit, server.enabled, server.tls, weight


def visible(plan: HaproxyPlan, like: HaproxyPlan | None = None) -> dict[str, Any]:
    """What a client or an operator of the engine could tell. Weights that the checking process gives do not count.

    Whose weights these are is taken from `like`, since an engine does not know.
    """
    found: dict[str, Any] = {}
    for key, service in plan.services.items():
        flags = {s.name: s.weight_by_health for s in (like or plan).services[key].backend.servers}
        servers = {s.name: _server(s, not flags.get(s.name, s.weight_by_health)) for s in service.backend.servers}
        found[key] = (service.frontend, service.backend.structure(), servers)
    found["settings"] = plan.settings
    found["certificates"] = dict(plan.certificates)
    return found


def touched(todo: Difference) -> set[str]:
    return {operation.backend for operation in todo.operations if hasattr(operation, "backend")}


@_SLOW
@given(configurations())
def test_a_plan_differs_in_nothing_from_itself(configuration: Configuration) -> None:
    plan, again = compiled(configuration), compiled(configuration)
    assert difference(plan, plan).empty
    assert difference(plan, again).empty


def _check_pair(before: HaproxyPlan, after: HaproxyPlan) -> None:
    todo = difference(before, after)
    engine = started(before)
    carry_out(engine, todo, after)
    reached = apply_operations(before, after, touched(todo))
    assert visible(engine.has(), reached) == visible(reached)
    if not todo.reload_reasons:
        # whose weights they are the engine does not know: it takes no operation to hand them over
        assert visible(reached, after) == visible(after)
    if visible(before) != visible(after):
        assert not todo.empty
    for operation in todo.operations:
        if not isinstance(operation, _OF_FILES):
            assert all("\n" not in line and ";" not in line for line in commands(operation))


@settings(max_examples=120, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(histories())
def test_the_operations_of_each_edit_bring_the_engine_to_the_new_plan(history: list[Configuration]) -> None:
    plans = [compiled(configuration) for configuration in history]
    for before, after in itertools.pairwise(plans):
        _check_pair(before, after)
    _check_pair(plans[0], plans[-1])
    _check_pair(plans[-1], plans[0])


@_SLOW
@given(configurations(most=3), configurations(most=3))
def test_the_operations_between_unrelated_plans_are_ones_haproxy_takes(a: Configuration, b: Configuration) -> None:
    _check_pair(compiled(a), compiled(b))


@_SLOW
@given(histories())
def test_changes_that_came_while_a_reload_was_put_off_are_not_done_twice(history: list[Configuration]) -> None:
    """The road's own sequence: operations against what the engine has, then one reload for all that is left."""
    plans = [compiled(configuration) for configuration in history]
    has = plans[0]
    engine = started(has)
    for wanted in plans[1:]:
        todo = difference(has, wanted)
        carry_out(engine, todo, wanted)
        has = wanted if not todo.reload_reasons else apply_operations(has, wanted, touched(todo))
        assert visible(engine.has(), has) == visible(has)


@_SLOW
@given(st.data(), configurations(most=2))
def test_an_edit_that_shows_nowhere_costs_nothing(data: st.DataObject, configuration: Configuration) -> None:
    command = data.draw(edits(configuration))
    try:
        after = command.apply(configuration).configuration
    except (OperatorError, ConflictError):
        return
    before_plan, after_plan = compiled(configuration), compiled(after)
    if before_plan == after_plan:
        assert difference(before_plan, after_plan).empty
