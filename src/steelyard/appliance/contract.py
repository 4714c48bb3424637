"""What `api/`, `web/` and `cli/` see of the appliance: values in, values out.

`Appliance` (in `appliance.appliance`) offers the methods of `ApplianceApi`; tests may give another one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from steelyard.appliance.acme import Acme
from steelyard.appliance.admission import Admission
from steelyard.appliance.kernel_plane import Waiting
from steelyard.appliance.stapling import Stapling
from steelyard.explain.report import Explanation
from steelyard.explain.request import Request
from steelyard.health.weight_status import WeightStatus
from steelyard.model.backup import Part
from steelyard.model.certificate_diagnosis import Finding
from steelyard.model.commands.command import Command
from steelyard.model.commands.restore_backup import NetworkChoice, RestoreBackup
from steelyard.model.commands.weights import SetExternalWeights
from steelyard.model.configuration import Configuration
from steelyard.model.severity import Severity
from steelyard.model.user import User
from steelyard.observe.edge_files import EdgeFiles
from steelyard.observe.events.bus import Bus
from steelyard.observe.events.event import Event
from steelyard.observe.host_figures import HostFigures
from steelyard.observe.network_state import NetworkState
from steelyard.observe.recording.readings import Key, Reading
from steelyard.observe.recording.tiers import Span
from steelyard.observe.refused_clients import RefusedClient
from steelyard.observe.statistics import Statistics
from steelyard.observe.status import ServiceState

Applied = Literal["now", "queued", "unchanged"]


@dataclass(frozen=True)
class Actor:
    """Who asks, and through what: "loadmaster-api", "api", "cli", "web", "system"."""

    user: User
    origin: str

    @property
    def name(self) -> str:
        return self.user.name


@dataclass(frozen=True)
class ObjectDifference:
    """One object that differs, readable: `lines` are "setting: old -> new" with secrets masked."""

    kind: str
    key: str
    title: str
    action: Literal["add", "change", "remove"]
    lines: tuple[str, ...]


@dataclass(frozen=True)
class Preview:
    """What a command would do: the difference, the engine operations in order, and why a reload is needed if it is."""

    based_on: int
    configuration: Configuration
    key: int | str | None
    differences: tuple[ObjectDifference, ...]
    operations: tuple[str, ...]
    reload: bool
    reload_reasons: tuple[str, ...]


@dataclass(frozen=True)
class Outcome:
    """What a command did. `applied` is "queued" when a reload was put off to join those of the same second."""

    revision: int
    applied: Applied
    preview: Preview

    @property
    def key(self) -> int | str | None:
        return self.preview.key

    @property
    def configuration(self) -> Configuration:
        return self.preview.configuration


@dataclass(frozen=True)
class Snapshot:
    """The committed configuration and its revision, immutable."""

    revision: int
    configuration: Configuration


@dataclass(frozen=True)
class HistoryEntry:
    """One revision: who, when (seconds since the epoch), through what, why, what came of it, and what changed."""

    number: int
    at: float
    author: str
    origin: str
    reason: str
    summary: str
    status: str
    detail: str
    rollback_of: int | None = None
    differences: tuple[ObjectDifference, ...] = ()


@dataclass(frozen=True)
class Health:
    """How the parts of the appliance are. Times in seconds since the epoch."""

    version: str
    started_at: float
    boot_time: float
    haproxy_version: str
    haproxy_pid: int | None
    health_pid: int | None
    last_change: float | None
    reload_pending: bool
    problems: tuple[str, ...] = field(default=())


class ApplianceApi(Protocol):
    """The appliance as its callers see it. Every error is one of `model.errors`."""

    def snapshot(self) -> Snapshot:
        """The committed configuration now."""
        ...

    async def execute(
        self, command: Command, actor: Actor, *, reason: str = "", based_on: int | None = None, wait: bool | None = None
    ) -> Outcome:
        """The whole road. `based_on` makes a stale command a `ConflictError`. `wait` True waits for a put-off reload,
        None waits only when nothing is being coalesced. Raises `OperatorError` on missing permission.
        """
        ...

    async def preview(self, command: Command, actor: Actor, *, based_on: int | None = None) -> Preview:
        """A dry run: the same road stopped before commit."""
        ...

    def states(self) -> Mapping[int, ServiceState]:
        """The state of every service now."""
        ...

    async def network(self) -> NetworkState:
        """The host's network as it is. Raises `HostLacks` where it cannot be read."""
        ...

    def network_waiting(self) -> Waiting | None:
        """The change of the host's network that goes back unless it is confirmed."""
        ...

    async def confirm_network(self, actor: Actor) -> int:
        """Keep that change; its revision. Raises `ConflictError` when none waits, `OperatorError` on permission."""
        ...

    async def undo_network(self, actor: Actor) -> int:
        """Take that change back now; the revision that did. Raises as `confirm_network`."""
        ...

    async def statistics(self) -> Statistics:
        """Counters and rates, at most a second old."""
        ...

    async def host_figures(self) -> HostFigures:
        """Processor, memory, interfaces and file systems of the host now."""
        ...

    async def recorded(self, key: Key, span: Span) -> Mapping[int, Reading]:
        """What was recorded of the host, a service or its member over a span, by when its steps began."""
        ...

    async def transcripts(self, service: int, server: int) -> Sequence[Mapping[str, Any]]:
        """The last checks of a real server, newest first."""
        ...

    async def weights(self, service: int | None = None) -> Mapping[int, WeightStatus]:
        """What the members of a service, or of all, count as now, by index; absent where weights do not move."""
        ...

    async def set_external_weights(self, command: SetExternalWeights, actor: Actor) -> None:
        """Set weights from outside; on disk when it returns. They are no revision."""
        ...

    def history(self, limit: int = 50, before: int | None = None) -> Sequence[HistoryEntry]:
        """Revisions, newest first, without differences."""
        ...

    def revision(self, number: int) -> HistoryEntry:
        """One revision with its differences. Raises `NotFound`."""
        ...

    def difference(self, old: int, new: int | None = None) -> Sequence[ObjectDifference]:
        """What differs between two revisions; None is now."""
        ...

    async def rollback(
        self, number: int, actor: Actor, *, reason: str = "", dry_run: bool = False
    ) -> Outcome | Preview:
        """Make the configuration of an earlier revision the newest one."""
        ...

    @property
    def admission(self) -> Admission:
        """Who is let in by a password."""
        ...

    def authenticate_key(self, key: str) -> User | None:
        """The user of that API key."""
        ...

    def hash_password(self, password: str) -> str:
        """A salted hash for the commands on users. Raises `OperatorError` when the password is too short."""
        ...

    def api_keys(self, user: User) -> Sequence[str]:
        """The API keys of a user in clear, oldest first."""
        ...

    def new_api_key(self) -> tuple[str, str, bytes]:
        """A new random key of 44 letters and digits: (key, its digest, the bytes to keep)."""
        ...

    async def refused_clients(self, service: int) -> Sequence[RefusedClient]:
        """Clients that showed no good certificate to a service since the last reload, newest first."""
        ...

    def stapling(self) -> Sequence[Stapling]:
        """How OCSP stapling stands with each certificate listeners have; empty while it is off."""
        ...

    @property
    def acme(self) -> Acme:
        """Accounts and orders at ACME authorities."""
        ...

    def edge_files(self) -> EdgeFiles:
        """The logs of the edge filter."""
        ...

    def events(self) -> Bus:
        """The events: their log, who is told of them, and those that come."""
        ...

    async def test_event(self, actor: Actor, severity: Severity, text: str) -> Event:
        """Tell every subscriber of an event that is only a test. Raises `OperatorError` on missing permission."""
        ...

    async def clear_events(self, actor: Actor) -> int:
        """Remove every event from the log; returns how many. Raises `OperatorError` on missing permission."""
        ...

    async def explain(self, request: Request, host: str = "") -> Explanation:
        """What would happen to a request, step by step; nothing is sent to a real server and nothing changes.

        `host` is the name in the URL where no address is known. Raises `OperatorError` when no service is meant.
        """
        ...

    def ciphers(self) -> frozenset[str] | None:
        """The ciphers that HAProxy's TLS library has, None when it could not be asked."""
        ...

    async def diagnose(self, certificate: str, host: str | None = None) -> tuple[Finding, ...]:
        """What is wrong with a certificate, and whether it is for a host. Raises `NotFound`."""
        ...

    async def backup_certificates(self, pass_phrase: str, actor: Actor) -> bytes:
        """Certificates with their keys, and intermediates, in an encrypted file.

        Raises `OperatorError` on missing permission and for a pass phrase that is too short or too long.
        """
        ...

    async def back_up(self, actor: Actor, password: str | None = None) -> bytes:
        """The configuration as a file: without secrets, or with a password everything, sealed by it.

        Raises `OperatorError` on missing permission and for a password that is too short or too long.
        """
        ...

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
        """The command that restores a file. Raises `OperatorError` for one that is refused; nothing is changed yet."""
        ...

    async def factory_reset(self, actor: Actor, password: str | None = None, *, keep_network: bool = True) -> str:
        """Ask for a factory reset, which follows at once; the administrator's password afterwards.

        None makes one up, good for one sign-in. Raises `OperatorError` on missing permission and for a password that is
        too short, `HostLacks` when the disk refuses to note it; nothing is changed then.
        """
        ...

    def health(self) -> Health:
        """How the parts of the appliance are."""
        ...
