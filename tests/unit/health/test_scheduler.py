"""Checks are spread over their interval, start at once when new, and never overlap."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from steelyard.health.scheduler import Scheduler


def _starts(scheduler: Scheduler[str], until: float, now: float = 0.0) -> list[tuple[float, str]]:
    """Every start up to `until`, when each cycle takes no time."""
    found: list[tuple[float, str]] = []
    while (at := scheduler.next_at()) is not None and at <= until:
        now = max(now, at)
        for key in scheduler.due(now, 1000):
            found.append((now, key))
            scheduler.finished(key, now)
    return found


def test_a_new_target_is_checked_at_once() -> None:
    scheduler: Scheduler[str] = Scheduler()
    scheduler.add("a", 9, now=100.0)
    assert scheduler.due(100.0, 10) == ["a"]


def test_a_remembered_target_is_checked_within_one_interval() -> None:
    scheduler: Scheduler[str] = Scheduler()
    scheduler.add("a", 9, now=100.0, at_once=False)
    assert scheduler.due(100.0, 10) == []
    at = scheduler.next_at()
    assert at is not None
    assert 100.0 < at <= 109.0


def test_ten_thousand_checks_do_not_burst_after_their_first() -> None:
    scheduler: Scheduler[int] = Scheduler()
    for number in range(10_000):
        scheduler.add(number, 9, now=0.0)
    for key in scheduler.due(0.0, 10_000):
        scheduler.finished(key, 0.0)
    slots = [0] * 90
    while (at := scheduler.next_at()) is not None and at < 9.0:
        for key in scheduler.due(at, 100):
            slots[min(int(at * 10), 89)] += 1
            scheduler.finished(key, at)
    assert sum(slots) >= 9_999
    assert max(slots) <= 125
    assert min(slots) >= 95


def test_the_same_additions_give_the_same_times() -> None:
    def times() -> list[tuple[float, str]]:
        scheduler: Scheduler[str] = Scheduler()
        for key in "abcdef":
            scheduler.add(key, 9, now=3.0)
        return _starts(scheduler, 40.0)

    assert times() == times()


def test_cycles_keep_their_interval() -> None:
    scheduler: Scheduler[str] = Scheduler()
    for key in "abc":
        scheduler.add(key, 9, now=0.0)
    at = [time for time, key in _starts(scheduler, 60.0) if key == "b"]
    assert [round(b - a, 6) for a, b in itertools.pairwise(at[1:])] == [9.0] * (len(at) - 2)


def test_a_running_probe_is_not_started_again() -> None:
    scheduler: Scheduler[str] = Scheduler()
    scheduler.add("a", 2, now=0.0)
    assert scheduler.due(0.0, 1) == ["a"]
    assert scheduler.next_at() is None
    assert scheduler.due(50.0, 1) == []
    scheduler.finished("a", 50.0)
    at = scheduler.next_at()
    assert at is not None
    assert 50.0 < at <= 52.0


def test_no_more_are_started_than_asked_for() -> None:
    scheduler: Scheduler[int] = Scheduler()
    for number in range(10):
        scheduler.add(number, 9, now=0.0)
    first = scheduler.due(0.0, 4)
    assert len(first) == 4
    assert len(scheduler.due(0.0, 100)) == 6


def test_a_removed_probe_is_never_due_even_if_it_was_running() -> None:
    scheduler: Scheduler[str] = Scheduler()
    scheduler.add("a", 1, now=0.0)
    scheduler.due(0.0, 1)
    scheduler.remove("a")
    scheduler.finished("a", 0.5)
    assert scheduler.next_at() is None
    assert "a" not in scheduler


def test_a_probe_added_again_while_its_old_cycle_runs_is_due_once() -> None:
    scheduler: Scheduler[str] = Scheduler()
    scheduler.add("a", 5, now=0.0)
    scheduler.remove("a")
    scheduler.add("a", 5, now=0.0)
    assert scheduler.due(0.0, 10) == ["a"]


@given(st.lists(st.tuples(st.sampled_from("abcd"), st.sampled_from(["add", "remove", "run"])), max_size=60))
def test_every_probe_present_is_running_or_waiting(steps: list[tuple[str, str]]) -> None:
    scheduler: Scheduler[str] = Scheduler()
    running: set[str] = set()
    now = 0.0
    for key, step in steps:
        now += 0.7
        if step == "add" and key not in scheduler:
            scheduler.add(key, 3, now)
        elif step == "remove":
            scheduler.remove(key)
            running.discard(key)
        elif step == "run":
            for ended in sorted(running):
                scheduler.finished(ended, now)
            running = set(scheduler.due(now, 2))
    for ended in running:
        scheduler.finished(ended, now)
    present = {key for key in "abcd" if key in scheduler}
    assert set(scheduler.due(now + 3.001, 100)) == present


def test_a_target_in_doubt_is_checked_at_once_and_keeps_its_phase() -> None:
    scheduler: Scheduler[str] = Scheduler()
    scheduler.add("a", 9, now=0.0, at_once=False)
    phase = scheduler.next_at()
    scheduler.hurry("a", 1.0)
    scheduler.hurry("unknown", 1.0)
    assert scheduler.due(1.0, 10) == ["a"]
    scheduler.hurry("a", 1.5)
    assert scheduler.due(1.5, 10) == [], "a cycle that runs is not begun again"
    scheduler.finished("a", 2.0)
    assert scheduler.next_at() == phase
