"""A process and its children with little memory and one processor, by the kernel's control groups, version 1 or 2.

with limited(memory=2**30, processors=1) as group:
with group.inside():
process = subprocess.Popen(...)        # it, and what it starts, has no more than that
assert group.peak < 2**30
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

_ROOT = Path("/sys/fs/cgroup")
_PERIOD = 100_000


class NoGroups(RuntimeError):
    """This host's control groups cannot be used; the message says why."""


class Group:
    """One group in each hierarchy it needs."""

    def __init__(self, memory: int, processors: float) -> None:
        self._name = f"steelyard-test-{os.getpid()}-{uuid.uuid4().hex[:6]}"
        self._made: dict[str, Path] = {}
        try:
            if (_ROOT / "cgroup.controllers").exists():
                self._version_2(memory, processors)
            else:
                self._version_1(memory, processors)
        except OSError as failure:
            self.remove()
            raise NoGroups(f"control groups: {failure}") from failure

    def _version_2(self, memory: int, processors: float) -> None:
        (_ROOT / "cgroup.subtree_control").write_text("+memory +cpu")
        own = self._make("both", _ROOT)
        (own / "memory.max").write_text(str(memory))
        (own / "cpu.max").write_text(f"{int(_PERIOD * processors)} {_PERIOD}")

    def _version_1(self, memory: int, processors: float) -> None:
        (self._make("memory", _ROOT / "memory") / "memory.limit_in_bytes").write_text(str(memory))
        own = self._make("cpu", _ROOT / "cpu")
        (own / "cpu.cfs_period_us").write_text(str(_PERIOD))
        (own / "cpu.cfs_quota_us").write_text(str(int(_PERIOD * processors)))

    def _make(self, kind: str, parent: Path) -> Path:
        made = parent / self._name
        made.mkdir()
        self._made[kind] = made
        return made

    @contextlib.contextmanager
    def inside(self) -> Iterator[None]:
        """Within, this process is in the group, so that what it starts begins there and stays."""
        homes = {kind: made.parent / _own(kind) for kind, made in self._made.items()}
        try:
            for made in self._made.values():
                (made / "cgroup.procs").write_text(str(os.getpid()))
            yield
        finally:
            for home in homes.values():
                (home / "cgroup.procs").write_text(str(os.getpid()))

    @property
    def pids(self) -> set[int]:
        """Every process in it."""
        return {int(pid) for made in self._made.values() for pid in (made / "cgroup.procs").read_text().split()} - {
            os.getpid()
        }

    @property
    def peak(self) -> int:
        """Most memory it had, in bytes."""
        for path in (self._made.get("both", _ROOT) / "memory.peak", self._in_memory("memory.max_usage_in_bytes")):
            if path.exists():
                return int(path.read_text())
        raise NoGroups("the kernel does not say how much memory a group had")

    @property
    def killed(self) -> int:
        """Processes the kernel ended for want of memory."""
        for path in (self._made.get("both", _ROOT) / "memory.events", self._in_memory("memory.oom_control")):
            if path.exists():
                words = dict(line.split() for line in path.read_text().splitlines())
                return int(words.get("oom_kill", 0))
        return 0

    def _in_memory(self, name: str) -> Path:
        return self._made.get("memory", _ROOT) / name

    def remove(self) -> None:
        """Delete it; what is still in it is ended."""
        for made in self._made.values():
            deadline = time.monotonic() + 5
            while made.exists() and time.monotonic() < deadline:
                with contextlib.suppress(OSError):
                    for pid in (made / "cgroup.procs").read_text().split():
                        if int(pid) != os.getpid():
                            os.kill(int(pid), signal.SIGKILL)
                    made.rmdir()


def _own(kind: str) -> str:
    """Where this process is in a hierarchy, below its root."""
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, names, path = line.split(":", 2)
        if kind in names.split(",") or (kind == "both" and not names):
            return path.lstrip("/")
    return ""


@contextlib.contextmanager
def limited(*, memory: int, processors: float) -> Iterator[Group]:
    """A group with at most so many bytes of memory and so many processors. Raises `NoGroups`."""
    made = Group(memory, processors)
    try:
        yield made
    finally:
        made.remove()
