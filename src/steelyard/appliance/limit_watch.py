"""Tells what limits refuse, every five seconds: clients that begin to be refused, and sums where they are wanted."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Sequence

from steelyard.appliance.announcing import Announcer
from steelyard.model.configuration import Configuration
from steelyard.model.errors import EngineRefused
from steelyard.model.limits import KINDS
from steelyard.model.severity import Severity
from steelyard.observe.limited_clients import LimitedClient, LimitedClients, limit_sums
from steelyard.observe.statistics import Statistics

PERIOD = 5.0


class LimitWatch:
    """Looks at HAProxy's counters for one appliance.

    `refused` gives the clients that were refused since it was asked last, `sample` the statistics.
    """

    def __init__(
        self,
        configuration: Callable[[], Configuration],
        refused: Callable[[], Awaitable[Sequence[LimitedClient]]],
        sample: Callable[[], Awaitable[Statistics]],
        announcer: Announcer,
    ) -> None:
        self._configuration = configuration
        self._refused = refused
        self._sample = sample
        self._announcer = announcer
        self._clients = LimitedClients()
        self._sums = ""

    async def run(self) -> None:
        """Look for ever."""
        while True:
            await asyncio.sleep(PERIOD)
            # HAProxy is being started anew; what it counts is told the next time
            with contextlib.suppress(EngineRefused):
                await self.look()

    async def look(self) -> None:
        """Tell what is new. Raises `EngineRefused` when HAProxy does not answer."""
        configuration = self._configuration()
        if limits_clients(configuration):
            found = await self._refused()
            for text in self._clients.messages(found, configuration.limits.repeat_delay, time.monotonic()):
                self._announcer.tell("client_limited", Severity.NOTICE, text)
        if configuration.limits.logging:
            sums = limit_sums(await self._sample())
            if sums != self._sums:
                self._sums = sums
                self._announcer.tell("limits", Severity.INFO, sums, damped=True)


def limits_clients(configuration: Configuration) -> bool:
    """Whether a client may be refused that others like it are not."""
    kinds = [kind for kind in KINDS if kind != "bandwidth"]
    return bool(configuration.limit_entries.rules) or any(
        configuration.limits.of_client(kind) or any(configuration.limit_entries.of(kind).values()) for kind in kinds
    )
