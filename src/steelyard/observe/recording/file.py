"""The file `statistics.db`: recorded steps by tier.

The objects of a step are dealt out to rows by service, so that a graph of one service reads a small part of each step.
The row of the host is written at every step: it says that a step was recorded at all, which silence is not.
"""

from __future__ import annotations

import threading
import zlib
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path

from steelyard.observe.observation_file import open_observations
from steelyard.observe.recording.readings import HOST, NOTHING, Key, Reading, condensed, pack, reading_of, unpack
from steelyard.observe.recording.tiers import TIERS, Tier

_SCHEMA = (
    """CREATE TABLE IF NOT EXISTS steps (
        tier INTEGER NOT NULL, shard INTEGER NOT NULL, begin INTEGER NOT NULL, data BLOB NOT NULL,
        UNIQUE (tier, shard, begin))""",
)
_SHARDS = 16
_HOST_SHARD = 0
#: fast, and half the size: objects of one step resemble each other
_COMPRESSION = 1


class RecordFile:
    """The file. Methods may be called in any thread; they block for some milliseconds."""

    def __init__(self, path: Path) -> None:
        self._connection, self.trouble = open_observations(path, _SCHEMA, "statistics")
        self._lock = threading.Lock()

    def write(self, tier: Tier, begin: int, readings: Mapping[Key, Reading]) -> None:
        """Record a step of a tier, and remove what is too old for it. A step that is there already is replaced."""
        shards: dict[int, dict[Key, Reading]] = {_HOST_SHARD: {HOST: readings.get(HOST, NOTHING)}}
        for key, reading in readings.items():
            shards.setdefault(_shard(key), {})[key] = reading
        rows = [(tier.number, shard, begin, zlib.compress(pack(one), _COMPRESSION)) for shard, one in shards.items()]
        with self._lock, self._connection:
            self._connection.executemany("REPLACE INTO steps VALUES (?, ?, ?, ?)", rows)
            for shard in range(_SHARDS):
                self._connection.execute(
                    "DELETE FROM steps WHERE tier = ? AND shard = ? AND begin < ?",
                    (tier.number, shard, tier.oldest(begin)),
                )

    def read(self, tier: Tier, key: Key, at: float) -> dict[int, Reading]:
        """An object's readings at a moment, by when their step began. Steps nobody recorded are absent."""
        since = tier.oldest(at)
        with self._lock:
            begins = self._connection.execute(
                "SELECT begin FROM steps WHERE tier = ? AND shard = ? AND begin >= ?", (tier.number, _HOST_SHARD, since)
            ).fetchall()
            rows = self._connection.execute(
                "SELECT begin, data FROM steps WHERE tier = ? AND shard = ? AND begin >= ?",
                (tier.number, _shard(key), since),
            ).fetchall()
        found = {begin: NOTHING for (begin,) in begins}
        found.update((begin, reading_of(zlib.decompress(data), key)) for begin, data in rows if begin in found)
        return dict(sorted(found.items()))

    def condense(self, at: float) -> None:
        """Bring coarser tiers up to a moment, from the finer ones before them: every step that is over by then."""
        for finer, tier in pairwise(TIERS):
            for begin in self._missing(finer, tier, at):
                self.write(tier, begin, self._condensed(finer, begin, begin + tier.step))

    def close(self) -> None:
        """Let go of the file."""
        with self._lock:
            self._connection.close()

    def _missing(self, finer: Tier, tier: Tier, at: float) -> list[int]:
        """When the steps of a tier begin that are over, have readings in the finer tier, and are newer than its own."""
        with self._lock:
            newest = self._connection.execute(
                "SELECT max(begin) FROM steps WHERE tier = ? AND shard = ?", (tier.number, _HOST_SHARD)
            ).fetchone()[0]
            since = max(tier.oldest(at), 0 if newest is None else newest + tier.step)
            rows = self._connection.execute(
                "SELECT DISTINCT begin / ? * ? FROM steps WHERE tier = ? AND shard = ? AND begin >= ? AND begin < ?",
                (tier.step, tier.step, finer.number, _HOST_SHARD, since, tier.begin(at)),
            ).fetchall()
        return sorted(begin for (begin,) in rows)

    def _condensed(self, finer: Tier, begin: int, end: int) -> dict[Key, Reading]:
        """One shard after the other: all objects of all steps together would take much memory for a moment."""
        found: dict[Key, Reading] = {}
        recorded = 0
        for shard in range(_SHARDS):
            with self._lock:
                rows = self._connection.execute(
                    "SELECT data FROM steps WHERE tier = ? AND shard = ? AND begin >= ? AND begin < ?",
                    (finer.number, shard, begin, end),
                ).fetchall()
            if shard == _HOST_SHARD:
                recorded = len(rows)
            found |= condensed((unpack(zlib.decompress(data)) for (data,) in rows), recorded)
        return found


def _shard(key: Key) -> int:
    return key[0] % _SHARDS
