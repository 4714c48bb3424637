"""Polls the load agents: each (address, agent) once however many services share it, spread over the interval."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from steelyard.health.agent_poll import AgentPoll
from steelyard.health.scheduler import Scheduler
from steelyard.health.weigher import Reading, TargetName
from steelyard.plan.health import Service
from steelyard.plan.weighting import Weighting

log = logging.getLogger(__name__)

#: Polls started in one turn of the loop, and most at once: 1,000 agents that hang for 4 of 7 seconds take 571.
STARTED_AT_ONCE, MOST_AT_ONCE = 32, 1024
TICK_SECONDS = 0.01

PollKey = tuple[Weighting, str]


@dataclass(slots=True, eq=False)
class _Poll:
    key: PollKey
    asker: AgentPoll
    targets: set[TargetName] = field(default_factory=set)


class Poller:
    """The timetable of all agents. `heard` is called with every reading and whose it is."""

    def __init__(self, heard: Callable[[Iterable[TargetName], Reading], None], limit: int) -> None:
        self._heard = heard
        self._limit = max(8, min(MOST_AT_ONCE, limit))
        self._polls: dict[PollKey, _Poll] = {}
        self._of: dict[str, set[_Poll]] = {}
        self._scheduler: Scheduler[_Poll] = Scheduler()
        self._running: set[asyncio.Task[None]] = set()
        self._wake = asyncio.Event()

    @property
    def running(self) -> int:
        """How many polls are under way."""
        return len(self._running)

    def prepare(self, services: Iterable[Service | None]) -> dict[PollKey, AgentPoll]:
        """The polls of these services that are not asked yet. Raises `OperatorError`; nothing has changed then."""
        found: dict[PollKey, AgentPoll] = {}
        for service in services:
            for _, key in _asked(service):
                if key not in self._polls and key not in found:
                    found[key] = AgentPoll(*key)
        return found

    def take(self, services: Mapping[str, Service | None], prepared: Mapping[PollKey, AgentPoll]) -> None:
        """Take new versions of some services; call it inside a running loop."""
        now = asyncio.get_running_loop().time()
        left: set[_Poll] = set()
        for name, service in services.items():
            for poll in self._of.pop(name, ()):
                poll.targets = {target for target in poll.targets if target[0] != name}
                left.add(poll)
            for target, key in _asked(service):
                if key not in self._polls:
                    self._polls[key] = _Poll(key, prepared[key])
                    self._scheduler.add(self._polls[key], key[0].interval, now)
                self._polls[key].targets.add((name, target))
                self._of.setdefault(name, set()).add(self._polls[key])
        for poll in left:
            if not poll.targets:
                del self._polls[poll.key]
                self._scheduler.remove(poll)
        self._wake.set()

    async def run(self) -> None:
        """Poll until cancelled."""
        loop = asyncio.get_running_loop()
        try:
            while True:
                self._wake.clear()
                free = self._limit - len(self._running)
                for poll in self._scheduler.due(loop.time(), min(free, STARTED_AT_ONCE)):
                    task = loop.create_task(self._poll(poll))
                    self._running.add(task)
                await self._pause(loop, free=self._limit - len(self._running))
        finally:
            for task in tuple(self._running):
                task.cancel()

    async def _pause(self, loop: asyncio.AbstractEventLoop, *, free: int) -> None:
        at = self._scheduler.next_at()
        wait = None if at is None or free <= 0 else max(TICK_SECONDS, at - loop.time())
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(wait):
                await self._wake.wait()

    async def _poll(self, poll: _Poll) -> None:
        loop = asyncio.get_running_loop()
        task = asyncio.current_task()
        try:
            reading = await poll.asker.ask()
            if reading is not None and poll in self._scheduler:
                self._heard(tuple(poll.targets), reading)
        except Exception:
            # a bug in one poll must not end the polling of all others
            log.exception("The poll of the load agent at %s failed in itself", poll.key[1])
        finally:
            self._scheduler.finished(poll, loop.time())
            # before the wake, which would find no room otherwise
            if task is not None:
                self._running.discard(task)
            self._wake.set()


def _asked(service: Service | None) -> list[tuple[str, PollKey]]:
    """The targets of a service with what is asked of them."""
    if service is None or service.weighting is None or service.weighting.kind != "agent":
        return []
    weighting = service.weighting
    return [(one.key, (weighting, one.address)) for one in service.targets if one.enabled and not one.follows]
