"""The appliance: one writer, the road of a change, snapshots for readers.

    command -> configuration' -> compile -> plan' -> check -> commit -> apply -> revision + event

A refusal before commit leaves everything as it was. A failure after commit puts the previous plan back and marks the
revision failed. Runtime operations are run before `execute` returns; a reload may be put off to the end of the
second, see `reloads`.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from steelyard import __version__
from steelyard.appliance import access, certificate_care
from steelyard.appliance.acme import Acme
from steelyard.appliance.acme_talking import Surroundings
from steelyard.appliance.announcing import Announcer, require_root
from steelyard.appliance.contract import Actor, Health, HistoryEntry, ObjectDifference, Outcome, Preview, Snapshot
from steelyard.appliance.dataplane import DataPlane
from steelyard.appliance.differences import differences
from steelyard.appliance.host_needs import refuse_what_host_lacks
from steelyard.appliance.journal import Journal
from steelyard.appliance.road import (
    Journey,
    brings_certificates,
    changing_part,
    check_permission,
    new_sockets,
    think_through,
)
from steelyard.appliance.stapling import Stapler, Stapling, Wanted
from steelyard.appliance.trust_watch import TrustWatch
from steelyard.compile.compiler import Compiler
from steelyard.diff.haproxy import difference
from steelyard.engines.host import Host
from steelyard.engines.trusted_roots import TrustedRoots
from steelyard.explain.arriving import find_service
from steelyard.explain.report import Explanation
from steelyard.explain.request import Request
from steelyard.explain.situation import Situation
from steelyard.health.weight_status import WeightStatus
from steelyard.model.adaptive import MOVING
from steelyard.model.certificate_diagnosis import Finding
from steelyard.model.commands.command import Command
from steelyard.model.commands.declare import Restore
from steelyard.model.commands.weights import SetExternalWeights
from steelyard.model.configuration import Configuration
from steelyard.model.errors import ConflictError, EngineRefused, HostLacks, NotFound, SteelyardError
from steelyard.model.severity import Severity
from steelyard.model.user import User
from steelyard.observe.collector import Collector
from steelyard.observe.edge_files import EdgeFiles
from steelyard.observe.edge_log import EdgeLog
from steelyard.observe.events.bus import Bus
from steelyard.observe.events.event import Event, one_line
from steelyard.observe.network_state import NetworkState, read_network
from steelyard.observe.refused_clients import RefusedClient
from steelyard.observe.statistics import Statistics
from steelyard.observe.status import AllStates, ServiceState, target_key
from steelyard.store.contract import SecretMissing

log = logging.getLogger("steelyard.appliance")


class Appliance:
    """What `api/`, `web/` and `cli/` talk to (`appliance.contract.ApplianceApi`)."""

    def __init__(
        self,
        *,
        journal: Journal,
        compiler: Compiler,
        dataplane: DataPlane,
        host: Host,
        collector: Collector,
        edge_log: EdgeLog,
        acme_hooks: Path,
        announcer: Announcer,
    ) -> None:
        self._journal = journal
        self._compiler = compiler
        self._dataplane = dataplane
        self._host = host
        self._collector = collector
        self._edge_log = edge_log
        self._announcer = announcer
        dataplane.follower = announcer
        self._verifier = access.Verifier()
        self._roots = TrustedRoots()
        self._writer = asyncio.Lock()
        self._started_at = time.time()
        self._snapshot = Snapshot(0, Configuration())
        self._unapplied: list[Snapshot] = []
        self._last_applied = Snapshot(0, Configuration())
        self._sampling: asyncio.Task[None] | None = None
        self._stapling: asyncio.Task[None] | None = None
        self._ordering: asyncio.Task[None] | None = None
        self._stapler = Stapler(self._to_staple, dataplane.stapled, dataplane.staple)
        self._trust_watch = TrustWatch(self._stapler, lambda: self._snapshot.configuration, announcer.problem)
        self._closing = False
        self._acme = Acme(
            Surroundings(
                snapshot=self.snapshot,
                execute=self.execute,
                actor=lambda user: Actor(user, "system"),
                secret=journal.secret,
                keep=journal.keep,
                show=self._show_challenges,
                hooks=acme_hooks,
                told=announcer.problem,
            )
        )

    # --- start and end

    async def start(self, snapshot: Snapshot) -> None:
        """Bring the data plane to the committed configuration: adopt what runs, start what does not."""
        plan = self._compiler.compile(snapshot.configuration)
        self._snapshot = self._last_applied = snapshot
        self._edge_log.start(self._service_name, lambda: self._snapshot.configuration.layer7.cef_messages)
        await self._announcer.start(snapshot.configuration, self.states, self._dataplane.verdicts.for_people)
        await self._dataplane.start(plan, snapshot.revision, self._reloaded, self._reload_failed)
        if not self._dataplane.problems():
            await self._journal.settle()
        self._sampling = asyncio.create_task(self._collector.run(lambda: self._snapshot.configuration))
        self._stapling = asyncio.create_task(self._trust_watch.run())
        self._ordering = asyncio.create_task(self._acme.run())

    async def close(self, *, stop_engines: bool) -> None:
        """Finish pending reloads and let go; the engines go on unless told to stop."""
        for task in (self._sampling, self._stapling, self._ordering):
            if task is not None:
                task.cancel()
        await self._acme.close()
        async with self._writer:
            # a change that is under way is finished; a reload that fails from here on takes the lock itself
            self._closing = True
        await self._dataplane.finish_reloads()
        await self._dataplane.close(stop_engines=stop_engines)
        await asyncio.to_thread(self._edge_log.stop)
        await self._announcer.close()
        self._journal.close()

    # --- the road

    def snapshot(self) -> Snapshot:
        return self._snapshot

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
        async with self._writer:
            journey = self._think(command, actor, based_on)
            before = self._snapshot
            if not journey.preview.differences and journey.configuration == before.configuration:
                return Outcome(before.revision, "unchanged", journey.preview), None
            with self._journal.expecting(journey.change.secrets):
                await self._check(journey)
            revision = await self._journal.commit(
                before, journey.configuration, command.summary, actor, reason, journey.change.secrets, rollback_of
            )
            await self._journal.forget(journey.change.forget)
            self._snapshot = Snapshot(revision, journey.configuration)
            # before it is in force: the first verdicts of new real servers come while it is brought there
            await self._announcer.now(journey.configuration)
            found = await self._apply(journey, before, revision)
            self._announcer.changed(actor, command.summary, revision)
            return found

    def _think(self, command: Command, actor: Actor, based_on: int | None) -> Journey:
        check_permission(command, actor)
        if self._closing:
            raise HostLacks("Steelyard is stopping", lacks="a control plane", remedy="Try again when it is up again")
        now = self._snapshot
        if based_on is not None and based_on != now.revision:
            raise self._stale(based_on)
        return think_through(
            command,
            revision=now.revision,
            configuration=now.configuration,
            wanted=self._dataplane.wanted,
            compiler=self._compiler,
            describe=self._dataplane.describe,
        )

    def _stale(self, based_on: int) -> ConflictError:
        newer = [entry for entry in self.history(5) if entry.number > based_on]
        told = "; ".join(f"revision {e.number} by {e.author}: {e.summary}" for e in newer)
        return ConflictError(
            f"The request is based on revision {based_on}, the newest is {self._snapshot.revision} ({told})",
            field="revision",
            with_what=str(self._snapshot.revision),
        )

    async def _check(self, journey: Journey) -> None:
        """Refuse before anything is committed: addresses that cannot be bound, what HAProxy objects to."""
        self._dataplane.require_room()
        refuse_what_host_lacks(self._snapshot.configuration, journey.configuration, self._host.capabilities())
        wanted = self._dataplane.wanted
        for address, port in new_sockets(wanted, journey.plan.haproxy):
            refusal = self._host.can_bind(address, port)
            if refusal is not None and not self._held_by_us(address, port):
                raise refusal
        if journey.todo.reload_reasons or brings_certificates(journey.todo):
            await self._dataplane.check(changing_part(wanted, journey.plan.haproxy))

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
            self._unapplied.append(self._snapshot)
            return Outcome(revision, "queued", journey.preview), reload
        if self._dataplane.behind:
            # in force, but it stands on a revision that is not: the reload settles both
            self._unapplied.append(self._snapshot)
        else:
            self._last_applied = self._snapshot
            await self._journal.applied(revision)
        return Outcome(revision, "now", journey.preview), None

    async def _put_back(self, before: Snapshot, revision: int, why: str) -> None:
        """Withdraw a revision the engines refused and bring them back to what they had."""
        await self._journal.withdraw([revision], why)
        self._snapshot = Snapshot(revision, before.configuration)
        self._announcer.refused([revision], why)
        await self._announcer.now(before.configuration)
        await self._dataplane.restore(self._compiler.compile(before.configuration), before.revision)

    async def _reloaded(self, revision: int) -> None:
        """A reload has brought every revision up to this one into force."""
        done = [snapshot for snapshot in self._unapplied if snapshot.revision <= revision]
        self._unapplied = [snapshot for snapshot in self._unapplied if snapshot.revision > revision]
        for snapshot in done:
            # what needed no reload may have come into force meanwhile
            if snapshot.revision > self._last_applied.revision:
                self._last_applied = snapshot
            await self._journal.applied(snapshot.revision)

    async def _reload_failed(self, failure: SteelyardError) -> None:
        """A reload was refused: withdraw what waited for it and go back to what is in force."""
        async with self._writer:
            # a change that was committed meanwhile stands on those that failed, and goes with them
            failed, self._unapplied = [snapshot.revision for snapshot in self._unapplied], []
            log.error("revisions %s could not be applied: %s", failed, failure.details())
            await self._journal.withdraw(failed, failure.message)
            self._snapshot = Snapshot(self._snapshot.revision, self._last_applied.configuration)
            self._announcer.refused(failed, failure.message)
            await self._announcer.now(self._last_applied.configuration)
            plan = self._compiler.compile(self._last_applied.configuration)
            await self._dataplane.go_back(plan, self._last_applied.revision)

    async def preview(self, command: Command, actor: Actor, *, based_on: int | None = None) -> Preview:
        async with self._writer:
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

    # --- history

    def history(self, limit: int = 50, before: int | None = None) -> Sequence[HistoryEntry]:
        return self._journal.history(limit, before)

    def revision(self, number: int) -> HistoryEntry:
        return self._journal.revision(number)

    def difference(self, old: int, new: int | None = None) -> Sequence[ObjectDifference]:
        after = self._snapshot.configuration if new is None else self._journal.configuration_at(new)
        return differences(self._journal.configuration_at(old), after)

    # --- state

    def _states(self, configuration: Configuration) -> AllStates:
        return AllStates(configuration, self._dataplane.verdicts.for_people(), self._dataplane.worker_began, time.time)

    def states(self) -> Mapping[int, ServiceState]:
        return self._states(self._snapshot.configuration)

    def events(self) -> Bus:
        return self._announcer.bus

    async def test_event(self, actor: Actor, severity: Severity, text: str) -> Event:
        require_root(actor)
        await self._journal.noted(actor, "send a test event")
        said = text or f"Test of {severity.word} notifications, asked for by {actor.name}"
        return self.events().publish(Event("test", severity, one_line(said), time.time()))

    async def clear_events(self, actor: Actor) -> int:
        require_root(actor)
        await self._journal.noted(actor, "clear the log of events")
        return await asyncio.to_thread(self.events().log.clear)

    async def network(self) -> NetworkState:
        return await asyncio.to_thread(read_network)

    async def statistics(self) -> Statistics:
        return await self._collector.sample(self._snapshot.configuration)

    async def transcripts(self, service: int, server: int) -> Sequence[Mapping[str, Any]]:
        found = self._snapshot.configuration.service(service).server(server)
        if found is None:
            raise NotFound("RS", server)
        return await self._dataplane.transcripts(f"vs{service}/{found.engine_name}")

    async def refused_clients(self, service: int) -> Sequence[RefusedClient]:
        return await self._dataplane.refused_clients(self._snapshot.configuration.service(service).engine_name)

    def stapling(self) -> Sequence[Stapling]:
        return self._stapler.states()

    def _to_staple(self) -> Wanted:
        has, configuration = self._dataplane.applied, self._snapshot.configuration
        return Wanted(
            has.settings.stapling,
            timedelta(seconds=configuration.tls.stapling_interval),
            tuple(has.certificates.values()),
            tuple(one.parsed for one in configuration.intermediates.values()),
        )

    async def weights(self, service: int | None = None) -> Mapping[int, WeightStatus]:
        configuration = self._snapshot.configuration
        asked = configuration.services.values() if service is None else (configuration.service(service),)
        moving = [one for one in asked if one.schedule in MOVING]
        known = await self._dataplane.weights([one.engine_name for one in moving]) if moving else {}
        named = {member.index: target_key(one, member) for one in moving for member in one.members}
        return {index: known[name] for index, name in named.items() if name in known}

    async def set_external_weights(self, command: SetExternalWeights, actor: Actor) -> None:
        try:
            check_permission(command, actor)
            command.apply(self._snapshot.configuration)
            service = self._snapshot.configuration.service(command.service)
            names = {member.index: member.engine_name for member in service.members}
            weights = {names[index]: weight for index, weight in command.weights.items()}
            await self._dataplane.set_weights(service.engine_name, weights, command.seconds, replace=command.replace)
        except SteelyardError as refusal:
            await self._journal.refused(actor, command.summary, refusal)
            raise
        log.info("%s through %s: %s", actor.name, actor.origin, command.summary)

    @property
    def acme(self) -> Acme:
        return self._acme

    async def _show_challenges(self, challenges: Mapping[str, str]) -> None:
        """Have HAProxy answer exactly these challenges. They are of the moment and so are no revision."""
        async with self._writer:
            before, self._compiler.challenges = self._compiler.challenges, challenges
            plan = self._compiler.compile(self._snapshot.configuration)
            todo = difference(self._dataplane.wanted, plan.haproxy)
            if not todo.operations and not todo.reload_reasons:
                return
            try:
                reload = await self._dataplane.apply(plan, todo, self._snapshot.revision)
            except (EngineRefused, HostLacks):
                self._compiler.challenges = before
                plan = self._compiler.compile(self._snapshot.configuration)
                await self._dataplane.restore(plan, self._snapshot.revision)
                raise
        if reload is not None:
            await asyncio.shield(reload[0])

    def edge_files(self) -> EdgeFiles:
        return self._edge_log.files

    def _service_name(self, index: int) -> str:
        service = self._snapshot.configuration.services.get(index)
        return service.name if service is not None else ""

    async def explain(self, request: Request, host: str = "") -> Explanation:
        # what is committed and waits for a reload is not what clients meet
        of = self._last_applied if self._dataplane.behind else self._snapshot
        configuration = of.configuration
        service = find_service(configuration, request, host)
        situation = Situation(
            configuration,
            self._states(configuration),
            self._compiler.service_context(configuration),
            lambda one: self._compiler.family(one, configuration),
            self._compiler.challenges,
        )
        return replace(await self._dataplane.explained(situation, service, request), revision=of.revision)

    async def diagnose(self, certificate: str, host: str | None = None) -> tuple[Finding, ...]:
        return await asyncio.to_thread(
            lambda: certificate_care.diagnosis(
                self._snapshot.configuration,
                certificate,
                host,
                now=datetime.now(UTC),
                secret=self._journal.secret,
                roots=self._roots.roots(),
            )
        )

    async def backup_certificates(self, pass_phrase: str, actor: Actor) -> bytes:
        action = "back up certificates"
        try:
            certificate_care.require_backup_permission(actor)
            configuration = self._snapshot.configuration
            found = await asyncio.to_thread(
                lambda: certificate_care.backup(
                    configuration, pass_phrase, now=datetime.now(UTC), secret=self._journal.secret
                )
            )
        except SteelyardError as refusal:
            await self._journal.refused(actor, action, refusal)
            raise
        await self._journal.noted(actor, action)
        return found

    def ciphers(self) -> frozenset[str] | None:
        return self._host.capabilities().ciphers

    def health(self) -> Health:
        return Health(
            version=__version__,
            started_at=self._started_at,
            boot_time=self._collector.boot_time(),
            haproxy_version=self._host.capabilities().haproxy_version,
            haproxy_pid=self._dataplane.haproxy_pid,
            health_pid=self._dataplane.health_pid,
            last_change=self._journal.last_change(),
            reload_pending=self._dataplane.reload_pending,
            problems=(
                *self._dataplane.problems(),
                *self._announcer.problems(),
                *self._trust_watch.problems(),
                *self._acme.problems(),
            ),
        )

    # --- access

    def authenticate(self, name: str, password: str) -> User | None:
        user = self._snapshot.configuration.users.get(name)
        if user is None or not self._verifier.verify(user, password):
            return None
        return user

    def authenticate_key(self, key: str) -> User | None:
        digest = access.key_digest(key)
        return next((u for u in self._snapshot.configuration.users.values() if digest in u.api_keys), None)

    def hash_password(self, password: str) -> str:
        return access.hash_password(password)

    def api_keys(self, user: User) -> Sequence[str]:
        current = self._snapshot.configuration.user(user.name)
        keys: list[str] = []
        for digest in current.api_keys:
            # a revision that removed a key and was withdrawn has lost it for good
            with contextlib.suppress(SecretMissing):
                keys.append(self._journal.secret(f"apikey/{digest}").decode())
        return keys

    def new_api_key(self) -> tuple[str, str, bytes]:
        return access.new_api_key()
