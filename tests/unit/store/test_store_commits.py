"""Commits: whole or nothing, on what was seen, and never over somebody else's change."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from tests.unit.store.committing import AT, change, commit

from steelyard.model.errors import ConflictError, InternalError, NotFound
from steelyard.store.contract import ObjectChange, Store


def test_an_empty_store_has_head_zero_and_no_objects(store: Store) -> None:
    assert store.head() == 0
    assert store.load() == (0, {})
    assert store.history(10) == []
    assert store.objects_at(0) == {}


def test_a_commit_is_there_with_everything_said_about_it(store: Store) -> None:
    changes = (change("1", None, {"port": 443}), change("shop", None, {"pem": "…"}, kind="certificate"))
    record = store.commit(
        changes,
        author="ana",
        origin="web",
        reason="ticket 12",
        summary="added a service",
        at=AT,
        expected_head=0,
    )
    assert (record.number, record.at, record.author, record.origin) == (1, AT, "ana", "web")
    assert (record.reason, record.summary, record.status) == ("ticket 12", "added a service", "committed")
    assert (record.detail, record.base, record.rollback_of, record.withdrawn) == ("", 0, None, False)
    assert record.changes == changes
    assert store.revision(1) == record
    assert store.load() == (1, {"certificate": {"shop": {"pem": "…"}}, "service": {"1": {"port": 443}}})


def test_objects_change_and_go(store: Store) -> None:
    commit(store, change("1", None, {"port": 80}), change("2", None, {"port": 81}))
    commit(store, change("1", {"port": 80}, {"port": 8080}), change("2", {"port": 81}, None))
    assert store.load() == (2, {"service": {"1": {"port": 8080}}})


def test_objects_come_sorted_whatever_the_order_of_changes(store: Store) -> None:
    commit(store, change("b", None, {}), change("a", None, {}), change("z", None, {}, kind="certificate"))
    _, objects = store.load()
    assert [(kind, list(by_key)) for kind, by_key in objects.items()] == [
        ("certificate", ["z"]),
        ("service", ["a", "b"]),
    ]


def test_a_stale_commit_is_told_who_changed_what(store: Store) -> None:
    commit(store, change("1", None, {"port": 80}), author="bal", summary="added service 1")
    commit(store, change("2", None, {"port": 81}), author="ana", summary="added service 2")
    commit(store, change("3", None, {"port": 82}), author="eve", summary="added service 3")
    store.withdraw(3, "refused")
    with pytest.raises(ConflictError) as conflict:
        commit(store, change("4", None, {}), expected_head=1)
    assert conflict.value.message == (
        "The configuration changed since revision 1: "
        "revision 3 by eve (failed): added service 3; revision 2 by ana: added service 2"
    )
    assert conflict.value.with_what == "revision 3"
    assert store.head() == 3


def test_a_conflict_with_many_revisions_names_the_newest_and_counts_the_rest(store: Store) -> None:
    for number in range(1, 8):
        commit(store, summary=f"change {number}")
    with pytest.raises(ConflictError, match=r"revision 7 .* revision 6 .* revision 5 by bal: change 5; and 2 earlier$"):
        commit(store, expected_head=2)


def test_a_base_from_the_future_is_a_conflict(store: Store) -> None:
    commit(store)
    with pytest.raises(ConflictError, match=r"based on revision 9, but the newest revision here is 1"):
        commit(store, expected_head=9)


@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param(change("1", None, {"port": 1}), id="exists already"),
        pytest.param(change("1", {"port": 79}, {"port": 1}), id="another value"),
        pytest.param(change("1", {"port": 80.0}, {"port": 1}), id="another type of number"),
        pytest.param(change("2", {"port": 80}, None), id="does not exist"),
        pytest.param(change("1", {"port": 80}, None, kind="certificate"), id="another kind"),
    ],
)
def test_a_change_made_on_other_objects_is_refused_whole(store: Store, wrong: ObjectChange) -> None:
    commit(store, change("1", None, {"port": 80}))
    before = store.load()
    with pytest.raises(InternalError, match="is not stored as the change says"):
        commit(store, change("0", None, {"port": 7}), wrong, secrets={"key": b"k"})
    assert store.load() == before
    assert len(store.history(10)) == 1
    with pytest.raises(InternalError):
        store.get_secret("key")
    assert commit(store, change("1", {"port": 80}, None)).number == 2


def test_one_commit_cannot_change_an_object_twice(store: Store) -> None:
    with pytest.raises(InternalError, match="service 1 twice"):
        commit(store, change("1", None, {"a": 1}), change("1", {"a": 1}, {"a": 2}))


@pytest.mark.parametrize(
    "document",
    [{"a": (1, 2)}, {1: "a"}, {"a": float("nan")}, {"a": {1, 2}}, {"a": b"x"}, {1: 1, "a": 2}, ["a"]],
    ids=repr,
)
def test_what_is_not_json_is_refused(store: Store, document: Any) -> None:
    with pytest.raises(InternalError, match="JSON"):
        commit(store, change("1", None, document))
    assert store.load() == (0, {})


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"text": 'é "\\ \u0000 \ud800 \U0001f600'},
        {"numbers": [0, -1, 2**70, 1.5, 1e300], "none": None, "flags": [True, False]},
        {"deep": {"er": [{"still": []}]}},
    ],
    ids=["empty", "text", "numbers", "nested"],
)
def test_documents_come_back_as_they_are(store: Store, document: Any) -> None:
    commit(store, change("1", None, document))
    assert store.load()[1]["service"]["1"] == document
    commit(store, change("1", document, None))
    assert store.revision(2).changes == (change("1", document, None),)


def test_the_order_of_a_documents_keys_does_not_matter(store: Store) -> None:
    commit(store, change("1", None, {"a": 1, "b": 2}))
    commit(store, change("1", {"b": 2, "a": 1}, None))
    assert store.load() == (2, {})


def test_true_is_not_one(store: Store) -> None:
    commit(store, change("1", None, {"on": True}))
    with pytest.raises(InternalError):
        commit(store, change("1", {"on": 1}, None))


def test_changing_a_document_after_the_commit_changes_nothing_stored(store: Store) -> None:
    document = {"servers": ["a"]}
    commit(store, change("1", None, document))
    document["servers"].append("b")
    store.load()[1]["service"]["1"]["servers"].append("c")
    assert store.load()[1]["service"]["1"] == {"servers": ["a"]}
    assert store.revision(1).changes[0].after == {"servers": ["a"]}


def test_odd_text_from_a_client_does_not_stop_the_record_of_it(store: Store) -> None:
    record = commit(store, author="x\udcffy", summary="nul \0 here")
    assert record.author == "x\\udcffy"
    assert store.revision(1) == record


@pytest.mark.parametrize(("kind", "key"), [("service", ""), ("", "1")])
def test_a_change_needs_an_address(kind: str, key: str) -> None:
    with pytest.raises(InternalError):
        ObjectChange(kind, key, None, {})


def test_a_change_needs_a_before_or_an_after() -> None:
    with pytest.raises(InternalError):
        ObjectChange("service", "1", None, None)


def test_a_key_that_utf8_cannot_carry_is_refused(store: Store) -> None:
    with pytest.raises(InternalError, match="UTF-8"):
        commit(store, change("\udcff", None, {}))


@pytest.mark.parametrize("at", [float("nan"), float("inf")])
def test_a_time_must_be_a_time(store: Store, at: float) -> None:
    with pytest.raises(InternalError, match="not a time"):
        commit(store, at=at)
    assert store.head() == 0


def test_a_rollback_remembers_what_it_brought_back(store: Store) -> None:
    commit(store, change("1", None, {}))
    commit(store, change("1", {}, None))
    assert commit(store, change("1", None, {}), rollback_of=1).rollback_of == 1
    assert [record.rollback_of for record in store.history(10)] == [1, None, None]
    with pytest.raises(InternalError, match="rolled back"):
        commit(store, rollback_of=4)


def test_unknown_revisions_are_not_found(store: Store) -> None:
    commit(store)
    for number in (-1, 2, 10**30):
        for ask in (store.revision, store.objects_at):
            with pytest.raises(NotFound):
                ask(number)
        with pytest.raises(NotFound):
            store.mark(number, "applied")
        with pytest.raises(NotFound):
            store.withdraw(number, "")
    with pytest.raises(NotFound):
        store.revision(0)


def test_concurrent_commits_on_one_base_let_one_through(store: Store) -> None:
    barrier = threading.Barrier(8)
    results: list[str] = []

    def attempt(name: str) -> None:
        barrier.wait()
        try:
            commit(store, change(name, None, {}), expected_head=0)
            results.append("committed")
        except ConflictError:
            results.append("conflict")

    threads = [threading.Thread(target=attempt, args=(str(number),)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(results) == ["committed"] + ["conflict"] * 7
    assert store.head() == 1
    store.check_integrity()
