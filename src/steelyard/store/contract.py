"""What a store promises: revisions, the current objects, secrets and the audit log.

The rules, the same for every implementation:

- An object is a JSON document addressed by (kind, key). The store does not know what it means.
- A revision is a list of object changes, committed whole or not at all. Numbers start at 1, rise by one and are never
  reused.
- A revision is *standing* until it is withdrawn. The current objects are the changes of the standing revisions, in
  order.
- Only the newest standing revision can be withdrawn, so undoing changes backwards from now always gives the past.
- Secrets have their own place, never enter history, and are not brought back by a withdrawal or a rollback: a secret
  that a document refers to gets a new name when its content changes.
- Every call is synchronous and safe from any thread. What was acknowledged survives a power cut.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final, Literal, Protocol

from steelyard.model.errors import InternalError

#: One object as JSON: string keys; values are None, bool, int, finite float, str, list or such a dict.
Document = dict[str, Any]
#: Objects by kind, then key.
Objects = dict[str, dict[str, Document]]

Status = Literal["committed", "applied", "failed"]
Outcome = Literal["applied", "failed"]

NO_SECRETS: Final[Mapping[str, bytes]] = MappingProxyType({})


class SecretMissing(InternalError):
    """No secret has that name: a document refers to a secret that was never put or is gone."""

    def __init__(self, name: str) -> None:
        super().__init__(f"The store holds no secret named {name}")
        self.name = name


@dataclass(frozen=True, slots=True)
class ObjectChange:
    """One object before and after; None is "does not exist". Both None is refused."""

    kind: str
    key: str
    before: Document | None
    after: Document | None

    def __post_init__(self) -> None:
        if not self.kind or not self.key:
            raise InternalError("An object change needs a kind and a key")
        if self.before is None and self.after is None:
            raise InternalError(f"The change of {self.kind} {self.key} says neither before nor after")


@dataclass(frozen=True, slots=True)
class RevisionRecord:
    """A committed configuration change.

    `at` is in seconds since the epoch. `base` is the revision it was made on (0: the empty store). `changes` is empty
    in listings. `rollback_of` is the revision whose objects were brought back. A withdrawn revision is failed and its
    changes are not in force; the changes of one that is failed and not withdrawn still are.
    """

    number: int
    at: float
    author: str
    origin: str
    reason: str
    summary: str
    status: Status
    detail: str
    base: int
    changes: tuple[ObjectChange, ...] = ()
    rollback_of: int | None = None
    withdrawn: bool = False


@dataclass(frozen=True, slots=True)
class AuditRecord:
    """One request, accepted or refused. `at` is in seconds since the epoch. Callers keep secrets out of every field."""

    at: float
    author: str
    origin: str
    action: str
    outcome: str


class Store(Protocol):
    """Where the configuration lives. Any method may raise `HostLacks`; nothing is changed then."""

    def head(self) -> int:
        """The newest revision number, withdrawn or not; 0 when there is none."""
        ...

    def load(self) -> tuple[int, Objects]:
        """The head and the current objects, sorted by kind and key. The caller owns what it gets."""
        ...

    def commit(
        self,
        changes: Sequence[ObjectChange],
        *,
        author: str,
        origin: str,
        reason: str,
        summary: str,
        at: float,
        expected_head: int,
        rollback_of: int | None = None,
        secrets: Mapping[str, bytes] = NO_SECRETS,
    ) -> RevisionRecord:
        """Record the changes and the secrets as one new revision, status "committed".

        `ConflictError` when the head is not `expected_head`: names who changed what since. `InternalError` when a
        change's `before` is not what is stored, an object is changed twice, or a document is not JSON.
        """
        ...

    def mark(self, number: int, status: Outcome, detail: str = "") -> None:
        """Record how applying a revision ended; its changes stay in force. `NotFound`; `InternalError` if withdrawn."""
        ...

    def withdraw(self, number: int, detail: str) -> None:
        """Put the `before` documents of the newest standing revision back; its status becomes "failed".

        `NotFound`; `InternalError` when it was withdrawn already or a newer revision stands.
        """
        ...

    def history(self, limit: int, before: int | None = None) -> list[RevisionRecord]:
        """Up to `limit` revisions, newest first, older than `before`, without their changes."""
        ...

    def revision(self, number: int) -> RevisionRecord:
        """One revision with its changes. `NotFound`."""
        ...

    def objects_at(self, number: int) -> Objects:
        """The objects that were current after that revision, from the revisions that still stand.

        0 is the empty store. A withdrawn revision gives the objects it was withdrawn to. `NotFound`.
        """
        ...

    def put_secret(self, name: str, value: bytes) -> None:
        """Store or replace a secret."""
        ...

    def get_secret(self, name: str) -> bytes:
        """The secret; `SecretMissing` (an `InternalError`) when there is none."""
        ...

    def delete_secret(self, name: str) -> None:
        """Forget a secret. One that is not there is no error: clean-up may run twice."""
        ...

    def audit(self, at: float, author: str, origin: str, action: str, outcome: str) -> None:
        """Append to the audit log."""
        ...

    def audit_log(self, limit: int) -> list[AuditRecord]:
        """Up to `limit` audit records, the last appended first."""
        ...

    def check_integrity(self) -> None:
        """Verify the file and that replaying the standing revisions gives the current objects. Takes time with history.

        `HostLacks` when the file is damaged, `InternalError` when the records contradict each other.
        """
        ...

    def close(self) -> None:
        """Let go of the file. Calling it twice is no error; any other call afterwards is an `InternalError`."""
        ...
