"""The HAProxy process: master and worker in a session of their own, so that they outlive the control plane.

A master that runs already is adopted by its pid file. When a worker dies the master ends itself and its other workers
(its `exit-on-failure` default), and when the master dies its workers end: so the master is what is watched and
started again.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import re
import signal
import subprocess
from pathlib import Path

from steelyard.engines.haproxy.certificates import refused_certificate
from steelyard.engines.haproxy.layout import Layout
from steelyard.engines.haproxy.runtime import ask
from steelyard.engines.pipe import open_pipe
from steelyard.engines.privilege import lacked_by
from steelyard.engines.running import ended, masters, parent, running_with, runs_with
from steelyard.model.errors import EngineRefused, HostLacks

_PID = re.compile(r"^Pid: (\d+)$", re.MULTILINE)
_RELOADS = re.compile(r"^\d+\s+master\s+(\d+) \[failed: (\d+)\]", re.MULTILINE)
#: the master's socket stays open after an answer (2.6 and 2.8), unlike a worker's; `quit` closes it
_SHOW_PROC = "show proc\nquit"
_START_SECONDS = 10.0
_RELOAD_SECONDS = 30.0
_STEP_SECONDS = 0.01
#: a question that falls into the moment of a reload can reach a process that will never answer: ask again soon
_ANSWER_SECONDS = 0.25
_LOOK_SECONDS = 0.5
_CHECK_SECONDS = 60.0
_ADOPT_SECONDS = 5.0

log = logging.getLogger("steelyard.haproxy")


class HaproxyProcess:
    """Starts, adopts, reloads, watches and ends one HAProxy."""

    def __init__(self, binary: str, layout: Layout) -> None:
        self._binary = binary
        self._layout = layout
        self._child: subprocess.Popen[bytes] | None = None
        self.master: int | None = None
        self.worker: int | None = None

    async def check(self, path: Path) -> None:
        """Let HAProxy read a configuration without running it. Raises `EngineRefused` with its words."""
        try:
            process = await asyncio.create_subprocess_exec(
                self._binary,
                "-c",
                "-f",
                str(path),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
            )
        except OSError as failure:
            raise self._cannot_run(failure) from failure
        try:
            async with asyncio.timeout(_CHECK_SECONDS):
                output, _ = await process.communicate()
        except TimeoutError as failure:
            raise EngineRefused(f"HAProxy did not read the configuration in {_CHECK_SECONDS:.0f} s") from failure
        finally:
            if process.returncode is None:
                process.kill()
        if process.returncode != 0:
            words = "\n".join(
                line
                for line in output.decode(errors="replace").splitlines()
                if "[ALERT]" in line or "error" in line.lower()
            )
            message = refused_certificate(words) or "HAProxy refuses the configuration"
            raise EngineRefused(message, words=words or output.decode(errors="replace"))

    async def adopt(self) -> bool:
        """Take over a master that runs already with this state directory's configuration.

        Others of ours would serve an old plan beside it: they finish their connections and end. One whose worker does
        not answer is ended, since nothing could be told to it.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + _ADOPT_SECONDS
        while found := running_with("-W", self._layout.configuration):
            worker = await self._worker_pid(_ADOPT_SECONDS / 5)
            master = parent(worker) if worker in found else 0
            if worker is not None and master in found:
                self.master, self.worker = master, worker
                if lacks := lacked_by(master):
                    # a process has the privileges it was started with, and a reload keeps the process
                    log.warning(
                        "HAProxy was started without %s, which Steelyard has now; it gets that when both are stopped"
                        " (`steelyard stop`) and started",
                        ", ".join(sorted(lacks)),
                    )
                for other in masters(found):
                    if other != master:
                        log.warning("HAProxy %d is not the one that serves %s; it is let go", other, self._layout.root)
                        _signal(other, signal.SIGUSR1)
                return True
            if loop.time() > deadline:
                log.error("HAProxy %s does not answer and is ended", found)
                for pid in found:
                    _signal(pid, signal.SIGKILL)
            await asyncio.sleep(_STEP_SECONDS * 5)
        return False

    def owns(self, pid: int) -> bool:
        """Whether that process runs on this state directory's configuration."""
        return runs_with(pid, self._layout.configuration)

    async def start(self) -> None:
        """Start a master. Raises `HostLacks` or `EngineRefused`, with the last words of its log."""
        log = self._layout.log / "haproxy.log"
        with contextlib.suppress(FileNotFoundError):
            self._layout.socket.unlink()
        try:
            with log.open("ab") as output, open_pipe(self._layout.edge_pipe) as events:
                self._child = subprocess.Popen(  # noqa: ASYNC220 - it must outlive the loop, and is watched by pidfd
                    [
                        self._binary,
                        "-W",
                        "-S",
                        f"{self._layout.master_socket},mode,600",
                        "-p",
                        str(self._layout.pid_file),
                        "-f",
                        str(self._layout.configuration),
                    ],
                    stdin=subprocess.DEVNULL,
                    # the edge filter's log lines; HAProxy's own messages go to the other one
                    stdout=events,
                    stderr=output,
                    start_new_session=True,
                    cwd="/",
                )
        except OSError as failure:
            raise self._cannot_run(failure) from failure
        loop = asyncio.get_running_loop()
        deadline = loop.time() + _START_SECONDS
        while loop.time() < deadline:
            if self._child.poll() is not None:
                raise EngineRefused("HAProxy ended while it started", words=self.last_words())
            self.worker = await self._worker_pid()
            if self.worker is not None:
                self.master = self._child.pid
                return
            await asyncio.sleep(_STEP_SECONDS)
        self.kill()
        raise EngineRefused("HAProxy did not begin to serve in time", words=self.last_words())

    def _cannot_run(self, failure: OSError) -> HostLacks:
        return HostLacks(
            f"{self._binary} cannot be started: {failure.strerror}", lacks="HAProxy", remedy="Run `steelyard doctor`"
        )

    async def _worker_pid(self, seconds: float = _ANSWER_SECONDS) -> int | None:
        try:
            found = _PID.search(await ask(self._layout.socket, "show info", timeout=seconds))
        except EngineRefused:
            return None
        return int(found[1]) if found is not None else None

    async def _reloads(self) -> tuple[int, int] | None:
        """Reloads the master has begun and those that failed; None for the moment in which it replaces itself."""
        try:
            found = _RELOADS.search(await ask(self._layout.master_socket, _SHOW_PROC, timeout=_ANSWER_SECONDS))
        except EngineRefused:
            return None
        return (int(found[1]), int(found[2])) if found is not None else None

    def _require_master(self) -> None:
        """Raises `EngineRefused` when the master has ended: waiting for it would leave clients without a HAProxy."""
        if self.master is None:
            raise EngineRefused("HAProxy ended", words=self.last_words())

    async def _steady(self) -> tuple[int, int]:
        """Wait until the master takes signals.

        It replaces itself once more after a worker has started (2.6 and 2.8), and forgets a signal that comes just
        before.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + _START_SECONDS
        while loop.time() < deadline:
            self._require_master()
            reloads = await self._reloads()
            if reloads is not None:
                return reloads
            await asyncio.sleep(_STEP_SECONDS)
        raise EngineRefused("HAProxy's master does not answer", words=self.last_words())

    def _signal(self, master: int) -> None:
        try:
            os.kill(master, signal.SIGUSR2)
        except ProcessLookupError as failure:
            raise EngineRefused("HAProxy's master is gone") from failure

    async def reload(self) -> None:
        """Have the master start a new worker on the present configuration; the old one finishes its connections.

        Returns when the new worker answers. Raises `EngineRefused` when HAProxy refuses; the old worker then goes on.
        """
        master = self.master
        if master is None:
            raise EngineRefused("HAProxy is not running")
        begun, failed = await self._steady()
        before = self.worker
        self._signal(master)
        loop = asyncio.get_running_loop()
        deadline = loop.time() + _RELOAD_SECONDS
        look = loop.time() + _LOOK_SECONDS
        while loop.time() < deadline:
            await asyncio.sleep(_STEP_SECONDS)
            self._require_master()
            worker = await self._worker_pid()
            if worker is not None and worker != before:
                self.worker = worker
                return
            if loop.time() < look:
                continue
            look = loop.time() + _LOOK_SECONDS
            now = await self._reloads()
            if now is None:
                continue
            if now[1] > failed:
                raise EngineRefused("HAProxy refused the reload; it goes on as before", words=self.last_words())
            if now[0] == begun:
                self._signal(master)
        raise EngineRefused("HAProxy did not take the reload in time", words=self.last_words())

    async def wait_for_end(self) -> None:
        """Return when the master has ended. Works for an adopted master too."""
        master = self.master
        if master is None:
            return
        await ended(master)
        if self.master == master:
            # whoever waited for the same end may have started another one
            self._reap()

    def _reap(self) -> None:
        if self._child is not None:
            self._child.poll()
        self.master = self.worker = None

    async def stop(self) -> None:
        """End master and workers at once; their connections are cut."""
        master = self.master
        if master is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.kill(master, signal.SIGTERM)
        try:
            async with asyncio.timeout(5):
                await self.wait_for_end()
        except TimeoutError:
            self.kill()

    def kill(self) -> None:
        """End the master without asking it."""
        pid = self.master or (self._child.pid if self._child is not None else None)
        if pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if self._child is not None:
            self._child.wait()
        self.master = self.worker = None

    def last_words(self) -> str:
        """The alerts at the end of HAProxy's log."""
        try:
            lines = (self._layout.log / "haproxy.log").read_text(errors="replace").splitlines()[-40:]
        except OSError:
            return ""
        return "\n".join(line for line in lines if "[ALERT]" in line)[-2000:]


def _signal(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)
