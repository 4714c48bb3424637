"""A disk that is full or read-only refuses by name, nothing is half-written, and the store works afterwards."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest
from tests.unit.store.committing import change, commit

from steelyard.model.errors import HostLacks
from steelyard.store.contract import Store
from steelyard.store.sqlite import SqliteStore


def mount(*arguments: str) -> None:
    done = subprocess.run(["mount", *arguments], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.skip(f"needs the right to mount: {done.stderr.strip()}")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 2 MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount("-t", "tmpfs", "-o", "size=2m", "steelyard-test", str(folder))
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def commit_until_refused(store: Store) -> HostLacks:
    for number in range(store.head() + 1, 1000):
        try:
            commit(store, change(str(number), None, {"x": "x" * 20_000}), secrets={"last": str(number).encode()})
        except HostLacks as refused:
            return refused
    pytest.fail("the disk never filled up")


def assert_intact(store: Store) -> None:
    head, objects = store.load()
    assert list(objects["service"]) == sorted(str(number) for number in range(1, head + 1))
    assert store.get_secret("last") == str(head).encode()
    store.check_integrity()


def test_a_full_disk_refuses_and_the_store_goes_on_when_there_is_space(small_disk: Path) -> None:
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(512 * 1024))
    database = small_disk / "steelyard.db"
    with closing(SqliteStore(database)) as store:
        refused = commit_until_refused(store)
        assert refused.lacks == "disk space"
        assert str(small_disk) in refused.remedy
        assert_intact(store)
        head = store.head()
        with pytest.raises(HostLacks):
            store.put_secret("large", bytes(200_000))
        with pytest.raises(HostLacks):
            commit(store, change("large", None, {"x": "x" * 200_000}))
        assert_intact(store)
        ballast.unlink()
        assert commit(store, change("after", None, {})).number == head + 1
    with closing(SqliteStore(database)) as store:
        assert store.head() == head + 1
        assert "after" in store.load()[1]["service"]
        store.check_integrity()


def test_a_store_left_on_a_full_disk_by_a_crash_is_intact(small_disk: Path) -> None:
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(512 * 1024))
    store = SqliteStore(small_disk / "steelyard.db")
    commit_until_refused(store)
    # What a crash at this moment leaves: the files as they are, without the tidying of close().
    for name in ("steelyard.db", "steelyard.db-wal"):
        (small_disk.parent / name).write_bytes((small_disk / name).read_bytes())
    with closing(SqliteStore(small_disk.parent / "steelyard.db")) as recovered:
        assert recovered.load() == store.load()
        assert_intact(recovered)
    store.close()


@pytest.mark.parametrize("exists", [False, True])
def test_a_store_opens_on_a_nearly_full_disk_or_says_what_it_lacks(small_disk: Path, exists: bool) -> None:
    """Page by page, because each file of SQLite's meets the end of the disk with an error of its own."""
    database, ballast = small_disk / "steelyard.db", small_disk / "ballast"
    if exists:
        with closing(SqliteStore(database)) as store:
            commit(store, change("1", None, {}), secrets={"last": b"1"})
    with suppress(OSError), ballast.open("wb", buffering=0) as file:
        while file.write(bytes(4096)):
            pass
    with pytest.raises(HostLacks) as refused:
        SqliteStore(database)
    assert refused.value.lacks == "disk space"
    for _ in range(64):
        os.truncate(ballast, ballast.stat().st_size - 4096)
        try:
            with closing(SqliteStore(database)) as store:
                head = store.head()
                commit(store, change(str(head + 1), None, {}), secrets={"last": str(head + 1).encode()})
            break
        except HostLacks as again:
            assert again.lacks == "disk space"
    with closing(SqliteStore(database)) as store:
        assert store.head() == (2 if exists else 1)
        assert_intact(store)


def test_a_read_only_disk_is_named_at_start(small_disk: Path, tmp_path: Path) -> None:
    with closing(SqliteStore(small_disk / "steelyard.db")) as store:
        commit(store, change("1", None, {}))
    view = tmp_path / "view"
    view.mkdir()
    mount("--bind", str(small_disk), str(view))
    try:
        mount("-o", "remount,bind,ro", str(view))
        with pytest.raises(HostLacks) as refused:
            SqliteStore(view / "steelyard.db")
    finally:
        subprocess.run(["umount", str(view)], check=True)
    assert refused.value.lacks == "a writable state directory"
    assert str(view) in refused.value.remedy


def test_a_disk_that_turns_read_only_refuses_and_the_store_can_be_read(database: Path) -> None:
    with closing(SqliteStore(database)) as store:
        commit(store, change("1", None, {}))
        # SQLite answers SQLITE_READONLY then, as it does when a file system is remounted read-only after an error.
        store._connection.execute("PRAGMA query_only = ON")
        for write in (
            lambda: commit(store, change("1", {}, None)),
            lambda: store.mark(1, "applied"),
            lambda: store.withdraw(1, ""),
            lambda: store.put_secret("a", b""),
            lambda: store.audit(0, "", "", "", ""),
        ):
            with pytest.raises(HostLacks) as refused:
                write()
            assert refused.value.lacks == "a writable state directory"
        assert store.load() == (1, {"service": {"1": {}}})
        store._connection.execute("PRAGMA query_only = OFF")
        store.withdraw(1, "")
        assert store.load() == (1, {})
        store.check_integrity()


def test_a_state_directory_that_is_a_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "state").touch()
    with pytest.raises(HostLacks) as refused:
        SqliteStore(tmp_path / "state" / "steelyard.db")
    assert refused.value.lacks == "a writable state directory"


def under_a_file_size_limit(database: Path) -> None:
    """What the child of the next test does. Python ignores SIGXFSZ, so a write beyond the limit is EFBIG."""
    with closing(SqliteStore(database)) as store:
        commit(store, change("1", None, {}), secrets={"last": b"1"})
        _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1024 * 1024, hard))
        assert commit_until_refused(store).lacks == "disk space"
        assert_intact(store)
        head = store.head()
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
        commit(store, change(str(head + 1), None, {}), secrets={"last": str(head + 1).encode()})
        assert store.head() == head + 1
        assert_intact(store)
    with closing(SqliteStore(database)) as store:
        assert store.head() == head + 1
        assert_intact(store)


def test_a_file_size_limit_refuses_like_a_full_disk(database: Path) -> None:
    # A process of its own: the limit would hold for the test runner's files, too.
    program = (
        "import pathlib, sys; from tests.unit.store.test_store_disk import under_a_file_size_limit as run;"
        " run(pathlib.Path(sys.argv[1]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(database)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
