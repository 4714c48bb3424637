from __future__ import annotations

from steelyard.observe.events.flapping import Flapping


def test_each_change_is_told_until_there_are_too_many() -> None:
    flapping = Flapping(changes=3, window=60)
    assert [flapping.note("a", at) for at in (0, 10, 20, 30, 40, 50)] == [
        "change", "change", "change", "flapping", "nothing", "nothing",
    ]  # fmt: skip
    assert flapping.is_flapping("a") and not flapping.is_flapping("b")
    assert flapping.note("b", 50) == "change"


def test_slow_changes_never_flap() -> None:
    flapping = Flapping(changes=2, window=60)
    assert {flapping.note("a", at) for at in range(0, 1000, 31)} == {"change"}


def test_it_is_steady_after_half_the_window_without_a_change_and_told_once() -> None:
    flapping = Flapping(changes=2, window=60)
    for at in (0, 1, 2, 20):
        flapping.note("a", at)
    assert flapping.settled(49) == []
    assert flapping.settled(50) == ["a"]
    assert flapping.settled(51) == []
    assert flapping.note("a", 52) == "change"


def test_nothing_is_damped_with_no_limit_and_what_flapped_is_steady_then() -> None:
    flapping = Flapping(changes=2, window=60)
    for at in (0, 1, 2):
        flapping.note("a", at)
    flapping.set_limits(0, 60)
    assert flapping.settled(3) == ["a"]
    assert {flapping.note("a", at) for at in range(100)} == {"change"}


def test_what_has_gone_is_forgotten() -> None:
    flapping = Flapping(changes=2, window=60)
    for at in (0, 1, 2):
        flapping.note("a", at)
    flapping.forget("a")
    assert flapping.settled(1000) == []
    flapping.note("b", 0)
    flapping.settled(1000)
    assert not flapping._times
