"""What one subscriber is still to be told, and when: a bounded queue that makes one message of many events. Pure.

A batch goes `wait` seconds after its first event, and not before `pause` seconds after the batch before it; after a
failure later and later. So a thousand events within seconds are one message or a few, whatever their number. When the
queue is full the oldest go, and are counted.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from steelyard.observe.events.event import Event

FIRST_RETRY, LAST_RETRY = 1.0, 300.0


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast a subscriber is told. `at_once` is the most events of a batch, `kept` the most that wait."""

    wait: float = 0.0
    pause: float = 0.0
    at_once: int = 1000
    kept: int = 10_000


@dataclass(frozen=True, slots=True)
class Batch:
    """Events to be told together, oldest first, and how many before them were lost."""

    events: tuple[Event, ...]
    lost: int = 0


class Gathering:
    """The queue of one subscriber. Times are seconds of any one clock."""

    def __init__(self, pace: Pace) -> None:
        self._pace = pace
        self._waiting: deque[Event] = deque()
        self._flying: tuple[Event, ...] = ()
        self._first_at = 0.0
        self._not_before = 0.0
        self._lost = 0
        self._lost_told = 0
        self._hurried = False
        self.failures = 0

    def __len__(self) -> int:
        return len(self._waiting) + len(self._flying)

    @property
    def lost(self) -> int:
        """How many were lost in all."""
        return self._lost

    def put(self, events: Iterable[Event], now: float) -> None:
        """Take events."""
        for event in events:
            if not self._waiting:
                self._first_at = now
            self._waiting.append(event)
        self._shorten()

    def _shorten(self) -> None:
        while len(self._waiting) > self._pace.kept:
            self._waiting.popleft()
            self._lost += 1

    def due(self) -> float | None:
        """When the next batch is to go; None when nothing waits or one is under way."""
        if not self._waiting or self._flying:
            return None
        return 0.0 if self._hurried else max(self._first_at + self._pace.wait, self._not_before)

    def take(self) -> Batch:
        """The next batch. `delivered` or `failed` comes next."""
        self._hurried = False
        size = min(self._pace.at_once, len(self._waiting))
        self._flying = tuple(self._waiting.popleft() for _ in range(size))
        return Batch(self._flying, self._lost - self._lost_told)

    def delivered(self, batch: Batch, now: float) -> None:
        """The batch has arrived."""
        self._flying = ()
        self._lost_told += batch.lost
        self.failures = 0
        self._first_at = now
        self._not_before = now + self._pace.pause

    def failed(self, done: int, now: float) -> float:
        """Only its first `done` events arrived; the others come again. Returns after how many seconds."""
        self._waiting.extendleft(reversed(self._flying[done:]))
        self._flying = ()
        self._shorten()
        self.failures = 1 if done else self.failures + 1
        delay = min(FIRST_RETRY * 2 ** min(self.failures - 1, 16), LAST_RETRY)
        self._not_before = now + delay
        return float(delay)

    def hurry(self) -> None:
        """Let the next batch go at once."""
        self._hurried = True

    def left(self) -> Sequence[Event]:
        """What was not told, oldest first."""
        return (*self._flying, *self._waiting)
