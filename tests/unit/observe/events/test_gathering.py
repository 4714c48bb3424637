from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from tests.unit.observe.events.making import event

from steelyard.observe.events.event import Event
from steelyard.observe.events.gathering import LAST_RETRY, Batch, Gathering, Pace


def numbered(first: int, count: int) -> list[Event]:
    return [event(str(number), number=number) for number in range(first, first + count)]


def texts(batch: Batch) -> list[int]:
    return [int(one.text) for one in batch.events]


def test_events_of_a_moment_go_together_after_the_wait() -> None:
    gathering = Gathering(Pace(wait=5, pause=60))
    assert gathering.due() is None
    gathering.put(numbered(0, 1), 100)
    gathering.put(numbered(1, 999), 103)
    assert gathering.due() == 105
    batch = gathering.take()
    assert len(batch.events) == 1000 and gathering.due() is None
    gathering.delivered(batch, 106)
    gathering.put(numbered(1000, 3), 110)
    assert gathering.due() == 166, "the pause counts from the mail before"
    assert texts(gathering.take()) == [1000, 1001, 1002]


def test_a_failure_is_tried_again_later_and_later_and_nothing_changes_its_order() -> None:
    gathering = Gathering(Pace())
    gathering.put(numbered(0, 3), 0)
    delays = []
    for _ in range(12):
        batch = gathering.take()
        gathering.put(numbered(3, 1) if len(gathering) < 4 else [], 0)
        delays.append(gathering.failed(0, 0))
    assert delays[:4] == [1, 2, 4, 8] and delays[-1] == LAST_RETRY
    assert texts(gathering.take()) == [0, 1, 2, 3]
    gathering.failed(2, 0)
    batch = gathering.take()
    assert texts(batch) == [2, 3]
    gathering.delivered(batch, 0)
    assert gathering.failures == 0 and len(gathering) == 0


def test_a_full_queue_loses_the_oldest_and_tells_how_many_once() -> None:
    gathering = Gathering(Pace(kept=10, at_once=4))
    gathering.put(numbered(0, 25), 0)
    assert gathering.lost == 15
    batch = gathering.take()
    assert texts(batch) == [15, 16, 17, 18] and batch.lost == 15
    gathering.failed(0, 0)
    batch = gathering.take()
    assert batch.lost == 15
    gathering.delivered(batch, 0)
    assert gathering.take().lost == 0


def test_a_test_goes_at_once() -> None:
    gathering = Gathering(Pace(wait=500, pause=500))
    gathering.put(numbered(0, 1), 100)
    gathering.hurry()
    assert gathering.due() == 0


@given(st.lists(st.tuples(st.sampled_from(["put", "ok", "fail"]), st.integers(0, 5)), max_size=60))
def test_nothing_is_lost_uncounted_or_told_out_of_order(steps: list[tuple[str, int]]) -> None:
    gathering = Gathering(Pace(kept=8, at_once=3))
    sent, arrived, clock = 0, list[int](), 0.0
    for what, number in steps:
        clock += 1000
        if what == "put":
            gathering.put(numbered(sent, number), clock)
            sent += number
        elif gathering.due() is not None:
            batch = gathering.take()
            if what == "ok":
                gathering.delivered(batch, clock)
                arrived += texts(batch)
            else:
                done = min(number, len(batch.events))
                arrived += texts(batch)[:done]
                gathering.failed(done, clock)
    assert arrived == sorted(set(arrived))
    assert len(arrived) + gathering.lost + len(gathering) == sent
    assert len(gathering) <= 8
