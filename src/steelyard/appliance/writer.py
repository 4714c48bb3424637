"""The one writer: takes each command down the road, keeps what came of it, and takes back what the engines refuse.

    command -> configuration' -> compile -> plan' -> check -> commit -> apply -> revision + event

A refusal before commit leaves everything as it was. A failure after commit puts the previous plan back and marks the
revision failed. Runtime operations are run before `execute` returns; a reload may be put off to the end of the
second, see `reloads`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping

from steelyard.appliance.announcing import Announcer
from steelyard.appliance.contract import Actor, Outcome, Preview, Snapshot
from steelyard.appliance.dataplane import DataPlane
from steelyard.appliance.host_needs import refuse_what_host_lacks
from steelyard.appliance.journal import Journal
from steelyard.appliance.road import (
    Journey,
    brings_certificates,
    changing_part,
    check_permission,
    new_places,
    new_sockets,
    think_through,
)
from steelyard.compile.compiler import Compiler
from steelyard.diff.haproxy import difference
from steelyard.engines.host import Host
from steelyard.model.commands.command import Command
from steelyard.model.commands.declare import Restore
from steelyard.model.commands.network import UndoNetwork
from steelyard.model.configuration import Configuration
from steelyard.model.errors import ConflictError, EngineRefused, HostLacks, OperatorError, SteelyardError
from steelyard.model.network_refusals import refuse_network_faults
from steelyard.model.user import ADMINISTRATOR

log = logging.getLogger("steelyard.appliance")


class Writer:
    """Has the lock for writers. `snapshot` is the newest commit, `in_force` what the engines have."""

    def __init__(
        self, journal: Journal, compiler: Compiler, dataplane: DataPlane, host: Host, announcer: Announcer
    ) -> None:
        self._journal = journal
        self._compiler = compiler
        self._dataplane = dataplane
        self._host = host
        self._announcer = announcer
        self._lock = asyncio.Lock()
        self._unapplied: list[Snapshot] = []
        self._closing = False
        self.snapshot = Snapshot(0, Configuration())
        self.in_force = Snapshot(0, Configuration())

    async def start(self, snapshot: Snapshot) -> None:
        """Bring the data plane to the committed configuration: adopt what runs, start what does not."""
        plan = self._compiler.compile(snapshot.configuration)
        await self._dataplane.start(plan, snapshot.revision, self._reloaded, self._reload_failed, self.network_undone)

    async def close(self) -> None:
        """Finish the change that is under way and take no other. A reload that fails later is still dealt with."""
        async with self._lock:
            self._closing = True

    async def execute(
        self, command: Command, actor: Actor, *, reason: str = "", based_on: int | None = None, wait: bool | None = None
    ) -> Outcome:
        try:
            outcome, reload = await self._commit(command, actor, reason, based_on, None)
        except SteelyardError as refusal:
            await self._journal.refused(actor, command.summary, refusal)
            raise
        return await self._await_reload(outcome, reload, wait)

    async def _await_reload(
        self, outcome: Outcome, reload: tuple[asyncio.Future[None], bool] | None, wait: bool | None
    ) -> Outcome:
        if reload is None:
            return outcome
        future, at_once = reload
        if wait or (wait is None and at_once):
            await asyncio.shield(future)
            return Outcome(outcome.revision, "now", outcome.preview)
        return outcome

    async def _commit(
        self, command: Command, actor: Actor, reason: str, based_on: int | None, rollback_of: int | None
    ) -> tuple[Outcome, tuple[asyncio.Future[None], bool] | None]:
        async with self._lock:
            journey = self._think(command, actor, based_on)
            before = self.snapshot
            if not journey.preview.differences and journey.configuration == before.configuration:
                return Outcome(before.revision, "unchanged", journey.preview), None
            with self._journal.expecting(journey.change.secrets):
                await self._check(journey)
            revision = await self._journal.commit(
                before, journey.configuration, command.summary, actor, reason, journey.change.secrets, rollback_of
            )
            await self._journal.forget(journey.change.forget)
            self.snapshot = Snapshot(revision, journey.configuration)
            # before it is in force: the first verdicts of new real servers come while it is brought there
            await self._announcer.now(journey.configuration)
            found = await self._apply(journey, before, revision)
            self._announcer.changed(actor, command.summary, revision)
            return found

    def _think(self, command: Command, actor: Actor, based_on: int | None) -> Journey:
        check_permission(command, actor)
        if self._closing:
            raise HostLacks("Steelyard is stopping", lacks="a control plane", remedy="Try again when it is up again")
        now = self.snapshot
        if based_on is not None and based_on != now.revision:
            raise self._stale(based_on)
        return think_through(
            command,
            revision=now.revision,
            configuration=now.configuration,
            wanted=self._dataplane.wanted,
            compiler=self._compiler,
            describe=self._dataplane.describe,
            describe_kernel=self._dataplane.kernel.describe,
        )

    def _stale(self, based_on: int) -> ConflictError:
        newer = [entry for entry in self._journal.history(5, None) if entry.number > based_on]
        told = "; ".join(f"revision {e.number} by {e.author}: {e.summary}" for e in newer)
        return ConflictError(
            f"The request is based on revision {based_on}, the newest is {self.snapshot.revision} ({told})",
            field="revision",
            with_what=str(self.snapshot.revision),
        )

    async def _check(self, journey: Journey) -> None:
        """Refuse before anything is committed: addresses that cannot be bound, what HAProxy objects to."""
        self._dataplane.require_room()
        refuse_what_host_lacks(self.snapshot.configuration, journey.configuration, self._host.capabilities())
        wanted = self._dataplane.wanted
        for address, port in new_sockets(wanted, journey.plan.haproxy):
            comes = address in journey.plan.kernel.network.held
            refusal = self._host.can_bind(address, port, comes=True) if comes else self._host.can_bind(address, port)
            if refusal is not None and not self._held_by_us(address, port):
                raise refusal
        self._check_places(journey)
        self._check_sources(journey)
        self._refuse_on_what_may_go_back(journey.configuration)
        await self._dataplane.kernel.check(journey.plan.kernel)
        if journey.todo.reload_reasons or brings_certificates(journey.todo):
            part = changing_part(wanted, journey.plan.haproxy)
            # where services only go, there is nothing HAProxy could object to
            if part.services or part.certificates or part.settings != wanted.settings:
                await self._dataplane.check(part)

    def _check_places(self, journey: Journey) -> None:
        """Layer 4 binds nothing, but it would take packets from a program that does, and needs the address, too."""
        places = new_places(self._dataplane.kernel.wanted, journey.plan.kernel)
        here = frozenset(self._host.addresses()) if places else frozenset()
        lowest = self._host.capabilities().lowest_port
        for address, port, protocol in places:
            if address in journey.plan.kernel.network.held:
                continue
            if address not in here:
                raise OperatorError(
                    f"{address} is not an address of this host",
                    field="address",
                    value=address,
                    allowed=", ".join(sorted(here)) or None,
                    remedy="Add it to an interface first",
                )
            refusal = self._host.can_bind(address, port, protocol) if port >= lowest else None
            if refusal is not None and not self._held_by_us(address, port):
                raise refusal

    def _check_sources(self, journey: Journey) -> None:
        """Alternate source addresses are this host's: answers to others would go elsewhere."""
        before = self._dataplane.kernel.wanted.network.sources.alternate
        network = journey.plan.kernel.network
        fresh = network.sources.alternate - before - network.held.keys()
        here = frozenset(self._host.addresses()) if fresh else frozenset()
        for address in sorted(fresh - here):
            raise OperatorError(
                f"LocalBindAddrs {address} is not an address of this host",
                field="local_bind_addresses",
                value=address,
                allowed=", ".join(sorted(here)) or None,
                remedy="Add it to an interface first",
            )

    def _refuse_on_what_may_go_back(self, wanted: Configuration) -> None:
        """Raise `ConflictError` for a change that could not stay when the one that waits to be confirmed goes back."""
        waiting = self._dataplane.kernel.waiting
        if waiting is None:
            return
        then = self._journal.configuration_at(waiting.revision - 1)
        try:
            refuse_network_faults(then, UndoNetwork(waiting.revision, then).apply(wanted).configuration)
        except (OperatorError, ConflictError) as fault:
            raise ConflictError(
                f"The change of the network of revision {waiting.revision} waits to be confirmed, and without it:"
                f" {fault.message}",
                field=fault.field,
                with_what=str(waiting.revision),
            ) from fault

    def _held_by_us(self, address: str, port: int) -> bool:
        holder = self._host.port_holder(address, port)
        return holder is not None and holder.pid is not None and self._dataplane.owns(holder.pid)

    async def _apply(
        self, journey: Journey, before: Snapshot, revision: int
    ) -> tuple[Outcome, tuple[asyncio.Future[None], bool] | None]:
        try:
            reload = await self._dataplane.apply(journey.plan, journey.todo, revision)
        except (EngineRefused, HostLacks) as failure:
            await self._put_back(before, revision, failure.message)
            raise
        if reload is not None:
            self._unapplied.append(self.snapshot)
            return Outcome(revision, "queued", journey.preview), reload
        if self._dataplane.behind:
            # in force, but it stands on a revision that is not: the reload settles both
            self._unapplied.append(self.snapshot)
        else:
            self.in_force = self.snapshot
            await self._journal.applied(revision)
        return Outcome(revision, "now", journey.preview), None

    async def _put_back(self, before: Snapshot, revision: int, why: str) -> None:
        """Withdraw a revision the engines refused and bring them back to what they had."""
        await self._journal.withdraw([revision], why)
        self.snapshot = Snapshot(revision, before.configuration)
        self._announcer.refused([revision], why)
        await self._announcer.now(before.configuration)
        await self._dataplane.restore(self._compiler.compile(before.configuration), before.revision)

    async def _reloaded(self, revision: int) -> None:
        """A reload has brought every revision up to this one into force."""
        done = [snapshot for snapshot in self._unapplied if snapshot.revision <= revision]
        self._unapplied = [snapshot for snapshot in self._unapplied if snapshot.revision > revision]
        for snapshot in done:
            # what needed no reload may have come into force meanwhile
            if snapshot.revision > self.in_force.revision:
                self.in_force = snapshot
            await self._journal.applied(snapshot.revision)

    async def _reload_failed(self, failure: SteelyardError) -> None:
        """A reload was refused: withdraw what waited for it and go back to what is in force."""
        async with self._lock:
            # a change that was committed meanwhile stands on those that failed, and goes with them
            failed, self._unapplied = [snapshot.revision for snapshot in self._unapplied], []
            log.error("revisions %s could not be applied: %s", failed, failure.details())
            await self._journal.withdraw(failed, failure.message)
            self.snapshot = Snapshot(self.snapshot.revision, self.in_force.configuration)
            self._announcer.refused(failed, failure.message)
            await self._announcer.now(self.in_force.configuration)
            plan = self._compiler.compile(self.in_force.configuration)
            await self._dataplane.go_back(plan, self.in_force.revision)

    async def preview(self, command: Command, actor: Actor, *, based_on: int | None = None) -> Preview:
        async with self._lock:
            journey = self._think(command, actor, based_on)
            with self._journal.expecting(journey.change.secrets):
                await self._check(journey)
            return journey.preview

    async def rollback(
        self, number: int, actor: Actor, *, reason: str = "", dry_run: bool = False
    ) -> Outcome | Preview:
        command = Restore(number, self._journal.configuration_at(number))
        if dry_run:
            return await self.preview(command, actor)
        try:
            outcome, reload = await self._commit(command, actor, reason, None, number)
        except SteelyardError as refusal:
            await self._journal.refused(actor, command.summary, refusal)
            raise
        return await self._await_reload(outcome, reload, None)

    async def network_undone(self, revision: int, actor: Actor | None = None) -> None:
        """A change of the host's network has gone back; the configuration follows it."""
        command = UndoNetwork(revision, self._journal.configuration_at(revision - 1))
        system = Actor(self.snapshot.configuration.users[ADMINISTRATOR], "system")
        await self.execute(command, actor or system)

    async def show_challenges(self, challenges: Mapping[str, str]) -> None:
        """Have HAProxy answer exactly these challenges. They are of the moment and so are no revision."""
        async with self._lock:
            before, self._compiler.challenges = self._compiler.challenges, challenges
            plan = self._compiler.compile(self.snapshot.configuration)
            todo = difference(self._dataplane.wanted, plan.haproxy)
            if not todo.operations and not todo.reload_reasons:
                return
            try:
                reload = await self._dataplane.apply(plan, todo, self.snapshot.revision)
            except (EngineRefused, HostLacks):
                self._compiler.challenges = before
                plan = self._compiler.compile(self.snapshot.configuration)
                await self._dataplane.restore(plan, self.snapshot.revision)
                raise
        if reload is not None:
            await asyncio.shield(reload[0])
