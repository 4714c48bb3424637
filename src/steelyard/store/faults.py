"""SQLite's errors, said as whose fault they are.

Result codes are SQLite's (https://sqlite.org/rescode.html); the low byte is the primary code.
"""

from __future__ import annotations

import errno
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from steelyard.model.errors import HostLacks, InternalError, SteelyardError

#: ENOSPC is SQLITE_FULL for a file and IOERR_SHMSIZE for the -shm file; a quota (EDQUOT) or a file size limit (EFBIG)
#: is IOERR_WRITE.
NO_SPACE = frozenset({sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_WRITE, sqlite3.SQLITE_IOERR_SHMSIZE})
NOT_WRITABLE = frozenset(
    {sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM, sqlite3.SQLITE_AUTH, sqlite3.SQLITE_IOERR}
)
DAMAGED = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
IN_USE = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})


def blame(failure: sqlite3.Error, path: Path) -> SteelyardError:
    """The error for what SQLite said. SQLite's words hold no document content."""
    # Absent when Python's sqlite3 module raises by itself, as on a closed connection.
    code: int = getattr(failure, "sqlite_errorcode", sqlite3.SQLITE_ERROR)
    primary = code & 0xFF
    if code == sqlite3.SQLITE_IOERR_WRITE and _is_read_only(path.parent):
        return not_writable(path, "its file system has become read-only")
    if code in NO_SPACE or primary in NO_SPACE:
        return HostLacks(
            f"Nothing was saved: {path} cannot grow ({failure})",
            lacks="disk space",
            remedy=f"Free space under {path.parent}, or raise the quota or file size limit, and try again.",
        )
    if primary in NOT_WRITABLE:
        return not_writable(path, str(failure))
    if primary in DAMAGED:
        return damaged(path, str(failure))
    if primary in IN_USE:
        return HostLacks(
            f"Nothing was saved: another process is using {path}",
            lacks="sole use of the state directory",
            remedy="Stop the other process that has the file open and try again.",
        )
    return InternalError(f"The store failed: {failure}")


def _is_read_only(folder: Path) -> bool:
    """Whether the kernel refuses a new file as it does after a disk error (errors=remount-ro).

    SQLite says only "disk I/O error" of a write to a file it has open, and Linux >= 6.14 does not set ST_RDONLY then.
    """
    probe = folder / f".probe-{os.getpid()}"
    try:
        os.close(os.open(probe, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600))
        probe.unlink()
    except OSError as failure:
        return failure.errno == errno.EROFS
    return False


def not_writable(path: Path, words: str) -> HostLacks:
    """The state directory refuses writing; `words` are the system's."""
    return HostLacks(
        f"Nothing was saved: {path} cannot be written ({words})",
        lacks="a writable state directory",
        remedy=f"Make {path.parent} writable for the account Steelyard runs as, check that its file system is not"
        " mounted read-only, and try again.",
    )


def damaged(path: Path, words: str) -> HostLacks:
    """The file is not what was written; `words` are SQLite's."""
    return HostLacks(
        f"{path} is damaged or not a Steelyard database ({words})",
        lacks="an undamaged steelyard.db",
        remedy="Check the disk, move the file away and restore a backup.",
    )


@contextmanager
def blamed(path: Path) -> Iterator[None]:
    """Within it, SQLite's errors leave as Steelyard's."""
    try:
        yield
    except sqlite3.Error as failure:
        raise blame(failure, path) from failure
