"""The store on SQLite: one connection, one lock, one transaction for each call.

A commit costs what it changes, not what is configured: it touches the rows of the changed objects, one revision row and
one row for each change. The past is computed backwards from the current objects when somebody asks for it.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from steelyard.model.errors import InternalError
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
from steelyard.store.database import open_database, transaction
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
    require_before,
)
from steelyard.store.faults import blamed, damaged
from steelyard.store.migrations import CURRENT, Schema


class SqliteStore:
    """`Store` in the file at `path`, which is created if absent.

    Opening raises `HostLacks` when the file cannot be written, is damaged, or was written by a newer Steelyard.
    """

    def __init__(self, path: Path, *, schema: Schema = CURRENT) -> None:
        self._path = path
        self._lock = threading.RLock()
        self._connection = open_database(path, schema)

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        with self._lock, blamed(self._path), transaction(self._connection, "BEGIN"):
            yield self._connection

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        with self._lock, blamed(self._path), transaction(self._connection):
            yield self._connection

    def head(self) -> int:
        with self._reading() as connection:
            return _head(connection)

    def load(self) -> tuple[int, Objects]:
        with self._reading() as connection:
            head, texts = _head(connection), _texts(connection)
        return head, decode_objects(texts)

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
        with self._writing() as connection:
            head = _head(connection)
            if head != expected_head:
                raise rules.conflict(expected_head, head, _listing(connection, rules.NAMED_IN_CONFLICT, None))
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
                changes=tuple(changes),
                rollback_of=rollback_of,
            )
            _insert(connection, record)
            connection.executemany(
                "INSERT INTO changes (revision, position, kind, key, before, after) VALUES (?, ?, ?, ?, ?, ?)",
                ((record.number, position, *change) for position, change in enumerate(encoded)),
            )
            _advance(connection, encoded)
            for name, value in secrets.items():
                _put_secret(connection, name, value)
        return record

    def mark(self, number: int, status: Outcome, detail: str = "") -> None:
        with self._writing() as connection:
            rules.require_markable(number, status, _record(connection, number).withdrawn)
            connection.execute(
                "UPDATE revisions SET status = ?, detail = ? WHERE number = ?", (status, legible(detail), number)
            )

    def withdraw(self, number: int, detail: str) -> None:
        with self._writing() as connection:
            standing = connection.execute(
                "SELECT number FROM revisions WHERE NOT withdrawn ORDER BY number DESC LIMIT 1"
            ).fetchone()
            rules.require_withdrawable(
                number, _record(connection, number).withdrawn, standing[0] if standing is not None else 0
            )
            _advance(connection, inverse(_changes(connection, number)))
            connection.execute(
                "UPDATE revisions SET status = 'failed', detail = ?, withdrawn = 1 WHERE number = ?",
                (legible(detail), number),
            )

    def history(self, limit: int, before: int | None = None) -> list[RevisionRecord]:
        with self._reading() as connection:
            return _listing(connection, rules.page(limit), before)

    def revision(self, number: int) -> RevisionRecord:
        with self._reading() as connection:
            record = _record(connection, number)
            changes = _changes(connection, number)
        return replace(record, changes=tuple(decode_change(change) for change in changes))

    def objects_at(self, number: int) -> Objects:
        with self._reading() as connection:
            if number != 0:
                rules.require_known(number, _head(connection))
            texts = _texts(connection)
            later = connection.execute(
                "SELECT kind, key, after, before FROM changes JOIN revisions ON number = revision"
                " WHERE revision > ? AND NOT withdrawn ORDER BY revision DESC, position DESC",
                (number,),
            )
            advance(texts, (TextChange(*row) for row in later))
        return decode_objects(texts)

    def put_secret(self, name: str, value: bytes) -> None:
        with self._writing() as connection:
            _put_secret(connection, name, value)

    def get_secret(self, name: str) -> bytes:
        with self._reading() as connection:
            row = connection.execute("SELECT value FROM secrets WHERE name = ?", (exact(name),)).fetchone()
        if row is None:
            raise SecretMissing(name)
        return bytes(row[0])

    def delete_secret(self, name: str) -> None:
        with self._writing() as connection:
            connection.execute("DELETE FROM secrets WHERE name = ?", (exact(name),))

    def audit(self, at: float, author: str, origin: str, action: str, outcome: str) -> None:
        row = (rules.instant(at), legible(author), legible(origin), legible(action), legible(outcome))
        with self._writing() as connection:
            connection.execute("INSERT INTO audit (at, author, origin, action, outcome) VALUES (?, ?, ?, ?, ?)", row)

    def audit_log(self, limit: int) -> list[AuditRecord]:
        with self._reading() as connection:
            rows = connection.execute(
                "SELECT at, author, origin, action, outcome FROM audit ORDER BY number DESC LIMIT ?",
                (rules.page(limit),),
            )
            return [AuditRecord(*row) for row in rows]

    def check_integrity(self) -> None:
        with self._reading() as connection:
            complaints = connection.execute("PRAGMA integrity_check").fetchall()
            if complaints != [("ok",)]:
                raise damaged(self._path, "; ".join(str(row[0]) for row in complaints[:3]))
            if connection.execute("PRAGMA foreign_key_check").fetchone() is not None:
                raise damaged(self._path, "a change belongs to no revision")
            replayed: Texts = {}
            standing = connection.execute(
                "SELECT kind, key, before, after FROM changes JOIN revisions ON number = revision"
                " WHERE NOT withdrawn ORDER BY revision, position"
            )
            advance(replayed, (TextChange(*row) for row in standing))
            if replayed != _texts(connection):
                raise InternalError("The current objects are not what the revisions lead to")

    def close(self) -> None:
        with self._lock, blamed(self._path):
            self._connection.close()


def _head(connection: sqlite3.Connection) -> int:
    head: int = connection.execute("SELECT coalesce(max(number), 0) FROM revisions").fetchone()[0]
    return head


def _texts(connection: sqlite3.Connection) -> Texts:
    return {(kind, key): text for kind, key, text in connection.execute("SELECT kind, key, document FROM objects")}


def _record(connection: sqlite3.Connection, number: int) -> RevisionRecord:
    """The revision without its changes. `NotFound`."""
    rules.require_known(number, _head(connection))
    return _listing(connection, 1, number + 1)[0]


def _listing(connection: sqlite3.Connection, limit: int, before: int | None) -> list[RevisionRecord]:
    end = _head(connection) + 1
    # A number from a client may not fit SQLite's 64 bits.
    end = end if before is None else max(0, min(end, before))
    rows = connection.execute(
        "SELECT number, at, author, origin, reason, summary, status, detail, base, rollback_of, withdrawn"
        " FROM revisions WHERE number < ? ORDER BY number DESC LIMIT ?",
        (end, limit),
    )
    return [
        replace(RevisionRecord(*described), rollback_of=rollback_of, withdrawn=bool(withdrawn))
        for *described, rollback_of, withdrawn in rows
    ]


def _changes(connection: sqlite3.Connection, number: int) -> list[TextChange]:
    rows = connection.execute(
        "SELECT kind, key, before, after FROM changes WHERE revision = ? ORDER BY position", (number,)
    )
    return [TextChange(*row) for row in rows]


def _insert(connection: sqlite3.Connection, record: RevisionRecord) -> None:
    connection.execute(
        "INSERT INTO revisions"
        " (number, at, author, origin, reason, summary, status, detail, base, rollback_of, withdrawn)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            record.number,
            record.at,
            record.author,
            record.origin,
            record.reason,
            record.summary,
            record.status,
            record.detail,
            record.base,
            record.rollback_of,
            record.withdrawn,
        ),
    )


def _advance(connection: sqlite3.Connection, changes: Iterable[TextChange]) -> None:
    """`documents.advance` on the objects table."""
    for change in changes:
        row = connection.execute(
            "SELECT document FROM objects WHERE kind = ? AND key = ?", (change.kind, change.key)
        ).fetchone()
        require_before(change, None if row is None else row[0])
        if change.after is None:
            connection.execute("DELETE FROM objects WHERE kind = ? AND key = ?", (change.kind, change.key))
        else:
            connection.execute(
                "INSERT INTO objects (kind, key, document) VALUES (?, ?, ?)"
                " ON CONFLICT (kind, key) DO UPDATE SET document = excluded.document",
                (change.kind, change.key, change.after),
            )


def _put_secret(connection: sqlite3.Connection, name: str, value: bytes) -> None:
    connection.execute(
        "INSERT INTO secrets (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
        (exact(name), bytes(value)),
    )
