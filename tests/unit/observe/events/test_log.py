from __future__ import annotations

import sqlite3
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.unit.observe.events.making import AT, event

from steelyard.model.severity import Severity
from steelyard.observe.events.event import line
from steelyard.observe.events.log import EventLog, Query

Open = Callable[..., EventLog]


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Open]:
    logs: list[EventLog] = []

    def make(**options: int) -> EventLog:
        logs.append(EventLog(tmp_path / "events.db", **options))
        return logs[-1]

    yield make
    for log in logs:
        log.close()


def test_events_and_notes_survive_a_restart(opened: Open, tmp_path: Path) -> None:
    log = opened()
    first = log.take(event("one", ends=Severity.ERROR, about="x", damped=True, late=True), {"server vs1/rs1": "down"})
    log.take(event("two"))
    log.close()
    log = opened()
    found = log.find(Query())
    assert found[0] == first and [one.text for one in found] == ["one", "two"]
    assert log.notes("server ") == {"server vs1/rs1": "down"} and log.notes("service ") == {}
    assert log.take(event("three")).number == 3
    assert stat.S_IMODE((tmp_path / "events.db").stat().st_mode) == 0o600


def test_queries_choose_by_time_kind_service_level_and_number(opened: Open) -> None:
    log = opened()
    log.take(event("a"))
    log.take(event("b", kind="server_up", severity=Severity.INFO, at=AT + 10))
    log.take(event("c", kind="service_down", severity=Severity.CRITICAL, service=2, at=AT + 20))

    def texts(**chosen: object) -> str:
        return "".join(one.text for one in log.find(Query(**chosen)))  # type: ignore[arg-type]

    assert texts() == "abc"
    assert texts(limit=2) == "bc", "the newest, oldest first"
    assert texts(after=0, limit=2) == "ab", "the oldest after that number"
    assert texts(since=AT + 10) == "bc"
    assert texts(kinds=("server_up", "service_down")) == "bc"
    assert texts(service=2) == "c"
    assert texts(severity=Severity.WARN) == "ac"


def test_only_the_newest_stay_and_numbers_go_on_after_clearing(opened: Open) -> None:
    log = opened(kept=1000)
    for number in range(1500):
        log.take(event(str(number)))
    log.flush()
    log.take(event("last"))
    found = log.find(Query(limit=10_000))
    assert 1000 <= len(found) <= 1200 and found[-1].text == "last"
    assert log.clear() == len(found)
    log.close()
    log = opened()
    assert log.find(Query()) == [] and log.take(event("next")).number == 1502


def test_a_damaged_file_is_put_aside_and_does_not_stop_a_start(opened: Open, tmp_path: Path) -> None:
    (tmp_path / "events.db").write_bytes(b"SQLite format 3\x00 and then nonsense" * 500)
    log = opened()
    log.take(event("one"))
    assert [one.text for one in log.find(Query())] == ["one"]
    assert len(list(tmp_path.glob("events.db.damaged-*"))) == 1


def test_a_disk_without_room_does_not_stop_a_start_and_is_told_of(tmp_path: Path) -> None:
    (tmp_path / "no directory").write_bytes(b"")
    log = EventLog(tmp_path / "no directory" / "events.db")
    assert "cannot be opened" in log.trouble and "kept in memory" in log.trouble
    log.take(event("one"))
    assert [one.text for one in log.find(Query())] == ["one"]
    log.close()


def test_a_disk_that_refuses_is_told_of_and_tried_again(opened: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    import steelyard.observe.events.log as module

    monkeypatch.setattr(module, "_RETRY_SECONDS", 0.02)
    log = opened()
    real, full = log._write, True

    def write(*given: object) -> None:
        if full:
            raise sqlite3.OperationalError("database or disk is full")
        real(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(log, "_write", write)
    log.take(event("one"))
    log.flush()
    assert "disk is full" in log.trouble
    full = False
    while log.trouble:
        pass
    assert [one.text for one in log.find(Query())] == ["one"]


def test_a_line_of_the_log_says_when_how_grave_and_what() -> None:
    assert line(event("gone")) == "2027-01-15T08:00:00.125Z warn server_down: gone"
