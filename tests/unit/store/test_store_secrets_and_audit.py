"""Secrets stay out of history; the audit log keeps every request in order; a closed store says so."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from tests.unit.store.committing import change, commit

from steelyard.model.errors import ConflictError, HostLacks, InternalError
from steelyard.store.contract import AuditRecord, SecretMissing, Store
from steelyard.store.memory import MemoryStore
from steelyard.store.sqlite import SqliteStore


def test_a_secret_is_put_replaced_and_forgotten(store: Store) -> None:
    store.put_secret("key", b"\x00\xff one")
    store.put_secret("key", b"two")
    assert store.get_secret("key") == b"two"
    store.delete_secret("key")
    store.delete_secret("key")
    with pytest.raises(SecretMissing) as missing:
        store.get_secret("key")
    assert missing.value.name == "key"
    assert missing.value.kind == "internal"


def test_secrets_come_with_a_commit_or_not_at_all(store: Store) -> None:
    commit(store, change("1", None, {}), secrets={"a": b"1", "b": b"2"})
    assert (store.get_secret("a"), store.get_secret("b")) == (b"1", b"2")
    with pytest.raises(ConflictError):
        commit(store, secrets={"a": b"other", "c": b"3"}, expected_head=0)
    assert store.get_secret("a") == b"1"
    with pytest.raises(SecretMissing):
        store.get_secret("c")


def test_secrets_are_no_part_of_history(store: Store) -> None:
    commit(store, change("1", None, {}), secrets={"a": b"hidden"})
    store.withdraw(1, "")
    assert store.get_secret("a") == b"hidden"
    assert "hidden" not in repr(store.revision(1))


def test_a_deleted_secret_is_gone_from_the_file(database: Path) -> None:
    store = SqliteStore(database)
    store.put_secret("key", b"correct horse battery staple")
    store.close()
    assert b"battery staple" in database.read_bytes()
    store = SqliteStore(database)
    store.delete_secret("key")
    store.close()
    assert b"battery staple" not in database.read_bytes()


def test_the_audit_log_lists_the_last_first(store: Store) -> None:
    for number in range(4):
        store.audit(100.5 - number, "bal", "api", f"action {number}", "refused: \udcff")
    assert store.audit_log(2) == [
        AuditRecord(97.5, "bal", "api", "action 3", "refused: \\udcff"),
        AuditRecord(98.5, "bal", "api", "action 2", "refused: \\udcff"),
    ]
    assert len(store.audit_log(10**30)) == 4
    assert store.audit_log(0) == store.audit_log(-1) == []
    assert store.head() == 0


@pytest.mark.parametrize(
    "use",
    [
        lambda store: store.head(),
        lambda store: store.load(),
        lambda store: store.check_integrity(),
        lambda store: store.put_secret("a", b""),
        lambda store: store.audit(0, "", "", "", ""),
    ],
    ids=["head", "load", "check_integrity", "put_secret", "audit"],
)
def test_a_closed_store_says_so(store: Store, use: Callable[[Store], object]) -> None:
    store.close()
    store.close()
    with pytest.raises(InternalError, match="closed"):
        use(store)


def test_the_fake_can_be_a_full_disk() -> None:
    store = MemoryStore()
    commit(store, change("1", None, {}))
    store.refuses = HostLacks("Nothing was saved", lacks="disk space", remedy="Free space.")
    with pytest.raises(HostLacks):
        commit(store, change("1", {}, None))
    with pytest.raises(HostLacks):
        store.withdraw(1, "")
    assert store.load() == (1, {"service": {"1": {}}})
    store.refuses = None
    assert commit(store, change("1", {}, None)).number == 2
