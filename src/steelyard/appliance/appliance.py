"""The appliance: what `api/`, `web/` and `cli/` ask. Changes go to the one writer, readers get snapshots."""

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
from steelyard.appliance import access, backups, certificate_care, factory_reset
from steelyard.appliance.acme import Acme
from steelyard.appliance.acme_talking import Surroundings
from steelyard.appliance.admission import Admission
from steelyard.appliance.announcing import Announcer, require_root
from steelyard.appliance.contract import Actor, Health, HistoryEntry, ObjectDifference, Outcome, Preview, Snapshot
from steelyard.appliance.dataplane import DataPlane
from steelyard.appliance.differences import differences
from steelyard.appliance.journal import Journal
from steelyard.appliance.kernel_plane import Waiting
from steelyard.appliance.limit_watch import LimitWatch
from steelyard.appliance.limits_reached_watch import LimitsReachedWatch
from steelyard.appliance.road import (
    check_permission,
)
from steelyard.appliance.stapling import Stapler, Stapling, Wanted
from steelyard.appliance.trust_watch import TrustWatch
from steelyard.appliance.writer import Writer
from steelyard.compile.compiler import Compiler
from steelyard.engines.host import Host
from steelyard.engines.trusted_roots import TrustedRoots
from steelyard.explain.arriving import find_service
from steelyard.explain.report import Explanation
from steelyard.explain.request import Request
from steelyard.explain.situation import Situation
from steelyard.health.weight_status import WeightStatus
from steelyard.model.adaptive import MOVING
from steelyard.model.backup import Part
from steelyard.model.certificate_diagnosis import Finding
from steelyard.model.commands.command import Command
from steelyard.model.commands.restore_backup import NetworkChoice, RestoreBackup
from steelyard.model.commands.weights import SetExternalWeights
from steelyard.model.configuration import Configuration
from steelyard.model.errors import ConflictError, NotFound, SteelyardError
from steelyard.model.severity import Severity
from steelyard.model.user import User
from steelyard.observe.collector import Collector
from steelyard.observe.edge_files import EdgeFiles
from steelyard.observe.edge_log import EdgeLog
from steelyard.observe.events.bus import Bus
from steelyard.observe.events.event import Event, one_line
from steelyard.observe.host_figures import HostFigures
from steelyard.observe.kept_states import KeptStates
from steelyard.observe.network_state import NetworkState, read_network
from steelyard.observe.recording.readings import Key, Reading
from steelyard.observe.recording.recorder import Recorder
from steelyard.observe.recording.tiers import Span
from steelyard.observe.refused_clients import RefusedClient
from steelyard.observe.statistics import Statistics
from steelyard.observe.status import AllStates, ServiceState, target_key
from steelyard.store.contract import SecretMissing

log = logging.getLogger("steelyard.appliance")

#: between the answer to a factory reset and the end of what answers
_ANSWERED_SECONDS = 0.5


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
        recorder: Recorder,
        edge_log: EdgeLog,
        acme_hooks: Path,
        announcer: Announcer,
        root: Path,
    ) -> None:
        self._root = root
        #: set when a factory reset was asked for: whoever runs this ends it with its engines, and starts it again
        self.reset_asked = asyncio.Event()
        self._journal = journal
        self._compiler = compiler
        self._dataplane = dataplane
        self._host = host
        self._writer = Writer(journal, compiler, dataplane, host, announcer)
        self._collector = collector
        self._recorder = recorder
        self._edge_log = edge_log
        self._announcer = announcer
        dataplane.follower = announcer
        self._admission = Admission(lambda: self._writer.snapshot.configuration, access.Verifier(), self.events)
        self._roots = TrustedRoots()
        self._kept_states: KeptStates[ServiceState] = KeptStates()
        self._started_at = time.time()
        self._watching: list[asyncio.Task[None]] = []
        self._limit_watch = LimitWatch(
            lambda: self._writer.snapshot.configuration, collector.limited_clients, self.statistics, announcer
        )
        self._limits_reached_watch = LimitsReachedWatch(
            lambda: self._writer.snapshot.configuration, self.statistics, announcer
        )
        self._stapler = Stapler(self._to_staple, dataplane.stapled, dataplane.staple)
        self._trust_watch = TrustWatch(self._stapler, lambda: self._writer.snapshot.configuration, announcer.problem)
        self._acme = Acme(
            Surroundings(
                snapshot=self.snapshot,
                execute=self.execute,
                actor=lambda user: Actor(user, "system"),
                secret=journal.secret,
                keep=journal.keep,
                show=self._writer.show_challenges,
                hooks=acme_hooks,
                told=announcer.problem,
            )
        )

    # --- start and end

    async def start(self, snapshot: Snapshot) -> None:
        """Bring the data plane to the committed configuration: adopt what runs, start what does not."""
        self._writer.snapshot = self._writer.in_force = snapshot
        self._edge_log.start(self._service_name, lambda: self._writer.snapshot.configuration.layer7.cef_messages)
        await self._announcer.start(snapshot.configuration, self.states, self._dataplane.verdicts.for_people)
        await self._writer.start(snapshot)
        if not self._dataplane.problems():
            await self._journal.settle()
        for watch in (
            self._collector.run(lambda: self._writer.snapshot.configuration),
            self._trust_watch.run(),
            self._acme.run(),
            self._recorder.run(self.statistics, lambda: self._writer.snapshot.configuration, self._announcer.problem),
            self._limit_watch.run(),
            self._limits_reached_watch.run(),
        ):
            self._watching.append(asyncio.create_task(watch))

    async def close(self, *, stop_engines: bool) -> None:
        """Finish pending reloads and let go; the engines go on unless told to stop."""
        for task in self._watching:
            task.cancel()
        await self._acme.close()
        await self._writer.close()
        await self._dataplane.finish_reloads()
        await self._dataplane.close(stop_engines=stop_engines)
        await asyncio.to_thread(self._edge_log.stop)
        await self._announcer.close()
        self._recorder.close()
        self._journal.close()

    # --- changes

    def snapshot(self) -> Snapshot:
        return self._writer.snapshot

    async def execute(
        self, command: Command, actor: Actor, *, reason: str = "", based_on: int | None = None, wait: bool | None = None
    ) -> Outcome:
        return await self._writer.execute(command, actor, reason=reason, based_on=based_on, wait=wait)

    async def preview(self, command: Command, actor: Actor, *, based_on: int | None = None) -> Preview:
        return await self._writer.preview(command, actor, based_on=based_on)

    async def rollback(
        self, number: int, actor: Actor, *, reason: str = "", dry_run: bool = False
    ) -> Outcome | Preview:
        return await self._writer.rollback(number, actor, reason=reason, dry_run=dry_run)

    # --- history

    def history(self, limit: int = 50, before: int | None = None) -> Sequence[HistoryEntry]:
        return self._journal.history(limit, before)

    def revision(self, number: int) -> HistoryEntry:
        return self._journal.revision(number)

    def difference(self, old: int, new: int | None = None) -> Sequence[ObjectDifference]:
        after = self._writer.snapshot.configuration if new is None else self._journal.configuration_at(new)
        return differences(self._journal.configuration_at(old), after)

    # --- state

    def _states(self, configuration: Configuration) -> AllStates:
        return AllStates(
            configuration,
            self._dataplane.verdicts.for_people(),
            self._dataplane.worker_began,
            time.time,
            ipvs=self._compiler.facts.ipvs,
            kept=self._kept_states,
        )

    def states(self) -> Mapping[int, ServiceState]:
        return self._states(self._writer.snapshot.configuration)

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

    def network_waiting(self) -> Waiting | None:
        return self._dataplane.kernel.waiting

    async def confirm_network(self, actor: Actor) -> int:
        require_root(actor)
        revision = await self._dataplane.kernel.confirm()
        await self._journal.noted(actor, f"confirm the change of the network of revision {revision}")
        return revision

    async def undo_network(self, actor: Actor) -> int:
        require_root(actor)
        undone = await self._dataplane.kernel.undo()
        await self._writer.network_undone(undone, actor)
        return self._writer.snapshot.revision

    async def statistics(self) -> Statistics:
        return await self._collector.sample(self._writer.snapshot.configuration)

    async def host_figures(self) -> HostFigures:
        return await self._recorder.host_figures()

    async def recorded(self, key: Key, span: Span) -> Mapping[int, Reading]:
        return await self._recorder.read(key, span, time.time())

    async def transcripts(self, service: int, server: int) -> Sequence[Mapping[str, Any]]:
        found = self._writer.snapshot.configuration.service(service).server(server)
        if found is None:
            raise NotFound("RS", server)
        return await self._dataplane.transcripts(f"vs{service}/{found.engine_name}")

    async def refused_clients(self, service: int) -> Sequence[RefusedClient]:
        return await self._dataplane.refused_clients(self._writer.snapshot.configuration.service(service).engine_name)

    def stapling(self) -> Sequence[Stapling]:
        return self._stapler.states()

    def _to_staple(self) -> Wanted:
        has, configuration = self._dataplane.applied, self._writer.snapshot.configuration
        return Wanted(
            has.settings.stapling,
            timedelta(seconds=configuration.tls.stapling_interval),
            tuple(has.certificates.values()),
            tuple(one.parsed for one in configuration.intermediates.values()),
        )

    async def weights(self, service: int | None = None) -> Mapping[int, WeightStatus]:
        configuration = self._writer.snapshot.configuration
        asked = configuration.services.values() if service is None else (configuration.service(service),)
        moving = [one for one in asked if one.schedule in MOVING]
        known = await self._dataplane.weights([one.engine_name for one in moving]) if moving else {}
        named = {member.index: target_key(one, member) for one in moving for member in one.members}
        return {index: known[name] for index, name in named.items() if name in known}

    async def set_external_weights(self, command: SetExternalWeights, actor: Actor) -> None:
        try:
            check_permission(command, actor)
            command.apply(self._writer.snapshot.configuration)
            service = self._writer.snapshot.configuration.service(command.service)
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

    def edge_files(self) -> EdgeFiles:
        return self._edge_log.files

    def _service_name(self, index: int) -> str:
        service = self._writer.snapshot.configuration.services.get(index)
        return service.name if service is not None else ""

    async def explain(self, request: Request, host: str = "") -> Explanation:
        # what is committed and waits for a reload is not what clients meet
        of = self._writer.in_force if self._dataplane.behind else self._writer.snapshot
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
                self._writer.snapshot.configuration,
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
            configuration = self._writer.snapshot.configuration
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

    async def back_up(self, actor: Actor, password: str | None = None) -> bytes:
        action = "back up the configuration" if password is None else "back up the configuration and its secrets"
        try:
            backups.require_permission(actor, complete=password is not None)
            snapshot = self._writer.snapshot
            found = await asyncio.to_thread(
                lambda: backups.back_up(snapshot, password, now=datetime.now(UTC), secret=self._journal.secret)
            )
        except SteelyardError as refusal:
            await self._journal.refused(actor, action, refusal)
            raise
        await self._journal.noted(actor, action)
        return found

    async def restoring(
        self,
        file: bytes,
        password: str | None,
        parts: frozenset[Part],
        *,
        users: bool = True,
        network: NetworkChoice = "keep",
        incomplete: bool = False,
    ) -> RestoreBackup:
        host = await self.network() if network == "restore" else None
        return await asyncio.to_thread(
            lambda: backups.restoring(
                file,
                password,
                parts,
                users=users,
                network=network,
                incomplete=incomplete,
                host=host,
                secret=self._journal.secret,
            )
        )

    async def factory_reset(self, actor: Actor, password: str | None = None, *, keep_network: bool = True) -> str:
        action = "factory reset"
        try:
            check_permission(factory_reset.Asked(), actor)
            if self._dataplane.kernel.waiting is not None:
                raise ConflictError(
                    "A change of the network waits to be confirmed, and could not go back after a reset",
                    field="network",
                    with_what=str(self._dataplane.kernel.waiting.revision),
                )
            given = password or access.new_password()
            hashed = await asyncio.to_thread(self.hash_password, given)
            network = factory_reset.network_documents(self._writer.snapshot.configuration) if keep_network else {}
            reset = factory_reset.Reset(hashed, password is None, actor.name, actor.origin, network)
            await asyncio.to_thread(factory_reset.ask, self._root, reset)
        except SteelyardError as refusal:
            await self._journal.refused(actor, action, refusal)
            raise
        log.warning("factory reset, asked for by %s through %s", actor.name, actor.origin)
        # nothing is taken any more that the reset would only take away
        await self._writer.close()
        # the answer, and the page a browser shows it in, are still fetched from here
        asyncio.get_running_loop().call_later(_ANSWERED_SECONDS, self.reset_asked.set)
        return given

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

    @property
    def admission(self) -> Admission:
        return self._admission

    def authenticate_key(self, key: str) -> User | None:
        digest = access.key_digest(key)
        return next((u for u in self._writer.snapshot.configuration.users.values() if digest in u.api_keys), None)

    def hash_password(self, password: str) -> str:
        return access.hash_password(password)

    def api_keys(self, user: User) -> Sequence[str]:
        current = self._writer.snapshot.configuration.user(user.name)
        keys: list[str] = []
        for digest in current.api_keys:
            # a revision that removed a key and was withdrawn has lost it for good
            with contextlib.suppress(SecretMissing):
                keys.append(self._journal.secret(f"apikey/{digest}").decode())
        return keys

    def new_api_key(self) -> tuple[str, str, bytes]:
        return access.new_api_key()
