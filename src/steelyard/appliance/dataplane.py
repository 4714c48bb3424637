"""The running engines: HAProxy and the checking process, kept at what the configuration wants.

`wanted` is the plan of the newest commit, `applied` what HAProxy really has. Operations and reloads are run one at a
time. A process that ends is started again from `wanted` and from the last verdicts.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from steelyard.appliance.checking import RESTART_SECONDS, Checking
from steelyard.appliance.explaining import explained
from steelyard.appliance.follower import Follower, Nobody
from steelyard.appliance.hand_over import until_reload
from steelyard.appliance.kernel_plane import KernelPlane, OnUndone
from steelyard.appliance.problems import Problems
from steelyard.appliance.reloads import Reloads
from steelyard.appliance.standby import standby_comes_first
from steelyard.compile.compiler import Plan
from steelyard.compile.haproxy.refused_clients import ring_name
from steelyard.diff.haproxy import Difference, apply_operations, difference
from steelyard.engines.haproxy.contract import HaproxyEngine
from steelyard.engines.health_process import HealthProcess
from steelyard.explain.report import Explanation
from steelyard.explain.request import Request
from steelyard.explain.situation import Situation
from steelyard.health.client import HealthClient
from steelyard.health.weight_status import WeightStatus
from steelyard.model.errors import EngineRefused, SteelyardError
from steelyard.model.virtual_service import VirtualService
from steelyard.observe.refused_clients import RefusedClient, refused_clients
from steelyard.plan.haproxy import CertificateFile, Globals, HaproxyPlan, service_key
from steelyard.plan.health import HealthPlan
from steelyard.plan.operations import ChangeLookup, Operation, Release, RemoveServer, ReplaceLookup, SetWeight

log = logging.getLogger("steelyard.dataplane")

_SAVE_SECONDS = 0.2
_END_SECONDS = 2.0
#: between two looks at the age of the keys of session tickets
_TICKET_KEY_SECONDS = 60.0

#: called with the revision that has come into force
OnReload = Callable[[int], Awaitable[None]]
#: called when a reload was refused; calls `go_back`
OnReloadFailed = Callable[[SteelyardError], Awaitable[None]]


class DataPlane:
    """HAProxy and `steelyard-health` of one appliance."""

    def __init__(
        self,
        haproxy: HaproxyEngine,
        health: HealthProcess,
        client: HealthClient,
        before_reload: Callable[[], Awaitable[None]],
        kernel: KernelPlane | None = None,
    ) -> None:
        self._before_reload = before_reload
        self._haproxy = haproxy
        self._engine = asyncio.Lock()
        self._reloads = Reloads(self._reload)
        self._tasks: list[asyncio.Task[None]] = []
        self._saving: asyncio.Task[None] | None = None
        self._closing = False
        self.follower: Follower = Nobody()
        self._problems = Problems(self._tell_problem)
        self._checking = Checking(health, client, self._problems, lambda: self.follower)
        self.verdicts = self._checking.verdicts
        self.kernel = kernel or KernelPlane(None, None)
        #: what all engines must have when no reload is pending any more
        self._newest: Plan | None = None
        #: what a reload is bringing now
        self._brought: HaproxyPlan | None = None
        #: when HAProxy's present worker was given its first verdicts, in seconds since the epoch
        self.worker_began = 0.0
        self.applied = self.wanted = HaproxyPlan(Globals(0, 0))
        self._revision = 0

    # --- what others ask

    @property
    def haproxy_pid(self) -> int | None:
        return self._haproxy.master_pid

    @property
    def health_pid(self) -> int | None:
        return self._checking.pid

    @property
    def reload_pending(self) -> bool:
        return self._reloads.pending

    @property
    def behind(self) -> bool:
        """Whether HAProxy has less than was committed, until a reload."""
        return self.applied is not self.wanted

    @property
    def reload_count(self) -> int:
        return self._reloads.count

    def problems(self) -> tuple[str, ...]:
        """What is wrong now, in words."""
        return tuple(self._problems.values())

    def describe(self, operations: Sequence[Operation]) -> tuple[str, ...]:
        return self._haproxy.describe(operations)

    async def explained(self, situation: Situation, service: VirtualService, request: Request) -> Explanation:
        """What would happen to a request, with what HAProxy has now."""
        return await explained(self._haproxy, situation, service, request, self.kernel.records)

    async def refused_clients(self, service: str) -> tuple[RefusedClient, ...]:
        """The clients a service has refused in the handshake since the last reload, newest first."""
        return refused_clients(await self._haproxy.show("events", ring_name(service)))

    def owns(self, pid: int) -> bool:
        """Whether that process is this appliance's HAProxy."""
        return self._haproxy.owns(pid)

    async def transcripts(self, target: str) -> Sequence[dict[str, Any]]:
        """The last checks of "service/server", newest first."""
        return await self._checking.transcripts(target)

    async def weights(self, services: Sequence[str]) -> Mapping[str, WeightStatus]:
        """The weights of these services' servers that move, by "service/server"."""
        return await self._checking.weights(services)

    async def set_weights(self, service: str, weights: Mapping[str, int], seconds: float, *, replace: bool) -> None:
        """Set weights from outside; `replace` ends those of all other servers of the service."""
        await self._checking.set_weights(service, weights, seconds, replace=replace)

    def stapled(self, certificate: str) -> bytes | None:
        """The OCSP responder's answer that lies beside a certificate."""
        return self._haproxy.stapled(certificate)

    async def staple(self, certificate: CertificateFile, issuer_pem: str, answer: bytes) -> bool:
        """Hand an answer to HAProxy; False when the certificate has got other content meanwhile."""
        async with self._engine:
            if self.applied.certificates.get(certificate.name) != certificate or not self.applied.settings.stapling:
                return False
            await self._haproxy.staple(certificate, issuer_pem, answer)
        return True

    def require_room(self) -> None:
        """Raise `HostLacks` when the disk cannot take a change."""
        self._haproxy.require_room()

    async def check(self, part: HaproxyPlan) -> None:
        """Have HAProxy read the changing part of a plan."""
        await self._haproxy.check(part)

    # --- start and end

    def _tell_problem(self, concern: str, words: str | None) -> None:
        # the follower may be another by then
        self.follower.problem(concern, words)

    async def start(
        self,
        plan: Plan,
        revision: int,
        on_reload: OnReload,
        on_reload_failed: OnReloadFailed,
        on_undone: OnUndone,
    ) -> None:
        """Adopt or start the processes on that plan. Addresses come first: HAProxy listens on them."""
        self._on_reload, self._on_reload_failed = on_reload, on_reload_failed
        self.wanted, self._revision = plan.haproxy, revision
        self._newest = plan
        await self.kernel.start(plan.kernel, revision, self._problems, on_undone)
        await self._checking.start(plan.health)
        same = await self._haproxy.adopt(self.wanted)
        if same:
            self.applied = self.wanted
        else:
            await self._first_plan()
        await self._checking.sync()
        for watch in (
            self._watch_haproxy,
            self._checking.watch,
            self._checking.keep_told,
            self._checking.follow,
            self._keep_ticket_keys_fresh,
        ):
            self._tasks.append(asyncio.create_task(self._for_ever(watch)))

    async def _first_plan(self) -> None:
        """Start or reload on the committed plan.

        A refusal leaves the control plane up, so that it can be mended there.
        """
        try:
            await self._bring(self.wanted)
            self.applied = self.wanted
        except SteelyardError as failure:
            self._problems["haproxy"] = f"HAProxy cannot serve the configuration: {failure.message}"
            log.error("%s", failure.details())

    async def _bring(self, plan: HaproxyPlan) -> None:
        """Make HAProxy run that plan: a reload if it runs, a start if it does not."""
        began = time.time()
        if self._haproxy.master_pid is not None:
            await self._before_reload()
            await self._checking.refresh_weights()
            try:
                await self._haproxy.reload(plan, lambda: self.verdicts.server_states(plan))
            except SteelyardError as failure:
                if not await self._has_ended():
                    raise
                # it has not refused the plan
                log.error("HAProxy ended under a reload (%s); starting it", failure.message)
                self.follower.haproxy_restarted()
        if self._haproxy.master_pid is None:
            await self._haproxy.start(plan, self.verdicts.server_states(plan))
        self.worker_began = began
        self._problems.pop("haproxy", None)

    async def _has_ended(self) -> bool:
        """Whether there is no HAProxy any more; its master ends a moment after a worker that was killed."""
        try:
            await self._haproxy.show("info")
        except EngineRefused:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_END_SECONDS):
                    await self._haproxy.wait_for_end()
        return self._haproxy.master_pid is None

    async def finish_reloads(self) -> None:
        """Return when no reload is pending. No change may come any more."""
        with contextlib.suppress(SteelyardError):
            await self._reloads.close()

    async def close(self, *, stop_engines: bool) -> None:
        """Let go of the engines, or end them."""
        self._closing = True
        self._checking.closing()
        if self._saving is not None:
            await self._saving
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.kernel.close(stop=stop_engines)
        if stop_engines:
            await self._haproxy.stop()
            await self._checking.stop()

    # --- changes

    async def apply(self, plan: Plan, todo: Difference, revision: int) -> tuple[asyncio.Future[None], bool] | None:
        """Do at once what can be done at once; ask for a reload if one is needed: (its future, whether it starts now).

        `todo` is what the newest command needs. While a reload is put off, HAProxy has less than was committed; the
        operations are then taken against what it has. None means that everything the command asked for is in force.
        Raises `EngineRefused` when HAProxy refuses an operation; the caller then calls `restore`.
        """
        if plan.kernel.layer4.keys() - self.kernel.wanted.layer4.keys():
            # a service that is new at layer 4 begins with what the checks say of its servers
            await self.kernel.prepare()
            self._checking.plan = plan.health
            await self._checking.tell(patient=True)
        # new addresses before HAProxy listens on them
        self._newest = plan
        at_once = until_reload(self.kernel.wanted, plan.kernel, plan.haproxy, self._present())
        await self.kernel.apply(at_once, revision, plan.confirm_seconds)
        if self._engine.locked() and todo.reload_reasons and not todo.operations:
            # Only the next reload can bring this. A reload takes a second with thousands of servers: do not wait for
            # the one that runs now.
            self._checking.plan = plan.health
            self.wanted, self._revision = plan.haproxy, revision
            await self._checking.tell(patient=False)
            return self._reloads.request()
        async with self._engine:
            self._checking.plan = plan.health
            behind = self.applied is not self.wanted
            self.wanted, self._revision = plan.haproxy, revision
            now = difference(self.applied, plan.haproxy) if behind else todo
            runs = self._haproxy.master_pid is not None
            if runs and standby_comes_first(now.operations, plan.haproxy):
                await self._checking.tell(patient=False)
            complete = runs and await self._run(now.operations, plan.haproxy)
            if complete and not now.reload_reasons:
                self.applied = plan.haproxy
                self._save_soon()
            elif runs:
                touched = {service_key(one.backend) for one in now.operations if hasattr(one, "backend")}
                self.applied = apply_operations(self.applied, plan.haproxy, touched)
            before = self._checking.told
            await self._checking.tell(patient=not self._reloads.pending)
            if complete:
                # the checking process may have moved a weight until it heard that it moves no more
                await self._run(_settled_weights(before, plan.health, now.operations), plan.haproxy)
            needs_reload = bool(todo.reload_reasons) or not complete or (behind and self._is_behind(todo))
        return self._reloads.request() if needs_reload else None

    async def _hand_over(self, revision: int) -> None:
        """Have the kernel let go of what HAProxy has taken over, not of what only the next reload brings."""
        if self._newest is None or self.kernel.wanted is self._newest.kernel:
            return
        now = until_reload(self.kernel.wanted, self._newest.kernel, self._newest.haproxy, self._present())
        try:
            await self.kernel.apply(now, revision, 0)
            self._problems.pop("hand over", None)
        except SteelyardError as failure:
            self._problems["hand over"] = f"The kernel has kept what is HAProxy's now: {failure.message}"
            log.error("%s", failure.details())

    def _present(self) -> tuple[HaproxyPlan, ...]:
        """The plans HAProxy has, or may have before the newest one comes."""
        return (self.applied, self.wanted, *(() if self._brought is None else (self._brought,)))

    async def _run(self, operations: Sequence[Operation], plan: HaproxyPlan) -> bool:
        """Run operations in order; False when a removal has to be left to a reload."""
        complete = True
        removals = [one for one in operations if isinstance(one, RemoveServer)]
        for operation in operations:
            if removals and operation is removals[0]:
                await self._haproxy.retire(removals)
            if isinstance(operation, Release):
                # done by the checking process when it hears of the new plan, a few lines further on
                continue
            try:
                await self._haproxy.run(operation, plan)
            except EngineRefused as refusal:
                if not isinstance(operation, RemoveServer):
                    raise
                log.info("%s is removed by a reload: %s", operation, refusal.words)
                complete = False
        return complete

    def _is_behind(self, todo: Difference) -> bool:
        """Whether a service or lookup the command's operations name still waits for a reload."""
        names = {service_key(one.backend) for one in todo.operations if hasattr(one, "backend")}
        names |= {one.listener for one in todo.operations if hasattr(one, "listener")}
        if any(self.applied.services.get(name) != self.wanted.services.get(name) for name in names):
            return True
        lookups = {one.lookup for one in todo.operations if isinstance(one, ChangeLookup | ReplaceLookup)}
        if not lookups:
            return False
        here = {lookup.name: lookup for lookup in self.applied.all_lookups()}
        return any(here.get(one.name) != one for one in self.wanted.all_lookups() if one.name in lookups)

    async def restore(self, plan: Plan, revision: int) -> None:
        """Bring the engines back to a plan whatever they have now."""
        self._newest = plan
        await self.kernel.restore(plan.kernel, revision)
        async with self._engine:
            self.wanted, self._checking.plan, self._revision = plan.haproxy, plan.health, revision
            try:
                await self._bring(plan.haproxy)
                self.applied = plan.haproxy
            except SteelyardError as failure:
                self._problems["restore"] = f"The previous plan could not be put back: {failure.message}"
                log.error("the previous plan could not be put back: %s", failure.details())
            self._checking.tell_everything_soon()

    async def _reload(self) -> None:
        try:
            async with self._engine:
                plan, revision = self.wanted, self._revision
                self._brought = plan
                try:
                    await self._bring(plan)
                    self.applied = plan
                finally:
                    self._brought = None
                self._problems.pop("reload", None)
                self._problems.pop("restore", None)
        except SteelyardError as failure:
            self._problems["reload"] = f"The last reload was refused: {failure.message}"
            await self._on_reload_failed(failure)
            raise
        await self._hand_over(revision)
        await self._on_reload(revision)
        await self._checking.sync()

    async def go_back(self, plan: Plan, revision: int) -> None:
        """Return to a plan after a refused reload: at run time if possible, since reloads may be refused still."""
        self._newest = plan
        await self.kernel.restore(plan.kernel, revision)
        async with self._engine:
            back = difference(self.applied, plan.haproxy)
            self.wanted, self._checking.plan, self._revision = plan.haproxy, plan.health, revision
            try:
                done = not back.reload_reasons and await self._run(back.operations, plan.haproxy)
            except SteelyardError as failure:
                log.warning("the previous plan is put back by a reload: %s", failure.details())
                done = False
            if done:
                self.applied = plan.haproxy
                # the refused reload has left its files
                self._save_soon()
                self._checking.tell_everything_soon()
        if not done:
            await self.restore(plan, revision)

    def _save_soon(self) -> None:
        """Write the configuration file a little later, so that a burst of operations writes it once."""
        if self._saving is None or self._saving.done():
            self._saving = asyncio.create_task(self._save())

    async def _save(self) -> None:
        if not self._closing:
            await asyncio.sleep(_SAVE_SECONDS)
        await self._haproxy.prepare(self.wanted)
        async with self._engine:
            if self.applied is self.wanted:
                try:
                    await self._haproxy.save(self.wanted)
                    self._problems.pop("save", None)
                except SteelyardError as failure:
                    self._problems["save"] = failure.message
                    log.error("%s", failure.details())

    # --- watching

    async def _for_ever(self, watch: Callable[[], Awaitable[None]]) -> None:
        """A bug in a watcher must not leave a process unwatched: it is told, and the watcher begins anew."""
        while not self._closing:
            try:
                await watch()
            except Exception as failure:
                log.exception("A watcher failed in itself")
                self._problems["watch"] = f"A watcher failed in itself and was started anew: {failure!r}"
                await asyncio.sleep(RESTART_SECONDS)

    async def rotate_ticket_keys(self) -> None:
        """Replace the keys of session tickets whose time is over. Raises `EngineRefused` or `HostLacks`."""
        async with self._engine:
            await self._haproxy.rotate_ticket_keys(self.wanted.ticket_key_seconds)

    async def _keep_ticket_keys_fresh(self) -> None:
        while True:
            try:
                await self.rotate_ticket_keys()
                self._problems.pop("tickets", None)
            except SteelyardError as failure:
                self._problems["tickets"] = f"The keys of session tickets could not be replaced: {failure.message}"
                log.error("%s", failure.details())
            await asyncio.sleep(_TICKET_KEY_SECONDS)

    async def _watch_haproxy(self) -> None:
        while True:
            await self._haproxy.wait_for_end()
            if self._closing:
                return
            log.error("HAProxy is not running; starting it")
            async with self._engine:
                if self._haproxy.master_pid is not None:
                    continue
                try:
                    plan, revision = self.wanted, self._revision
                    await self._bring(plan)
                    self.applied = plan
                except SteelyardError as failure:
                    self._problems["haproxy"] = f"HAProxy cannot be started: {failure.message}"
                    log.error("%s", failure.details())
                    await asyncio.sleep(RESTART_SECONDS)
                    continue
            self.follower.haproxy_restarted()
            await self._on_reload(revision)
            await self._checking.sync()


def _settled_weights(old: HealthPlan, new: HealthPlan, operations: Sequence[Operation]) -> list[Operation]:
    """The weights of services whose weights have been the checking process's business and are not any more."""

    def moves(plan: HealthPlan, key: str) -> bool:
        service = plan.services.get(key)
        return service is not None and (service.fixed or service.weighting is not None)

    weights = [one for one in operations if isinstance(one, SetWeight)]
    settled = {key for key in {service_key(one.backend) for one in weights} if moves(old, key) and not moves(new, key)}
    return [one for one in weights if service_key(one.backend) in settled]
