"""The last transcripts of every check, so that they outlive the process (`transcripts.log`).

What checks said is appended to one file, once a second at most, as lines of a probe's name and its transcript. A file
that has doubled is cut down to the last transcripts of the probes that are still there, line by line and without
reading what they say. Nothing is read at the start: who asks for transcripts that are not in memory has the file
searched. Lines are not forced to the disk, so a power cut may cost the last ones; a killed process costs a second.
Mode 0600: an answer may hold what is nobody else's business.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import time
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator
from functools import partial
from pathlib import Path

from steelyard.health.known import KEPT, Probe
from steelyard.health.transcript import Outcome, Transcript

log = logging.getLogger(__name__)

FLUSH_SECONDS = 1.0
#: the file may always grow to this, and is cut down once in so many seconds at most
SMALL_BYTES = 1 << 20
CUT_SECONDS = 60.0
#: lines that wait for a disk that takes none
MOST_WAITING = 100_000
_BLOCK = 1 << 20


class TranscriptLog:
    """The file; `alive` gives the names of all probes there are."""

    def __init__(self, directory: Path, alive: Callable[[], Collection[str]]) -> None:
        self.path = directory / "transcripts.log"
        self._alive = alive
        self._waiting: deque[str] = deque(maxlen=MOST_WAITING)
        self._news = asyncio.Event()
        self._begun = False
        self._most = SMALL_BYTES
        self._cut_at = time.monotonic()
        self._failing = False

    def note(self, probe: Probe, said: Iterable[Transcript]) -> None:
        """A probe has spoken."""
        self._waiting.extend(f"{probe.name} {_printed(one)}\n" for one in said)
        self._news.set()

    async def run(self) -> None:
        """Write what comes, until cancelled; `finish` writes the rest."""
        while True:
            await self._news.wait()
            self._news.clear()
            await asyncio.sleep(FLUSH_SECONDS)
            await _finished(lambda: self._append(self._taken()))
            if self._size() > self._most and time.monotonic() - self._cut_at > CUT_SECONDS:
                self._cut_at = time.monotonic()
                await _finished(partial(self._cut, frozenset(self._alive())))

    def finish(self) -> None:
        """The last write, at the end of the process."""
        if self._waiting:
            self._append(self._taken())

    async def recall(self, probe: Probe) -> None:
        """Fill up a probe's transcripts with what processes before this one have heard, once."""
        if probe.recalled or len(probe.transcripts) == KEPT:
            return
        probe.recalled = True
        found = await asyncio.to_thread(lambda: last_of(self.path, probe.name))
        known = list(probe.transcripts)
        probe.transcripts.clear()
        # of more than there is room for the newest stay
        probe.transcripts.extend(_joined(found, known))

    def _cut(self, alive: Collection[str]) -> None:
        self._guarded(lambda: cut_down(self.path, alive))
        self._most = max(SMALL_BYTES, 2 * self._size())

    def _taken(self) -> list[str]:
        lines = list(self._waiting)
        self._waiting.clear()
        return lines

    def _append(self, lines: list[str]) -> None:
        def append() -> None:
            descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
            with os.fdopen(descriptor, "ab") as file:
                # the last run may have been cut off in the middle of a line
                file.write(("" if self._begun else "\n").encode() + "".join(lines).encode())
            self._begun = True

        self._guarded(append)

    def _guarded(self, work: Callable[[], None]) -> None:
        try:
            work()
        except OSError as failure:
            # evidence of the past alone is lost; the disk's fault is said once
            if not self._failing:
                log.error("%s cannot be written: %s", self.path, failure)
            self._failing = True
        else:
            self._failing = False

    def _size(self) -> int:
        try:
            return self.path.stat().st_size
        except OSError:
            # not there yet
            return 0


async def _finished(work: Callable[[], None]) -> None:
    """Work in a thread that is finished even when the task is cancelled."""
    writing = asyncio.ensure_future(asyncio.to_thread(work))
    try:
        await asyncio.shield(writing)
    except asyncio.CancelledError:
        await asyncio.wait({writing})
        raise


def last_of(path: Path, name: str) -> list[Transcript]:
    """The last transcripts of one probe in the file, oldest first. Lines that are none are passed over."""
    wanted = name.encode() + b" "
    found: deque[Transcript] = deque()
    try:
        for block in _blocks_from_the_end(path):
            for line in _lines_from_the_end(block, wanted):
                one = _read(line)
                if one is not None:
                    found.appendleft(one)
                if len(found) == KEPT:
                    return list(found)
    except OSError as failure:
        if not isinstance(failure, FileNotFoundError):
            log.error("%s cannot be read: %s", path, failure)
    return list(found)


def cut_down(path: Path, alive: Collection[str]) -> None:
    """Leave the last transcripts of these probes alone in the file. Raises `OSError`; the file stays as it was then."""
    places: dict[bytes, deque[tuple[int, int]]] = {}
    names = {name.encode() for name in alive}
    with path.open("rb") as file:
        at = 0
        for line in file:
            name = line.partition(b" ")[0]
            if name in names:
                places.setdefault(name, deque(maxlen=KEPT)).append((at, len(line)))
            at += len(line)
        fresh = path.with_name(path.name + ".new")
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as output:
            output.write(b"\n")
            for begin, length in sorted(place for each in places.values() for place in each):
                file.seek(begin)
                output.write(file.read(length))
        fresh.rename(path)


def _blocks_from_the_end(path: Path) -> Iterator[bytes]:
    """The file in pieces of whole lines, the last piece first. Each begins and ends with a line feed."""
    with path.open("rb") as file:
        at = file.seek(0, os.SEEK_END)
        rest = b""
        while at > 0:
            size = min(_BLOCK, at)
            at -= size
            file.seek(at)
            data = file.read(size) + rest
            first = data.find(b"\n")
            if first < 0:
                rest = data
                continue
            yield data[first:]
            rest = data[: first + 1]


def _lines_from_the_end(block: bytes, wanted: bytes) -> Iterator[bytes]:
    end = len(block)
    while (found := block.rfind(b"\n" + wanted, 0, end)) >= 0:
        begin = found + 1 + len(wanted)
        yield block[begin : block.find(b"\n", begin)]
        end = found + 1


def _joined(found: list[Transcript], known: list[Transcript]) -> list[Transcript]:
    """What was found and what is known, which may begin with some of the former.

    The record of a verdict has its transcript to the millisecond, within which attempts may follow each other; so they
    are not told apart by time alone.
    """

    def sign(one: Transcript) -> tuple[object, ...]:
        return round(one.started, 3), one.attempt, one.outcome, one.reason

    if not known:
        return found
    for at in reversed(range(len(found))):
        if sign(found[at]) == sign(known[0]):
            return [*found[: at + 1], *known[1:]]
    return [*(one for one in found if one.started < known[0].started), *known]


def _printed(one: Transcript) -> str:
    return json.dumps(
        (
            round(one.started, 6),
            round(one.duration_ms, 3),
            None if one.connect_ms is None else round(one.connect_ms, 3),
            one.sent,
            one.received,
            one.outcome.value,
            one.reason,
            one.attempt,
            one.attempts,
        ),
        separators=(",", ":"),
    )


def _read(line: bytes) -> Transcript | None:
    try:
        started, duration, connect, sent, received, outcome, reason, attempt, attempts = json.loads(line)
        return Transcript(
            float(started),
            float(duration),
            None if connect is None else float(connect),
            str(sent),
            str(received),
            Outcome(outcome),
            str(reason),
            int(attempt),
            int(attempts),
        )
    except (ValueError, TypeError):
        return None
