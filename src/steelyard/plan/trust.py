"""Whom HAProxy believes: certificates of authorities and revocation lists, as files that listeners and servers name.

Listeners and servers that believe the same authorities name the same file. A name tells which authorities it has and
not what is in their certificates, so that new content is put into the running process in place of the old.
"""

from __future__ import annotations

from dataclasses import dataclass

#: the most a file may have to be sent to the running process: HAProxy (2.6) takes a payload that fits one buffer of
#: 16 KiB, with the command
SENT_BYTES = 12_000


@dataclass(frozen=True, slots=True)
class TrustNeed:
    """A file somebody names. `members` are names of intermediate certificates, empty for every one that is here.

    `system` adds the authorities that the host's system trusts; `revocations` says it holds revocation lists instead.
    `servers`: it is real servers that are verified by it, not clients.
    """

    members: tuple[str, ...] = ()
    system: bool = False
    servers: bool = False
    revocations: bool = False
    name: str = ""


@dataclass(frozen=True, slots=True)
class TrustFile:
    """The content of such a file, in PEM; with `system` the engine adds what the host's system trusts."""

    name: str
    pem: str
    system: bool = False
    servers: bool = False
    revocations: bool = False

    @property
    def sendable(self) -> bool:
        """Whether new content can be put into the running process; other goes with a reload.

        HAProxy (2.6, 2.8, tried) takes new authorities for servers, says so, and goes on with the old ones.
        """
        return not self.servers and len(self.pem) <= SENT_BYTES


@dataclass(frozen=True, slots=True)
class ClientVerification:
    """How a listener verifies clients: by which authorities and revocation lists, and whether they may come without."""

    authorities: TrustNeed
    revocations: TrustNeed | None = None
    optional: bool = False


def trust_path(name: str) -> str:
    """How directives and runtime commands call a file: a path below the engine's directory."""
    return f"trust/{name}"
