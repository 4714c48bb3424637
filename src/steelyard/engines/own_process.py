"""A process of this appliance's own beside the control plane: started in a session of its own, adopted when it runs
already, watched.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from steelyard.engines.haproxy.layout import write
from steelyard.engines.running import control_group, ended, running_with
from steelyard.model.errors import HostLacks

log = logging.getLogger("steelyard.own_process")

_LOOK_SECONDS = 0.2


class OwnProcess:
    """Starts, adopts, watches and ends one. `program` is a module; `directory`, an argument of it, tells it apart."""

    def __init__(
        self, name: str, program: str, arguments: Sequence[str], *, directory: Path, pid_file: Path, log: Path
    ) -> None:
        self.name = name
        self._program = program
        self._arguments = [sys.executable, "-m", program, *arguments]
        self._directory = directory
        self._pid_file = pid_file
        self._log = log
        self._child: subprocess.Popen[bytes] | None = None
        self.pid: int | None = None
        #: it belongs to another unit of systemd, which starts it again
        self.elsewhere = False

    def adopt(self) -> bool:
        """Take over a process that runs already for this directory: the oldest, which has the lock."""
        found = running_with(self._program, self._directory)
        if not found:
            return False
        self._is(found[0])
        # what this one's predecessor started is in this one's control group
        self.elsewhere = control_group(found[0]) not in (None, control_group(os.getpid()))
        return True

    async def back(self) -> None:
        """Return when whoever supervises it has started it again, and adopt it."""
        while not self.adopt():  # noqa: ASYNC110 - the kernel tells of a process that ends, and of none that starts
            await asyncio.sleep(_LOOK_SECONDS)

    def start(self) -> None:
        """Start one. Raises `HostLacks` when the program cannot be run."""
        try:
            with self._log.open("ab") as output:
                self._child = subprocess.Popen(
                    self._arguments,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    start_new_session=True,
                    cwd="/",
                )
        except OSError as failure:
            raise HostLacks(
                f"{self.name} cannot be started: {failure}",
                lacks="a process",
                remedy="Look at the limits of processes and memory",
            ) from failure
        self.elsewhere = False
        self._is(self._child.pid)

    def _is(self, pid: int) -> None:
        self.pid = pid
        try:
            write(self._pid_file, f"{pid}\n")
        except HostLacks as failure:
            # the file is for people; the process is found by its command line
            log.warning("%s", failure.message)

    def alive(self) -> bool:
        """Whether it has not ended. A child that has is reaped."""
        if self._child is not None and self._child.poll() is not None and self._child.pid == self.pid:
            self.pid = None
        return self.pid is not None

    async def wait_for_end(self) -> None:
        """Return when the process has ended, whoever started it."""
        if self.pid is None:
            return
        await ended(self.pid)
        self._reap()

    def _reap(self) -> None:
        if self._child is not None:
            self._child.poll()
        self.pid = None

    async def stop(self) -> None:
        """End it; what it keeps stays on disk."""
        if self.pid is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGTERM)
        try:
            async with asyncio.timeout(5):
                await self.wait_for_end()
        except TimeoutError:
            if self.pid is not None:
                os.kill(self.pid, signal.SIGKILL)
