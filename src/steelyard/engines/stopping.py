"""Ending everything that works in a state directory: the control plane first, since it starts again what dies."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from pathlib import Path

from steelyard.engines.running import masters, running_with, runs_with
from steelyard.engines.sole_use import holder

#: the control plane finishes pending reloads and requests first
_CONTROL_SECONDS = 15.0
_SECONDS = 5.0


def stop_engines(root: Path) -> list[str]:
    """End them and wait for it; returns what was ended."""
    ended: list[str] = []
    control = holder(root)
    if control is not None and control != os.getpid():
        _signal(control, signal.SIGTERM)
        deadline = time.monotonic() + _CONTROL_SECONDS
        while holder(root) == control and time.monotonic() < deadline:
            time.sleep(0.02)
        if holder(root) == control:
            _signal(control, signal.SIGKILL)
        ended.append("steelyard")
    for name, marks in (
        ("haproxy", ("-W", root / "engine" / "haproxy.cfg")),
        ("steelyard-health", ("steelyard.health.main", root / "health")),
    ):
        found = running_with(*marks)
        for pid in masters(found):
            _signal(pid, signal.SIGTERM)
        _wait(found, marks, _SECONDS)
        left = [pid for pid in found if runs_with(pid, *marks)]
        for pid in left:
            _signal(pid, signal.SIGKILL)
        _wait(left, marks, _SECONDS)
        if found:
            ended.append(name)
    return ended


def _wait(pids: list[int], marks: tuple[str | Path, ...], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while any(runs_with(pid, *marks) for pid in pids) and time.monotonic() < deadline:
        time.sleep(0.02)


def _signal(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)
