"""The store in memory, for tests: the rules of the real one, nothing on disk.

It keeps canonical texts as the real one does, so that a document a caller changes afterwards stays as it was committed.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace

from steelyard.model.errors import HostLacks, InternalError
from steelyard.store import rules
from steelyard.store.contract import (
    NO_SECRETS,
    AuditRecord,
    ObjectChange,
    Objects,
    Outcome,
    RevisionRecord,
    SecretMissing,
)
from steelyard.store.documents import (
    TextChange,
    Texts,
    advance,
    decode_change,
    decode_objects,
    encode_changes,
    exact,
    inverse,
    legible,
)


class MemoryStore:
    """`Store` without a disk. Set `refuses` to see what a full or read-only disk does: every write raises it."""

    def __init__(self) -> None:
        self.refuses: HostLacks | None = None
        self._lock = threading.RLock()
        self._closed = False
        self._objects: Texts = {}
        self._revisions: list[tuple[RevisionRecord, list[TextChange]]] = []
        self._secrets: dict[str, bytes] = {}
        self._audit: list[AuditRecord] = []

    @contextmanager
    def _reading(self) -> Iterator[None]:
        with self._lock:
            if self._closed:
                raise InternalError("The store failed: it is closed")
            yield

    @contextmanager
    def _writing(self) -> Iterator[None]:
        with self._reading():
            if self.refuses is not None:
                raise self.refuses
            yield

    def head(self) -> int:
        with self._reading():
            return len(self._revisions)

    def load(self) -> tuple[int, Objects]:
        with self._reading():
            return len(self._revisions), decode_objects(self._objects)

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
        encoded = encode_changes(changes)
        with self._writing():
            head = len(self._revisions)
            if head != expected_head:
                raise rules.conflict(expected_head, head, self._listing(rules.NAMED_IN_CONFLICT, None))
            rules.require_past(rollback_of, head)
            record = RevisionRecord(
                number=head + 1,
                at=rules.instant(at),
                author=legible(author),
                origin=legible(origin),
                reason=legible(reason),
                summary=legible(summary),
                status="committed",
                detail="",
                base=head,
                rollback_of=rollback_of,
            )
            put = {exact(name): bytes(value) for name, value in secrets.items()}
            objects = dict(self._objects)
            advance(objects, encoded)
            self._objects = objects
            self._secrets.update(put)
            self._revisions.append((record, encoded))
            return replace(record, changes=tuple(changes))

    def mark(self, number: int, status: Outcome, detail: str = "") -> None:
        with self._writing():
            record, changes = self._found(number)
            rules.require_markable(number, status, record.withdrawn)
            self._revisions[number - 1] = replace(record, status=status, detail=legible(detail)), changes

    def withdraw(self, number: int, detail: str) -> None:
        with self._writing():
            record, changes = self._found(number)
            standing = max((found.number for found, _ in self._revisions if not found.withdrawn), default=0)
            rules.require_withdrawable(number, record.withdrawn, standing)
            advance(self._objects, inverse(changes))
            withdrawn = replace(record, status="failed", detail=legible(detail), withdrawn=True)
            self._revisions[number - 1] = withdrawn, changes

    def history(self, limit: int, before: int | None = None) -> list[RevisionRecord]:
        with self._reading():
            return self._listing(rules.page(limit), before)

    def revision(self, number: int) -> RevisionRecord:
        with self._reading():
            record, changes = self._found(number)
            return replace(record, changes=tuple(decode_change(change) for change in changes))

    def objects_at(self, number: int) -> Objects:
        with self._reading():
            if number != 0:
                rules.require_known(number, len(self._revisions))
            texts = dict(self._objects)
            for record, changes in reversed(self._revisions[number:]):
                if not record.withdrawn:
                    advance(texts, inverse(changes))
            return decode_objects(texts)

    def put_secret(self, name: str, value: bytes) -> None:
        with self._writing():
            self._secrets[exact(name)] = bytes(value)

    def get_secret(self, name: str) -> bytes:
        with self._reading():
            if exact(name) not in self._secrets:
                raise SecretMissing(name)
            return self._secrets[name]

    def delete_secret(self, name: str) -> None:
        with self._writing():
            self._secrets.pop(exact(name), None)

    def audit(self, at: float, author: str, origin: str, action: str, outcome: str) -> None:
        record = AuditRecord(rules.instant(at), legible(author), legible(origin), legible(action), legible(outcome))
        with self._writing():
            self._audit.append(record)

    def audit_log(self, limit: int) -> list[AuditRecord]:
        with self._reading():
            return self._audit[::-1][: rules.page(limit)]

    def check_integrity(self) -> None:
        with self._reading():
            replayed: Texts = {}
            for record, changes in self._revisions:
                if not record.withdrawn:
                    advance(replayed, changes)
            if replayed != self._objects:
                raise InternalError("The current objects are not what the revisions lead to")

    def close(self) -> None:
        with self._lock:
            self._closed = True

    def _found(self, number: int) -> tuple[RevisionRecord, list[TextChange]]:
        rules.require_known(number, len(self._revisions))
        return self._revisions[number - 1]

    def _listing(self, limit: int, before: int | None) -> list[RevisionRecord]:
        end = len(self._revisions) if before is None else max(0, before - 1)
        return [record for record, _ in reversed(self._revisions[:end])][:limit]
