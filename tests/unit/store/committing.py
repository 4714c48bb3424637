"""Commits as an operator would cause them, for tests that care about what is stored and not about who said so."""

from __future__ import annotations

from collections.abc import Mapping

from steelyard.store.contract import NO_SECRETS, Document, ObjectChange, RevisionRecord, Store

AT = 1_700_000_000.25


def change(key: str, before: Document | None, after: Document | None, kind: str = "service") -> ObjectChange:
    return ObjectChange(kind, key, before, after)


def commit(
    store: Store,
    *changes: ObjectChange,
    author: str = "bal",
    summary: str = "a change",
    expected_head: int | None = None,
    rollback_of: int | None = None,
    secrets: Mapping[str, bytes] = NO_SECRETS,
    at: float = AT,
) -> RevisionRecord:
    return store.commit(
        changes,
        author=author,
        origin="api",
        reason="test",
        summary=summary,
        at=at,
        expected_head=store.head() if expected_head is None else expected_head,
        rollback_of=rollback_of,
        secrets=secrets,
    )
