from __future__ import annotations

from steelyard.health.recent import RecentEvents
from steelyard.health.status import Event


def event(text: str) -> Event:
    return Event("verdict", "vs1/rs1", "up", "down", text, 1.0)


def test_who_was_away_gets_what_it_missed() -> None:
    recent = RecentEvents()
    kept = [recent.keep(event(str(number))) for number in range(5)]
    assert [one.number for one in kept] == [1, 2, 3, 4, 5] and kept[0].run == recent.run
    assert recent.after(recent.run, 3) == kept[3:]
    assert recent.after(recent.run, 5) == [] and recent.after(recent.run, 0) == kept
    assert recent.after("another run", 3) == kept


def test_only_the_newest_are_kept_and_the_gap_shows_in_the_numbers() -> None:
    recent = RecentEvents(kept=3)
    for number in range(10):
        recent.keep(event(str(number)))
    assert [one.number for one in recent.after(recent.run, 2)] == [8, 9, 10]
    assert [one.number for one in recent.after(recent.run, 9)] == [10]
    assert Event.from_json(recent.after(recent.run, 9)[0].as_json()).number == 10
