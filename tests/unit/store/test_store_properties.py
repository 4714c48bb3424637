"""Any sequence of commits, marks, withdrawals and refusals: both stores agree, and the past is what it was."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from tests.unit.store.committing import commit

from steelyard.model.errors import SteelyardError
from steelyard.store.contract import Document, ObjectChange, Objects, RevisionRecord, Store
from steelyard.store.memory import MemoryStore
from steelyard.store.sqlite import SqliteStore

ADDRESSES = st.tuples(st.sampled_from(["service", "certificate"]), st.sampled_from(["1", "2", "é"]))
LEAVES = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=3)
)
DOCUMENTS: st.SearchStrategy[Document] = st.dictionaries(
    st.text(max_size=2), LEAVES | st.lists(LEAVES, max_size=2), max_size=2
)
WANTED = st.dictionaries(ADDRESSES, st.none() | DOCUMENTS, max_size=4)
NUMBERS = st.integers(0, 12)


class Stores(RuleBasedStateMachine):
    """Drives both stores alike. `expected` is the past by the simplest means: copies, replayed forwards."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name) / "steelyard.db"
        self.sqlite = SqliteStore(self.path)
        self.memory = MemoryStore()
        self.committed: list[tuple[ObjectChange, ...]] = []
        self.withdrawn: set[int] = set()

    def teardown(self) -> None:
        self.sqlite.close()
        self.folder.cleanup()

    def both(self, method: str, *arguments: Any) -> Any:
        """The answer of both, or the error: the same kind and words, which is returned and not raised."""

        def answer(store: Store) -> Any:
            try:
                return getattr(store, method)(*arguments)
            except SteelyardError as refused:
                return type(refused), refused.details()

        ours, theirs = answer(self.sqlite), answer(self.memory)
        assert ours == theirs
        return ours

    def expected(self, number: int) -> Objects:
        current: dict[tuple[str, str], Document] = {}
        for revision, changes in enumerate(self.committed[:number], start=1):
            for change in () if revision in self.withdrawn else changes:
                current.pop((change.kind, change.key), None)
                if change.after is not None:
                    current[change.kind, change.key] = change.after
        objects: Objects = {}
        for (kind, key), document in current.items():
            objects.setdefault(kind, {})[key] = document
        return objects

    @rule(wanted=WANTED)
    def commits(self, wanted: dict[tuple[str, str], Document | None]) -> None:
        now = self.expected(len(self.committed))
        changes = tuple(
            ObjectChange(kind, key, before, after)
            for (kind, key), after in wanted.items()
            if (before := now.get(kind, {}).get(key)) is not None or after is not None
        )
        assert commit(self.sqlite, *changes) == commit(self.memory, *changes)
        self.committed.append(changes)

    @rule(wanted=WANTED, base=NUMBERS)
    def commits_on_a_guess(self, wanted: dict[tuple[str, str], Document | None], base: int) -> None:
        changes = [ObjectChange(kind, key, {"guess": 1}, after) for (kind, key), after in wanted.items()]
        refused: list[tuple[type, dict[str, Any]]] = []
        for store in (self.sqlite, self.memory):
            try:
                record = commit(store, *changes, expected_head=base)
                refused.append((RevisionRecord, {"number": record.number}))
            except SteelyardError as failure:
                refused.append((type(failure), failure.details()))
        assert refused[0] == refused[1]
        if refused[0][0] is RevisionRecord:
            assert not changes
            self.committed.append(())

    @rule(number=NUMBERS, status=st.sampled_from(["applied", "failed"]))
    def marks(self, number: int, status: str) -> None:
        self.both("mark", number, status, "said so")

    @precondition(lambda self: len(self.withdrawn) < len(self.committed))
    @rule()
    def withdraws_the_newest(self) -> None:
        newest = max(set(range(1, len(self.committed) + 1)) - self.withdrawn)
        assert self.both("withdraw", newest, "refused") is None
        self.withdrawn.add(newest)

    @rule(number=NUMBERS)
    def withdraws_any(self, number: int) -> None:
        if self.both("withdraw", number, "refused") is None:
            self.withdrawn.add(number)

    @rule()
    def restarts(self) -> None:
        self.sqlite.close()
        self.sqlite = SqliteStore(self.path)

    @rule(limit=st.integers(-1, 6), before=st.none() | NUMBERS)
    def lists(self, limit: int, before: int | None) -> None:
        numbers = range(
            min(len(self.committed), (before or 0) - 1) if before is not None else len(self.committed), 0, -1
        )
        assert [record.number for record in self.both("history", limit, before)] == list(numbers)[: max(0, limit)]

    @invariant()
    def now_is_what_was_committed_and_stands(self) -> None:
        assert self.both("load") == (len(self.committed), self.expected(len(self.committed)))
        assert self.both("check_integrity") is None

    @invariant()
    def the_past_is_what_it_was(self) -> None:
        for number, changes in enumerate(self.committed, start=1):
            assert self.both("objects_at", number) == self.expected(number)
            assert self.both("revision", number).changes == changes
        assert self.both("objects_at", 0) == {}
        self.both("objects_at", len(self.committed) + 1)


Stores.TestCase.settings = settings(
    max_examples=40, stateful_step_count=25, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
TestStores = Stores.TestCase
