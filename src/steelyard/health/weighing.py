"""Weights that move, at work: polls the agents, compares response times, keeps external weights, and tells HAProxy.

What changes is told to HAProxy together every `TELL_SECONDS`, so a thousand polls a second cost two messages. Nothing
of it changes a verdict or a revision.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from steelyard.health.agent_poll import AgentPoll
from steelyard.health.board import Board, Changes
from steelyard.health.poller import Poller, PollKey
from steelyard.health.saver import Saver
from steelyard.health.transcript import Outcome
from steelyard.health.weigher import Reading, TargetName, Weigher
from steelyard.health.weight_files import WeightFiles
from steelyard.health.weight_status import WeightStatus
from steelyard.health.weights import TIMES, average
from steelyard.model.errors import HostLacks
from steelyard.plan.health import Service

log = logging.getLogger(__name__)

#: Also between two steps of external weights.
TELL_SECONDS = 0.5
#: Seconds between two writes of the shares.
SAVE_SECONDS = 2.0

Prepared = Mapping[PollKey, AgentPoll]


class Weighing:
    """All of it for one board. `apply` takes what a change of weights brings about."""

    def __init__(self, directory: Path, limit: int) -> None:
        self._files = WeightFiles(directory)
        self.weigher = Weigher(self._files.shares(), self._files.externals())
        self._poller = Poller(self._heard, limit)
        self._saver = Saver(self._files.shares_path, self._shares)
        self._writing = asyncio.Lock()
        self._dirty: dict[str, set[str] | None] = {}
        self._wake = asyncio.Event()
        self._next_save = 0.0
        self._unsaved = False
        self._board = Board()
        self._apply: Callable[[Changes], None] = lambda changes: None
        self._writing_soon: asyncio.Future[None] | None = None

    @property
    def running(self) -> int:
        """How many polls are under way."""
        return self._poller.running

    def serve(self, board: Board, apply: Callable[[Changes], None]) -> None:
        """Work for this board."""
        self._board, self._apply = board, apply

    def prepare(self, services: Mapping[str, Service | None]) -> Prepared:
        """What is to be polled anew. Raises `OperatorError` for an agent that cannot be asked; nothing has changed."""
        return self._poller.prepare(services.values())

    def take(self, services: Mapping[str, Service | None], prepared: Prepared) -> None:
        """Take new versions of some services, after the board has."""
        self._poller.take(services, prepared)
        externals = dict(self.weigher.externals)
        changed = self.weigher.take(services)
        if externals != self.weigher.externals:
            self._writing_soon = asyncio.ensure_future(self._forget_ended())
        if changed:
            self._dirty.update(dict.fromkeys(changed))
            self._tell_now()
        self._wake.set()

    async def run(self) -> None:
        """Work until cancelled."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._poller.run())
                group.create_task(self._saver.run())
                group.create_task(self._tell())
        finally:
            self._saver.finish()

    async def set_external(self, service: str, weights: Mapping[str, int], seconds: float, *, replace: bool) -> None:
        """Set weights from outside; they are on the disk when this returns.

        Raises `OperatorError` for what the service does not take, `HostLacks` when the disk refuses.
        """
        async with self._writing:
            before = dict(self.weigher.externals)
            self.weigher.set_external(service, weights, time.time() + seconds, replace=replace)
            try:
                await self._write_externals()
            except OSError as failure:
                self.weigher.externals = before
                raise HostLacks(
                    f"{self._files.external_path} cannot be written: {failure.strerror}",
                    lacks="disk space",
                    remedy="Make room on that disk",
                ) from failure
        log.info("%s: %d weights set from outside for %g s", service, len(weights), seconds)
        self._wake.set()

    def statuses(self, services: Iterable[str] | None = None) -> dict[TargetName, WeightStatus]:
        """The weights of these services' servers, or of all."""
        return self.weigher.statuses(time.time(), services)

    def _heard(self, targets: Iterable[TargetName], reading: Reading) -> None:
        now = time.time()
        for name in targets:
            if self.weigher.heard(name, reading, now):
                log.warning("%s load agent: %s", "/".join(name), reading.reason)
            keys = self._dirty.setdefault(name[0], set())
            if keys is not None:
                keys.add(name[1])

    async def _tell(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            self._wake.clear()
            steady = loop.time()
            self._look(time.time(), steady)
            self._tell_now()
            if self._unsaved and steady >= self._next_save:
                self._unsaved, self._next_save = False, steady + SAVE_SECONDS
                self._saver.soon()
            if self.weigher.idle:
                await self._wake.wait()
            else:
                await asyncio.sleep(TELL_SECONDS)

    def _tell_now(self) -> None:
        if self._dirty:
            changed, self._dirty = self._dirty, {}
            moved = self._board.reweigh(changed, time.time())
            self._apply(moved)
            self._unsaved = self._unsaved or bool(moved.wanted)

    def _look(self, now: float, steady: float) -> None:
        """What the time alone brings about: comparisons, steps, ends of external weights."""
        for service in self.weigher.due(steady):
            self.weigher.compared(service.key, self._times(service), now)
            self._dirty[service.key] = None
        gone = self.weigher.expire(now)
        if gone:
            log.info("weights set from outside have ended: %s", ", ".join("/".join(name) for name in gone))
            self._writing_soon = asyncio.ensure_future(self._forget_ended())
        for key in self.weigher.step():
            self._dirty[key] = None

    def _times(self, service: Service) -> dict[str, float]:
        """The response times of a service's servers, from their last good checks."""
        found: dict[str, float] = {}
        for name, known in self._board.targets([service.key]):
            if known.probe is not None and known.state == "up":
                good = [one.duration_ms for one in known.probe.transcripts if one.outcome is Outcome.GOOD][-TIMES:]
                if good:
                    found[name[1]] = average(good)
        return found

    async def _forget_ended(self) -> None:
        """Bring the file up to date. One that is out of date does little harm: what it has ends by itself."""
        async with self._writing:
            with contextlib.suppress(OSError):
                await self._write_externals()

    async def _write_externals(self) -> None:
        await asyncio.to_thread(self._files.write_externals, dict(self.weigher.externals))

    def _shares(self) -> list[str]:
        return self._files.shares_content(self.weigher.shares())
