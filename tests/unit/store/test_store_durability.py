"""What was acknowledged survives a kill; what was not is there whole or not at all."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from steelyard.store.contract import Objects
from steelyard.store.sqlite import SqliteStore

CHILD = Path(__file__).with_name("committing_child.py")


@contextmanager
def child(database: Path, count: int, seed: int = 0) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(
        [sys.executable, str(CHILD), str(database), str(count), str(seed)],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


def acknowledged(process: subprocess.Popen[bytes]) -> int:
    """The last number the child wrote in full before it was killed; 0 for none."""
    assert process.stdout is not None
    complete = process.stdout.read().rpartition(b"\n")[0]
    return int(complete.split(b"\n")[-1] or b"0")


def replay(store: SqliteStore) -> Objects:
    """The current objects by the records alone: every standing revision's changes, oldest first."""
    objects: Objects = {}
    for number in range(1, store.head() + 1):
        record = store.revision(number)
        for change in () if record.withdrawn else record.changes:
            of_kind = objects.setdefault(change.kind, {})
            assert of_kind.get(change.key) == change.before
            if change.after is None:
                del of_kind[change.key]
            else:
                of_kind[change.key] = change.after
    return {kind: of_kind for kind, of_kind in objects.items() if of_kind}


def test_an_acknowledged_change_survives_a_kill(database: Path) -> None:
    with child(database, 1) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"1\n"
        process.kill()
        process.wait()
    with closing(SqliteStore(database)) as store:
        assert store.head() == 1
        assert store.get_secret("last") == b"1"
        store.check_integrity()


@pytest.mark.slow
def test_a_store_killed_again_and_again_keeps_every_acknowledged_change(database: Path) -> None:
    chance = random.Random(20)
    total = 0
    for seed in range(15):
        with child(database, 100_000, seed) as process:
            assert process.stdout is not None
            first = process.stdout.readline()
            time.sleep(chance.uniform(0, 0.12))
            process.kill()
            process.wait()
            last = acknowledged(process) or int(first)
        with closing(SqliteStore(database)) as store:
            # One more may be committed whose acknowledgement was not written yet.
            assert last <= store.head() <= last + 1
            assert store.get_secret("last") == str(store.head()).encode()
            assert store.load()[1] == replay(store)
            store.check_integrity()
            total = store.head()
    assert total > 15
