"""An SQLite file for what was observed: events, statistics.

It is worth less than a start: a damaged file is put aside, and where there can be none what is observed is kept in
memory. It is synced now and then, not at each transaction: a power cut may cost the last of them.
"""

from __future__ import annotations

import logging
import os
import sqlite3
import time
from collections.abc import Sequence
from pathlib import Path

log = logging.getLogger("steelyard.observations")

#: bytes the log of SQLite may keep after a checkpoint
_LOG_BYTES = 4 * 1024 * 1024


def open_observations(path: Path, schema: Sequence[str], what: str) -> tuple[sqlite3.Connection, str]:
    """The open file, made where there is none, and what is wrong (empty: nothing). `what` it keeps is said to people.

    The connection may be used in any thread, by one at a time.
    """
    try:
        try:
            return _connected(path, schema), ""
        except sqlite3.OperationalError:
            # the disk, not what is in the file
            raise
        except sqlite3.DatabaseError as failure:
            aside = path.with_name(f"{path.name}.damaged-{int(time.time())}")
            log.error("%s is damaged (%s); it is now %s, and a new one is begun", path, failure, aside.name)
            path.replace(aside)
            for rest in ("-wal", "-shm"):
                path.with_name(path.name + rest).unlink(missing_ok=True)
            return _connected(path, schema), ""
    except (sqlite3.Error, OSError) as failure:
        trouble = f"{path} cannot be opened ({failure}): {what} are kept in memory alone until Steelyard starts again"
        log.error("%s", trouble)
        return _prepared(sqlite3.connect(":memory:", check_same_thread=False), schema), trouble


def _connected(path: Path, schema: Sequence[str]) -> sqlite3.Connection:
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    connection = sqlite3.connect(path, check_same_thread=False)
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute(f"PRAGMA journal_size_limit = {_LOG_BYTES}")
        return _prepared(connection, schema)
    except BaseException:
        connection.close()
        raise


def _prepared(connection: sqlite3.Connection, schema: Sequence[str]) -> sqlite3.Connection:
    with connection:
        for table in schema:
            connection.execute(table)
    return connection
