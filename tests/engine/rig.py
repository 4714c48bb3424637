"""A running appliance for tests, with a real HAProxy: services are made by commands, clients talk to them.

    service = rig.http(one, two, schedule="wrr")
    service.names(4)                       # which origins answered four requests, each on a connection of its own
    service.change(persistence="src")
    service.server(one).change(weight=10)

The appliance runs in a thread with a loop of its own, so tests may block. Check timings are the shortest there are.
"""

from __future__ import annotations

import contextlib
import re
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from tests.support.background_loop import BackgroundLoop
from tests.support.certificates import Certified
from tests.support.clients import Connection, Reply, fetch
from tests.support.listener import Listener
from tests.support.origin import Origin
from tests.support.ports import free_port

from steelyard.appliance.contract import Actor, Outcome
from steelyard.appliance.startup import Started, start_appliance
from steelyard.engines.haproxy.records import teaches
from steelyard.engines.haproxy.runtime import ask, ask_master
from steelyard.explain.report import Explanation
from steelyard.explain.request import Request
from steelyard.health.engine_text import old_workers, servers_state
from steelyard.health.steps import Have
from steelyard.model.access_list import EVERY_SERVICE, LISTS
from steelyard.model.certificate import read_upload
from steelyard.model.commands import (
    AddServer,
    AddService,
    Batch,
    ChangeServer,
    ChangeService,
    Command,
    PutCertificate,
    RemoveLdapEndpoint,
    RemoveRule,
    RemoveServer,
    RemoveService,
    ReplaceList,
    SetParameters,
)
from steelyard.model.errors import EngineRefused
from steelyard.model.user import ADMINISTRATOR
from steelyard.plan.haproxy import table_name

T = TypeVar("T")

LAYER7_DEFAULTS: dict[str, Any] = {
    "always_check_persistence": 0,
    "drop_on_failure": False,
    "drop_at_drain_end": False,
    "drain_time": 300,
    "add_cookie_port": False,
    "share_subvs_persistence": False,
    "slow_start": 0,
}
_RECORD = re.compile(r"key=(\S+) .*?exp=(\d+) .*?server_id=(\d+)")


def eventually(condition: Callable[[], T], what: str, timeout: float = 10.0) -> T:
    """Wait until `condition` gives something true, and give that back."""
    deadline = time.monotonic() + timeout
    while True:
        found = condition()
        if found:
            return found
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: not within {timeout} s")
        time.sleep(0.02)


class Rig:
    """One appliance in a state directory of its own."""

    def __init__(self, binary: str) -> None:
        self.binary = binary
        # Not pytest's directory: a socket's path has at most 107 characters.
        self.directory = Path(tempfile.mkdtemp(prefix="sy"))
        self._background = BackgroundLoop("appliance")
        self._started: Started | None = None
        self._left = False
        try:
            self.start()
            self.do(SetParameters("checks", {"interval": 2, "timeout": 1, "retries": 1}))
        except BaseException:
            self.close()
            raise

    @property
    def started(self) -> Started:
        assert self._started is not None, "the appliance is not running"
        return self._started

    def start(self) -> None:
        """Start an appliance on the state directory; engines that run already are adopted."""
        self._started = self._background.run(start_appliance(self.directory, haproxy=self.binary), 30)

    def let_go(self) -> None:
        """End the control plane alone."""
        self._background.run(self.started.appliance.close(stop_engines=False), 30)
        self._started = None

    def close(self) -> None:
        """End everything and remove the state directory."""
        if self._started is not None:
            self._background.run(self._started.appliance.close(stop_engines=True), 30)
            self._started = None
        self._background.stop()
        shutil.rmtree(self.directory, ignore_errors=True)

    def do(self, command: Command, *, wait: bool | None = True) -> Outcome:
        """Carry out a command as the administrator; by default wait for a reload that was put off."""
        if self._left and isinstance(command, AddService):
            return self._add_and_clean(command, wait)
        if self._left:
            self.clean()
        return self._execute(command, wait)

    def _add_and_clean(self, command: AddService, wait: bool | None) -> Outcome:
        """The new service comes first: with the number of one that goes it would get its persistence records too."""
        old = set(self.started.appliance.snapshot().configuration.services)
        outcome = self._execute(Batch([command, *self._cleaning()]), wait)
        self._left = False
        now = self.started.appliance.snapshot().configuration.services
        (added,) = (index for index, service in now.items() if index not in old and not service.is_sub)
        return replace(outcome, preview=replace(outcome.preview, key=added))

    def _execute(self, command: Command, wait: bool | None) -> Outcome:
        appliance = self.started.appliance
        actor = Actor(appliance.snapshot().configuration.user(ADMINISTRATOR), "test")
        return self._background.run(appliance.execute(command, actor, wait=wait), 40)

    def wait_for(self, awaitable: Coroutine[Any, Any, T]) -> T:
        """The result of something the appliance does."""
        return self._background.run(awaitable, 40)

    def ask(self, command: str) -> str:
        """HAProxy's answer on its runtime socket."""
        return self._background.run(ask(self.started.layout.socket, command))

    def transcripts(self, service: int, server: int) -> Sequence[Mapping[str, Any]]:
        """The last checks of a real server, newest first."""
        return self._background.run(self.started.appliance.transcripts(service, server))

    def explain(self, request: Request) -> Explanation:
        """What the appliance says would happen to a request."""
        return self._background.run(self.started.appliance.explain(request), 10)

    def rotate_ticket_keys(self) -> None:
        """What the appliance does every minute: replace keys of session tickets whose time is over."""
        self._background.run(self.started.appliance._dataplane.rotate_ticket_keys())

    def await_(self, asked: Coroutine[Any, Any, T]) -> T:
        """What the appliance answers."""
        return self._background.run(asked)

    def only_one_worker(self) -> bool:
        """Whether replaced workers have ended; a connection that was waiting for one follows its rules."""
        try:
            said = self._background.run(ask_master(self.started.layout.master_socket, "show proc"))
        except EngineRefused:
            # the master is starting itself anew, which is part of a reload
            return False
        return not old_workers(said)

    def teaches(self) -> bool:
        """Whether the worker would teach its records to the next one; a new one does after five to ten seconds."""
        return self._background.run(teaches(self.started.layout.socket))

    @property
    def worker(self) -> int:
        """The pid of HAProxy's worker; it changes with every reload."""
        found = re.search(r"^Pid: (\d+)$", self.ask("show info"), re.MULTILINE)
        assert found is not None
        return int(found[1])

    def http(self, *origins: Listener, **settings: Any) -> Service:
        """A service of type http on a free port of 127.0.0.1 in front of these origins."""
        return self.service(origins, **({"service_type": "http"} | settings))

    def tcp(self, *origins: Listener, **settings: Any) -> Service:
        """A generic service."""
        return self.service(origins, **({"service_type": "gen"} | settings))

    def service(self, origins: tuple[Listener, ...], **settings: Any) -> Service:
        servers = settings.pop("servers", None) or [member(origin) for origin in origins]
        data = {"address": "127.0.0.1", "port": free_port(), "servers": servers} | settings
        outcome = self.do(AddService(data))
        assert isinstance(outcome.key, int)
        service = Service(self, outcome.key)
        if data.get("enabled", True):
            for server in service.servers:
                if server.setting("enabled"):
                    server.wait_until("up")
        return service

    def layer7(self, **changes: Any) -> None:
        """Set global layer-7 parameters."""
        self.do(SetParameters("layer7", changes))

    def certificate(self, name: str, certified: Certified, *, replace: bool = False) -> Outcome:
        """Import a certificate; one of that name that another test has left is replaced."""
        left = name in self.started.appliance.snapshot().configuration.certificates
        return self.do(PutCertificate(name, read_upload(certified.bundle()), replace=replace or left))

    def backup(self, pass_phrase: str) -> bytes:
        """The encrypted file of all certificates."""
        appliance = self.started.appliance
        actor = Actor(appliance.snapshot().configuration.user(ADMINISTRATOR), "test")
        return self._background.run(appliance.backup_certificates(pass_phrase, actor), 10)

    @contextlib.contextmanager
    def without_reload(self) -> Iterator[None]:
        """Assert that what is done inside needs no reload."""
        before = self.worker
        yield
        assert self.worker == before, "HAProxy was reloaded"

    def clean(self) -> None:
        """Remove every service and go back to the defaults."""
        self._left = False
        self.do(Batch(self._cleaning()), wait=False)

    def leave(self) -> None:
        """Clean with the first change of the next test: both need HAProxy's consent and a reload, one does for both."""
        self._left = True

    def _cleaning(self) -> list[Command]:
        configuration = self.started.appliance.snapshot().configuration
        services = configuration.services.items()
        commands: list[Command] = [ChangeService(i, {"follow_vs": 0}) for i, service in services if service.follow_vs]
        # sub-services go with their parents
        commands += [RemoveService(index) for index, service in services if not service.is_sub]
        commands += [RemoveRule(name, detach=True) for name in configuration.rules]
        commands += [RemoveLdapEndpoint(name) for name in configuration.ldap_endpoints]
        if EVERY_SERVICE in configuration.access_lists:
            commands += [ReplaceList(EVERY_SERVICE, which) for which in LISTS]
        commands.append(SetParameters("access", {"enabled": True, "drop": True}))
        commands.append(SetParameters("layer7", LAYER7_DEFAULTS))
        return commands


def member(origin: Listener, **settings: Any) -> dict[str, Any]:
    """A real server's settings for an origin."""
    return {"address": origin.address, "port": origin.port} | settings


class Service:
    """A virtual service and its clients."""

    def __init__(self, rig: Rig, index: int) -> None:
        self.rig = rig
        self.index = index
        self.key = f"vs{index}"

    def setting(self, name: str) -> Any:
        return getattr(self.rig.started.appliance.snapshot().configuration.service(self.index), name)

    @property
    def address(self) -> str:
        return str(self.setting("address"))

    @property
    def port(self) -> int:
        return int(self.setting("port"))

    @property
    def tls(self) -> bool:
        return bool(self.setting("ssl_acceleration"))

    @property
    def url(self) -> str:
        host = f"[{self.address}]" if ":" in self.address else self.address
        return f"{'https' if self.tls else 'http'}://{host}:{self.port}"

    # --- clients
    # -------------------------------------------------------------------------------------------------------

    def fetch(self, path: str = "/", *, port: int | None = None, **request: Any) -> Reply:
        """One request on a connection of its own. Takes what `clients.fetch` takes."""
        if port is not None:
            request["connect_to"] = (self.address, port)
        return fetch(self.url + path, **request)

    def name(self, path: str = "/", **request: Any) -> str:
        """Which origin answers."""
        return self.fetch(path, **request).name

    def names(self, count: int, path: str = "/", **request: Any) -> list[str]:
        """Which origins answer so many requests, each on a connection of its own."""
        return [self.name(path, **request) for _ in range(count)]

    def spread(self, count: int, path: str = "/", **request: Any) -> Counter[str]:
        """How many of so many requests each origin answered."""
        return Counter(self.names(count, path, **request))

    def connect(self, *, port: int | None = None, **options: Any) -> Connection:
        """A connection that can carry several requests."""
        return Connection(self.address, port or self.port, **({"tls": self.tls} | options))

    # --- changes
    # -------------------------------------------------------------------------------------------------------

    def change(self, **changes: Any) -> Outcome:
        return self.rig.do(ChangeService(self.index, changes))

    def add(self, origin: Listener, **settings: Any) -> Server:
        outcome = self.rig.do(AddServer(self.index, member(origin, **settings)))
        assert isinstance(outcome.key, int)
        return Server(self, outcome.key)

    @property
    def servers(self) -> list[Server]:
        return [Server(self, server.index) for server in self.setting("servers")]

    def server(self, origin: Listener) -> Server:
        """The real server an origin stands for."""
        return next(
            Server(self, server.index)
            for server in self.setting("servers")
            if (server.address, server.port) == (origin.address, origin.port)
        )

    # --- what HAProxy has
    # ----------------------------------------------------------------------------------------------

    def records(self) -> dict[str, tuple[int, float]]:
        """Persistence records: key to (number of the real server, seconds left)."""
        found = _RECORD.findall(self.rig.ask(f"show table {table_name(self.key)}"))
        return {key: (int(server), int(left) / 1000) for key, left, server in found}


class Server:
    """A real server of a service."""

    def __init__(self, service: Service, index: int) -> None:
        self._service = service
        self.index = index
        self.key = f"rs{index}"

    def setting(self, name: str) -> Any:
        configuration = self._service.rig.started.appliance.snapshot().configuration
        server = configuration.service(self._service.index).server(self.index)
        assert server is not None
        return getattr(server, name)

    def change(self, **changes: Any) -> Outcome:
        return self._service.rig.do(ChangeServer(self._service.index, self.index, changes))

    def remove(self) -> Outcome:
        return self._service.rig.do(RemoveServer(self._service.index, self.index))

    @property
    def status(self) -> str:
        """The word an operator sees."""
        appliance = self._service.rig.started.appliance
        return appliance.states()[self._service.index].servers[self.index].status

    def in_engine(self) -> Have | None:
        """What HAProxy has of it; None while its reload is put off."""
        answer = self._service.rig.ask(f"show servers state {self._service.key}")
        if answer.startswith("Can't find backend"):
            return None
        states: Mapping[tuple[str, str], Have] = servers_state(answer)
        return states.get((self._service.key, self.key))

    def wait_until(self, word: str, timeout: float = 10.0) -> None:
        """Wait until HAProxy has it up, down, in maint or in drain."""

        def reached() -> bool:
            have = self.in_engine()
            if have is None:
                return False
            if word in ("maint", "drain"):
                return have.admin == word
            return have.admin != "maint" and have.up == (word == "up")

        eventually(reached, f"{self._service.key}/{self.key} is {word}", timeout)


def hold(service: Service, origins: Sequence[Origin], count: int, seconds: float = 20.0) -> list[Connection]:
    """Open so many requests that take `seconds`; returns when the origins have them all."""
    before = _requests(origins)
    held = []
    for number in range(count):
        connection = service.connect()
        connection.socket.sendall(f"GET /sleep?ms={seconds * 1000:.0f} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
        held.append(connection)
        # one after the other: what is chosen for the next depends on where this one went
        wanted = before + number + 1
        eventually(lambda: _requests(origins) >= wanted, "a request reaches an origin")  # noqa: B023 - ends in here
    return held


def _requests(origins: Sequence[Origin]) -> int:
    return sum(origin.request_count for origin in origins)


def open_requests(origin: Origin) -> int:
    """How many long requests an origin has got."""
    return sum(1 for seen in origin.requests if seen.path == "/sleep")
