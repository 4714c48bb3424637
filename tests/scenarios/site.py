"""A Steelyard with real servers behind it, started as a user starts it, and what a fault test asks of it.

with Site() as site, site.load() as load:
    os.kill(site.steelyard.health_pid(), signal.SIGKILL)
    load.wait_for_more(200)
load.result().assert_clean()
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from tests.support.clients import fetch
from tests.support.load import Load
from tests.support.origin import Origin
from tests.support.ports import free_port
from tests.support.processes import is_alive
from tests.support.steelyard_process import SteelyardProcess

#: The shortest a check may be: one attempt of a second, every two seconds.
QUICK_CHECKS = {"interval": 2, "timeout": 1, "retries": 1}
#: Longest a change of a real server takes to be seen with these checks, on a busy machine.
NOTICED_SECONDS = 10.0

#: A start takes about a second; beside a whole test suite on two cores it may take many.
START_SECONDS = 60.0

NAMES = ("one", "two", "three")


def wait_until(what: str, condition: Callable[[], Any], timeout: float = 10.0, *, every: float = 0.02) -> float:
    """Wait for a condition; returns the seconds it took. `TimeoutError` says what did not come."""
    started = time.monotonic()
    while not condition():
        if time.monotonic() - started > timeout:
            raise TimeoutError(f"not within {timeout} s: {what}")
        time.sleep(every)
    return time.monotonic() - started


def steelyard(*words: str, timeout: float = 60.0) -> subprocess.CompletedProcess[str]:
    """One command of the command line, to its end."""
    command = [sys.executable, "-m", "steelyard", *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=False, cwd="/")


def kill(*pids: int) -> None:
    """SIGKILL, all before any is waited for."""
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    wait_until(f"{pids} are gone", lambda: not any(is_alive(pid) for pid in pids))


@dataclass(frozen=True)
class Running:
    """One server as HAProxy has it."""

    address: str
    port: int
    up: bool
    admin: int
    weight: int

    @property
    def takes_clients(self) -> bool:
        return self.up and self.admin == 0 and self.weight > 0


class Site:
    """Steelyard, its real servers and one HTTP service in front of them (unless `service` is False)."""

    def __init__(
        self,
        *,
        haproxy: str | Path | None = None,
        state_dir: Path | None = None,
        servers: int = 3,
        service: bool = True,
        settings: Mapping[str, object] | None = None,
    ) -> None:
        self._stack = ExitStack()
        self._with_service = service
        self._settings = dict(settings or {})
        self.port = free_port()
        self.index = 0
        self.origins: list[Origin] = []
        self._number = servers
        self._declared: dict[str, Any] = {}
        self.steelyard = SteelyardProcess(state_dir, haproxy=haproxy)

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self.origins = [stack.enter_context(Origin(name)) for name in NAMES[: self._number]]
            stack.callback(self.steelyard.stop)
            self.steelyard.start(START_SECONDS)
            self.patch("/parameters/checks", QUICK_CHECKS)
            if self._with_service:
                self.index = self.add_service(self.port, **self._settings)
            self._declared = self.configuration()
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def restart(self) -> None:
        """Start the control plane again, stopping it first if it runs."""
        self.steelyard.restart(START_SECONDS)

    def renew(self) -> None:
        """Make it what it was after its start, for the next test. `AssertionError` when what runs is not well."""
        for origin in self.origins:
            origin.health_status, origin.delay, origin.silent = 200, 0.0, False
            origin.statuses.clear()
        self._ok("PUT", "/configuration?wait=true", self._declared)
        for server in range(1, len(self.origins) + 1):
            self.wait_for_status(server, "Up")
            self.wait_for_running(f"vs{self.index}/rs{server}", takes_clients=True)
        assert self.problems() == []
        assert len(self.steelyard.haproxy_worker_pids()) >= 1
        self.steelyard.health_pid()  # exactly one
        for origin in self.origins:
            origin.clear()

    # --- changes, each acknowledged or an AssertionError -------------------------------------------------------------

    def post(self, path: str, data: Mapping[str, object]) -> Any:
        return self._ok("POST", path, data)

    def patch(self, path: str, data: Mapping[str, object]) -> Any:
        return self._ok("PATCH", path, data)

    def delete(self, path: str) -> Any:
        return self._ok("DELETE", path, None)

    def get(self, path: str) -> Any:
        return self._ok("GET", path, None)

    def _ok(self, method: str, path: str, data: Mapping[str, object] | None) -> Any:
        with closing(self.steelyard.native) as client:
            response = client.request(method, path, **({} if data is None else {"json": dict(data)}))
        assert response.status_code < 300, f"{method} {path}: {response.status_code} {response.text}"
        return response.json()

    def add_service(self, port: int, *, origins: Iterable[Origin] | None = None, **settings: object) -> int:
        """An HTTP service with health checks, in force when this returns; its index."""
        chosen = self.origins if origins is None else list(origins)
        data: dict[str, object] = {
            "address": "127.0.0.1",
            "port": port,
            "service_type": "http",
            "check_type": "http",
            "check_url": "/health",
            "schedule": "wrr",
            # a weight of 1 among them keeps HAProxy's weights the same numbers
            "servers": [{"address": origin.address, "port": origin.port, "weight": 1} for origin in chosen],
        }
        found = self.post("/virtual-services?wait=true", data | settings)
        return int(found["object"]["index"])

    def weigh(self, server: int, weight: int) -> Any:
        return self.patch(f"/virtual-services/{self.index}/real-servers/{server}", {"weight": weight})

    # --- what is ------------------------------------------------------------------------------------------------------

    @property
    def root(self) -> Path:
        return self.steelyard.state_dir

    def load(self, kind: Any = "http1", *, pause: float = 0.02, **options: Any) -> Load:
        """Some 150 requests a second: enough to fall into any gap, and they leave the processor to what is tested."""
        return Load(kind, "127.0.0.1", options.pop("port", self.port), pause=pause, **options)

    def status(self, server: int, service: int | None = None) -> dict[str, Any]:
        """One real server as the API tells it."""
        for found in self.get("/status")["services"]:
            if found["index"] == (service or self.index):
                return next(one for one in found["servers"] if one["index"] == server)
        raise LookupError(f"no service {service or self.index}")

    def wait_for_status(self, server: int, status: str) -> None:
        wait_until(f"server {server} is {status}", lambda: self.status(server)["status"] == status, NOTICED_SECONDS)

    def wait_for_kept_verdict(self, server: str, state: str) -> None:
        """Wait until the checking process has this verdict on the disk, which takes it a fraction of a second."""

        def kept() -> bool:
            try:
                found = json.loads((self.root / "health" / "verdicts.json").read_bytes())["targets"]
            except ValueError:  # a test broke the file, and it has not been written anew
                return False
            return server in found and found[server]["state"] == state

        wait_until(f"verdict {state} of {server} is on the disk", kept, NOTICED_SECONDS)

    def configuration(self) -> dict[str, Any]:
        return dict(self.get("/configuration"))

    def revision(self) -> int:
        return int(self.get("/status")["revision"])

    def problems(self) -> list[str]:
        return list(self.get("/status")["problems"])

    def ask(self, command: str) -> str:
        """What HAProxy's current worker answers."""
        with closing(socket.socket(socket.AF_UNIX)) as connection:
            connection.settimeout(5.0)
            connection.connect(str(self.root / "run" / "haproxy.sock"))
            connection.sendall(f"{command}\n".encode())
            parts = []
            while part := connection.recv(65536):
                parts.append(part)
        return b"".join(parts).decode()

    def worker(self) -> int:
        """The pid of HAProxy's current worker, by its own word."""
        lines = self.ask("show info").splitlines()
        return next(int(line.partition(": ")[2]) for line in lines if line.startswith("Pid: "))

    def running(self) -> dict[str, Running]:
        """Every real server as HAProxy has it, by "backend/server" (`show servers state`, management guide 9.3)."""
        found = {}
        for line in self.ask("show servers state").splitlines():
            columns = line.split()
            if len(columns) < 19 or columns[0] == "#":
                continue
            found[f"{columns[1]}/{columns[3]}"] = Running(
                columns[4], int(columns[18]), columns[5] == "2", int(columns[6]), int(columns[7])
            )
        return found

    def wait_for_running(self, server: str, *, takes_clients: bool, timeout: float = NOTICED_SECONDS) -> None:
        def there() -> bool:
            found = self.running().get(server)
            return found is not None and found.takes_clients is takes_clients

        wait_until(f"HAProxy has {server} {'in' if takes_clients else 'out of'} service", there, timeout)

    def saved(self) -> tuple[int, dict[tuple[str, str], str]]:
        """Newest revision and objects as they are on the disk, read past Steelyard."""
        with closing(sqlite3.connect(f"file:{self.root}/steelyard.db?mode=ro", uri=True)) as connection:
            head = connection.execute("SELECT coalesce(max(number), 0) FROM revisions").fetchone()[0]
            rows = connection.execute("SELECT kind, key, document FROM objects").fetchall()
        return int(head), {(kind, key): text for kind, key, text in rows}

    def command(self, *words: str, timeout: float = 60.0) -> subprocess.CompletedProcess[str]:
        """`steelyard --state-dir DIR WORDS`, as a user types it."""
        return steelyard("--state-dir", str(self.root), *words, timeout=timeout)

    def everything(self) -> list[int]:
        """The pids of all processes of this Steelyard."""
        return [process.pid for process in self.steelyard.processes()]

    def leftovers(self) -> list[str]:
        """Half-written files."""
        return [str(path) for path in self.root.rglob("*.new")]


def serves(site: Site, port: int | None = None) -> bool:
    """Whether a request is answered by a real server now."""
    try:
        return fetch(f"http://127.0.0.1:{port or site.port}/", timeout=1.0).status == 200
    except OSError:
        return False
