"""Operations on a running HAProxy: typed values, printed by `emit.haproxy.runtime`, run by `engines.haproxy`.

Each is something HAProxy >= 2.6 can do without a reload. What is printed in a dry run is what is run.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from steelyard.plan.haproxy import Server
from steelyard.plan.trust import TrustFile

AdminState = Literal["ready", "drain", "maint"]


@dataclass(frozen=True, slots=True)
class AddServer:
    """Add a server to a backend. It starts in maintenance, until it is released."""

    backend: str
    server: Server


@dataclass(frozen=True, slots=True)
class RemoveServer:
    """Remove a server. HAProxy needs it in maintenance with no connection left, so its sessions are cut first."""

    backend: str
    server: str


@dataclass(frozen=True, slots=True)
class SetState:
    """Administrative state. `drain` still takes clients with a persistence record; `maint` takes none."""

    backend: str
    server: str
    state: AdminState


@dataclass(frozen=True, slots=True)
class Release:
    """A server is to take clients. The checking process carries it out together with its verdict.

    HAProxy (2.6 and 2.8, tried) takes a server without checks of its own as up when it leaves maintenance, whatever
    was said of it before; only who knows the verdict can do it without a moment of traffic to a dead server.
    """

    backend: str
    server: str


@dataclass(frozen=True, slots=True)
class SetHealth:
    """The verdict of the checks. Works on servers that have no check of HAProxy's own."""

    backend: str
    server: str
    up: bool


@dataclass(frozen=True, slots=True)
class SetWeight:
    """Effective weight, 0-256. 0 leaves only clients with a persistence record."""

    backend: str
    server: str
    weight: int


@dataclass(frozen=True, slots=True)
class SetAddress:
    """Change of address and port; `port` None keeps the port the client connected to."""

    backend: str
    server: str
    address: str
    port: int | None


@dataclass(frozen=True, slots=True)
class SetMaxConnections:
    """Concurrent connection limit of a server; 0 means none."""

    backend: str
    server: str
    limit: int


@dataclass(frozen=True, slots=True)
class DropSessions:
    """Cut every session of a server."""

    backend: str
    server: str


@dataclass(frozen=True, slots=True)
class ReplaceCertificate:
    """New content of a certificate file that is loaded already. The content is read from the store when it is run."""

    certificate: str


@dataclass(frozen=True, slots=True)
class LoadCertificate:
    """Bring a certificate into memory, from the store, so that listeners can be given it."""

    certificate: str


@dataclass(frozen=True, slots=True)
class AssignCertificate:
    """A listener presents one more certificate, the last in its order."""

    listener: str
    certificate: str


@dataclass(frozen=True, slots=True)
class WithdrawCertificate:
    """A listener presents a certificate no more. HAProxy refuses that for the first one, which stands in for others."""

    listener: str
    certificate: str


@dataclass(frozen=True, slots=True)
class UnloadCertificate:
    """Remove a certificate no listener presents from memory."""

    certificate: str


@dataclass(frozen=True, slots=True)
class ReplaceTrust:
    """New content of a file of authorities or revocation lists that is loaded already."""

    file: TrustFile


@dataclass(frozen=True, slots=True)
class ChangeLookup:
    """Some entries of a lookup go, come, or get another value."""

    lookup: str
    is_map: bool
    removed: tuple[str, ...] = ()
    added: tuple[tuple[str, str], ...] = ()
    changed: tuple[tuple[str, str], ...] = ()

    @property
    def size(self) -> int:
        """How many entries it touches."""
        return len(self.removed) + len(self.added) + len(self.changed)


@dataclass(frozen=True, slots=True)
class ReplaceLookup:
    """All entries of a lookup at once: requests see the old ones or the new ones, never a mixture."""

    lookup: str
    is_map: bool
    entries: tuple[tuple[str, str], ...]


Operation = (
    AddServer
    | RemoveServer
    | Release
    | SetState
    | SetHealth
    | SetWeight
    | SetAddress
    | SetMaxConnections
    | DropSessions
    | ReplaceCertificate
    | ReplaceTrust
    | LoadCertificate
    | AssignCertificate
    | WithdrawCertificate
    | UnloadCertificate
    | ChangeLookup
    | ReplaceLookup
)
