"""One control plane for one state directory: two would overwrite each other's plans.

The kernel holds the lock with the open file, so it ends with the process however that ends, and needs no cleaning up.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from steelyard.model.errors import HostLacks

_NAME = "steelyard.lock"


def take(root: Path) -> int:
    """Lock the directory for this process's life; returns the descriptor that holds the lock. Raises `HostLacks`."""
    path = root / _NAME
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as failure:
        raise HostLacks(
            f"{path} cannot be written: {failure.strerror}",
            lacks="a writable state directory",
            remedy="Free space or correct the directory's owner and mode",
        ) from failure
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as failure:
        who = _written(descriptor)
        os.close(descriptor)
        raise HostLacks(
            f"Another Steelyard already works in {root}" + (f" (process {who})" if who else ""),
            lacks="sole use of the state directory",
            remedy="End it first (`steelyard stop`), or give another directory with --state-dir",
        ) from failure
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
    return descriptor


def holder(root: Path) -> int | None:
    """The process that works in the directory now."""
    try:
        descriptor = os.open(root / _NAME, os.O_RDWR | os.O_CLOEXEC)
    except OSError:  # never started, or not ours to look into
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return _written(descriptor)
    finally:
        os.close(descriptor)
    return None


def _written(descriptor: int) -> int | None:
    text = os.pread(descriptor, 32, 0)
    return int(text) if text.strip().isdigit() else None
