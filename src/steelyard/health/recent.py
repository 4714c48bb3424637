"""The last changes, numbered, for a subscriber that was away: the control plane restarts more often than this process.

A number says how many events this run has had. The run's name tells a subscriber whether its number means anything.
"""

from __future__ import annotations

import secrets
from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from itertools import islice

from steelyard.health.status import Event

#: A thousand servers that go down and come back ten times; about 3 MB.
KEPT = 20_000


class RecentEvents:
    """What happened in this run, the newest `kept` of it."""

    def __init__(self, kept: int = KEPT) -> None:
        self.run = secrets.token_hex(8)
        self._events: deque[Event] = deque(maxlen=kept)
        self._count = 0

    def keep(self, event: Event) -> Event:
        """Number an event and keep it."""
        self._count += 1
        numbered = replace(event, run=self.run, number=self._count)
        self._events.append(numbered)
        return numbered

    def after(self, run: str, number: int) -> Sequence[Event]:
        """What came after that event; everything there is when it is of another run."""
        missed = self._count - number if run == self.run else self._count
        there = len(self._events)
        return list(islice(self._events, max(0, there - missed), there))
