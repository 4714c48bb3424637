"""The control plane's side of the checking process: what it must watch, what it was told, what it says.

It is told differences, and everything again after a request it did not take or a start. A watcher sees that it has
ended and starts it again. Its work goes on without the control plane.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from steelyard.appliance.follower import Follower
from steelyard.appliance.problems import Problems
from steelyard.appliance.verdicts import Verdicts
from steelyard.engines.health_process import HealthProcess
from steelyard.health.client import HealthClient
from steelyard.health.weight_status import WeightStatus
from steelyard.model.errors import EngineRefused, SteelyardError
from steelyard.plan.health import HealthPlan, Service

log = logging.getLogger("steelyard.checking")

#: how long a change waits for the first verdicts of real servers it brings
FIRST_VERDICT_SECONDS = 0.5
#: before a watcher tries again what failed
RESTART_SECONDS = 0.5
_REFRESH_SECONDS = 15.0
#: the first comparison comes soon: what happened before a start may be known by it alone
_FIRST_REFRESH_SECONDS = 2.0
_START_SECONDS = 10.0


class Checking:
    """`steelyard-health` of one appliance."""

    def __init__(
        self, process: HealthProcess, client: HealthClient, problems: Problems, follower: Callable[[], Follower]
    ) -> None:
        self._process = process
        self._client = client
        self._problems = problems
        self._follower = follower
        self._telling = asyncio.Lock()
        self._untold = asyncio.Event()
        self._closing = False
        self.verdicts = Verdicts()
        #: what it must have; whoever changes this calls `tell`
        self.plan = HealthPlan()
        #: what it has
        self.told = HealthPlan()

    @property
    def pid(self) -> int | None:
        return self._process.pid

    async def transcripts(self, target: str) -> Sequence[dict[str, Any]]:
        """The last checks of "service/server", newest first."""
        return [one.as_json() for one in await self._client.transcripts(target)]

    async def weights(self, services: Sequence[str]) -> Mapping[str, WeightStatus]:
        """The weights of these services' servers that move, by "service/server"."""
        return await self._client.weights(services)

    async def set_weights(self, service: str, weights: Mapping[str, int], seconds: float, *, replace: bool) -> None:
        """Set weights from outside; `replace` ends those of all other servers of the service."""
        await self._client.set_weights(service, weights, seconds, replace=replace)

    # --- start and end

    async def start(self, plan: HealthPlan) -> None:
        """Adopt or start it, and tell it everything."""
        self.plan = plan
        if self._process.pid is None and not self._process.adopt():
            self._process.start()
        await self._tell_everything()

    def closing(self) -> None:
        """An end of the process is not mended any more."""
        self._closing = True

    async def stop(self) -> None:
        await self._process.stop()

    # --- telling

    def tell_everything_soon(self) -> None:
        self._untold.set()

    async def tell(self, *, patient: bool) -> None:
        """Tell it what has changed since it was told last."""
        async with self._telling:
            old, new = self.told, self.plan
            changed: dict[str, Service | None] = {
                key: service for key, service in new.services.items() if old.services.get(key) is not service
            }
            changed.update({key: None for key in old.services if key not in new.services})
            timing = (new.drain_seconds, new.drop_at_drain_end)
            if not changed and timing == (old.drain_seconds, old.drop_at_drain_end):
                return
            try:
                statuses = await self._client.update(
                    changed,
                    drain_seconds=timing[0],
                    drop_at_drain_end=timing[1],
                    wait=FIRST_VERDICT_SECONDS if patient else 0.0,
                )
            except EngineRefused as failure:
                self._problems["health"] = failure.message
                self._untold.set()
                return
            self.told = new
        self.verdicts.put(statuses)

    async def _tell_everything(self) -> None:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + _START_SECONDS
        while True:
            try:
                async with self._telling:
                    plan = self.plan
                    await self._client.replace_plan(plan)
                    self.told = plan
                    await self._client.update({}, wait=FIRST_VERDICT_SECONDS)
                    self.verdicts.replace_all(await self._client.snapshot())
            except EngineRefused:
                if loop.time() > deadline:
                    raise
                await asyncio.sleep(0.02)
            else:
                self._problems.pop("health", None)
                return

    async def sync(self) -> None:
        try:
            await self._client.sync()
        except EngineRefused as failure:
            # it repairs differences by itself every few seconds
            log.warning("the checking process did not look at the new HAProxy at once: %s", failure.words)

    async def refresh_weights(self) -> None:
        """Weights move without events; the next process is to start with those of now."""
        if all(service.weighting is None for service in self.plan.services.values()):
            return
        try:
            weights = await self._client.weights()
        except EngineRefused as failure:
            # those of some seconds ago are put right by the checking process
            log.warning("the new HAProxy starts with weights of some seconds ago: %s", failure.words)
        else:
            self.verdicts.put_weights({target: status.engine for target, status in weights.items()})

    # --- watching

    async def follow(self) -> None:
        patience = _FIRST_REFRESH_SECONDS
        while not self._closing:
            try:
                async with asyncio.timeout(patience):
                    async for event in self._client.subscribe(*self._follower().position()):
                        self.verdicts.note(event)
                        self._follower().heard(event)
            except TimeoutError:
                pass
            except EngineRefused:
                await asyncio.sleep(RESTART_SECONDS)
            patience = _REFRESH_SECONDS
            with contextlib.suppress(EngineRefused):
                statuses = await self._client.snapshot()
                self.verdicts.replace_all(statuses)
                self._follower().compared(statuses)

    async def watch(self) -> None:
        while True:
            await self._process.wait_for_end()
            if self._closing:
                return
            if self._process.elsewhere:
                log.error("steelyard-health has ended; its unit has to start it again")
                self._problems["health"] = "steelyard-health does not run: systemctl start steelyard-health"
                await self._process.back()
                self._untold.set()
                self._follower().checks_restarted()
                continue
            log.error("steelyard-health has ended; starting it again")
            self._untold.set()
            try:
                self._process.start()
                self._follower().checks_restarted()
            except SteelyardError as failure:
                self._problems["health"] = failure.message
                log.error("%s", failure.details())
                await asyncio.sleep(RESTART_SECONDS)

    async def keep_told(self) -> None:
        """Tell it the whole plan again until it has it, after a request it did not take or a start."""
        while True:
            await self._untold.wait()
            self._untold.clear()
            try:
                await self._tell_everything()
            except SteelyardError as failure:
                self._problems["health"] = failure.message
                log.error("%s", failure.details())
                self._untold.set()
                await asyncio.sleep(RESTART_SECONDS)
