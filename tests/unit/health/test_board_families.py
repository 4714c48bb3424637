"""What the board makes of slots of sub-services, of critical ones, and of servers in several backends."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.unit.health.test_board import HTTP, NONE, NOW, _board, _events, _probe, _said, _service, _state, _target

from steelyard.health.board import Board
from steelyard.health.effects import Wanted
from steelyard.health.files import VerdictFile
from steelyard.health.transcript import Outcome
from steelyard.plan.health import HealthPlan, Service, Target

GOOD, BAD = Outcome.GOOD, Outcome.FAILED


def _slot(key: str, follows: str, *, critical: bool = False, enabled: bool = True, weight: int = 1000) -> Target:
    return Target(key=key, follows=follows, critical=critical, enabled=enabled, weight=weight)


def _family(*slots: Target, fixed: bool = False) -> tuple[Service, ...]:
    """A parent and two sub-services: one with two real servers, one with one."""
    return (
        _service("vs1", *(slots or (_slot("rs1", "vs2"), _slot("rs2", "vs3"))), fixed=fixed),
        _service("vs2", _target("rs3"), _target("rs4", "10.0.0.2"), parent="vs1"),
        _service("vs3", _target("rs5", "10.0.0.3"), parent="vs1"),
    )


def _say(board: Board, outcome: Outcome, *targets: tuple[str, str]) -> dict[tuple[str, str], Wanted | None]:
    told: dict[tuple[str, str], Wanted | None] = {}
    for service, target in targets:
        told.update(board.record(_probe(board, service, target), _said(outcome), NOW + 1).wanted)
    return told


ALL = (("vs2", "rs3"), ("vs2", "rs4"), ("vs3", "rs5"))


def test_a_slot_is_up_as_long_as_one_server_of_its_sub_service_is() -> None:
    board = _board(*_family())
    assert (_state(board, "vs1", "rs1"), _state(board, "vs1", "rs2")) == ("unknown", "unknown")
    assert _say(board, GOOD, *ALL)["vs1", "rs1"] == Wanted(True, "ready", None)
    assert ("vs1", "rs1") not in _say(board, BAD, ("vs2", "rs3"))
    changes = board.record(_probe(board, "vs2", "rs4"), _said(BAD), NOW + 2)
    assert changes.wanted["vs1", "rs1"] == Wanted(False, "ready", None)
    assert ("vs1/rs1", "up", "down") in _events(changes)
    known = board.find(("vs1", "rs1"))
    assert known is not None
    assert board.status(known).reason == "none of 2 real servers of the sub-service available"
    assert _state(board, "vs1", "rs2") == "up"


def test_a_slot_follows_changes_of_its_sub_service() -> None:
    board = _board(*_family())
    _say(board, GOOD, *ALL)
    off = _service("vs3", _target("rs5", "10.0.0.3", enabled=False), parent="vs1")
    assert board.update({"vs3": off}, NOW).wanted["vs1", "rs2"] == Wanted(False, "ready", None)
    unchecked = _service("vs3", _target("rs5", "10.0.0.3"), check=NONE, parent="vs1")
    board.update({"vs3": unchecked}, NOW)
    assert _state(board, "vs1", "rs2") == "unchecked"
    empty = Service(**{**dict(unchecked), "targets": ()})
    board.update({"vs3": empty}, NOW)
    assert _state(board, "vs1", "rs2") == "down"
    assert board.with_followers(["vs3"]) == ["vs3", "vs1"]


def test_a_sub_service_that_goes_takes_its_slot_with_it_and_says_nothing_of_a_failure() -> None:
    parent, two, three = _family()
    board = _board(parent, two, three)
    _say(board, GOOD, *ALL)
    changes = board.update({"vs3": None, "vs1": _service("vs1", _slot("rs1", "vs2"))}, NOW)
    assert changes.wanted["vs1", "rs2"] is None
    assert changes.wanted["vs3", "rs5"] is None
    assert _events(changes) == []


def test_a_new_sub_service_may_come_in_the_same_update_as_its_slot() -> None:
    board = _board(_service("vs1", _slot("rs1", "vs2")), _service("vs2", _target("rs3"), parent="vs1"))
    _say(board, GOOD, ("vs2", "rs3"))
    parent = _service("vs1", _slot("rs1", "vs2"), _slot("rs2", "vs3"))
    board.update({"vs1": parent, "vs3": _service("vs3", _target("rs5"), parent="vs1")}, NOW)
    assert _state(board, "vs1", "rs2") == "up"


@pytest.mark.parametrize("disabled", [True, False])
def test_a_critical_sub_service_takes_the_whole_parent_down_and_back(disabled: bool) -> None:
    parent, *subs = _family(_slot("rs1", "vs2", critical=True), _slot("rs2", "vs3"))
    board = _board(parent, *subs)
    _say(board, GOOD, *ALL)
    if disabled:
        off = _service("vs1", _slot("rs1", "vs2", critical=True, enabled=False), _slot("rs2", "vs3"))
        told = board.update({"vs1": off}, NOW).wanted
    else:
        told = _say(board, BAD, ("vs2", "rs3"), ("vs2", "rs4"))
    other, server = told["vs1", "rs2"], told["vs3", "rs5"]
    assert other is not None
    assert server is not None
    assert (other.up, server.up) == (False, False)
    assert (_state(board, "vs1", "rs2"), _state(board, "vs3", "rs5")) == ("up", "up")
    back = board.update({"vs1": parent}, NOW).wanted if disabled else _say(board, GOOD, ("vs2", "rs4"))
    assert back["vs1", "rs2"] == back["vs3", "rs5"] == Wanted(True, "ready", None)


def test_fixed_weighting_among_sub_services() -> None:
    board = _board(*_family(_slot("rs1", "vs2", weight=10), _slot("rs2", "vs3", weight=5), fixed=True))
    assert _say(board, GOOD, *ALL)["vs1", "rs1"] == Wanted(True, "ready", 1)
    told = _say(board, BAD, ("vs2", "rs3"), ("vs2", "rs4"))
    assert told["vs1", "rs2"] == Wanted(True, "ready", 1)


def test_a_server_in_several_backends_is_told_to_all_and_forgotten_where_it_leaves() -> None:
    both = Target(key="rs1", address="10.0.0.1", port=80, weight=1, enabled=True, backends=("vs1", "vs1-a"))
    board = _board(_service("vs1", both))
    told = board.record(_probe(board), _said(GOOD), NOW).wanted
    assert told == {(backend, "rs1"): Wanted(True, "ready", None) for backend in ("vs1", "vs1-a")}
    one = both.model_copy(update={"backends": ("vs1-b",)})
    changes = board.update({"vs1": _service("vs1", one)}, NOW)
    assert changes.wanted == {
        ("vs1", "rs1"): None,
        ("vs1-a", "rs1"): None,
        ("vs1-b", "rs1"): Wanted(True, "ready", None),
    }
    assert changes.drops == []
    down = board.update({"vs1": _service("vs1", one, drop_on_failure=True)}, NOW)
    assert down.drops == []
    assert board.record(_probe(board), _said(BAD), NOW).drops == [("vs1-b", "rs1")]


def test_a_target_in_no_backend_is_checked_and_told_to_nobody() -> None:
    nowhere = Target(key="rs1", address="10.0.0.1", port=80, weight=1, enabled=True, backends=())
    board = _board(_service("vs1", nowhere))
    assert board.record(_probe(board), _said(GOOD), NOW).wanted == {}
    known = board.find(("vs1", "rs1"))
    assert known is not None
    assert board.status(known).state == "up"


def test_what_is_known_of_slots_survives_a_restart(tmp_path: Path) -> None:
    plan = HealthPlan(services={service.key: service for service in _family()})
    board = Board()
    board.replace(plan, NOW)
    _say(board, GOOD, *ALL)
    file = VerdictFile(tmp_path)
    file.note(name for name, _ in board.targets())
    file.path.write_text("".join(file.content(board, [])))
    remembered, _ = VerdictFile(tmp_path).load()
    again = Board(remembered)
    changes = again.replace(plan, NOW + 100)
    assert changes.wanted["vs1", "rs1"] == Wanted(True, "ready", None)
    assert _events(changes) == []
    known = again.find(("vs1", "rs1"))
    assert known is not None
    assert known.since == NOW + 1


def test_a_plan_of_slots_is_read_back_as_it_was_written() -> None:
    plan = HealthPlan(services={service.key: service for service in _family()})
    assert HealthPlan.model_validate_json(plan.model_dump_json()) == plan
    assert HTTP.kind == "http"
