"""When something that changes again and again is told of: once as flapping, and once when it is steady. Pure.

Flapping is what has changed more than `changes` times within `window` seconds. It is steady again when it has not
changed for half of the window; half, so that one which changes every few minutes is not told of as steady in between.
"""

from __future__ import annotations

from collections import deque
from typing import Literal

Told = Literal["change", "flapping", "nothing"]


class Flapping:
    """What changes how often, by name. Times are seconds; they may come a little out of order."""

    def __init__(self, changes: int, window: float) -> None:
        self.changes = changes
        self.window = window
        self._times: dict[str, deque[float]] = {}
        self._flapping: dict[str, float] = {}

    def set_limits(self, changes: int, window: float) -> None:
        """Other limits from now on. 0 changes damps nothing; what is flapping then becomes steady."""
        self.changes, self.window = changes, window

    def note(self, name: str, at: float) -> Told:
        """It has changed: what is to be told of it."""
        if not self.changes:
            return "change"
        times = self._times.setdefault(name, deque(maxlen=self.changes + 1))
        times.append(at)
        if name in self._flapping:
            self._flapping[name] = max(at, self._flapping[name])
            return "nothing"
        while times and times[0] < at - self.window:
            times.popleft()
        if len(times) <= self.changes:
            return "change"
        self._flapping[name] = at
        return "flapping"

    def is_flapping(self, name: str) -> bool:
        """Whether it was told of as flapping and not yet as steady."""
        return name in self._flapping

    def settled(self, now: float) -> list[str]:
        """What is steady again, each told once. Forgets what has long not changed."""
        quiet = self.window / 2
        steady = [name for name, last in self._flapping.items() if not self.changes or now - last >= quiet]
        for name in steady:
            del self._flapping[name]
            del self._times[name]
        for name in [name for name, times in self._times.items() if now - times[-1] > self.window]:
            if name not in self._flapping:
                del self._times[name]
        return sorted(steady)

    def forget(self, name: str) -> None:
        """It is there no more."""
        self._times.pop(name, None)
        self._flapping.pop(name, None)
