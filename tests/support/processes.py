"""Finding and ending the processes of one Steelyard, by /proc.

Rule: only processes that belong to the given state directory are ever touched. A process belongs when an argument on
its command line is, or lies in, that directory, or when it inherited the marker that `SteelyardProcess` puts into the
environment; HAProxy and the health process outlive the control plane and its process group, so neither the parent nor
the group says whose they are.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

MARKER = "STEELYARD_TEST_RUN"


@dataclass(frozen=True, slots=True)
class Process:
    """A running process as /proc shows it."""

    pid: int
    parent: int
    state: str
    started: int
    """Clock ticks since boot: with the pid it names a process for good, even when pids are reused."""
    arguments: tuple[str, ...]

    @property
    def is_haproxy(self) -> bool:
        return bool(self.arguments) and Path(self.arguments[0]).name.startswith("haproxy")

    def mentions(self, *words: str) -> bool:
        line = " ".join(self.arguments)
        return any(word in line for word in words)


def read_process(pid: int) -> Process | None:
    """The process, or None when it is gone or a zombie."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
        arguments = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return None
    # The second field is the name in parentheses and may hold anything, so the rest starts after the last one.
    fields = stat[stat.rindex(")") + 2 :].split()
    if fields[0] in "ZX":
        return None
    words = tuple(part.decode("utf-8", "replace") for part in arguments.split(b"\0") if part)
    return Process(pid, int(fields[1]), fields[0], int(fields[19]), words)


def is_alive(pid: int) -> bool:
    return read_process(pid) is not None


def _has_marker(pid: int, marker: str) -> bool:
    with contextlib.suppress(OSError):  # another user's process, or gone: not ours
        return f"{MARKER}={marker}".encode() in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    return False


def belonging_to(state_dir: Path, marker: str | None = None) -> list[Process]:
    """Every process of that state directory except this one, by pid."""
    inside = re.compile(rf"(^|[=:@,]){re.escape(str(state_dir))}(/|$)")
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        process = read_process(int(entry.name))
        if process is None:
            continue
        by_argument = any(inside.search(argument) for argument in process.arguments)
        if by_argument or (marker is not None and _has_marker(process.pid, marker)):
            found.append(process)
    return sorted(found, key=lambda process: process.pid)


def end(processes: Iterable[Process], *, grace: float = 0.0) -> None:
    """End these processes: SIGTERM and `grace` seconds first when `grace` is given, then SIGKILL. Returns when gone."""
    remaining = list(processes)
    steps = [(signal.SIGTERM, grace)] if grace else []
    for number, patience in [*steps, (signal.SIGKILL, 5.0)]:
        for process in remaining:
            _signal(process, number)
        remaining = _wait_gone(remaining, patience)
        if not remaining:
            return
    raise RuntimeError(f"cannot end {remaining}")


def _signal(process: Process, number: signal.Signals) -> None:
    now = read_process(process.pid)
    if now is not None and now.started == process.started:
        with contextlib.suppress(ProcessLookupError):  # it ended by itself this instant
            os.kill(process.pid, number)


def _wait_gone(processes: list[Process], patience: float) -> list[Process]:
    deadline = time.monotonic() + patience
    while True:
        remaining = []
        for process in processes:
            now = read_process(process.pid)
            if now is not None and now.started == process.started:
                remaining.append(process)
        if not remaining or time.monotonic() > deadline:
            return remaining
        time.sleep(0.02)
