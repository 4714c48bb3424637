"""The files of the edge filter's logs: one a kind, with earlier ones numbered from 1, the newest first.

A file that has reached its size is put away before more is written, so that the logs never need more than
`SIZE * KEPT` a kind. Writing and reading may happen in different threads.
"""

from __future__ import annotations

import io
import os
import tarfile
import threading
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from steelyard.observe.edge_events import KINDS, Kind, time_of

SIZE = 10 * 1024 * 1024
#: files of a kind, with the one that is written
KEPT = 5


class EdgeFiles:
    """The logs in one directory."""

    def __init__(self, directory: Path, *, size: int = SIZE, kept: int = KEPT) -> None:
        self._directory = directory
        self._size = size
        self._kept = kept
        self._lock = threading.Lock()

    def path(self, kind: Kind, number: int = 0) -> Path:
        """The file that is written, or an earlier one."""
        return self._directory / (f"{kind}.log.{number}" if number else f"{kind}.log")

    def append(self, kind: Kind, lines: Iterable[str]) -> None:
        """Write lines. Raises `OSError`."""
        text = "".join(f"{line}\n" for line in lines).encode("ascii")
        with self._lock:
            descriptor = self._open(kind)
            try:
                if os.fstat(descriptor).st_size >= self._size:
                    os.close(descriptor)
                    descriptor = -1
                    self._put_away(kind)
                    descriptor = self._open(kind)
                _write_all(descriptor, text)
            finally:
                if descriptor >= 0:
                    os.close(descriptor)

    def _open(self, kind: Kind) -> int:
        return os.open(self.path(kind), os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def _put_away(self, kind: Kind) -> None:
        for number in range(self._kept - 1, 0, -1):
            earlier = self.path(kind, number - 1)
            if earlier.exists():
                earlier.replace(self.path(kind, number))

    def names(self) -> Sequence[str]:
        """The files there are."""
        return [path.name for kind in KINDS for path in self._files(kind)]

    def _files(self, kind: Kind) -> Iterator[Path]:
        """Newest first."""
        return (path for number in range(self._kept) if (path := self.path(kind, number)).exists())

    def tail(self, kind: Kind, count: int, since: str = "") -> Sequence[str]:
        """The last lines, oldest first; `since` is a time as lines have it, and leaves out what is before it."""
        with self._lock:
            found: list[str] = []
            for path in self._files(kind):
                wanted = deque((line for line in _lines(path) if time_of(line) >= since), maxlen=count - len(found))
                found = [*wanted, *found]
                if len(found) >= count:
                    break
            return found

    def clear(self, kinds: Iterable[Kind] = KINDS) -> Sequence[str]:
        """Remove files; gives their names."""
        with self._lock:
            gone = [path for kind in kinds for path in self._files(kind)]
            for path in gone:
                path.unlink()
            return [path.name for path in gone]

    def archive(self, kinds: Iterable[Kind] = KINDS) -> bytes:
        """The files as a gzipped tar archive."""
        made = io.BytesIO()
        with self._lock, tarfile.open(fileobj=made, mode="w:gz") as archive:
            for kind in kinds:
                for path in self._files(kind):
                    archive.add(path, arcname=path.name)
        return made.getvalue()


def _lines(path: Path) -> Iterator[str]:
    with path.open(encoding="ascii", errors="replace") as file:
        for line in file:
            # one without an end was cut by a crash or a full disk
            if line.endswith("\n"):
                yield line[:-1]


def _write_all(descriptor: int, text: bytes) -> None:
    while text:
        text = text[os.write(descriptor, text) :]
