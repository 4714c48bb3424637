"""What each server must be in the engine: drain, fixed weighting, and when sessions are dropped."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from steelyard.health.effects import Standing, Wanted, drain_ends, drops_sessions, standing_at, together, wanted
from steelyard.plan.health import Check, Service, Target

CHECK = Check(kind="tcp", interval=9, timeout=4, attempts=2)


def _service(*targets: Target, **more: Any) -> Service:
    fields = {"key": "vs1", "check": CHECK, "persistent": True, "fixed": False, "drop_on_failure": False, **more}
    return Service(targets=targets, **fields)


def _target(key: str, weight: int = 1000, *, enabled: bool = True) -> Target:
    return Target(key=key, address="10.0.0.1", port=80, weight=weight, enabled=enabled)


UP, DOWN = Standing(True), Standing(False)


def test_an_enabled_server_is_ready_and_as_healthy_as_its_verdict() -> None:
    service = _service(_target("rs1"), _target("rs2"))
    assert wanted(service, {"rs1": UP, "rs2": DOWN}) == {
        ("vs1", "rs1"): Wanted(True, "ready", None),
        ("vs1", "rs2"): Wanted(False, "ready", None),
    }


def test_a_disabled_server_of_a_persistent_service_drains_then_is_in_maintenance() -> None:
    service = _service(_target("rs1", enabled=False))
    at_once = standing_at(UP, enabled=False, drain_seconds=300, now=1000.0)
    assert drain_ends(at_once, 300) == 1300.0
    assert wanted(service, {"rs1": at_once})["vs1", "rs1"].admin == "drain"
    before = standing_at(at_once, enabled=False, drain_seconds=300, now=1299.9)
    assert wanted(service, {"rs1": before})["vs1", "rs1"].admin == "drain"
    after = standing_at(before, enabled=False, drain_seconds=300, now=1300.0)
    assert wanted(service, {"rs1": after})["vs1", "rs1"].admin == "maint"
    assert drain_ends(after, 300) is None


def test_without_persistence_a_disabled_server_is_in_maintenance_at_once() -> None:
    service = _service(_target("rs1", enabled=False), persistent=False)
    standing = standing_at(UP, enabled=False, drain_seconds=300, now=1000.0)
    assert wanted(service, {"rs1": standing})["vs1", "rs1"].admin == "maint"


def test_a_drain_time_of_zero_is_maintenance_at_once_and_drops_sessions() -> None:
    service = _service(_target("rs1", enabled=False))
    after = standing_at(UP, enabled=False, drain_seconds=0, now=1000.0)
    assert wanted(service, {"rs1": after})["vs1", "rs1"].admin == "maint"
    assert drops_sessions(UP, after, drop_on_failure=False, drain_seconds=0, drop_at_drain_end=False)


@pytest.mark.parametrize("asked", [True, False])
def test_the_end_of_a_drain_drops_sessions_only_when_asked(asked: bool) -> None:
    before = Standing(True, 1000.0)
    after = standing_at(before, enabled=False, drain_seconds=60, now=1060.0)
    assert drops_sessions(before, after, drop_on_failure=False, drain_seconds=60, drop_at_drain_end=asked) is asked
    assert not drops_sessions(after, after, drop_on_failure=False, drain_seconds=60, drop_at_drain_end=asked)


def test_enabling_forgets_the_drain() -> None:
    assert standing_at(Standing(True, 1000.0, True), enabled=True, drain_seconds=60, now=2000.0) == UP


def test_a_drain_that_ended_does_not_begin_again_when_the_drain_time_is_raised() -> None:
    ended = standing_at(Standing(True, 1000.0), enabled=False, drain_seconds=60, now=1100.0)
    assert standing_at(ended, enabled=False, drain_seconds=86_400, now=1101.0).drained


@pytest.mark.parametrize(("drop", "expected"), [(True, True), (False, False)])
def test_a_failure_drops_sessions_only_when_asked(drop: bool, expected: bool) -> None:
    assert drops_sessions(UP, DOWN, drop_on_failure=drop, drain_seconds=300, drop_at_drain_end=False) is expected
    assert not drops_sessions(DOWN, DOWN, drop_on_failure=drop, drain_seconds=300, drop_at_drain_end=False)
    assert not drops_sessions(DOWN, UP, drop_on_failure=drop, drain_seconds=300, drop_at_drain_end=False)


def test_fixed_weighting_gives_everything_to_the_best_live_server() -> None:
    service = _service(_target("rs1", 100), _target("rs2", 50), _target("rs3", 10), fixed=True)

    def weights(**standings: Standing) -> list[int | None]:
        return [one.weight for one in wanted(service, standings).values()]

    assert weights(rs1=UP, rs2=UP, rs3=UP) == [1, 0, 0]
    assert weights(rs1=DOWN, rs2=UP, rs3=UP) == [0, 1, 0]
    assert weights(rs1=DOWN, rs2=DOWN, rs3=UP) == [0, 0, 1]
    assert weights(rs1=DOWN, rs2=DOWN, rs3=DOWN) == [0, 0, 0]


def test_fixed_weighting_passes_over_a_disabled_server_and_shares_among_equals() -> None:
    service = _service(_target("rs1", 100, enabled=False), _target("rs2", 50), _target("rs3", 50), fixed=True)
    found = wanted(service, {"rs1": Standing(True, 1.0), "rs2": UP, "rs3": UP})
    assert [one.weight for one in found.values()] == [0, 1, 1]


@given(st.lists(st.tuples(st.integers(1, 5), st.booleans(), st.booleans()), min_size=1, max_size=8))
def test_fixed_weighting_has_a_server_exactly_when_one_is_enabled_and_up(
    servers: list[tuple[int, bool, bool]],
) -> None:
    targets = [_target(f"rs{n}", weight, enabled=enabled) for n, (weight, enabled, _) in enumerate(servers)]
    standings = {f"rs{n}": Standing(up) for n, (_, _, up) in enumerate(servers)}
    found = wanted(_service(*targets, fixed=True), standings)
    live = [weight for weight, enabled, up in servers if enabled and up]
    chosen = [servers[n][0] for n in range(len(servers)) if found["vs1", f"rs{n}"].weight == 1]
    assert chosen == [weight for weight in live if weight == max(live)]


def test_a_server_in_several_backends_is_told_to_each_and_the_best_of_each_carries() -> None:
    both, alone = _target("rs1", 1000), _target("rs2", 500)
    targets = (
        both.model_copy(update={"backends": ("vs1",)}),
        alone.model_copy(update={"backends": ("vs1", "vs1-a")}),
        _target("rs3", 2000).model_copy(update={"backends": ()}),
    )
    found = wanted(_service(*targets, fixed=True), {"rs1": UP, "rs2": UP, "rs3": UP})
    assert {place: want.weight for place, want in found.items()} == {
        ("vs1", "rs1"): 1,
        ("vs1", "rs2"): 0,
        ("vs1-a", "rs2"): 1,
    }


@pytest.mark.parametrize(("up", "enabled"), [(False, True), (True, False)])
def test_a_critical_target_that_is_not_available_takes_the_others_down(up: bool, enabled: bool) -> None:
    critical = _target("rs1", enabled=enabled).model_copy(update={"critical": True})
    service = _service(critical, _target("rs2"))
    standings = {"rs1": Standing(up), "rs2": UP}
    assert together(service, {"rs1": up, "rs2": True}).shut
    assert not wanted(service, standings)["vs1", "rs2"].up
    assert wanted(service, {"rs1": UP, "rs2": UP})["vs1", "rs2"].up is enabled
