"""`FakeAppliance` with what the native API and the CLI show beyond it: operations, reloads, lines, checks, a reader."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from tests.support.fake_appliance import PASSWORD, FakeAppliance

from steelyard.appliance.contract import Actor, HistoryEntry, ObjectDifference, Outcome, Preview
from steelyard.model.commands import AddUser
from steelyard.model.commands.command import Command
from steelyard.model.configuration import Configuration, changed_objects, document_of
from steelyard.store.contract import RevisionRecord
from steelyard.store.rules import conflict

READER = "reader"


class MemoryAppliance(FakeAppliance):
    """`reader` has the password of `bal` and no permission. `queued` makes changes wait for a reload."""

    def __init__(self, *, new: bool = False) -> None:
        super().__init__(new=new)
        self._take(AddUser(READER, self.hash_password(PASSWORD)), "system", self.configuration)
        self.checks: list[Mapping[str, Any]] = []
        self.queued = False
        self.waits: list[bool | None] = []

    @property
    def revision_number(self) -> int:
        return self.snapshot().revision

    async def execute(
        self, command: Command, actor: Actor, *, reason: str = "", based_on: int | None = None, wait: bool | None = None
    ) -> Outcome:
        self.waits.append(wait)
        outcome = await super().execute(command, actor, reason=reason, based_on=based_on, wait=wait)
        return replace(outcome, applied="queued") if self.queued and outcome.applied == "now" else outcome

    async def preview(self, command: Command, actor: Actor, *, based_on: int | None = None) -> Preview:
        if based_on is not None and based_on != self.revision_number:
            raise conflict(based_on, self.revision_number, [_record(entry) for entry in self.history(3)])
        before = self.configuration
        found = await super().preview(command, actor)
        differences = _differences(before, found.configuration)
        reload = any(d.kind == "service" and d.action != "change" for d in differences)
        return replace(
            found,
            differences=differences,
            operations=tuple(f"{d.action} {d.kind} {d.key}" for d in differences),
            reload=reload,
            reload_reasons=("a listener is added or removed",) if reload else (),
        )

    async def transcripts(self, service: int, server: int) -> Sequence[Mapping[str, Any]]:
        return self.checks

    def difference(self, old: int, new: int | None = None) -> Sequence[ObjectDifference]:
        after = self.configuration if new is None else self._at(new)[1]
        return _differences(Configuration() if old == 0 else self._at(old)[1], after)

    def revision(self, number: int) -> HistoryEntry:
        return replace(super().revision(number), differences=tuple(self.difference(number - 1, number)))


def _record(entry: HistoryEntry) -> RevisionRecord:
    return RevisionRecord(
        entry.number, entry.at, entry.author, entry.origin, entry.reason, entry.summary, "applied", "", entry.number - 1
    )


def _differences(old: Configuration, new: Configuration) -> tuple[ObjectDifference, ...]:
    found = []
    for kind, key, before, after in changed_objects(old, new):
        if kind == "counters":
            continue
        was = document_of(before) if before is not None else {}
        now = document_of(after) if after is not None else {}
        lines = tuple(
            f"{name}: {was.get(name)} -> {now.get(name)}"
            for name in dict.fromkeys([*was, *now])
            if was.get(name) != now.get(name) and name not in ("password_hash", "api_keys", "key_id")
        )
        action = "add" if before is None else "remove" if after is None else "change"
        title = str(getattr(after if after is not None else before, "title", key))
        found.append(ObjectDifference(kind, key, title, action, lines))  # type: ignore[arg-type]
    return tuple(found)
