"""Ending the engines of a state directory whose control plane is gone."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from pathlib import Path

_SECONDS = 5.0


def _runs(pid: int, mark: Path) -> bool:
    try:
        return os.fsencode(mark) in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return False


def stop_engines(root: Path) -> list[str]:
    """End them and wait for it; returns what was ended."""
    ended: list[str] = []
    for name, pid_file, mark in (
        ("haproxy", root / "run" / "haproxy.pid", root / "engine" / "haproxy.cfg"),
        ("steelyard-health", root / "run" / "health.pid", root / "health"),
    ):
        try:
            pid = int(pid_file.read_text().split()[0])
        except (OSError, ValueError, IndexError):
            continue
        if not _runs(pid, mark):
            continue
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
        deadline = time.monotonic() + _SECONDS
        while _runs(pid, mark) and time.monotonic() < deadline:
            time.sleep(0.02)
        ended.append(name)
    return ended
