"""Records statistics: every ten seconds what was carried since, from then on condensed.

Rates are taken from counters that grow over reloads of HAProxy, so a reload does not show. Where a counter has fallen,
what it counted began anew, and what it says now is all there was.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import time
from collections.abc import Awaitable, Callable, Mapping

from steelyard.model.configuration import Configuration
from steelyard.model.errors import EngineRefused
from steelyard.observe.host_figures import HostFigures, HostFigureSource
from steelyard.observe.recording.file import RecordFile
from steelyard.observe.recording.readings import EVERYTHING, HOST, NO_FIGURES, Figures, Key, Reading
from steelyard.observe.recording.tiers import FINEST, Span, tier_of
from steelyard.observe.statistics import Statistics, TrafficCounters

log = logging.getLogger("steelyard.statistics")

#: counters further apart than this say little about the step they are recorded for
_LONGEST_PERIOD = 3.0 * FINEST.step
_NONE = TrafficCounters()
_CONCERN = "statistics"


class Recorder:
    """Records one appliance's statistics, and those of its host."""

    def __init__(self, file: RecordFile, host: HostFigureSource) -> None:
        self._file = file
        self._host = host
        self._before: Statistics | None = None

    async def run(
        self,
        sample: Callable[[], Awaitable[Statistics]],
        configuration: Callable[[], Configuration],
        told: Callable[[str, str | None], None],
    ) -> None:
        """Record until cancelled, at the end of each finest step. `told` hears what is wrong, None when all is well."""
        trouble = said = ""
        while True:
            wrong = trouble or self._file.trouble
            if wrong != said:
                told(_CONCERN, wrong or None)
                said = wrong
            now = time.time()
            await asyncio.sleep(FINEST.begin(now) + FINEST.step - now)
            try:
                await self.record(await sample(), configuration(), time.time())
            except EngineRefused as refusal:
                # a step without figures is a gap in the graphs, which is the truth
                log.info("no statistics of this moment: %s", refusal.words)
                self._before = None
            except sqlite3.Error as failure:
                trouble = f"Statistics cannot be recorded: {failure}"
            else:
                trouble = ""

    async def record(self, after: Statistics, configuration: Configuration, now: float) -> None:
        """Record the finest step that is over, if there was a sample before this one. Raises `sqlite3.Error`."""
        before, self._before = self._before, after
        host = await self.host_figures()
        if before is None or not 0 < after.at - before.at <= _LONGEST_PERIOD:
            return
        readings = _readings(before, after, configuration)
        readings[HOST] = _reading(_host_figures(host, after))
        await asyncio.to_thread(self._file.write, FINEST, FINEST.begin(now) - FINEST.step, readings)
        await asyncio.to_thread(self._file.condense, now)

    async def host_figures(self) -> HostFigures:
        """The host's figures now."""
        return await asyncio.to_thread(self._host.read)

    async def read(self, key: Key, span: Span, now: float) -> Mapping[int, Reading]:
        """An object's recorded steps over a span, by when they began; steps nobody recorded are absent."""
        return await asyncio.to_thread(self._file.read, tier_of(span), key, now)

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()


def _reading(figures: Figures) -> Reading:
    return Reading(figures, figures)


def _readings(before: Statistics, after: Statistics, configuration: Configuration) -> dict[Key, Reading]:
    """What was carried between two samples. Objects that carried nothing are left out."""
    seconds = after.at - before.at
    found: dict[Key, Reading] = {}
    whole = [0.0] * 5
    for index, counters in after.services.items():
        figures = _rates(before.services.get(index, _NONE), counters, seconds)
        if figures is None:
            continue
        found[index, 0] = _reading(figures)
        service = configuration.services.get(index)
        if service is not None and not service.is_sub:
            # what a sub-service carried is in its parent's figures
            whole = [total + value for total, value in zip(whole, figures, strict=True)]
    for key, counters in after.servers.items():
        figures = _rates(before.servers.get(key, _NONE), counters, seconds)
        if figures is not None:
            found[key] = _reading(figures)
    found[EVERYTHING] = _reading((whole[0], whole[1], whole[2], whole[3], whole[4]))
    return found


def _rates(before: TrafficCounters, after: TrafficCounters, seconds: float) -> Figures | None:
    """What was carried a second; None for nothing at all, which most objects of a large configuration carry."""
    if before is after and not after.active_connections:
        return None
    figures = (
        _rate(before.total_connections, after.total_connections, seconds),
        _rate(before.requests, after.requests, seconds),
        _rate(before.bytes_in, after.bytes_in, seconds),
        _rate(before.bytes_out, after.bytes_out, seconds),
        float(after.active_connections),
    )
    return None if figures == NO_FIGURES else figures


def _rate(before: int, after: int, seconds: float) -> float:
    return (after - before if after >= before else after) / seconds


def _host_figures(host: HostFigures, sample: Statistics) -> Figures:
    memory = host.memory
    return (
        float(100 - host.cpu.idle - host.cpu.waiting),
        100 * memory.used / memory.total if memory.total else 0.0,
        float(sample.tls_per_second),
        float(sum(one.bytes_in_per_second for one in host.interfaces)),
        float(sum(one.bytes_out_per_second for one in host.interfaces)),
    )
