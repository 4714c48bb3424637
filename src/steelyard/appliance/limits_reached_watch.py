"""Tells which services and real servers reach their limits, from the counters that are read anyway."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable

from steelyard.appliance.announcing import Announcer
from steelyard.model.configuration import Configuration
from steelyard.model.errors import EngineRefused
from steelyard.observe.events.limits_reached import LIMITS, LimitsReached
from steelyard.observe.statistics import Statistics

PERIOD = 5.0


class LimitsReachedWatch:
    """Looks at one appliance; `sample` gives its statistics."""

    def __init__(
        self,
        configuration: Callable[[], Configuration],
        sample: Callable[[], Awaitable[Statistics]],
        announcer: Announcer,
    ) -> None:
        self._configuration = configuration
        self._sample = sample
        self._announcer = announcer
        self._reached = LimitsReached(announcer.bus.log.notes(LIMITS), time.time())

    async def run(self) -> None:
        """Look for ever."""
        while True:
            # HAProxy is being started anew; what it counts is told the next time
            with contextlib.suppress(EngineRefused):
                await self.look()
            await asyncio.sleep(PERIOD)

    async def look(self) -> None:
        """Tell what is new. Raises `EngineRefused` when HAProxy does not answer."""
        self._announcer.publish(self._reached.look(self._configuration(), await self._sample()))
