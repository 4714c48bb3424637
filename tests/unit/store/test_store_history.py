"""History: what was, who did it, how it ended, and taking back what could not be applied."""

from __future__ import annotations

import pytest
from tests.unit.store.committing import change, commit

from steelyard.model.errors import InternalError
from steelyard.store.contract import Store


def test_history_pages_newest_first_without_changes(store: Store) -> None:
    for number in range(1, 8):
        commit(store, change(str(number), None, {}), summary=f"change {number}")
    assert [record.number for record in store.history(3)] == [7, 6, 5]
    assert [record.number for record in store.history(3, before=5)] == [4, 3, 2]
    assert [record.number for record in store.history(3, before=2)] == [1]
    assert store.history(3, before=1) == []
    assert store.history(0) == []
    assert store.history(-1) == []
    assert len(store.history(10**30, before=10**30)) == 7
    assert store.history(3, before=-(10**30)) == []
    assert all(record.changes == () for record in store.history(10))


def test_how_applying_ended_is_remembered(store: Store) -> None:
    commit(store)
    commit(store)
    store.mark(1, "applied")
    store.mark(2, "failed", "HAProxy said no")
    assert [(record.status, record.detail) for record in store.history(2)] == [
        ("failed", "HAProxy said no"),
        ("applied", ""),
    ]
    store.mark(2, "applied")
    assert (store.revision(2).status, store.revision(2).detail) == ("applied", "")


def test_a_status_that_is_no_outcome_is_refused(store: Store) -> None:
    commit(store)
    with pytest.raises(InternalError):
        store.mark(1, "committed")  # type: ignore[arg-type]  # what a caller without types could do
    assert store.revision(1).status == "committed"


def test_a_withdrawn_revision_leaves_the_objects_as_they_were_and_its_number_used(store: Store) -> None:
    commit(store, change("1", None, {"port": 80}), change("2", None, {}))
    commit(store, change("1", {"port": 80}, {"port": 81}), change("2", {}, None), change("3", None, {}))
    store.withdraw(2, "address in use")
    assert store.load() == (2, {"service": {"1": {"port": 80}, "2": {}}})
    record = store.revision(2)
    assert (record.status, record.detail, record.withdrawn) == ("failed", "address in use", True)
    assert len(record.changes) == 3
    assert commit(store, change("3", None, {"again": True})).number == 3
    store.check_integrity()


def test_revisions_are_withdrawn_newest_first(store: Store) -> None:
    commit(store, change("1", None, {"port": 1}))
    commit(store, change("1", {"port": 1}, {"port": 2}))
    commit(store, change("1", {"port": 2}, {"port": 3}))
    with pytest.raises(InternalError, match="revision 3 stands on it"):
        store.withdraw(2, "")
    store.withdraw(3, "")
    store.withdraw(2, "")
    assert store.load() == (3, {"service": {"1": {"port": 1}}})
    commit(store, change("1", {"port": 1}, {"port": 4}))
    with pytest.raises(InternalError, match="revision 4 stands on it"):
        store.withdraw(1, "")


def test_a_revision_is_withdrawn_once_and_not_marked_afterwards(store: Store) -> None:
    commit(store, change("1", None, {}))
    store.withdraw(1, "first")
    with pytest.raises(InternalError, match="withdrawn already"):
        store.withdraw(1, "second")
    with pytest.raises(InternalError, match="was withdrawn"):
        store.mark(1, "applied")
    assert store.revision(1).detail == "first"


def test_a_revision_marked_failed_is_in_force_until_withdrawn(store: Store) -> None:
    commit(store, change("1", None, {}))
    store.mark(1, "failed", "HAProxy said no")
    assert store.load() == (1, {"service": {"1": {}}})
    assert store.objects_at(1) == {"service": {"1": {}}}
    store.withdraw(1, "HAProxy said no")
    assert store.load() == (1, {})


def test_the_past_skips_what_was_withdrawn(store: Store) -> None:
    commit(store, change("1", None, {"port": 1}))
    commit(store, change("1", {"port": 1}, {"port": 2}))
    store.withdraw(2, "")
    commit(store, change("1", {"port": 1}, {"port": 3}), change("2", None, {}))
    commit(store, change("2", {}, None))
    one, three = {"service": {"1": {"port": 1}}}, {"service": {"1": {"port": 3}, "2": {}}}
    assert store.objects_at(0) == {}
    assert store.objects_at(1) == one
    assert store.objects_at(2) == one
    assert store.objects_at(3) == three
    assert store.objects_at(4) == {"service": {"1": {"port": 3}}}
    assert store.load() == (4, store.objects_at(4))
