"""What the board makes of rules among real servers: minimum, critical, standby, verdicts of others, several checks."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from tests.unit.health.test_board import HTTP, NOW, _board, _events, _probe, _said, _service, _state, _target

from steelyard.health.board import Board, Changes, Known
from steelyard.health.effects import Wanted
from steelyard.health.files import VerdictFile
from steelyard.health.transcript import Outcome, Transcript
from steelyard.plan.health import Check, FurtherCheck, HealthPlan, Service, Target

GOOD, BAD = Outcome.GOOD, Outcome.FAILED
UP, DOWN = Wanted(True, "ready", None), Wanted(False, "ready", None)
TCP = Check(kind="tcp", interval=9, timeout=4, attempts=1)


def _one(key: str, address: str, **more: Any) -> Target:
    return _target(key, address).model_copy(update=more)


def _three(*changes: dict[str, Any], **more: Any) -> Service:
    """A service with as many servers as there are changes: rs1 is 10.0.0.1 and so on."""
    targets = [_one(f"rs{n}", f"10.0.0.{n}", **change) for n, change in enumerate(changes, start=1)]
    return _service("vs1", *targets, **more)


def _say(board: Board, outcome: Outcome, *targets: str, service: str = "vs1", at: float = NOW + 1) -> Changes:
    all_changes = Changes()
    for target in targets:
        changes = board.record(_probe(board, service, target), _said(outcome), at)
        all_changes.wanted.update(changes.wanted)
        all_changes.events += changes.events
        all_changes.drops += changes.drops
    return all_changes


def _known(board: Board, service: str, target: str) -> Known:
    known = board.find((service, target))
    assert known is not None
    return known


class TestMinimumAndCritical:
    def test_fewer_than_the_minimum_take_all_down_and_enough_bring_all_back(self) -> None:
        board = _board(_three({}, {}, {}, minimum=2))
        _say(board, GOOD, "rs1", "rs2", "rs3")
        assert _say(board, BAD, "rs1").wanted == {("vs1", "rs1"): DOWN}
        shut = _say(board, BAD, "rs2")
        assert shut.wanted == {("vs1", "rs2"): DOWN, ("vs1", "rs3"): DOWN}
        assert ("vs1", "open", "shut") in _events(shut)
        assert shut.events[-1].reason == "1 available, at least 2 are needed"
        assert _state(board, "vs1", "rs3") == "up"
        back = _say(board, GOOD, "rs1")
        assert back.wanted == {("vs1", "rs1"): UP, ("vs1", "rs3"): UP}

    @pytest.mark.parametrize("disabled", [False, True])
    def test_a_critical_server_takes_the_service_down_when_it_is_down_or_disabled(self, disabled: bool) -> None:
        board = _board(_three({"critical": True}, {}))
        _say(board, GOOD, "rs1", "rs2")
        if disabled:
            changes = board.update({"vs1": _three({"critical": True, "enabled": False}, {})}, NOW)
        else:
            changes = _say(board, BAD, "rs1")
        assert changes.wanted["vs1", "rs2"] == DOWN
        assert changes.events[-1].reason == "critical and not available: rs1"
        assert changes.drops == []

    def test_a_server_that_is_not_critical_takes_nothing_with_it(self) -> None:
        board = _board(_three({"critical": True}, {}))
        _say(board, GOOD, "rs1", "rs2")
        assert _say(board, BAD, "rs2").wanted == {("vs1", "rs2"): DOWN}

    def test_a_sub_service_below_its_minimum_is_down_for_its_parent(self) -> None:
        slots = [Target(key=f"rs{n}", follows=f"vs{n}", weight=1, enabled=True) for n in (8, 9)]
        sub = _three({}, {}, minimum=2, parent="vs7").model_copy(update={"key": "vs8"})
        board = _board(_service("vs7", *slots), sub, _service("vs9", _target("rs5", "10.0.0.5"), parent="vs7"))
        _say(board, GOOD, "rs1", "rs2", service="vs8")
        assert _state(board, "vs7", "rs8") == "up"
        changes = _say(board, BAD, "rs1", service="vs8")
        assert changes.wanted["vs7", "rs8"] == DOWN
        assert board.status(_known(board, "vs7", "rs8")).reason == (
            "1 of 2 real servers of the sub-service available; 1 available, at least 2 are needed"
        )
        assert _say(board, GOOD, "rs1", service="vs8").wanted["vs7", "rs8"] == UP

    def test_what_is_shut_stays_shut_over_a_restart(self, tmp_path: Path) -> None:
        plan = HealthPlan(services={"vs1": _three({}, {}, minimum=2)})
        board = Board()
        board.replace(plan, NOW)
        _say(board, GOOD, "rs1", "rs2")
        _say(board, BAD, "rs1")
        again = _restarted(board, tmp_path)
        assert again.replace(plan, NOW + 5).wanted == {("vs1", "rs1"): DOWN, ("vs1", "rs2"): DOWN}

    def test_drop_on_failure_concerns_the_server_that_failed_alone(self) -> None:
        board = _board(_three({}, {}, minimum=2, drop_on_failure=True))
        _say(board, GOOD, "rs1", "rs2")
        assert _say(board, BAD, "rs1").drops == [("vs1", "rs1")]


class TestStandby:
    SERVICE = _three({}, {}, {"standby_below": 2})

    def test_it_takes_clients_only_while_too_few_others_are_available(self) -> None:
        board = _board(self.SERVICE)
        _say(board, GOOD, "rs1", "rs2", "rs3")
        assert _known(board, "vs1", "rs3").wanted == Wanted(True, "drain", None)
        needed = _say(board, BAD, "rs1")
        assert needed.wanted == {("vs1", "rs1"): DOWN, ("vs1", "rs3"): UP}
        assert ("vs1/rs3", "drain", "ready") in _events(needed)
        rests = _say(board, GOOD, "rs1")
        assert rests.wanted["vs1", "rs3"] == Wanted(True, "drain", None)

    def test_it_drains_as_a_disabled_server_does_and_is_dropped_only_when_asked(self) -> None:
        board = _board(self.SERVICE)
        _say(board, GOOD, "rs1", "rs2", "rs3")
        status = board.status(_known(board, "vs1", "rs3"))
        assert (status.admin, status.drain_ends) == ("drain", NOW + 1 + 300)
        ended = board.end_drains(NOW + 302)
        assert (ended.wanted, ended.drops) == ({("vs1", "rs3"): Wanted(True, "maint", None)}, [])
        assert _say(board, BAD, "rs1").wanted["vs1", "rs3"] == UP

    def test_a_standby_that_is_down_is_told_so(self) -> None:
        board = _board(self.SERVICE)
        _say(board, GOOD, "rs1", "rs2")
        _say(board, BAD, "rs3")
        assert _say(board, BAD, "rs1", "rs2").wanted["vs1", "rs3"] == DOWN

    def test_standbys_do_not_count_for_each_other(self) -> None:
        board = _board(_three({}, {"standby_below": 1}, {"standby_below": 1}))
        _say(board, GOOD, "rs1", "rs2", "rs3")
        told = _say(board, BAD, "rs1").wanted
        assert (told["vs1", "rs2"], told["vs1", "rs3"]) == (UP, UP)

    def test_a_resting_standby_counts_for_the_minimum(self) -> None:
        board = _board(_three({}, {}, {"standby_below": 2}, minimum=2))
        told = _say(board, GOOD, "rs1", "rs2", "rs3").wanted
        assert told["vs1", "rs1"] == UP
        assert _say(board, BAD, "rs1").wanted["vs1", "rs3"] == UP
        assert _known(board, "vs1", "rs2").wanted == UP

    def test_fixed_weighting_passes_over_a_standby_that_rests(self) -> None:
        heavy = _one("rs2", "10.0.0.2", standby_below=1, weight=5000)
        board = _board(_service("vs1", _target("rs1"), heavy, fixed=True))
        _say(board, GOOD, "rs1", "rs2")
        assert _known(board, "vs1", "rs1").wanted == Wanted(True, "ready", 1)
        assert _say(board, BAD, "rs1").wanted["vs1", "rs2"] == Wanted(True, "ready", 1)


class TestVerdictOfAnother:
    SERVICES = (
        _service("vs1", _target("rs1")),
        _service("vs2", _one("rs2", "10.0.0.2", checked_as="vs1/rs1")),
        _service("vs3", _one("rs3", "10.0.0.3", checked_as="vs2/rs2")),
    )

    def test_it_is_not_asked_and_takes_the_verdict_of_the_other_through_a_chain(self) -> None:
        board = _board(*self.SERVICES)
        assert _known(board, "vs2", "rs2").probes == ()
        changes = _say(board, GOOD, "rs1")
        assert changes.wanted == {("vs1", "rs1"): UP, ("vs2", "rs2"): UP, ("vs3", "rs3"): UP}
        down = _say(board, BAD, "rs1")
        assert ("vs3/rs3", "up", "down") in _events(down)
        assert board.status(_known(board, "vs3", "rs3")).reason == (
            "decided by rs1 (10.0.0.1:80): connection refused by 10.0.0.1:80"
        )
        assert board.transcripts(_known(board, "vs3", "rs3"))[0].outcome is BAD
        assert board.with_followers(["vs1"]) == ["vs1", "vs2", "vs3"]

    def test_the_order_in_which_services_come_does_not_matter(self) -> None:
        board = Board()
        for service in reversed(self.SERVICES):
            board.update({service.key: service}, NOW)
        _say(board, GOOD, "rs1")
        assert _state(board, "vs3", "rs3") == "up"
        board.update({"vs3": None}, NOW)
        board.update({"vs3": self.SERVICES[2]}, NOW)
        assert _state(board, "vs3", "rs3") == "up"

    def test_it_follows_the_verdict_and_not_the_administrator(self) -> None:
        board = _board(*self.SERVICES)
        _say(board, GOOD, "rs1")
        board.update({"vs1": _service("vs1", _target("rs1", enabled=False))}, NOW)
        assert _known(board, "vs2", "rs2").wanted == UP

    def test_going_back_to_its_own_check_keeps_the_verdict_until_that_has_spoken(self) -> None:
        board = _board(*self.SERVICES)
        _say(board, GOOD, "rs1")
        changes = board.update({"vs2": _service("vs2", _target("rs2", "10.0.0.2"))}, NOW)
        assert (_state(board, "vs2", "rs2"), len(changes.added)) == ("up", 1)

    def test_a_slot_may_take_the_verdict_of_a_real_server(self) -> None:
        slot = Target(key="rs8", follows="vs2", weight=1, enabled=True, checked_as="vs1/rs1")
        sub = _service("vs2", _target("rs2", "10.0.0.2"), parent="vs7")
        board = _board(_service("vs1", _target("rs1")), _service("vs7", slot), sub)
        _say(board, GOOD, "rs2", service="vs2")
        assert _state(board, "vs7", "rs8") == "unknown"
        _say(board, GOOD, "rs1")
        assert _state(board, "vs7", "rs8") == "up"

    def test_a_plan_with_a_loop_does_no_harm(self) -> None:
        board = _board(
            _service("vs1", _one("rs1", "10.0.0.1", checked_as="vs2/rs2")),
            _service("vs2", _one("rs2", "10.0.0.2", checked_as="vs1/rs1")),
        )
        assert _state(board, "vs1", "rs1") == "unknown"
        assert board.status(_known(board, "vs1", "rs1")).reason == "the server it is checked with is not known"
        assert board.transcripts(_known(board, "vs1", "rs1")) == []


class TestRiseAndFall:
    def test_a_server_goes_down_and_comes_up_after_so_many_in_a_row(self) -> None:
        board = _board(_service("vs1", rise=2, fall=3))
        assert _say(board, GOOD, "rs1").wanted == {("vs1", "rs1"): UP}
        for number in (1, 2):
            assert _say(board, BAD, "rs1") == Changes()
            why = board.status(_known(board, "vs1", "rs1")).reason
            assert why == f"connection refused by 10.0.0.1:80 ({number} of 3 bad cycles until it is down)"
        assert _say(board, BAD, "rs1").wanted == {("vs1", "rs1"): DOWN}
        assert _say(board, GOOD, "rs1") == Changes()
        assert _say(board, BAD, "rs1") == Changes()
        assert _say(board, GOOD, "rs1") == Changes()
        assert _say(board, GOOD, "rs1").wanted == {("vs1", "rs1"): UP}

    def test_services_that_share_a_probe_count_each_for_itself(self) -> None:
        board = _board(_service("vs1"), _service("vs2", fall=2))
        _say(board, GOOD, "rs1")
        assert _events(_say(board, BAD, "rs1")) == [("vs1/rs1", "up", "down")]
        assert _events(_say(board, BAD, "rs1")) == [("vs2/rs1", "up", "down")]

    def test_a_server_nobody_has_checked_believes_the_first_cycle(self) -> None:
        board = _board(_service("vs1", rise=5, fall=5))
        assert _events(_say(board, BAD, "rs1")) == [("vs1/rs1", "unknown", "down")]


class TestSeveralChecks:
    def _board(self, **more: Any) -> Board:
        further = (FurtherCheck(name="app", check=TCP),)
        target = _target("rs1").model_copy(update={"further_ports": (8080,)})
        return _board(_service("vs1", target, further=further, **more))

    @staticmethod
    def _tell(board: Board, at: int, outcome: Outcome, when: float = NOW + 1) -> Changes:
        return board.record(_known(board, "vs1", "rs1").probes[at], _said(outcome, when), when)

    def test_all_must_be_good_and_the_reason_names_the_one_that_is_not(self) -> None:
        board = self._board()
        assert self._tell(board, 0, GOOD) == Changes()
        assert board.status(_known(board, "vs1", "rs1")).reason == "not checked yet: app"
        assert self._tell(board, 1, GOOD).wanted == {("vs1", "rs1"): UP}
        down = self._tell(board, 1, BAD)
        assert down.wanted == {("vs1", "rs1"): DOWN}
        assert down.events[0].reason == "app: connection refused by 10.0.0.1:80"
        assert self._tell(board, 0, GOOD) == Changes()
        assert self._tell(board, 1, GOOD).wanted == {("vs1", "rs1"): UP}

    def test_any_good_one_is_enough(self) -> None:
        board = self._board(any_check=True)
        up = self._tell(board, 1, GOOD)
        assert up.events[0].reason == "app: answered 200 OK in 3 ms"
        assert self._tell(board, 0, BAD) == Changes()
        down = self._tell(board, 1, BAD)
        assert down.events[0].reason == (
            "main: connection refused by 10.0.0.1:80; app: connection refused by 10.0.0.1:80"
        )

    def test_transcripts_of_all_checks_come_together_newest_first_and_name_theirs(self) -> None:
        board = self._board()
        for number in range(30):
            self._tell(board, number % 2, GOOD, NOW + number)
        said = board.transcripts(_known(board, "vs1", "rs1"))
        assert [(one.check, one.started) for one in said[:3]] == [
            ("app", NOW + 29),
            ("main", NOW + 28),
            ("app", NOW + 27),
        ]
        assert len(said) == 20

    def test_a_check_that_is_added_to_a_live_server_takes_it_away_only_when_it_has_spoken(self) -> None:
        board = _board(_service("vs1"))
        _say(board, GOOD, "rs1")
        target = _target("rs1").model_copy(update={"further_ports": (81,)})
        more = _service("vs1", target, further=(FurtherCheck(name="app", check=TCP),))
        assert board.update({"vs1": more}, NOW).events == []
        assert _events(self._tell(board, 1, BAD)) == [("vs1/rs1", "up", "down")]
        assert _events(board.update({"vs1": _service("vs1")}, NOW)) == [("vs1/rs1", "down", "up")]

    def test_after_a_restart_the_state_stays_until_the_check_that_made_it_has_spoken(self, tmp_path: Path) -> None:
        board = self._board()
        self._tell(board, 0, GOOD)
        self._tell(board, 1, BAD)
        plan = HealthPlan(services=board.services)
        again = _restarted(board, tmp_path)
        again.replace(plan, NOW + 5)
        assert self._tell(again, 0, GOOD) == Changes()
        assert _state(again, "vs1") == "down"
        assert _events(self._tell(again, 1, GOOD)) == [("vs1/rs1", "down", "up")]

    def test_equal_checks_of_several_services_are_asked_once(self) -> None:
        other = _service("vs2", _target("rs2").model_copy(update={"port": 8080}), check=TCP)
        board = self._board()
        assert board.update({"vs2": other}, NOW).added == []


@pytest.mark.parametrize("rules", [{}, {"minimum": 5}])
def test_a_thousand_servers_of_one_service_go_down_in_little_time(rules: dict[str, Any]) -> None:
    """Settling or counting all of a service for each of its servers would take a million steps."""
    targets = [_one(f"rs{n}", f"10.0.{n // 250}.{n % 250 + 1}") for n in range(1000)]
    board = _board(_service("vs1", *targets, check=HTTP, **rules))
    keys = [target.key for target in targets]
    _say(board, GOOD, *keys)
    began = time.process_time()
    assert len(_say(board, BAD, *keys).wanted) == 1000
    assert time.process_time() - began < 0.3


def _restarted(board: Board, directory: Path) -> Board:
    """A board that knows what the durable file of another one says."""
    file = VerdictFile(directory)
    file.note(name for name, _ in board.targets())
    file.path.write_text("".join(file.content(board, [])))
    remembered, _ = VerdictFile(directory).load()
    return Board(remembered)


def test_a_transcript_without_the_name_of_a_check_is_still_read() -> None:
    data = _said(GOOD)[0].as_json()
    del data["check"]
    assert Transcript.from_json(data).check == ""
