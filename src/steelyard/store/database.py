"""The file `steelyard.db`: made private, opened durable, brought to the current schema.

WAL with synchronous=FULL: SQLite syncs the log at every commit, so what was acknowledged survives a power cut. The -wal
and -shm files get the mode of the database file (SQLite >= 3.8), so 0600 on one protects all three.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from steelyard.model.errors import HostLacks
from steelyard.store.documents import decode, encode
from steelyard.store.faults import blamed, damaged, not_writable
from steelyard.store.migrations import Schema

#: "STYD" in ASCII: tells our file from any other SQLite database.
APPLICATION_ID = 0x53545944

#: Seconds to wait for a lock that another process holds, such as a backup in progress.
LOCK_TIMEOUT = 5.0

#: Bytes the log may keep after a checkpoint. One import of a large configuration must not hold disk space for ever.
LOG_BYTES = 16 * 1024 * 1024

#: How each stored document is read, in batches by row id, and replaced.
DOCUMENTS = (
    (
        "SELECT rowid, kind, key, document FROM objects WHERE rowid > ? ORDER BY rowid LIMIT 500",
        "UPDATE objects SET document = ? WHERE rowid = ?",
    ),
    (
        "SELECT rowid, kind, key, before FROM changes WHERE rowid > ? AND before IS NOT NULL ORDER BY rowid LIMIT 500",
        "UPDATE changes SET before = ? WHERE rowid = ?",
    ),
    (
        "SELECT rowid, kind, key, after FROM changes WHERE rowid > ? AND after IS NOT NULL ORDER BY rowid LIMIT 500",
        "UPDATE changes SET after = ? WHERE rowid = ?",
    ),
)

#: `user_version` holds the document schema version.
TABLES = (
    """CREATE TABLE objects (
        kind TEXT NOT NULL, key TEXT NOT NULL, document TEXT NOT NULL, PRIMARY KEY (kind, key))""",
    """CREATE TABLE revisions (
        number INTEGER PRIMARY KEY, at REAL NOT NULL, author TEXT NOT NULL, origin TEXT NOT NULL, reason TEXT NOT NULL,
        summary TEXT NOT NULL, status TEXT NOT NULL CHECK (status IN ('committed', 'applied', 'failed')),
        detail TEXT NOT NULL, base INTEGER NOT NULL, rollback_of INTEGER, withdrawn INTEGER NOT NULL)""",
    """CREATE TABLE changes (
        revision INTEGER NOT NULL REFERENCES revisions (number), position INTEGER NOT NULL,
        kind TEXT NOT NULL, key TEXT NOT NULL, before TEXT, after TEXT, UNIQUE (revision, position))""",
    "CREATE TABLE secrets (name TEXT PRIMARY KEY, value BLOB NOT NULL)",
    """CREATE TABLE audit (
        number INTEGER PRIMARY KEY, at REAL NOT NULL, author TEXT NOT NULL, origin TEXT NOT NULL, action TEXT NOT NULL,
        outcome TEXT NOT NULL)""",
)


def open_database(path: Path, schema: Schema) -> sqlite3.Connection:
    """The open file, created if absent, every document of `schema`'s version.

    `HostLacks` when the file cannot be written, is damaged, or was written by a newer Steelyard.
    """
    _make_private(path)
    with blamed(path):
        connection = sqlite3.connect(path, timeout=LOCK_TIMEOUT, isolation_level=None, check_same_thread=False)
        try:
            _make_durable(connection, path)
            _prepare(connection, path, schema)
        except BaseException:
            connection.close()
            raise
    return connection


@contextmanager
def transaction(connection: sqlite3.Connection, begin: str = "BEGIN IMMEDIATE") -> Iterator[None]:
    """All of it or nothing. Whatever leaves the block by an exception, a failed COMMIT too, is rolled back."""
    connection.execute(begin)
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        # SQLite rolls back by itself on some errors (full disk, I/O); a second ROLLBACK would hide the first error.
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _make_private(path: Path) -> None:
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.fchmod(file, 0o600)
        finally:
            os.close(file)
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            # The name of a new file is durable only once its directory is.
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as failure:
        raise not_writable(path, failure.strerror or str(failure)) from failure


def _make_durable(connection: sqlite3.Connection, path: Path) -> None:
    mode = connection.execute("PRAGMA journal_mode = WAL").fetchone()[0]
    if mode != "wal":
        raise not_writable(path, f"the file system cannot hold a write-ahead log, only {mode}")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA foreign_keys = ON")
    # A deleted secret is overwritten with zeros, not left in a free page.
    connection.execute("PRAGMA secure_delete = ON")
    connection.execute(f"PRAGMA journal_size_limit = {LOG_BYTES}")


def _prepare(connection: sqlite3.Connection, path: Path, schema: Schema) -> None:
    with transaction(connection):
        application = connection.execute("PRAGMA application_id").fetchone()[0]
        if application == 0 and connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0] == 0:
            for table in TABLES:
                connection.execute(table)
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            connection.execute(f"PRAGMA user_version = {schema.version}")
            return
        if application != APPLICATION_ID:
            raise damaged(path, f"application id {application}")
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        if version > schema.version:
            raise HostLacks(
                f"{path} was written by a newer Steelyard: its schema is {version}, this one knows {schema.version}",
                lacks=f"a Steelyard that knows schema {version}",
                remedy="Install the newer version again, or restore a backup made by this one.",
            )
        if version < schema.version:
            _migrate(connection, schema, version)


def _migrate(connection: sqlite3.Connection, schema: Schema, version: int) -> None:
    for select, update in DOCUMENTS:
        last = 0
        # A history may be larger than memory, and SQLite leaves open what a SELECT sees of rows updated under it.
        while rows := connection.execute(select, (last,)).fetchall():
            for row, kind, key, text in rows:
                migrated = encode(kind, key, schema.migrate(kind, decode(text), version))
                if migrated != text:
                    connection.execute(update, (migrated, row))
            last = rows[-1][0]
    connection.execute(f"PRAGMA user_version = {schema.version}")
