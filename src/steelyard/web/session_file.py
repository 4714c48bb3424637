"""The file of sessions, so that people stay signed in when the control plane restarts.

It holds digests alone: of the tokens that browsers have, and of the password hashes the sessions were made with. Who
reads it can neither take a session over nor try passwords. Ends are on the disk when `forget` returns; when a session
was last used is written now and then.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from steelyard.observe.observation_file import open_observations

log = logging.getLogger("steelyard.web")

_SCHEMA = (
    """CREATE TABLE IF NOT EXISTS sessions (
        key TEXT PRIMARY KEY, user TEXT NOT NULL, password_mark TEXT NOT NULL, address TEXT NOT NULL,
        began REAL NOT NULL, seen REAL NOT NULL) WITHOUT ROWID""",
)


@dataclass(frozen=True)
class KeptSession:
    """One session as it is kept. Times in seconds since the epoch."""

    key: str
    user: str
    password_mark: str
    address: str
    began: float
    seen: float


class SessionFile:
    """The file. A disk that does not take something is logged: what it was about then holds until the next start."""

    def __init__(self, path: Path) -> None:
        # with mode 0600; where there can be no file, sessions end with the process
        self._connection, _ = open_observations(path, _SCHEMA, "sessions")
        # an end that a power cut takes back would let somebody in
        self._connection.execute("PRAGMA synchronous = FULL")

    def read(self) -> list[KeptSession]:
        """Every session, the one used longest ago first."""
        found: list[KeptSession] = []
        with self._or_logged():
            rows = self._connection.execute(
                "SELECT key, user, password_mark, address, began, seen FROM sessions ORDER BY seen, key"
            )
            found = [KeptSession(*row) for row in rows]
        return found

    def keep(self, session: KeptSession) -> None:
        """Write a session, or what has become of it."""
        row = (session.key, session.user, session.password_mark, session.address, session.began, session.seen)
        with self._or_logged(), self._connection:
            self._connection.execute("INSERT OR REPLACE INTO sessions VALUES (?, ?, ?, ?, ?, ?)", row)

    def forget(self, keys: Iterable[str]) -> None:
        """Remove sessions that have ended."""
        with self._or_logged(), self._connection:
            self._connection.executemany("DELETE FROM sessions WHERE key = ?", [(key,) for key in keys])

    @contextmanager
    def _or_logged(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as failure:
            log.error("the file of sessions is not kept: %s", failure)
