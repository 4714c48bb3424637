"""A named pipe that carries lines from HAProxy to the control plane.

Both ends are opened for reading and writing. So a writer never meets a pipe without a reader, which would fail it, and
the kernel keeps what nobody has read for as long as one of the two has the pipe open.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat
from collections.abc import Iterator
from pathlib import Path

#: the most an unprivileged process may have (pipe(7), `/proc/sys/fs/pipe-max-size`): about two thousand lines
CAPACITY = 1024 * 1024


@contextlib.contextmanager
def open_pipe(path: Path) -> Iterator[int]:
    """The pipe's descriptor while the block lasts; it is made when it is not there. Neither end ever waits."""
    _make(path)
    descriptor = os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        # a smaller one is no harm: less is kept while nobody reads
        with contextlib.suppress(OSError):
            fcntl.fcntl(descriptor, fcntl.F_SETPIPE_SZ, CAPACITY)
        yield descriptor
    finally:
        os.close(descriptor)


def _make(path: Path) -> None:
    """Reader and writer may come at the same moment: then one of them makes it."""
    with contextlib.suppress(FileNotFoundError):
        if not stat.S_ISFIFO(path.lstat().st_mode):
            path.unlink()
    with contextlib.suppress(FileExistsError):
        os.mkfifo(path, 0o600)
