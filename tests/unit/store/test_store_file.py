"""The file: private, durable, only ours, of one schema, and honest about damage."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from tests.unit.store.committing import change, commit

from steelyard.model.errors import HostLacks, InternalError
from steelyard.store.contract import Document
from steelyard.store.database import open_database
from steelyard.store.migrations import CURRENT, Schema
from steelyard.store.sqlite import SqliteStore


@pytest.fixture
def filled(database: Path) -> Iterator[Path]:
    with closing(SqliteStore(database)) as store:
        commit(store, change("1", None, {"port": 80}), change("shop", None, {"port": 1}, kind="certificate"))
        commit(store, change("1", {"port": 80}, {"port": 81}))
        commit(store, change("1", {"port": 81}, None))
        store.withdraw(3, "refused")
    yield database


def edit(database: Path, statement: str) -> None:
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute(statement)


def test_everything_is_there_after_reopening(filled: Path) -> None:
    with closing(SqliteStore(filled)) as store:
        assert store.load() == (3, {"certificate": {"shop": {"port": 1}}, "service": {"1": {"port": 81}}})
        assert [record.status for record in store.history(5)] == ["failed", "committed", "committed"]
        store.check_integrity()


def test_only_the_owner_can_read_any_of_the_files(database: Path) -> None:
    database.parent.mkdir()
    database.touch(0o644)
    with closing(SqliteStore(database)) as store:
        commit(store, change("1", None, {}))
        found = {file.name: file.stat().st_mode & 0o777 for file in database.parent.iterdir()}
    assert found == {"steelyard.db": 0o600, "steelyard.db-wal": 0o600, "steelyard.db-shm": 0o600}


@pytest.mark.parametrize(
    ("pragma", "value"),
    [
        pytest.param("journal_mode", "wal", id="write-ahead log"),
        pytest.param("synchronous", 2, id="FULL"),
        pytest.param("foreign_keys", 1, id="foreign keys"),
        pytest.param("user_version", 1, id="schema"),
    ],
)
def test_the_connection_is_durable(database: Path, pragma: str, value: Any) -> None:
    with closing(open_database(database, CURRENT)) as connection:
        assert connection.execute(f"PRAGMA {pragma}").fetchone()[0] == value


def ports_become_lists(kind: str, document: Document) -> Document:
    return {"ports": [document["port"]]} if kind == "service" else document


def protocol_is_said(kind: str, document: Document) -> Document:
    return {**document, "protocol": "tcp"} if kind == "service" else document


def test_an_upgrade_migrates_objects_and_history_alike(filled: Path) -> None:
    with closing(SqliteStore(filled, schema=Schema((ports_become_lists,)))) as store:
        assert store.load()[1] == {"certificate": {"shop": {"port": 1}}, "service": {"1": {"ports": [81]}}}
    with closing(SqliteStore(filled, schema=Schema((ports_become_lists, protocol_is_said)))) as store:
        now, then = ({"ports": [port], "protocol": "tcp"} for port in (81, 80))
        assert store.load()[1]["service"] == {"1": now}
        assert store.objects_at(1)["service"] == {"1": then}
        assert store.revision(2).changes == (change("1", then, now),)
        store.withdraw(2, "refused")
        assert store.load()[1]["service"] == {"1": then}
        store.check_integrity()


def test_an_upgrade_over_two_steps_is_the_same_as_one_after_the_other(filled: Path) -> None:
    with closing(SqliteStore(filled, schema=Schema((ports_become_lists, protocol_is_said)))) as store:
        assert store.load()[1]["service"] == {"1": {"ports": [81], "protocol": "tcp"}}


def test_an_upgrade_reaches_every_document_of_a_long_history(database: Path) -> None:
    with closing(SqliteStore(database)) as store:
        commit(store, *(change(str(number), None, {"port": number}) for number in range(1, 1203)))
    with closing(SqliteStore(database, schema=Schema((ports_become_lists,)))) as store:
        assert store.load()[1]["service"] == {str(number): {"ports": [number]} for number in range(1, 1203)}
        store.check_integrity()


def test_a_migration_that_fails_leaves_the_old_schema(filled: Path) -> None:
    def fails(kind: str, document: Document) -> Document:
        return {"port": document["port"] // (81 - document["port"])}

    with pytest.raises(InternalError, match="service document cannot be migrated to schema 2"):
        SqliteStore(filled, schema=Schema((fails,)))
    with closing(SqliteStore(filled)) as store:
        assert store.load()[1]["service"] == {"1": {"port": 81}}


def test_a_file_of_a_newer_steelyard_is_left_alone(filled: Path) -> None:
    SqliteStore(filled, schema=Schema((ports_become_lists,))).close()
    with pytest.raises(HostLacks) as refused:
        SqliteStore(filled)
    assert refused.value.lacks == "a Steelyard that knows schema 2"
    assert SqliteStore(filled, schema=Schema((ports_become_lists,))).head() == 3


@pytest.mark.parametrize("content", ["text", "database"])
def test_a_file_that_is_not_ours_is_left_alone(database: Path, content: str) -> None:
    database.parent.mkdir()
    if content == "text":
        database.write_text("not a database " * 100)
    else:
        edit(database, "CREATE TABLE notes (text)")
    before = database.read_bytes()
    with pytest.raises(HostLacks) as refused:
        SqliteStore(database)
    assert refused.value.lacks == "an undamaged steelyard.db"
    assert database.read_bytes()[100:] == before[100:]


def test_damage_is_found(filled: Path) -> None:
    content = bytearray(filled.read_bytes())
    for start in range(4096, len(content), 4096):
        content[start : start + 64] = b"\xff" * 64
    filled.write_bytes(content)
    with pytest.raises(HostLacks) as refused, closing(SqliteStore(filled)) as store:
        store.check_integrity()
    assert refused.value.lacks == "an undamaged steelyard.db"


@pytest.mark.parametrize(
    ("statement", "error", "words"),
    [
        (
            "UPDATE objects SET document = '{\"port\":7}' WHERE kind = 'service'",
            InternalError,
            "not what the revisions",
        ),
        ("DELETE FROM changes WHERE revision = 2", InternalError, "not what the revisions"),
        ("UPDATE changes SET before = '{}' WHERE revision = 2", InternalError, "not stored as the change says"),
        ("DELETE FROM revisions WHERE number = 2", HostLacks, "belongs to no revision"),
    ],
)
def test_records_that_contradict_each_other_are_found(
    filled: Path, statement: str, error: type[Exception], words: str
) -> None:
    edit(filled, statement)
    with closing(SqliteStore(filled)) as store, pytest.raises(error, match=words):
        store.check_integrity()


def test_a_file_another_process_is_writing_is_named(database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("steelyard.store.database.LOCK_TIMEOUT", 0.05)
    with closing(SqliteStore(database)) as store, closing(sqlite3.connect(database, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(HostLacks) as refused:
            commit(store, change("1", None, {}))
        assert refused.value.lacks == "sole use of the state directory"
        other.execute("ROLLBACK")
        assert commit(store, change("1", None, {})).number == 1


def test_a_commit_in_a_large_configuration_costs_what_it_changes(database: Path) -> None:
    service: Document = {"servers": [{"address": f"10.0.0.{n}", "port": 80, "weight": 1000} for n in range(10)]}
    with closing(SqliteStore(database)) as store:
        commit(store, *(change(str(number), None, service) for number in range(1000)))
        store.close()
    with closing(SqliteStore(database)) as store:
        log = database.with_name("steelyard.db-wal")
        before = log.stat().st_size if log.exists() else 0
        commit(store, change("500", service, {**service, "port": 81}))
        # Some ten pages of 4 KiB: the object, its index, the revision, the change and theirs.
        assert log.stat().st_size - before < 100_000
