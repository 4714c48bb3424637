"""The control plane's side of `steelyard-netd`: what the kernel must have, whether it has it, and what waits.

The process is started when the kernel first must have something, for most have nothing for it and it needs a privilege.
It is told differences, and everything when it does not know what they stand on. A change of the host's network that may
cut the administrator off waits there to be confirmed; when it has gone back, the configuration follows.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from steelyard.appliance.problems import Problems
from steelyard.diff.kernel import describe_layer4, describe_network, may_cut_off
from steelyard.engines.layer4.contract import Record, ServiceTraffic
from steelyard.engines.netd_process import NetdProcess, may_start
from steelyard.model.errors import ConflictError, EngineRefused, HostLacks, SteelyardError
from steelyard.netd.client import GoneBack, NetdClient, SendWhole
from steelyard.netd.protocol import LEAST_CONFIRM, NetdStatus
from steelyard.plan.kernel import KernelChange, KernelPlan, changed

log = logging.getLogger("steelyard.kernel")

_START_SECONDS = 10.0
#: between two looks at a process that somebody else supervises
_LOOK_SECONDS = 5.0

#: called with the revision whose change of the host's network has gone back
OnUndone = Callable[[int], Awaitable[None]]

REMEDY = (
    "Start steelyard-netd.service and give `serve` its socket (--netd-socket), or start Steelyard as root or with"
    " CAP_NET_ADMIN and CAP_NET_RAW; see docs/guides/network.md"
)


@dataclass(frozen=True)
class Waiting:
    """A change of the host's network that goes back unless it is confirmed: of which revision, until when (epoch)."""

    revision: int
    generation: str
    until: float

    @property
    def seconds(self) -> float:
        """How long is left."""
        return max(0.0, self.until - time.time())


class KernelPlane:
    """`steelyard-netd` of one appliance. `process` None: somebody else starts it."""

    def __init__(self, client: NetdClient | None, process: NetdProcess | None, directory: Path | None = None) -> None:
        self._client = client
        self._process = process
        self._directory = directory
        self._problems = Problems(lambda concern, words: None)
        self._lock = asyncio.Lock()
        self._on_undone: OnUndone | None = None
        self._watching: asyncio.Task[None] | None = None
        self._following: asyncio.Task[None] | None = None
        self._clock: asyncio.Task[None] | None = None
        self._closing = False
        #: the plan of the newest commit, and what steelyard-netd has; None when that is not known
        self.wanted = KernelPlan()
        self._has: KernelPlan | None = KernelPlan()
        self._generation = ""
        self._undone = ""
        self._revision = 0
        self._up = False
        self.waiting: Waiting | None = None

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process is not None else None

    @property
    def client(self) -> NetdClient | None:
        """Whom to ask for counters and records; None while nothing runs."""
        return self._client if self._up else None

    # --- start and end

    async def start(self, plan: KernelPlan, revision: int, problems: Problems, on_undone: OnUndone) -> None:
        """Adopt or start it when the kernel must have something, or has something from before."""
        self._problems, self._on_undone = problems, on_undone
        self.wanted, self._revision = plan, revision
        if self._client is None:
            return
        runs = self._process.adopt() if self._process is not None else False
        if not runs and plan.empty and not await self._has_something():
            return
        try:
            await self._bring_up()
            status = await self._status()
            self._note_waiting(status)
            if status.undone:
                # the configuration follows first
                self._gone_back(status.undone)
            else:
                await self._tell_everything()
        except SteelyardError as failure:
            self._failed(failure)
        self._watch()

    async def _has_something(self) -> bool:
        """Whether it may have something in the kernel from before."""
        if self._directory is not None:
            return (self._directory / "plan.jsonl").exists()
        try:
            return bool((await self._asked().status()).generation)
        except EngineRefused:
            return False

    async def close(self, *, stop: bool) -> None:
        """Let go of it, and what the kernel has goes on; or with `stop` end it, and what services have with it.

        The host's own network stays in either case.
        """
        self._closing = True
        tasks = [one for one in (self._watching, self._following, self._clock) if one is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if not stop or self._process is None:
            return
        if self._up and self._client is not None:
            try:
                await self._client.rest()
            except SteelyardError as failure:
                log.error("the kernel keeps what it has of services: %s", failure.message)
        await self._process.stop()

    # --- changes

    def describe(self, plan: KernelPlan) -> tuple[str, ...]:
        """What having that plan in place of the newest commit's would do, in words."""
        return (*describe_network(self.wanted.network, plan.network), *describe_layer4(self.wanted, plan))

    async def check(self, plan: KernelPlan) -> None:
        """Raise before anything is committed: no privilege, what the kernel would refuse, what still waits."""
        change = changed(self.wanted, plan)
        if change.empty:
            return
        self.refuse_while_waiting(plan)
        client = self._asked()
        if not self._up:
            self._require_privilege()
            return
        if self._has is self.wanted:
            with contextlib.suppress(SendWhole):
                await client.check(self._generation, change)

    def refuse_while_waiting(self, plan: KernelPlan) -> None:
        """Raise `ConflictError` for one more change of the host's network while one waits to be confirmed."""
        if self.waiting is None or plan.network.host == self.wanted.network.host:
            return
        raise ConflictError(
            f"The change of the network of revision {self.waiting.revision} waits to be confirmed for"
            f" {self.waiting.seconds:.0f} s more; confirm it (`steelyard network confirm`) or undo it"
            " (`steelyard network undo`) first",
            field="network",
            with_what=str(self.waiting.revision),
        )

    async def prepare(self) -> None:
        """Have the process there, so that verdicts can be told before a plan is. Raises `HostLacks`."""
        async with self._lock:
            if self._client is not None:
                await self._bring_up()
        self._watch()

    async def apply(self, plan: KernelPlan, revision: int, confirm: int) -> None:
        """Have the kernel have that. `confirm` is how long a change that may cut off waits, 0 not at all.

        Raises `EngineRefused` or `HostLacks`; the caller then calls `restore`.
        """
        change = changed(self.wanted, plan)
        needs = confirm if confirm and may_cut_off(self.wanted, plan) else 0
        self._revision = revision
        if change.empty:
            # what it has not got yet, the watcher sees to
            return
        async with self._lock:
            self.wanted = plan
            await self._bring_up()
            await self._send(change, revision, max(float(needs), LEAST_CONFIRM) if needs else None)
        self._watch()

    async def restore(self, plan: KernelPlan, revision: int) -> None:
        """Put a plan back after a refusal. What cannot be is a problem for people."""
        if changed(self.wanted, plan).empty and self._has is self.wanted:
            return
        self.wanted, self._revision = plan, revision
        if not self._up and plan.empty:
            self._has = plan
            return
        try:
            await self._bring_up()
            await self._tell_everything()
        except SteelyardError as failure:
            self._failed(failure)

    async def _send(self, change: KernelChange, revision: int, confirm: float | None) -> None:
        client = self._asked()
        generation = f"r{revision}-{secrets.token_hex(4)}"
        known = self._has is not None and not self._undone
        try:
            sent = False
            if known and self._generation:
                with contextlib.suppress(SendWhole):
                    await client.change(self._generation, change, generation, confirm)
                    sent = True
            if not sent:
                await client.replace_plan(self.wanted, generation, confirm, self._undone)
        except GoneBack:
            self._has = None
            self._gone_back((await client.status()).undone)
            raise
        except EngineRefused:
            # it has kept, or put back, what it had; ask it for everything next time
            self._has = None
            raise
        self._generation, self._has, self._undone = generation, self.wanted, ""
        self._problems.pop("network", None)
        self._note_waiting(await client.status())

    async def _tell_everything(self) -> None:
        async with self._lock:
            self._has = None
            await self._send(KernelChange(), self._revision, None)

    # --- confirming

    async def confirm(self) -> int:
        """Keep the change that waits; its revision. Raises `ConflictError` when none does."""
        waiting = self._require_waiting()
        client = self._asked()
        await self._in_time(client, client.confirm(waiting.generation))
        self._note_waiting(await client.status())
        return waiting.revision

    async def undo(self) -> int:
        """Take the change that waits back now; its revision. Raises `ConflictError` when none does."""
        waiting = self._require_waiting()
        client = self._asked()
        await self._in_time(client, client.undo(waiting.generation))
        self._note_waiting(await client.status())
        self._undone, self._has = waiting.generation, None
        return waiting.revision

    async def _in_time(self, client: NetdClient, asked: Awaitable[None]) -> None:
        """Wait for what was asked of a change that waits; its clock is netd's, which may have been quicker."""
        try:
            await asked
        except EngineRefused:
            self._note(await client.status())
            self._require_waiting()
            raise

    def _require_waiting(self) -> Waiting:
        if self.waiting is None:
            raise ConflictError("No change of the network waits to be confirmed", field="network")
        return self.waiting

    def _note_waiting(self, status: NetdStatus) -> None:
        if status.confirm_left is None:
            self.waiting = None
        else:
            until = time.time() + status.confirm_left
            self.waiting = Waiting(_revision(status.confirm_generation), status.confirm_generation, until)
            if self._clock is None or self._clock.done():
                self._clock = asyncio.create_task(self._look_when_over())

    async def _look_when_over(self) -> None:
        while self.waiting is not None and self._client is not None:
            await asyncio.sleep(min(self.waiting.seconds + 0.1, 1.0))
            with contextlib.suppress(EngineRefused):
                self._note(await self._client.status())

    def _note(self, status: NetdStatus) -> None:
        """What waits, or that it has gone back."""
        self._note_waiting(status)
        if status.undone and not self._undone:
            self._gone_back(status.undone)

    def _gone_back(self, generation: str) -> None:
        if self._undone == generation or not generation:
            return
        self._undone, self._has, self.waiting = generation, None, None
        revision = _revision(generation)
        log.warning("the change of the network of revision %d was not confirmed and has gone back", revision)
        if not self._closing:
            self._following = asyncio.create_task(self._follow(revision))

    async def _follow(self, revision: int) -> None:
        try:
            if self._on_undone is not None:
                await self._on_undone(revision)
            if self._undone:
                # the configuration had nothing to change
                await self._tell_everything()
        except SteelyardError as failure:
            self._failed(failure)

    # --- counters and verdicts

    async def traffic(self) -> Mapping[str, ServiceTraffic]:
        """Counters of every layer-4 service, by key; none while there are none."""
        if not self.wanted.layer4 or self._client is None:
            return {}
        return await self._client.traffic()

    async def records(self, service: str) -> Sequence[Record]:
        """Persistence records of a layer-4 service."""
        return () if self._client is None or service not in self.wanted.layer4 else await self._client.records(service)

    # --- the process

    def _asked(self) -> NetdClient:
        """Whom to ask. Raises `HostLacks` where nobody can be."""
        if self._client is None:
            raise _lacks("Steelyard cannot change the kernel's network here")
        return self._client

    def _require_privilege(self) -> None:
        if self._process is not None and not may_start():
            raise _lacks("Changing the kernel's network needs the privilege CAP_NET_ADMIN, which Steelyard has not")

    async def _bring_up(self) -> None:
        if self._up:
            return
        if self._process is not None and self._process.pid is None and not self._process.adopt():
            self._require_privilege()
            self._process.start()
        await self._status()
        self._up = True

    async def _status(self) -> NetdStatus:
        """Its answer, as soon as it answers."""
        client = self._asked()
        loop = asyncio.get_running_loop()
        deadline = loop.time() + (_START_SECONDS if self._process is not None else 1.0)
        while True:
            try:
                return await client.status()
            except EngineRefused as failure:
                ended = self._process is not None and not self._process.alive()
                if ended or loop.time() > deadline:
                    raise HostLacks(
                        f"steelyard-netd does not run: {failure.words or failure.message}",
                        lacks="steelyard-netd",
                        remedy=REMEDY,
                    ) from failure
                await asyncio.sleep(0.02)

    def _watch(self) -> None:
        if self._watching is None and not self._closing:
            self._watching = asyncio.create_task(self._look_after())

    async def _look_after(self) -> None:
        while True:
            if self._process is not None:
                await self._process.wait_for_end()
                log.error("steelyard-netd does not run; starting it")
            else:
                await asyncio.sleep(_LOOK_SECONDS)
                if await self._answers():
                    continue
            if self._closing:
                return
            self._up, self._has = False, None
            try:
                await self._bring_up()
                status = await self._status()
                if status.undone:
                    self._gone_back(status.undone)
                else:
                    self._note_waiting(status)
                    await self._tell_everything()
            except SteelyardError as failure:
                self._failed(failure)
                await asyncio.sleep(_LOOK_SECONDS)

    async def _answers(self) -> bool:
        """Whether it is there, and has what it was told."""
        if self._client is None:
            return True
        try:
            return (await self._client.status()).generation == self._generation or bool(self._undone)
        except EngineRefused:
            return False

    def _failed(self, failure: SteelyardError) -> None:
        words = getattr(failure, "words", "")
        said = f"The kernel's network: {failure.message}{f' ({words})' if words else ''}"
        if self._problems.get("network") != said:
            log.error("%s", failure.details())
        self._problems["network"] = said


def _revision(generation: str) -> int:
    number = generation.removeprefix("r").partition("-")[0]
    return int(number) if number.isdigit() else 0


def _lacks(message: str) -> HostLacks:
    return HostLacks(message, lacks="CAP_NET_ADMIN", remedy=REMEDY)
