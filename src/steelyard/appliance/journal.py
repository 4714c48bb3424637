"""The store as the appliance uses it: configurations in, revisions and history out.

Slow calls run in one worker thread.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import ParamSpec, TypeVar

from steelyard.appliance.contract import Actor, HistoryEntry, Snapshot
from steelyard.appliance.differences import told
from steelyard.model.configuration import (
    Configuration,
    changed_objects,
    from_documents,
    read_document,
    stored_document,
)
from steelyard.model.errors import HostLacks, SteelyardError
from steelyard.store.contract import ObjectChange, RevisionRecord, Store

log = logging.getLogger("steelyard.appliance")

#: a killed process leaves at most the revisions of about a second unmarked
_UNSETTLED = 500

_P = ParamSpec("_P")
_R = TypeVar("_R")


class Journal:
    """Commits configurations and tells their history."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._owed: list[tuple[int, str]] = []
        self._expected: Mapping[str, bytes] = {}
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="store")

    async def _run(self, call: Callable[_P, _R], *arguments: _P.args, **named: _P.kwargs) -> _R:
        return await asyncio.get_running_loop().run_in_executor(self._thread, lambda: call(*arguments, **named))

    def load(self) -> Snapshot:
        """The committed configuration."""
        head, objects = self._store.load()
        return Snapshot(head, from_documents(objects))

    async def commit(
        self,
        before: Snapshot,
        after: Configuration,
        summary: str,
        actor: Actor,
        reason: str,
        secrets: Mapping[str, bytes],
        rollback_of: int | None,
    ) -> int:
        """Keep a configuration as the next revision; returns its number once it is on disk."""
        await self._withdraw_owed()
        changes = [
            ObjectChange(kind, key, stored_document(kind, old), stored_document(kind, new))
            for kind, key, old, new in changed_objects(before.configuration, after)
        ]
        record = await self._run(
            self._store.commit,
            changes,
            author=actor.name,
            origin=actor.origin,
            reason=reason,
            summary=summary,
            at=time.time(),
            expected_head=before.revision,
            rollback_of=rollback_of,
            secrets=secrets,
        )
        return record.number

    async def forget(self, secrets: Sequence[str]) -> None:
        """Delete secrets that no configuration needs any more."""
        for name in secrets:
            await self._run(self._store.delete_secret, name)

    async def applied(self, number: int) -> None:
        """A revision is in force. A disk without room for the mark does not undo that; the next start marks it."""
        try:
            await self._run(self._store.mark, number, "applied")
        except HostLacks as failure:
            log.warning("revision %d is in force and cannot be marked so: %s", number, failure.message)

    async def settle(self) -> None:
        """At a start everything committed is in force, also what a killed process had no time to mark."""
        for record in await self._run(self._store.history, _UNSETTLED):
            if record.status == "committed":
                await self.applied(record.number)

    async def withdraw(self, numbers: Sequence[int], why: str) -> None:
        """Revisions could not be applied: what they changed is put back, newest first.

        When the disk refuses even that, nothing is committed before it has been made up for.
        """
        self._owed.extend((number, why) for number in sorted(numbers, reverse=True))
        try:
            await self._withdraw_owed()
        except HostLacks as failure:
            log.error("revisions %s cannot be withdrawn yet: %s", [number for number, _ in self._owed], failure.message)

    async def _withdraw_owed(self) -> None:
        while self._owed:
            await self._run(self._store.withdraw, *self._owed[0])
            self._owed.pop(0)

    async def noted(self, actor: Actor, action: str) -> None:
        """Keep in the audit log what was done without a change. Raises `HostLacks` when it cannot be kept."""
        await self._run(self._store.audit, time.time(), actor.name, actor.origin, action, "done")

    async def refused(self, actor: Actor, action: str, refusal: SteelyardError) -> None:
        """Keep a refusal in the audit log. A log that cannot be written must not hide the refusal itself."""
        try:
            await self._run(self._store.audit, time.time(), actor.name, actor.origin, action, refusal.message)
        except SteelyardError as failure:
            log.warning("the audit log cannot be written: %s", failure)

    def history(self, limit: int, before: int | None) -> list[HistoryEntry]:
        """Revisions, newest first, without differences."""
        return [_entry(record) for record in self._store.history(limit, before)]

    def revision(self, number: int) -> HistoryEntry:
        """One revision with its differences. Raises `NotFound`."""
        return _entry(self._store.revision(number))

    def configuration_at(self, number: int) -> Configuration:
        """The configuration as of a revision. Raises `NotFound`."""
        return from_documents(self._store.objects_at(number))

    def last_change(self) -> float | None:
        """When the newest revision was made."""
        newest = self._store.history(1, None)
        return newest[0].at if newest else None

    def secret(self, name: str) -> bytes:
        """A secret by its name, those that are expected included."""
        expected = self._expected.get(name)
        return self._store.get_secret(name) if expected is None else expected

    @contextmanager
    def expecting(self, secrets: Mapping[str, bytes]) -> Iterator[None]:
        """Within, secrets that are not committed yet are found: HAProxy reads a new certificate's key beforehand."""
        self._expected = secrets
        try:
            yield
        finally:
            self._expected = {}

    async def keep(self, name: str, value: bytes) -> None:
        """Keep a secret beside the configuration; on disk when it returns."""
        await self._run(self._store.put_secret, name, value)

    def close(self) -> None:
        """Close the store."""
        self._thread.shutdown()
        self._store.close()


def _entry(record: RevisionRecord) -> HistoryEntry:
    return HistoryEntry(
        number=record.number,
        at=record.at,
        author=record.author,
        origin=record.origin,
        reason=record.reason,
        summary=record.summary,
        status=record.status,
        detail=record.detail,
        rollback_of=record.rollback_of,
        differences=told(
            (
                change.kind,
                change.key,
                read_document(change.kind, change.key, change.before),
                read_document(change.kind, change.key, change.after),
            )
            for change in record.changes
            if change.kind != "counters"
        ),
    )
