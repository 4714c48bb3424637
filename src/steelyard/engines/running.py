"""This appliance's own processes, found by their command lines.

A pid file may be missing, half-written, or name a process of somebody else after a reboot; a command line that holds
the state directory's path cannot.
"""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from steelyard.engines.kernel import PROC


def runs_with(pid: int, *arguments: str | Path, proc: Path = PROC) -> bool:
    """Whether that process lives and has each of these as a whole argument. A zombie has no command line."""
    try:
        command = (proc / str(pid) / "cmdline").read_bytes().split(b"\0")
    except OSError:  # it has ended, or belongs to another user
        return False
    return all(os.fsencode(argument) in command for argument in arguments)


def running_with(*arguments: str | Path, proc: Path = PROC) -> list[int]:
    """Every process with these arguments, oldest first."""
    found = [int(entry.name) for entry in proc.iterdir() if entry.name.isdigit()]
    mine = [(_started(pid, proc), pid) for pid in found if runs_with(pid, *arguments, proc=proc)]
    return [pid for _, pid in sorted(mine)]


async def ended(pid: int) -> None:
    """Return when that process has ended, whoever started it."""
    loop = asyncio.get_running_loop()
    event = asyncio.Event()
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    loop.add_reader(descriptor, event.set)
    try:
        await event.wait()
    finally:
        loop.remove_reader(descriptor)
        os.close(descriptor)


def control_group(pid: int, proc: Path = PROC) -> str | None:
    """Its control groups, as the kernel writes them: under systemd each unit has its own. None when it has ended."""
    try:
        return (proc / str(pid) / "cgroup").read_text()
    except OSError:
        return None


def parent(pid: int, proc: Path = PROC) -> int:
    """The parent's pid; 0 when the process has ended."""
    fields = _stat(pid, proc)
    return int(fields[1]) if fields else 0


def masters(pids: list[int], proc: Path = PROC) -> list[int]:
    """Those of the processes whose parent is not one of them."""
    return [pid for pid in pids if parent(pid, proc) not in pids]


def _started(pid: int, proc: Path) -> int:
    fields = _stat(pid, proc)
    return int(fields[19]) if fields else 0


def _stat(pid: int, proc: Path) -> list[str]:
    """The fields of /proc/PID/stat from the third on; the second, the name, may hold anything."""
    try:
        text = (proc / str(pid) / "stat").read_text()
    except OSError:
        return []
    return text[text.rindex(")") + 2 :].split()
