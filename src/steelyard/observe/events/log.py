"""The log of events: an SQLite file of its own that keeps the newest so many, written in a thread.

Beside them it keeps small notes: what of each server and service was told last, and how far each subscriber was told.
An event and its notes are written together, so a process that is killed neither forgets what it told nor tells twice.
The file is synced now and then, not at each event: a power cut may cost the last ones.
"""

from __future__ import annotations

import json
import logging
import sqlite3
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from steelyard.model.severity import Severity
from steelyard.observe.events.event import Event
from steelyard.observe.observation_file import open_observations

log = logging.getLogger("steelyard.events")

_SCHEMA = (
    """CREATE TABLE IF NOT EXISTS events (
        number INTEGER PRIMARY KEY, at REAL NOT NULL, kind TEXT NOT NULL, severity INTEGER NOT NULL,
        service INTEGER NOT NULL, body TEXT NOT NULL)""",
    "CREATE TABLE IF NOT EXISTS notes (name TEXT PRIMARY KEY, value TEXT NOT NULL)",
)
#: events that may wait for a disk that does not take them
_MOST_WAITING = 50_000
_RETRY_SECONDS = 5.0
#: how many more than are to be kept there may be, so that not every event removes another
_SLACK = 200


@dataclass(frozen=True)
class Query:
    """Which events are wanted, and how many of the newest of them; `after` gives the oldest after that number.

    `severity` is the least grave level wanted.
    """

    limit: int = 100
    since: float | None = None
    kinds: tuple[str, ...] = ()
    service: int | None = None
    severity: Severity | None = None
    after: int | None = None


class EventLog:
    """The file. Methods may be called in any thread."""

    def __init__(self, path: Path, kept: int = 20_000) -> None:
        self.kept = kept
        self._connection, self._absence = open_observations(path, _SCHEMA, "events")
        self._lock = threading.Lock()
        self._changed = threading.Condition()
        self._events: list[Event] = []
        self._notes: dict[str, str | None] = {}
        self._writing = False
        self._closing = False
        self.lost = 0
        self._refusal = ""
        newest = self._connection.execute("SELECT max(number) FROM events").fetchone()[0]
        said = self._connection.execute("SELECT value FROM notes WHERE name = 'number'").fetchone()
        self._number = max(newest or 0, int(said[0]) if said else 0)
        self._thread = threading.Thread(target=self._run, name="event log", daemon=True)
        self._thread.start()

    @property
    def trouble(self) -> str:
        """Why the log is not kept as it should be; empty when it is."""
        return self._refusal or self._absence

    @property
    def number(self) -> int:
        """The number of the newest event."""
        return self._number

    def take(self, event: Event, notes: Mapping[str, str | None] | None = None) -> Event:
        """Number an event and write it soon, with notes; None removes one."""
        with self._changed:
            self._number += 1
            numbered = replace(event, number=self._number)
            self._events.append(numbered)
            if len(self._events) > _MOST_WAITING:
                del self._events[0]
                self.lost += 1
            self._notes.update(notes or {})
            self._changed.notify_all()
        return numbered

    def note(self, notes: Mapping[str, str | None]) -> None:
        """Write notes soon."""
        with self._changed:
            self._notes.update(notes)
            self._changed.notify_all()

    def notes(self, prefix: str) -> dict[str, str]:
        """The notes that were written with names that begin so."""
        with self._lock:
            rows = self._connection.execute(
                "SELECT name, value FROM notes WHERE substr(name, 1, ?) = ?", (len(prefix), prefix)
            ).fetchall()
        return dict(rows)

    def find(self, query: Query) -> Sequence[Event]:
        """Events, oldest first. Everything that was taken before is looked at too."""
        self.flush()
        where, values = ["1"], list[object]()
        for condition, value in (
            ("at >= ?", query.since),
            ("service = ?", query.service),
            ("severity <= ?", None if query.severity is None else int(query.severity)),
            ("number > ?", query.after),
        ):
            if value is not None:
                where.append(condition)
                values.append(value)
        if query.kinds:
            where.append(f"kind IN ({', '.join('?' * len(query.kinds))})")
            values += query.kinds
        order = "DESC" if query.after is None else "ASC"
        # only conditions that are written here
        sql = f"SELECT body FROM events WHERE {' AND '.join(where)} ORDER BY number {order} LIMIT ?"  # noqa: S608
        with self._lock:
            rows = self._connection.execute(sql, (*values, query.limit)).fetchall()
        found = [Event.from_json(json.loads(row[0])) for row in rows]
        return found[::-1] if query.after is None else found

    def clear(self) -> int:
        """Remove every event; returns how many. Numbers go on."""
        self.flush()
        with self._lock, self._connection:
            self._connection.execute("REPLACE INTO notes VALUES ('number', ?)", (str(self._number),))
            return self._connection.execute("DELETE FROM events").rowcount

    def flush(self, seconds: float = 5.0) -> None:
        """Wait until what was taken is written, at most so long."""
        deadline = time.monotonic() + seconds
        with self._changed:
            while (self._events or self._notes or self._writing) and not self._refusal:
                left = deadline - time.monotonic()
                if left <= 0:
                    return
                self._changed.wait(left)

    def close(self) -> None:
        """Write what there is and end."""
        self.flush()
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._thread.join(5)
        with self._lock:
            self._connection.close()

    def _run(self) -> None:
        while True:
            with self._changed:
                while not self._closing and not self._events and not self._notes:
                    self._changed.wait()
                if self._closing:
                    return
                events, self._events = self._events, []
                notes, self._notes = self._notes, {}
                self._writing = True
            try:
                self._write(events, notes)
                trouble = ""
            except sqlite3.Error as failure:
                trouble = f"The log of events cannot be written: {failure}"
                if not self._refusal:
                    log.error("%s", trouble)
            with self._changed:
                self._writing = False
                self._refusal = trouble
                if trouble:
                    self._events[:0] = events
                    self._notes = notes | self._notes
                    self._changed.wait_for(lambda: self._closing, _RETRY_SECONDS)
                self._changed.notify_all()

    def _write(self, events: Sequence[Event], notes: Mapping[str, str | None]) -> None:
        rows = [
            (one.number, one.at, one.kind, int(one.severity), one.service, json.dumps(one.as_json())) for one in events
        ]
        with self._lock, self._connection:
            self._connection.executemany("REPLACE INTO events VALUES (?, ?, ?, ?, ?, ?)", rows)
            gone: Iterable[tuple[str]] = [(name,) for name, value in notes.items() if value is None]
            self._connection.executemany("DELETE FROM notes WHERE name = ?", gone)
            kept = [(name, value) for name, value in notes.items() if value is not None]
            self._connection.executemany("REPLACE INTO notes VALUES (?, ?)", kept)
            oldest = self._connection.execute("SELECT min(number) FROM events").fetchone()[0]
            if oldest is not None and self._number - oldest > self.kept + _SLACK:
                self._connection.execute("DELETE FROM events WHERE number <= ?", (self._number - self.kept,))
