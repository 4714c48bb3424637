"""What moves the weights of a service, and what they are then."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from steelyard.health.weigher import PATIENCE, Reading, Weigher
from steelyard.health.weights import LEAST_SHARE, MOST, STEP
from steelyard.model.errors import OperatorError
from steelyard.plan.health import Check, Service, Target
from steelyard.plan.weighting import Weighting

CHECK = Check(kind="tcp", interval=9, timeout=4, attempts=2)
AGENT = Weighting(kind="agent", interval=9, url="/load", port=80, least_load=5)
RESPONSE = Weighting(kind="response", interval=15)
EXTERNAL = Weighting(kind="external", interval=1)
SILENT = Reading(None, "no load from 10.0.0.1:80/load: connection refused")


def service(weighting: Weighting | None, *weights: int, **more: Any) -> Service:
    """vs1 with rs1, rs2 ... of these static weights."""
    targets = tuple(
        Target(key=f"rs{n}", address=f"10.0.0.{n}", port=80, weight=weight, enabled=True)
        for n, weight in enumerate(weights, start=1)
    )
    fields = {"key": "vs1", "check": CHECK, "persistent": False, "fixed": False, "drop_on_failure": False, **more}
    return Service(targets=targets, weighting=weighting, **fields)


def weigher(one: Service) -> Weigher:
    made = Weigher()
    made.take({one.key: one})
    return made


def engine(made: Weigher, one: Service) -> list[int | None]:
    return [made.weight(one, target) for target in one.targets]


def says(made: Weigher, *loads: int | None, polls: int = 1) -> None:
    for _ in range(polls):
        for number, load in enumerate(loads, start=1):
            reading = SILENT if load is None else Reading(load, f"the agent says {load} %")
            made.heard(("vs1", f"rs{number}"), reading, 1000.0)


def test_before_anything_is_known_the_static_weights_hold() -> None:
    for weighting in (AGENT, RESPONSE, EXTERNAL):
        one = service(weighting, 1000, 500)
        assert engine(weigher(one), one) == [256, 128]
    one = service(None, 1000, 500)
    assert engine(weigher(one), one) == [None, None]


def test_weights_follow_what_is_free_of_each_server() -> None:
    one = service(AGENT, 1000, 1000, 500)
    made = weigher(one)
    says(made, 10, 60, 10, polls=8)
    assert engine(made, one) == [230, 102, 115]
    status = made.statuses(1001.0)["vs1", "rs2"]
    assert (status.static, status.weight, status.engine, status.load) == (1000, 400, 102, 60.0)
    assert status.reason == "the agent says 60 %; 60 % on average of the last 4"


def test_one_poll_moves_a_weight_by_one_step_at_most() -> None:
    one = service(AGENT, 1000, 1000)
    made = weigher(one)
    says(made, 100, 10)
    assert engine(made, one) == [round(256 * (1 - STEP)), 230]


def test_when_every_load_is_below_the_least_the_static_weights_hold() -> None:
    one = service(AGENT, 1000, 1000)
    made = weigher(one)
    says(made, 4, 0, polls=6)
    assert engine(made, one) == [256, 256]
    assert "every load is below 5 %: the static weight" in made.statuses(1001.0)["vs1", "rs1"].reason
    says(made, 50, 4, polls=6)
    assert engine(made, one) == [128, 246]
    says(made, 4, 4, polls=8)
    assert engine(made, one) == [256, 256]


@pytest.mark.parametrize("load", [100, 101, 102])
def test_an_overloaded_server_keeps_the_least_share(load: int) -> None:
    one = service(AGENT, 1000, 1000)
    made = weigher(one)
    says(made, load, 20, polls=10)
    assert engine(made, one) == [round(256 * LEAST_SHARE), 205]


def test_all_overloaded_servers_still_share_by_their_static_weights() -> None:
    one = service(AGENT, 2000, 1000)
    made = weigher(one)
    says(made, 100, 100, polls=10)
    assert engine(made, one) == [13, 6]


def test_without_its_agent_the_last_weight_stays_a_while_and_then_goes_back_step_by_step() -> None:
    one = service(AGENT, 1000, 1000)
    made = weigher(one)
    says(made, 80, 80, polls=8)
    assert engine(made, one) == [51, 51]
    for _ in range(PATIENCE - 1):
        says(made, None, 80)
        assert engine(made, one)[0] == 51
    seen = []
    for _ in range(4):
        says(made, None, 80)
        seen.append(engine(made, one)[0])
    assert seen == [102, 154, 205, 256]
    assert "back to the static weight step by step" in made.statuses(1001.0)["vs1", "rs1"].reason
    says(made, 80, 80)
    assert engine(made, one)[0] == 205


def test_what_becomes_of_an_agent_is_told_once() -> None:
    one = service(AGENT, 1000)
    made = weigher(one)
    said = [made.heard(("vs1", "rs1"), reading, 1.0) for reading in (Reading(1, ""), Reading(2, ""), SILENT, SILENT)]
    assert said == [False, False, True, False]
    said = [made.heard(("vs1", "rs1"), Reading(load, ""), 1.0) for load in (3, 101, 101, 102, 40)]
    assert said == [True, True, False, True, True]


@given(st.lists(st.sampled_from([(0, 100), (100, 0)]), min_size=12, max_size=40))
def test_loads_that_jump_move_a_weight_less_than_they_jump(polls: list[tuple[int, int]]) -> None:
    one = service(AGENT, 1000, 1000)
    made = weigher(one)
    before = engine(made, one)
    for loads in polls:
        says(made, *loads)
        after = engine(made, one)
        assert all(abs((a or 0) - (b or 0)) <= MOST * STEP + 1 for a, b in zip(after, before, strict=True))
        before = after


@given(st.lists(st.tuples(st.integers(0, 102), st.integers(0, 102)), min_size=1, max_size=20))
def test_a_server_that_was_never_busier_never_has_less(polls: list[tuple[int, int]]) -> None:
    one = service(AGENT, 1000, 1000)
    made = weigher(one)
    for loads in polls:
        says(made, *sorted(loads))
        idler, busier = engine(made, one)
        assert (idler or 0) >= (busier or 0) >= 1


@given(st.lists(st.integers(0, 102), min_size=1, max_size=6), st.integers(0, 102), st.integers(5, 102))
def test_steady_loads_lead_to_the_same_weights_whatever_was_before(before: list[int], load: int, other: int) -> None:
    one = service(AGENT, 1000, 1000)
    made, fresh = weigher(one), weigher(one)
    for earlier in before:
        says(made, earlier, 102 - earlier)
    for each in (made, fresh):
        says(each, load, other, polls=9)
    assert engine(made, one) == engine(fresh, one)


def test_loads_that_alternate_come_to_rest() -> None:
    one = service(AGENT, 1000, 1000)
    made = weigher(one)
    for _ in range(4):
        says(made, 0, 100)
        says(made, 100, 0)
    seen = set()
    for _ in range(6):
        says(made, 0, 100)
        seen.add(tuple(engine(made, one)))
        says(made, 100, 0)
        seen.add(tuple(engine(made, one)))
    assert seen == {(128, 128)}


def test_response_times_are_compared_when_the_interval_has_passed() -> None:
    one = service(RESPONSE, 1000, 1000)
    made = weigher(one)
    assert [made.due(at) for at in (100.0, 114.0)] == [[one], []]
    made.take({"vs1": one})
    assert [made.due(at) for at in (114.9, 115.0)] == [[], [one]]
    for _ in range(6):
        made.compared("vs1", {"rs1": 10.0, "rs2": 40.0}, 1000.0)
    assert engine(made, one) == [256, 64]
    assert made.statuses(1000.0)["vs1", "rs2"].reason == "good checks took 40.0 ms on average"


def test_a_server_without_a_time_keeps_its_weight() -> None:
    one = service(RESPONSE, 1000, 1000)
    made = weigher(one)
    for turn in range(6):
        made.compared("vs1", {"rs1": 10.0}, 100.0 + 15 * turn)
    assert engine(made, one) == [256, 256]


def settle(made: Weigher) -> None:
    for _ in range(6):
        made.step()


def test_external_weights_hold_until_they_expire() -> None:
    one = service(EXTERNAL, 1000, 1000)
    made = weigher(one)
    made.set_external("vs1", {"rs1": 3000}, 1060.0, replace=False)
    settle(made)
    assert engine(made, one) == [256, 85]
    status = made.statuses(1000.0)["vs1", "rs1"]
    assert (status.static, status.weight, status.external, status.until) == (1000, 3000, 3000, 1060.0)
    assert status.reason == "set from outside for another 60 s"
    assert made.expire(1059.9) == []
    assert made.expire(1060.0) == [("vs1", "rs1")]
    settle(made)
    assert engine(made, one) == [256, 256]


def test_external_weights_move_in_steps() -> None:
    one = service(EXTERNAL, 1000, 1000)
    made = weigher(one)
    made.set_external("vs1", {"rs2": 1}, 1060.0, replace=False)
    seen = []
    while made.step():
        seen.append(engine(made, one)[1])
    assert seen == [205, 154, 102, 51, 1]


def test_replacing_external_weights_ends_the_others() -> None:
    one = service(EXTERNAL, 1000, 1000)
    made = weigher(one)
    made.set_external("vs1", {"rs1": 10, "rs2": 20}, 1060.0, replace=False)
    made.set_external("vs1", {"rs2": 30}, 1070.0, replace=True)
    assert {name: external.weight for name, external in made.externals.items()} == {("vs1", "rs2"): 30}


@pytest.mark.parametrize(
    ("name", "weights", "field"),
    [("vs2", {"rs1": 1}, "service"), ("vs1", {"rs9": 1}, "weights"), ("vs1", {"rs1": 1, "rs2": 0}, "weights")],
)
def test_what_a_service_does_not_take_changes_nothing(name: str, weights: dict[str, int], field: str) -> None:
    made = weigher(service(EXTERNAL, 1000, 1000))
    with pytest.raises(OperatorError) as raised:
        made.set_external(name, weights, 1060.0, replace=True)
    assert raised.value.field == field
    assert not made.externals


def test_external_weights_are_refused_where_nothing_follows_them() -> None:
    with pytest.raises(OperatorError):
        weigher(service(AGENT, 1000)).set_external("vs1", {"rs1": 5}, 1.0, replace=False)


def test_a_change_of_the_plan_keeps_what_is_known() -> None:
    one = service(AGENT, 1000, 1000)
    made = weigher(one)
    says(made, 50, 10, polls=8)
    wider = service(AGENT, 2000, 1000, 1000)
    made.take({"vs1": wider})
    assert engine(made, wider) == [128, 115, 128]
    made.take({"vs1": None})
    made.take({"vs1": one})
    assert engine(made, one) == [256, 256]


def test_a_server_that_moves_to_another_address_begins_anew() -> None:
    one = service(AGENT, 1000, 1000)
    made = weigher(one)
    says(made, 90, 90, polls=8)
    moved = Target(key="rs1", address="10.9.9.9", port=80, weight=1000, enabled=True)
    other = one.model_copy(update={"targets": (moved, one.targets[1])})
    made.take({"vs1": other})
    assert engine(made, other) == [256, 26]


def test_a_disabled_servers_last_load_no_longer_counts() -> None:
    one = service(AGENT, 1000, 1000)
    made = weigher(one)
    says(made, 90, 1, polls=8)
    off = one.targets[0].model_copy(update={"enabled": False})
    other = one.model_copy(update={"targets": (off, one.targets[1])})
    made.take({"vs1": other})
    made.heard(("vs1", "rs2"), Reading(1, "the agent says 1 %"), 1.0)
    assert "every load is below" in made.statuses(2.0)["vs1", "rs2"].reason


def test_a_new_process_goes_on_from_the_shares_of_the_last() -> None:
    one = service(AGENT, 1000, 1000)
    made = weigher(one)
    says(made, 75, 10, polls=8)
    after = Weigher(made.shares())
    after.take({"vs1": one})
    assert engine(after, one) == engine(made, one) == [64, 230]
