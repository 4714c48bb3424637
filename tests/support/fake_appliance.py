"""An appliance in memory: `ApplianceApi` without engines, store or checks.

It keeps the contract's rules: permissions are asked for before anything happens, a stale `based_on` is a conflict,
nothing changes when a command is refused, and each change is a revision. Traffic, verdicts and host figures are what
a test sets.

    appliance = FakeAppliance()
    await appliance.execute(AddService({"address": "10.0.0.10", "port": 80}), appliance.administrator())
    appliance.verdicts["vs1/rs1"] = Verdict("up")
"""

from __future__ import annotations

import hashlib
import secrets
import string
import tempfile
import weakref
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.support import certificates
from tests.support.fake_acme import FakeAuthorities

from steelyard.appliance import backups, certificate_care, factory_reset
from steelyard.appliance.acme import Acme
from steelyard.appliance.acme_talking import Surroundings
from steelyard.appliance.admission import Admission
from steelyard.appliance.announcing import require_root
from steelyard.appliance.contract import (
    Actor,
    Applied,
    Health,
    HistoryEntry,
    ObjectDifference,
    Outcome,
    Preview,
    Snapshot,
)
from steelyard.appliance.kernel_plane import Waiting
from steelyard.appliance.stapling import Stapling
from steelyard.explain.arriving import find_service
from steelyard.explain.report import Chosen, Explanation, Result, Step
from steelyard.explain.request import Request
from steelyard.health.weight_status import WeightStatus
from steelyard.model.backup import Part
from steelyard.model.certificate import read_upload
from steelyard.model.certificate_backup import check_pass_phrase, gather, seal
from steelyard.model.certificate_diagnosis import Finding
from steelyard.model.commands import AddUser, PutCertificate, Restore, required_permissions
from steelyard.model.commands.command import Command
from steelyard.model.commands.restore_backup import NetworkChoice, RestoreBackup
from steelyard.model.commands.weights import SetExternalWeights
from steelyard.model.configuration import Configuration, changed_objects
from steelyard.model.errors import ConflictError, NotFound, OperatorError
from steelyard.model.first_start import FirstStart
from steelyard.model.network_refusals import refuse_network_faults
from steelyard.model.severity import Severity
from steelyard.model.user import ADMINISTRATOR, User
from steelyard.observe.edge_files import EdgeFiles
from steelyard.observe.events.bus import Bus
from steelyard.observe.events.event import Event
from steelyard.observe.events.log import EventLog
from steelyard.observe.host_figures import CpuShares, HostFigures, Memory
from steelyard.observe.host_figures import Interface as HostInterface
from steelyard.observe.network_state import HostEntry, Interface, NetworkState, Route
from steelyard.observe.recording.readings import Key, Reading
from steelyard.observe.recording.tiers import Span
from steelyard.observe.refused_clients import RefusedClient
from steelyard.observe.statistics import Statistics
from steelyard.observe.status import AllStates, ServiceState, Verdict
from steelyard.store.contract import SecretMissing

PASSWORD = "correct horse"
#: the name of the self-signed certificate: 32 hex digits
TEMPORARY = "0123456789abcdef0123456789abcdef"
STARTED_AT = 1_700_000_000.0


class FakeAppliance:
    """Everything the interfaces need. `broken` makes the next change fail as a bug would."""

    def __init__(self, *, hooks: Path | None = None, real_authorities: bool = False, new: bool = False) -> None:
        self.verdicts: dict[str, Verdict] = {}
        self.staplings: Sequence[Stapling] = ()
        self.refused: Sequence[RefusedClient] = ()
        self.network_state = NetworkState(
            "lb1",
            (
                Interface("lo", None, "loopback", True, 65536, "", ("127.0.0.1/8", "::1/128")),
                Interface(
                    "eth0", 0, "port", True, 1500, "02:00:00:00:00:01", ("192.0.2.5/24", "192.0.2.6/32"), gateway=True
                ),
                Interface("eth0.7", 1, "vlan", False, 1500, "02:00:00:00:00:01", (), 7, "eth0"),
            ),
            (
                Route("0.0.0.0/0", "192.0.2.1", "eth0", 0),
                Route("192.0.2.0/24", "", "eth0", 0),
                Route("10.0.0.0/8", "192.0.2.254", "eth0", 100),
            ),
            ("192.0.2.53", "192.0.2.54"),
            ("example.com", "example.org"),
            (HostEntry("127.0.0.1", ("localhost",)), HostEntry("192.0.2.9", ("web1.example.com", "web1"))),
        )
        self.waiting: Waiting | None = None
        self.sample = Statistics(at=STARTED_AT + 60.25, period=1.0)
        self.host = HostFigures(
            CpuShares(user=30, idle=70), (), Memory(1000, 400), (HostInterface("eth0", 0, 1000, 5, 6),), ()
        )
        self.readings: dict[tuple[Key, Span], Mapping[int, Reading]] = {}
        self.member_weights: dict[int, WeightStatus] = {}
        self.broken: Exception | None = None
        self.checks: list[Mapping[str, Any]] = []
        self.known_ciphers: frozenset[str] | None = None
        self.edge_directory: tempfile.TemporaryDirectory[str] | None = None
        self.event_directory: tempfile.TemporaryDirectory[str] | None = None
        self.bus: Bus | None = None
        self.executed: list[Command] = []
        #: the password and whether the network stays, of each factory reset
        self.resets: list[tuple[str | None, bool]] = []
        self._secrets: dict[str, bytes] = {}
        self.challenges: Mapping[str, str] = {}
        #: what is raised when challenges are shown, or a secret is kept
        self.show_fails: Exception | None = None
        self.keep_fails: Exception | None = None
        self.told: list[tuple[str, str | None]] = []
        self.forgotten: list[str] = []
        self.authorities = FakeAuthorities(now_shown=lambda: self.challenges)
        self.admission = Admission(lambda: self.configuration, _Checks(), self.events)
        self._acme = Acme(
            Surroundings(
                snapshot=self.snapshot,
                execute=self.execute,
                actor=lambda user: Actor(user, "system"),
                secret=self.secret,
                keep=self._keep,
                show=self._show,
                hooks=hooks or Path(tempfile.gettempdir(), "no-hooks"),
                told=lambda concern, words: self.told.append((concern, words)),
                open=None if real_authorities else self.authorities.open,  # type: ignore[arg-type] - it is one to callers
            )
        )
        self._revisions: list[tuple[HistoryEntry, Configuration]] = []
        self._take(AddUser(ADMINISTRATOR, self.hash_password(PASSWORD)), "system", Configuration())
        material = read_upload(certificates.leaf("steelyard.invalid", kind="ec").bundle())
        self._take(PutCertificate(TEMPORARY, material, temporary=True), "system", self.configuration)
        if new:
            self._begin_first_start()

    def _begin_first_start(self) -> None:
        """As an appliance nobody has set up: the administrator has a password for one time."""
        entry, found = self._revisions[-1]
        administrator = found.user(ADMINISTRATOR).changed({"one_time_password": True})
        first = FirstStart(unfinished=True, licence_due=True)
        self._revisions[-1] = (entry, replace(found, users={ADMINISTRATOR: administrator}, first_start=first))

    @property
    def configuration(self) -> Configuration:
        return self._revisions[-1][1]

    def administrator(self) -> Actor:
        return Actor(self.configuration.users[ADMINISTRATOR], "test")

    def _take(
        self, command: Command, author: str, before: Configuration, origin: str = "test", reason: str = ""
    ) -> Any:
        change = command.apply(before)
        refuse_network_faults(before, change.configuration)
        if change.configuration is not before:
            self._secrets.update(change.secrets)
            self.forgotten.extend(change.forget)
            for name in change.forget:
                self._secrets.pop(name, None)
            number = len(self._revisions) + 1
            entry = HistoryEntry(
                number, STARTED_AT + number, author, origin, reason, command.summary, "applied", "",
                differences=_differences(before, change.configuration),
            )  # fmt: skip
            self._revisions.append((entry, change.configuration))
        return change

    # ------------------------------------------------------------------------------------------------- ApplianceApi

    def snapshot(self) -> Snapshot:
        return Snapshot(len(self._revisions), self.configuration)

    async def execute(
        self, command: Command, actor: Actor, *, reason: str = "", based_on: int | None = None, wait: bool | None = None
    ) -> Outcome:
        preview = await self.preview(command, actor, based_on=based_on)
        if self.broken is not None:
            raise self.broken
        self.executed.append(command)
        applied: Applied = "now" if preview.differences else "unchanged"
        self._take(command, actor.name, self.configuration, actor.origin, reason)
        return Outcome(len(self._revisions), applied, preview)

    async def preview(self, command: Command, actor: Actor, *, based_on: int | None = None) -> Preview:
        for permission in required_permissions(command):
            if permission != "read" and not actor.user.may(permission):
                raise OperatorError(f"User {actor.name} lacks the permission {permission!r}", field="permission")
        before = self.snapshot()
        if based_on is not None and based_on != before.revision:
            raise ConflictError(f"The configuration is at revision {before.revision}", field="revision")
        change = command.apply(before.configuration)
        refuse_network_faults(before.configuration, change.configuration)
        differences = _differences(before.configuration, change.configuration)
        return Preview(before.revision, change.configuration, change.key, differences, (), False, ())

    @property
    def acme(self) -> Acme:
        return self._acme

    async def _show(self, challenges: Mapping[str, str]) -> None:
        if self.show_fails is not None:
            raise self.show_fails
        self.challenges = challenges

    async def _keep(self, name: str, value: bytes) -> None:
        if self.keep_fails is not None:
            raise self.keep_fails
        self._secrets[name] = value

    def forget(self, name: str) -> None:
        del self._secrets[name]

    def secret(self, name: str) -> bytes:
        if name not in self._secrets:
            raise SecretMissing(name)
        return self._secrets[name]

    def edge_files(self) -> EdgeFiles:
        if self.edge_directory is None:
            # gone with the appliance
            self.edge_directory = tempfile.TemporaryDirectory(prefix="edge")
        return EdgeFiles(Path(self.edge_directory.name))

    async def refused_clients(self, service: int) -> Sequence[RefusedClient]:
        self.configuration.service(service)
        return self.refused

    def stapling(self) -> Sequence[Stapling]:
        return self.staplings

    def events(self) -> Bus:
        if self.bus is None:
            self.event_directory = tempfile.TemporaryDirectory(prefix="events")
            self.bus = Bus(EventLog(Path(self.event_directory.name) / "events.db"))
            # thousands of tests make one each, and its files stay open for as long as it is not closed
            weakref.finalize(self, self.bus.log.close)
        return self.bus

    async def test_event(self, actor: Actor, severity: Severity, text: str) -> Event:
        require_root(actor)
        return self.events().publish(Event("test", severity, text or "a test", STARTED_AT))

    async def clear_events(self, actor: Actor) -> int:
        require_root(actor)
        return self.events().log.clear()

    def states(self) -> Mapping[int, ServiceState]:
        return AllStates(self.configuration, self.verdicts)

    async def explain(self, request: Request, host: str = "") -> Explanation:
        """Only where the request arrives: there is no engine that could be asked."""
        service = find_service(self.configuration, request, host)
        says = f"{service.title} takes the connection"
        step = Step("virtual service", says, (f"for {request.client}",), service.index)
        server = Chosen(service.index, 1, "10.0.0.1", 8080)
        result = Result("server", f"asked for {request.method} {request.target}", (server,))
        return Explanation((step,), result, len(self._revisions))

    async def network(self) -> NetworkState:
        return self.network_state

    def network_waiting(self) -> Waiting | None:
        return self.waiting

    async def confirm_network(self, actor: Actor) -> int:
        require_root(actor)
        if self.waiting is None:
            raise ConflictError("No change of the network waits to be confirmed", field="network")
        revision, self.waiting = self.waiting.revision, None
        return revision

    async def undo_network(self, actor: Actor) -> int:
        return await self.confirm_network(actor) + 1

    async def statistics(self) -> Statistics:
        return self.sample

    async def host_figures(self) -> HostFigures:
        return self.host

    async def recorded(self, key: Key, span: Span) -> Mapping[int, Reading]:
        return self.readings.get((key, span), {})

    async def transcripts(self, service: int, server: int) -> Sequence[Mapping[str, Any]]:
        if self.configuration.service(service).server(server) is None:
            raise NotFound("RS", server)
        return self.checks

    async def weights(self, service: int | None = None) -> Mapping[int, WeightStatus]:
        if service is not None:
            self.configuration.service(service)
        return self.member_weights

    async def set_external_weights(self, command: SetExternalWeights, actor: Actor) -> None:
        await self.preview(command, actor)
        self.executed.append(command)

    def history(self, limit: int = 50, before: int | None = None) -> Sequence[HistoryEntry]:
        entries = [entry for entry, _ in reversed(self._revisions) if before is None or entry.number < before]
        return entries[:limit]

    def revision(self, number: int) -> HistoryEntry:
        return self._at(number)[0]

    def _at(self, number: int) -> tuple[HistoryEntry, Configuration]:
        if not 1 <= number <= len(self._revisions):
            raise NotFound("revision", number)
        return self._revisions[number - 1]

    def difference(self, old: int, new: int | None = None) -> Sequence[ObjectDifference]:
        after = self.configuration if new is None else self._at(new)[1]
        return _differences(self._at(old)[1], after)

    async def rollback(
        self, number: int, actor: Actor, *, reason: str = "", dry_run: bool = False
    ) -> Outcome | Preview:
        command = Restore(number, self._at(number)[1])
        return await (self.preview(command, actor) if dry_run else self.execute(command, actor, reason=reason))

    def authenticate(self, name: str, password: str) -> User | None:
        user = self.configuration.users.get(name)
        return user if user is not None and user.password_hash == _hash(password) else None

    def authenticate_key(self, key: str) -> User | None:
        key_id = hashlib.sha256(key.encode()).hexdigest()
        return next((user for user in self.configuration.users.values() if key_id in user.api_keys), None)

    def hash_password(self, password: str) -> str:
        if len(password) < 8:
            raise OperatorError("The password is too short; allowed: 8 characters or more", field="password")
        return _hash(password)

    def api_keys(self, user: User) -> Sequence[str]:
        return [self._secrets[f"apikey/{key_id}"].decode() for key_id in user.api_keys]

    def new_api_key(self) -> tuple[str, str, bytes]:
        key = "".join(secrets.choice(string.ascii_letters + string.digits) for _ in range(44))
        return key, hashlib.sha256(key.encode()).hexdigest(), key.encode()

    async def diagnose(self, certificate: str, host: str | None = None) -> tuple[Finding, ...]:
        return certificate_care.diagnosis(
            self.configuration, certificate, host, now=datetime.now(UTC), secret=self._secrets.__getitem__, roots=None
        )

    async def backup_certificates(self, pass_phrase: str, actor: Actor) -> bytes:
        certificate_care.require_backup_permission(actor)
        keys = {one.key_id: self._secrets[f"key/{one.key_id}"] for one in self.configuration.certificates.values()}
        # at a cost that does not slow tests down
        content = gather(self.configuration, keys)
        check_pass_phrase(pass_phrase)
        return seal(content, pass_phrase, salt=bytes(16), nonce=bytes(12), at=datetime.now(UTC), n=16)

    async def back_up(self, actor: Actor, password: str | None = None) -> bytes:
        backups.require_permission(actor, complete=password is not None)
        # at a cost that does not slow tests down
        cost = {} if password is None else {"n": 16}
        return backups.back_up(self.snapshot(), password, now=datetime.now(UTC), secret=self.secret, **cost)

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
        return backups.restoring(
            file,
            password,
            parts,
            users=users,
            network=network,
            incomplete=incomplete,
            host=self.network_state,
            secret=self.secret,
        )

    async def factory_reset(self, actor: Actor, password: str | None = None, *, keep_network: bool = True) -> str:
        await self.preview(factory_reset.Asked(), actor)
        self.resets.append((password, keep_network))
        return password or "made-up-password"

    def ciphers(self) -> frozenset[str] | None:
        return self.known_ciphers

    def health(self) -> Health:
        return Health("0.1.0", STARTED_AT, STARTED_AT - 1000, "2.6.12", 10, 11, STARTED_AT + 5, False)


class _Checks:
    """Passwords as `_hash` has them; nothing is remembered."""

    def remembers(self, user: User, password: str) -> bool:
        return False

    def verify(self, user: User, password: str) -> bool:
        return user.password_hash == _hash(password)

    def waste(self) -> None:
        """Time tells nothing here."""


def _hash(password: str) -> str:
    return "sha256:" + hashlib.sha256(password.encode()).hexdigest()


def _differences(before: Configuration, after: Configuration) -> tuple[ObjectDifference, ...]:
    found = []
    for kind, key, old, new in changed_objects(before, after):
        action = "add" if old is None else "remove" if new is None else "change"
        title = getattr(new if new is not None else old, "title", key)
        found.append(ObjectDifference(kind, key, str(title), action, ()))  # type: ignore[arg-type]
    return tuple(found)
