"""When each probe's next cycle starts. Pure: the time is an argument, in seconds of any steady clock.

Every probe has a phase inside its interval, and its cycles start where `time % interval == phase`, so they do not
drift together. Phases follow the golden ratio sequence: any number of consecutive additions cuts the interval almost
evenly, and the same additions give the same phases. A new probe starts at once and takes up its phase afterwards. A
cycle that runs past its next start skips it: a probe never runs twice at the same time.
"""

from __future__ import annotations

import heapq
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)

#: Fractional part of the golden ratio: multiples of it modulo 1 are spread as evenly as any sequence can be.
_GOLDEN = 0.6180339887498949


@dataclass(slots=True)
class _Entry:
    interval: float
    phase: float
    ticket: int
    running: bool = False


class Scheduler(Generic[Key]):
    """The timetable of all probes."""

    def __init__(self) -> None:
        self._entries: dict[Key, _Entry] = {}
        self._heap: list[tuple[float, int, Key]] = []
        self._added = 0
        self._ticket = 0

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, key: Key) -> bool:
        return key in self._entries

    def add(self, key: Key, interval: float, now: float, *, at_once: bool = True) -> None:
        """Add a probe. With `at_once` its first cycle is due now, otherwise at its phase."""
        phase = (self._added * _GOLDEN) % 1.0 * interval
        self._added += 1
        entry = _Entry(interval, phase, ticket=0)
        self._entries[key] = entry
        self._put(key, entry, now if at_once else self._following(entry, now))

    def hurry(self, key: Key, now: float) -> None:
        """Let a probe's next cycle be due now, unless one runs; later ones keep to its phase."""
        entry = self._entries.get(key)
        if entry is not None and not entry.running:
            self._put(key, entry, now)

    def remove(self, key: Key) -> None:
        """Forget a probe; a running cycle of it may still call `finished`, which then does nothing."""
        self._entries.pop(key, None)
        if len(self._heap) > 64 + 4 * len(self._entries):
            self._heap = [item for item in self._heap if self._valid(item)]
            heapq.heapify(self._heap)

    def due(self, now: float, limit: int) -> list[Key]:
        """At most `limit` probes whose cycle starts now or was to start before; they count as running."""
        keys: list[Key] = []
        while len(keys) < limit and self._heap and self._heap[0][0] <= now:
            item = heapq.heappop(self._heap)
            if self._valid(item):
                self._entries[item[2]].running = True
                keys.append(item[2])
        return keys

    def finished(self, key: Key, now: float) -> None:
        """The cycle of this probe has ended; its next one is at its phase."""
        entry = self._entries.get(key)
        if entry is not None and entry.running:
            self._put(key, entry, self._following(entry, now))

    def next_at(self) -> float | None:
        """When the next cycle is due; None when nothing waits."""
        while self._heap and not self._valid(self._heap[0]):
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def _put(self, key: Key, entry: _Entry, at: float) -> None:
        self._ticket += 1
        entry.ticket = self._ticket
        entry.running = False
        heapq.heappush(self._heap, (at, self._ticket, key))

    def _valid(self, item: tuple[float, int, Key]) -> bool:
        entry = self._entries.get(item[2])
        return entry is not None and entry.ticket == item[1] and not entry.running

    @staticmethod
    def _following(entry: _Entry, now: float) -> float:
        """The first moment after `now` that has the entry's phase."""
        turns = (now - entry.phase) // entry.interval + 1
        following = entry.phase + turns * entry.interval
        return following if following > now else following + entry.interval
