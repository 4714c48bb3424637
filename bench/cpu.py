"""CPU time and memory of processes, from /proc."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path


def cpu_seconds(pids: Iterable[int]) -> float:
    """CPU time of these processes so far.

    From /proc/PID/task/TID/schedstat, whose first field is in nanoseconds: /proc/PID/stat counts ticks of 10 ms.
    """
    spent = 0
    for pid in pids:
        for thread in Path(f"/proc/{pid}/task").iterdir():
            spent += int((thread / "schedstat").read_text().split()[0])
    return spent / 1e9


def user_and_system(pid: int) -> tuple[float, float]:
    """CPU time of one process so far in its own code and in the kernel, in steps of a clock tick."""
    words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    tick = os.sysconf("SC_CLK_TCK")
    return int(words[11]) / tick, int(words[12]) / tick


def resident_mb(pid: int) -> tuple[float, float]:
    """Resident memory now and at its most, in MB (10**6 bytes)."""
    status = Path(f"/proc/{pid}/status").read_text()
    found = dict(re.findall(r"^(VmRSS|VmHWM):\s+(\d+) kB$", status, re.MULTILINE))
    return int(found["VmRSS"]) * 1024 / 1e6, int(found["VmHWM"]) * 1024 / 1e6
