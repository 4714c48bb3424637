"""What the board makes of plans and answers: verdicts, sharing, drains, and what survives a restart."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from steelyard.health.board import Board, Changes, Probe
from steelyard.health.effects import Wanted
from steelyard.health.files import PlanFile, VerdictFile, write_whole
from steelyard.health.transcript import Outcome, Transcript
from steelyard.model.errors import OperatorError
from steelyard.plan.health import Check, HealthPlan, Service, Target

HTTP = Check(kind="http", interval=9, timeout=4, attempts=2)
NONE = Check(kind="none", interval=9, timeout=4, attempts=2)
NOW = 1_000_000.0


def _target(key: str, address: str = "10.0.0.1", *, port: int = 80, enabled: bool = True, weight: int = 1000) -> Target:
    return Target(key=key, address=address, port=port, weight=weight, enabled=enabled)


def _service(key: str, *targets: Target, check: Check = HTTP, **more: Any) -> Service:
    fields = {"persistent": True, "fixed": False, "drop_on_failure": False, **more}
    return Service(key=key, check=check, targets=targets or (_target("rs1"),), **fields)


def _said(outcome: Outcome, at: float = NOW) -> list[Transcript]:
    reason = "answered 200 OK" if outcome is Outcome.GOOD else "connection refused by 10.0.0.1:80"
    return [Transcript(at, 3.0, 1.0, "HEAD / HTTP/1.0", "HTTP/1.0 200 OK", outcome, reason)]


def _board(*services: Service) -> Board:
    board = Board()
    board.replace(HealthPlan(services={service.key: service for service in services}), NOW)
    return board


def _state(board: Board, service: str, target: str = "rs1") -> str:
    known = board.find((service, target))
    assert known is not None
    return known.state


def _probe(board: Board, service: str = "vs1", target: str = "rs1") -> Probe:
    known = board.find((service, target))
    assert known is not None
    assert known.probe is not None
    return known.probe


def _events(changes: Changes) -> list[tuple[str, str, str]]:
    return [(event.target, event.before, event.after) for event in changes.events]


def test_a_server_nobody_has_checked_is_unknown_and_gets_no_traffic() -> None:
    board = Board()
    changes = board.replace(HealthPlan(services={"vs1": _service("vs1")}), NOW)
    assert _state(board, "vs1") == "unknown"
    assert changes.wanted == {("vs1", "rs1"): Wanted(False, "ready", None)}
    assert len(changes.added) == 1


def test_without_checks_a_server_is_unchecked_and_gets_traffic() -> None:
    board = Board()
    changes = board.replace(HealthPlan(services={"vs1": _service("vs1", check=NONE)}), NOW)
    assert _state(board, "vs1") == "unchecked"
    assert changes.wanted == {("vs1", "rs1"): Wanted(True, "ready", None)}
    assert changes.added == []


def test_equal_checks_are_asked_once_and_every_service_has_its_own_status() -> None:
    board = Board()
    services = {
        "vs1": _service("vs1"),
        "vs2": _service("vs2", _target("rs9")),
        "vs3": _service("vs3", drop_on_failure=True),
    }
    changes = board.replace(HealthPlan(services=services), NOW)
    assert len(changes.added) == 1
    up = board.record(_probe(board), _said(Outcome.GOOD), NOW + 1)
    assert _events(up) == [("vs1/rs1", "unknown", "up"), ("vs2/rs9", "unknown", "up"), ("vs3/rs1", "unknown", "up")]
    down = board.record(_probe(board), _said(Outcome.FAILED), NOW + 2)
    assert down.drops == [("vs3", "rs1")]
    assert down.wanted[("vs2", "rs9")] == Wanted(False, "ready", None)


def test_a_service_that_joins_a_probe_takes_its_verdict() -> None:
    board = _board(_service("vs1"))
    board.record(_probe(board), _said(Outcome.GOOD), NOW)
    changes = board.update({"vs2": _service("vs2")}, NOW + 5)
    assert changes.added == []
    assert _state(board, "vs2") == "up"


def test_a_probe_goes_with_its_last_target() -> None:
    board = _board(_service("vs1"), _service("vs2"))
    probe = _probe(board)
    assert board.update({"vs1": None}, NOW).removed == set()
    changes = board.update({"vs2": None}, NOW)
    assert changes.removed == {probe}
    assert changes.wanted == {("vs2", "rs1"): None}


def test_a_probe_handed_from_one_service_to_another_in_one_update_stays() -> None:
    board = _board(_service("vs1"))
    changes = board.update({"vs1": None, "vs2": _service("vs2")}, NOW)
    assert changes.removed == set()
    assert changes.added == []
    assert _probe(board, "vs2").targets == {("vs2", "rs1")}


def test_an_answer_that_changes_nothing_changes_nothing() -> None:
    board = _board(_service("vs1"))
    board.record(_probe(board), _said(Outcome.GOOD), NOW)
    again = board.record(_probe(board), _said(Outcome.GOOD, NOW + 9), NOW + 9)
    assert again == Changes()
    known = board.find(("vs1", "rs1"))
    assert known is not None
    assert board.status(known).since == NOW
    assert board.status(known).checked == NOW + 9


def test_what_could_not_be_asked_keeps_the_verdict() -> None:
    board = _board(_service("vs1"))
    board.record(_probe(board), _said(Outcome.GOOD), NOW)
    board.record(_probe(board), _said(Outcome.UNASKED), NOW + 9)
    assert _state(board, "vs1") == "up"


def test_a_new_address_is_unknown_until_checked() -> None:
    board = _board(_service("vs1", drop_on_failure=True))
    board.record(_probe(board), _said(Outcome.GOOD), NOW)
    changes = board.update({"vs1": _service("vs1", _target("rs1", "10.0.0.2"), drop_on_failure=True)}, NOW + 1)
    assert _events(changes) == [("vs1/rs1", "up", "unknown")]
    assert changes.wanted == {("vs1", "rs1"): Wanted(False, "ready", None)}
    assert changes.drops == []


def test_a_changed_check_keeps_the_verdict_until_it_has_spoken() -> None:
    board = _board(_service("vs1"))
    board.record(_probe(board), _said(Outcome.GOOD), NOW)
    other = HTTP.model_copy(update={"url": "/other"})
    changes = board.update({"vs1": _service("vs1", check=other)}, NOW + 1)
    assert changes.events == []
    assert len(changes.added) == 1
    assert _state(board, "vs1") == "up"
    board.record(_probe(board), _said(Outcome.BAD), NOW + 2)
    assert _state(board, "vs1") == "down"


def test_turning_checks_on_does_not_take_a_live_server_away() -> None:
    board = _board(_service("vs1", check=NONE))
    board.update({"vs1": _service("vs1")}, NOW)
    assert _state(board, "vs1") == "up"
    board.update({"vs1": _service("vs1", check=NONE)}, NOW)
    assert _state(board, "vs1") == "unchecked"


def test_disabling_drains_and_then_ends() -> None:
    board = _board(_service("vs1"))
    board.record(_probe(board), _said(Outcome.GOOD), NOW)
    off = _service("vs1", _target("rs1", enabled=False))
    changes = board.update({"vs1": off}, NOW, drain_seconds=60, drop_at_drain_end=True)
    assert _events(changes) == [("vs1/rs1", "ready", "drain")]
    assert board.next_drain_end() == NOW + 60
    assert board.end_drains(NOW + 59).wanted == {}
    ended = board.end_drains(NOW + 60)
    assert ended.wanted == {("vs1", "rs1"): Wanted(True, "maint", None)}
    assert ended.drops == [("vs1", "rs1")]
    assert board.next_drain_end() is None
    on = board.update({"vs1": _service("vs1")}, NOW + 61)
    assert _events(on) == [("vs1/rs1", "maint", "ready")]


def test_shortening_the_drain_time_ends_running_drains() -> None:
    board = _board(_service("vs1", _target("rs1", enabled=False)))
    changes = board.update({}, NOW + 100, drain_seconds=60)
    assert changes.wanted == {("vs1", "rs1"): Wanted(False, "maint", None)}


def test_an_unsendable_check_changes_nothing() -> None:
    board = _board(_service("vs1"))
    bad = HTTP.model_copy(update={"url": "/a b"})
    with pytest.raises(OperatorError):
        board.update({"vs1": None, "vs2": _service("vs2", check=bad)}, NOW, drain_seconds=0)
    assert set(board.services) == {"vs1"}
    assert board.drain_seconds == 300


def test_20_transcripts_are_kept() -> None:
    board = _board(_service("vs1"))
    for number in range(30):
        board.record(_probe(board), _said(Outcome.GOOD, NOW + number), NOW + number)
    kept = [one.started for one in _probe(board).transcripts]
    assert kept == [NOW + number for number in range(10, 30)]


def _stored(board: Board, directory: Path, drops: tuple[tuple[str, str], ...] = ()) -> VerdictFile:
    file = VerdictFile(directory)
    file.note(name for name, _ in board.targets())
    write_whole(file.path, file.content(board, drops))
    return file


def test_verdicts_survive_a_killed_process(tmp_path: Path) -> None:
    service = _service("vs1", _target("rs1"), _target("rs2", "10.0.0.2", enabled=False), _target("rs3", "10.0.0.3"))
    board = _board(service)
    board.record(_probe(board, target="rs1"), _said(Outcome.GOOD), NOW + 1)
    board.record(_probe(board, target="rs3"), _said(Outcome.GOOD), NOW + 1)
    file = _stored(board, tmp_path, (("vs1", "rs2"),))
    assert file.path.stat().st_mode & 0o777 == 0o600

    memories, drops = VerdictFile(tmp_path).load()
    assert drops == [("vs1", "rs2")]
    again = Board(memories)
    moved = service.model_copy(update={"targets": (*service.targets[:2], _target("rs3", "10.9.9.9"))})
    changes = again.replace(HealthPlan(services={"vs1": moved}), NOW + 100)
    one = again.find(("vs1", "rs1"))
    assert one is not None
    status = again.status(one)
    assert (status.state, status.since, status.reason) == ("up", NOW + 1, "answered 200 OK in 3 ms")
    assert again.next_drain_end() == NOW + 300
    assert changes.wanted[("vs1", "rs1")] == Wanted(True, "ready", None)
    assert _state(again, "vs1", "rs3") == "unknown"
    assert changes.drops == []


def test_a_failure_seen_after_a_restart_still_drops_sessions(tmp_path: Path) -> None:
    service = _service("vs1", drop_on_failure=True)
    board = _board(service)
    board.record(_probe(board), _said(Outcome.GOOD), NOW)
    _stored(board, tmp_path)
    again = Board(VerdictFile(tmp_path).load()[0])
    again.replace(HealthPlan(services={"vs1": service}), NOW + 5)
    assert again.record(_probe(again), _said(Outcome.FAILED), NOW + 6).drops == [("vs1", "rs1")]


@pytest.mark.parametrize(
    "content", ["", "{", "[]", '{"targets": 1, "drops": []}', '{"targets": {"x": 1}, "drops": []}']
)
def test_broken_files_mean_checking_anew(tmp_path: Path, content: str) -> None:
    (tmp_path / "verdicts.json").write_text(content)
    (tmp_path / "plan.json").write_text(content)
    assert VerdictFile(tmp_path).load() == ({}, [])
    assert PlanFile(tmp_path).load() is None


def test_the_plan_survives(tmp_path: Path) -> None:
    services = {key: _service(key, _target("rs1", "2001:db8::1")) for key in ("vs1", "vs2")}
    file = PlanFile(tmp_path)
    file.note({**services, "vs3": _service("vs3")})
    file.note({"vs3": None})
    write_whole(file.path, file.content(60, True))
    assert PlanFile(tmp_path).load() == HealthPlan(services=services, drain_seconds=60, drop_at_drain_end=True)
    json.loads(file.path.read_text())


@pytest.mark.parametrize("key", ["", "a/b", "a b", "a;b", "a\nb"])
def test_a_name_that_could_be_a_command_is_refused(key: str) -> None:
    with pytest.raises(OperatorError):
        _board(_service(key))
    with pytest.raises(OperatorError):
        _board(_service("vs1", _target(key)))
