"""A real Steelyard, started the way a user starts it, with everything it starts itself cleaned up afterwards.

    with SteelyardProcess() as steelyard:
        steelyard.loadmaster.must("addvs", vs="127.0.0.1", port=8080, prot="tcp")
        steelyard.kill9()            # the control plane alone: traffic goes on
        steelyard.restart()          # it comes back and adopts what runs

The state directory lies directly under /tmp: a Unix socket's path may have 107 bytes; pytest's directories are long.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import secrets
import shutil
import signal
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Self

from tests.support import processes
from tests.support.api_clients import Answer, LoadMasterClient, NativeClient
from tests.support.clients import fetch
from tests.support.namespaces import own_files
from tests.support.ports import free_port
from tests.support.processes import MARKER, Process

__all__ = ["Answer", "LoadMasterClient", "NativeClient", "StartFailed", "SteelyardProcess"]

_ROOT = Path(__file__).resolve().parents[2]
_LOG_TAIL_BYTES = 6000


def _namespace(kind: str) -> int:
    """Which one this thread is in."""
    return Path(f"/proc/thread-self/ns/{kind}").stat().st_ino


#: those of the tests themselves
_NETWORK, _MOUNTS = _namespace("net"), _namespace("mnt")


class StartFailed(RuntimeError):
    """`steelyard serve` ended, or did not answer in time; the message holds the end of its log."""


class SteelyardProcess:
    """`python -m steelyard serve` with its own state directory and port. Starts on entering the context or by `start`.

    Args:
        state_dir: kept afterwards when given; otherwise a new one that is deleted at the end.
        haproxy: the HAProxy binary to use, through STEELYARD_HAPROXY; None leaves the choice to Steelyard.
        environment: more variables for the process.
        arguments: more arguments for `serve`.
        prefix: words before the command, such as those of `namespaces.own_files`.
        password_given: False leaves the password of a first start to Steelyard, which then has its first start to do.
    """

    user = "bal"

    def __init__(
        self,
        state_dir: Path | None = None,
        *,
        admin_address: str = "127.0.0.1",
        admin_port: int | None = None,
        password: str | None = None,
        haproxy: Path | str | None = None,
        environment: Mapping[str, str] | None = None,
        arguments: tuple[str, ...] = (),
        prefix: tuple[str, ...] = (),
        password_given: bool = True,
    ) -> None:
        self._own_directory = state_dir is None
        self.state_dir = Path(tempfile.mkdtemp(prefix="sy-", dir="/tmp")) if state_dir is None else state_dir
        self.admin_address = admin_address
        self.admin_port = admin_port or free_port(admin_address)
        self.password = password or secrets.token_urlsafe(12)
        self.log_path = self.state_dir.with_name(self.state_dir.name + ".output")
        self._etc = self.state_dir.with_name(self.state_dir.name + ".etc")
        self._arguments = arguments
        self._prefix = prefix
        self._marker = secrets.token_hex(8)
        self._environment = os.environ | {MARKER: self._marker}
        if password_given:
            self._environment["STEELYARD_ADMIN_PASSWORD"] = self.password
        self._environment |= environment or {}
        if haproxy is not None:
            self._environment["STEELYARD_HAPROXY"] = str(haproxy)
        self._process: subprocess.Popen[bytes] | None = None
        self._clients: list[LoadMasterClient | NativeClient] = []
        atexit.register(self.stop)

    def __enter__(self) -> Self:
        try:
            return self.start()
        except BaseException:
            self.stop()
            raise

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def url(self) -> str:
        """Base address of the administration port, no slash at the end."""
        host = f"[{self.admin_address}]" if ":" in self.admin_address else self.admin_address
        return f"https://{host}:{self.admin_port}"

    @property
    def loadmaster(self) -> LoadMasterClient:
        """A new LoadMaster API client as administrator, closed with the process."""
        client = LoadMasterClient(self.url, self.user, self.password)
        self._clients.append(client)
        return client

    @property
    def native(self) -> NativeClient:
        """A new native API client as administrator, closed with the process."""
        client = NativeClient(self.url, self.user, self.password)
        self._clients.append(client)
        return client

    @property
    def log(self) -> str:
        """What the control plane has written to its standard output and error, over all its starts."""
        return self.log_path.read_text("utf-8", "replace") if self.log_path.exists() else ""

    def start(self, timeout: float = 15.0) -> Self:
        """Start the control plane and wait until it answers.

        Raises:
            StartFailed: it did not.
        """
        if self.running:
            raise RuntimeError("it runs already")
        prefix = self._prefix or self._own_files()
        command = [*prefix, sys.executable, "-m", "steelyard", "serve", "--state-dir", str(self.state_dir)]
        command += ["--admin-address", self.admin_address, "--admin-port", str(self.admin_port), *self._arguments]
        with self.log_path.open("ab") as log:
            self._process = subprocess.Popen(
                command, env=self._environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/"
            )
        self.wait_until_answering(timeout)
        return self

    def _own_files(self) -> tuple[str, ...]:
        """In a test's network namespace it may manage the network, whose names are in files that this host has once."""
        if _namespace("net") != _NETWORK and _namespace("mnt") == _MOUNTS:
            return own_files(self._etc)
        return ()

    def wait_until_answering(self, timeout: float = 15.0) -> None:
        """Wait for any HTTP answer on the administration port."""
        deadline = time.monotonic() + timeout
        while True:
            if self._process is None or self._process.poll() is not None:
                code = None if self._process is None else self._process.returncode
                raise StartFailed(f"steelyard serve ended with {code}:\n{self.log[-_LOG_TAIL_BYTES:]}")
            with contextlib.suppress(OSError, ssl.SSLError):  # not listening yet
                fetch(f"{self.url}/", timeout=2.0)
                return
            if time.monotonic() > deadline:
                raise StartFailed(f"no answer on {self.url} in {timeout} s:\n{self.log[-_LOG_TAIL_BYTES:]}")
            time.sleep(0.02)

    @property
    def running(self) -> bool:
        """Whether the control plane started last still runs."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        """The control plane's pid.

        Raises:
            RuntimeError: it does not run.
        """
        if self._process is None or not self.running:
            raise RuntimeError("the control plane does not run")
        return self._process.pid

    def processes(self) -> list[Process]:
        """Every live process of this Steelyard."""
        return processes.belonging_to(self.state_dir, self._marker)

    def pids(self) -> dict[str, list[int]]:
        """Live pids by role (control, health, haproxy, other) and by the name of each STATE_DIR/run/*.pid."""
        found: dict[str, list[int]] = {"control": [self.pid] if self.running else []}
        health = self._health_processes()
        haproxies = self.haproxy_pids()
        found["health"] = [process.pid for process in health]
        found["haproxy"] = haproxies
        known = {*found["control"], *found["health"], *haproxies}
        found["other"] = [process.pid for process in self.processes() if process.pid not in known]
        for file in sorted((self.state_dir / "run").glob("*.pid")):
            with contextlib.suppress(ValueError, OSError):  # being written, or replaced, this moment
                recorded = [int(word) for word in file.read_text().split()]
                found[file.name] = [pid for pid in recorded if processes.is_alive(pid)]
        return found

    def haproxy_pids(self) -> list[int]:
        """The pids of every HAProxy of this Steelyard: master and workers, old workers that still drain included."""
        return [process.pid for process in self.processes() if process.is_haproxy]

    def haproxy_master_pid(self) -> int:
        """The HAProxy whose parent is not another HAProxy of ours.

        Raises:
            LookupError: there is not exactly one.
        """
        ours = [process for process in self.processes() if process.is_haproxy]
        pids = {process.pid for process in ours}
        masters = [process.pid for process in ours if process.parent not in pids]
        if len(masters) != 1:
            raise LookupError(f"{len(masters)} HAProxy masters among {ours}")
        return masters[0]

    def haproxy_worker_pids(self) -> list[int]:
        """Children of the master, oldest first; the last one is the current worker."""
        master = self.haproxy_master_pid()
        ours = [process for process in self.processes() if process.is_haproxy and process.parent == master]
        return [process.pid for process in sorted(ours, key=lambda process: process.started)]

    def health_pid(self) -> int:
        """The pid of steelyard-health.

        Raises:
            LookupError: it does not run, or more than one does.
        """
        found = self._health_processes()
        if len(found) != 1:
            raise LookupError(f"{len(found)} health processes among {self.processes()}")
        return found[0].pid

    def _health_processes(self) -> list[Process]:
        words = ("steelyard-health", "steelyard.health", "steelyard/health")
        control = self._process.pid if self._process is not None else None
        return [process for process in self.processes() if process.pid != control and process.mentions(*words)]

    def kill9(self) -> None:
        """SIGKILL the control plane alone."""
        self._end_control_plane(signal.SIGKILL, 10.0)

    def stop_control_plane(self, timeout: float = 15.0) -> int:
        """SIGTERM the control plane alone and wait for its end; returns its exit code.

        Raises:
            subprocess.TimeoutExpired: it did not end in time.
        """
        return self._end_control_plane(signal.SIGTERM, timeout)

    def restart(self, timeout: float = 15.0) -> None:
        """Stop the control plane if it runs, and start it again on the same state directory."""
        if self.running:
            self.stop_control_plane()
        self.start(timeout)

    def _end_control_plane(self, number: signal.Signals, timeout: float) -> int:
        if self._process is None:
            raise RuntimeError("the control plane was never started")
        if self._process.poll() is None:
            self._process.send_signal(number)
        return self._process.wait(timeout)

    def stop(self) -> None:
        """End everything: the control plane by SIGTERM, whatever it leaves behind by pid. Safe to call twice."""
        atexit.unregister(self.stop)
        while self._clients:
            self._clients.pop().close()
        try:
            if self.running:
                self.stop_control_plane(timeout=10.0)
        except subprocess.TimeoutExpired:
            self.kill9()
        finally:
            # The control plane restarts what dies, so it goes first; a second look finds what was being started.
            processes.end(self.processes(), grace=1.0)
            processes.end(self.processes())
            if self._own_directory:
                shutil.rmtree(self.state_dir, ignore_errors=True)
                shutil.rmtree(self._etc, ignore_errors=True)
                self.log_path.unlink(missing_ok=True)
