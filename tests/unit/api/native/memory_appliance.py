"""An `ApplianceApi` in memory: the real commands and the real rules of a change, no store and no engine.

What a test wants to see happen is set on it: `states_now`, `samples`, `refusal` (raised in place of a commit), `applied`.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Mapping, Sequence
from typing import Any

from steelyard.appliance.contract import (
    Actor,
    Applied,
    Health,
    HistoryEntry,
    ObjectDifference,
    Outcome,
    Preview,
    Snapshot,
)
from steelyard.model.commands import Command, Restore, required_permissions
from steelyard.model.configuration import Configuration, changed_objects, document_of
from steelyard.model.errors import NotFound, OperatorError
from steelyard.model.user import User
from steelyard.observe.statistics import Statistics
from steelyard.observe.status import ServiceState, Verdict, all_states
from steelyard.store.contract import RevisionRecord
from steelyard.store.rules import conflict

PASSWORD = "correct horse"
READER_PASSWORD = "only reading"


def hashed(password: str) -> str:
    return "sha256$" + hashlib.sha256(password.encode()).hexdigest()


class MemoryAppliance:
    """Revision 1 makes the users: `bal`, and `reader` who may change nothing."""

    def __init__(self) -> None:
        users = {
            "bal": User.make({"name": "bal", "password_hash": hashed(PASSWORD)}),
            "reader": User.make({"name": "reader", "password_hash": hashed(READER_PASSWORD)}),
        }
        self.configurations: list[Configuration] = [Configuration(), Configuration(users=users)]
        self.entries: list[HistoryEntry] = [
            HistoryEntry(1, 1_700_000_000.0, "system", "system", "", "first start", "applied", "")
        ]
        self.secrets: dict[str, bytes] = {}
        self.verdicts: dict[str, Verdict] = {}
        self.sample = Statistics(at=1_700_000_100.0, period=1.0)
        self.checks: list[Mapping[str, Any]] = []
        self.refusal: Exception | None = None
        self.applied: Applied = "now"
        self.waits: list[bool | None] = []
        self.problems: tuple[str, ...] = ()

    def snapshot(self) -> Snapshot:
        return Snapshot(len(self.entries), self.configurations[-1])

    async def execute(
        self, command: Command, actor: Actor, *, reason: str = "", based_on: int | None = None, wait: bool | None = None
    ) -> Outcome:
        preview, kept = self._road(command, actor, based_on)
        self.waits.append(wait)
        if self.refusal is not None:
            raise self.refusal
        if not preview.differences:
            return Outcome(preview.based_on, "unchanged", preview)
        number = preview.based_on + 1
        self.secrets.update(kept)
        self.configurations.append(preview.configuration)
        self.entries.append(
            HistoryEntry(
                number,
                1_700_000_000.0 + number,
                actor.name,
                actor.origin,
                reason,
                command.summary,
                "applied",
                "",
                command.revision if isinstance(command, Restore) else None,
            )
        )
        return Outcome(number, self.applied, preview)

    async def preview(self, command: Command, actor: Actor, *, based_on: int | None = None) -> Preview:
        return self._road(command, actor, based_on)[0]

    def _road(self, command: Command, actor: Actor, based_on: int | None) -> tuple[Preview, Mapping[str, bytes]]:
        for permission in sorted(required_permissions(command)):
            if permission != "read" and not actor.user.may(permission):
                raise OperatorError(
                    f"{actor.name} may not do this", field="permission", allowed=permission, remedy="Ask for it"
                )
        before = self.snapshot()
        if based_on is not None and based_on != before.revision:
            records = [
                RevisionRecord(e.number, e.at, e.author, e.origin, e.reason, e.summary, "applied", "", e.number - 1)
                for e in reversed(self.entries[-3:])
            ]
            raise conflict(based_on, before.revision, records)
        change = command.apply(before.configuration)
        differences = differing(before.configuration, change.configuration)
        reload = any(d.kind == "service" and d.action != "change" for d in differences)
        return (
            Preview(
                before.revision,
                change.configuration,
                change.key,
                differences,
                tuple(f"{d.action} {d.kind} {d.key}" for d in differences),
                reload,
                ("a listener is added or removed",) if reload else (),
            ),
            change.secrets,
        )

    def states(self) -> Mapping[int, ServiceState]:
        return all_states(self.snapshot().configuration, self.verdicts)

    async def statistics(self) -> Statistics:
        return self.sample

    async def transcripts(self, service: int, server: int) -> Sequence[Mapping[str, Any]]:
        return self.checks

    def history(self, limit: int = 50, before: int | None = None) -> Sequence[HistoryEntry]:
        return [e for e in reversed(self.entries) if before is None or e.number < before][:limit]

    def revision(self, number: int) -> HistoryEntry:
        if not 1 <= number <= len(self.entries):
            raise NotFound("revision", number)
        entry = self.entries[number - 1]
        differences = differing(self.configurations[number - 1], self.configurations[number])
        return HistoryEntry(**{**vars(entry), "differences": differences})

    def difference(self, old: int, new: int | None = None) -> Sequence[ObjectDifference]:
        last = len(self.entries) if new is None else new
        for number in (old, last):
            if not 0 <= number <= len(self.entries):
                raise NotFound("revision", number)
        return differing(self.configurations[old], self.configurations[last])

    async def rollback(
        self, number: int, actor: Actor, *, reason: str = "", dry_run: bool = False
    ) -> Outcome | Preview:
        self.revision(number)
        command = Restore(number, self.configurations[number])
        if dry_run:
            return await self.preview(command, actor)
        return await self.execute(command, actor, reason=reason)

    def authenticate(self, name: str, password: str) -> User | None:
        user = self.snapshot().configuration.users.get(name)
        return user if user is not None and user.password_hash == hashed(password) else None

    def authenticate_key(self, key: str) -> User | None:
        digest = hashlib.sha256(key.encode()).hexdigest()
        users = self.snapshot().configuration.users.values()
        return next((user for user in users if digest in user.api_keys), None)

    def hash_password(self, password: str) -> str:
        if len(password) < 8:
            raise OperatorError("The password is too short", field="password", allowed="at least 8 characters")
        return hashed(password)

    def api_keys(self, user: User) -> Sequence[str]:
        return [self.secrets[f"apikey/{key_id}"].decode() for key_id in user.api_keys]

    def new_api_key(self) -> tuple[str, str, bytes]:
        key = secrets.token_hex(22)
        return key, hashlib.sha256(key.encode()).hexdigest(), key.encode()

    def health(self) -> Health:
        return Health("0.1", 1_700_000_000.0, 1_600_000_000.0, "2.6.12", 100, 101, None, False, self.problems)


def differing(old: Configuration, new: Configuration) -> tuple[ObjectDifference, ...]:
    found = []
    for kind, key, before, after in changed_objects(old, new):
        if kind == "counters":
            continue
        was = document_of(before) if before is not None else {}
        now = document_of(after) if after is not None else {}
        lines = tuple(
            f"{name}: {was.get(name)} -> {now.get(name)}"
            for name in dict.fromkeys([*was, *now])
            if was.get(name) != now.get(name) and name not in ("password_hash", "api_keys")
        )
        action = "add" if before is None else "remove" if after is None else "change"
        found.append(ObjectDifference(kind, key, getattr(after or before, "title", key), action, lines))
    return tuple(found)
