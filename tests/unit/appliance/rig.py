"""A whole appliance on fakes: MemoryStore, FakeHaproxy, FakeHost, and a checking process that finds everything up.

async with running() as rig:
    outcome = await rig.do(AddService({...}))
    rig.haproxy.reloads
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

from tests.support.strategies import TEMPORARY, compiler, material

from steelyard.appliance.announcing import Announcer
from steelyard.appliance.appliance import Appliance
from steelyard.appliance.contract import Actor, Outcome
from steelyard.appliance.dataplane import DataPlane
from steelyard.appliance.journal import Journal
from steelyard.engines.haproxy.fake import FakeHaproxy
from steelyard.engines.health_process import HealthProcess
from steelyard.engines.host import FakeHost
from steelyard.health.client import HealthClient
from steelyard.health.status import Event, TargetStatus
from steelyard.model.commands import AddUser, Batch, PutCertificate
from steelyard.model.commands.command import Command
from steelyard.model.errors import EngineRefused
from steelyard.model.user import ADMINISTRATOR
from steelyard.observe.collector import Collector
from steelyard.observe.edge_files import EdgeFiles
from steelyard.observe.edge_log import EdgeLog
from steelyard.observe.events.bus import Bus
from steelyard.observe.events.log import EventLog
from steelyard.observe.host_figures import HostFigureReader
from steelyard.observe.recording.file import RecordFile
from steelyard.observe.recording.recorder import Recorder
from steelyard.plan.health import HealthPlan, Service
from steelyard.plan.operations import Release, SetHealth, SetState
from steelyard.store.memory import MemoryStore

HTTP: dict[str, Any] = {"address": "192.0.2.10", "port": 8080, "service_type": "http"}
SERVER: dict[str, Any] = {"address": "10.0.0.1", "port": 80}


class FakeHealthProcess:
    """A process that is started once and never ends by itself."""

    def __init__(self) -> None:
        self.pid: int | None = None
        self.starts = 0
        self.elsewhere = False
        self.comes_back = asyncio.Event()
        self._ended = asyncio.Event()

    def adopt(self) -> bool:
        return False

    async def back(self) -> None:
        await self.comes_back.wait()
        self.comes_back.clear()
        self.pid = 4321
        self._ended.clear()

    def start(self) -> None:
        self.pid = 1234
        self.starts += 1
        self._ended.clear()

    def end(self) -> None:
        self.pid = None
        self._ended.set()

    async def wait_for_end(self) -> None:
        await self._ended.wait()

    async def stop(self) -> None:
        self.end()


class FakeHealth:
    """The checking process: finds every target as `states` says (up unless told) and tells HAProxy so."""

    def __init__(self, haproxy: FakeHaproxy) -> None:
        self.states: dict[str, str] = {}
        self.refuses: str | None = None
        self.hold_sync = asyncio.Event()
        self.hold_sync.set()
        self.plan = HealthPlan()
        self._haproxy = haproxy
        self._events: asyncio.Queue[Event] = asyncio.Queue()

    async def replace_plan(self, plan: HealthPlan) -> None:
        self._ask()
        self.plan = plan
        await self._push()

    async def update(
        self, services: Mapping[str, Service | None], *, wait: float = 0.3, **timing: Any
    ) -> dict[str, TargetStatus]:
        self._ask()
        changed = {**self.plan.services, **services}
        kept = {key: service for key, service in changed.items() if service is not None}
        self.plan = HealthPlan(services=kept, **timing)
        await self._push()
        return {name: status for name, status in self._statuses().items() if name.split("/")[0] in services}

    async def sync(self) -> int:
        self._ask()
        await self.hold_sync.wait()
        await self._push()
        return 0

    async def snapshot(self) -> dict[str, TargetStatus]:
        self._ask()
        return self._statuses()

    async def transcripts(self, target: str) -> list[Any]:
        return []

    async def subscribe(self, after: str | None = None, number: int = 0) -> AsyncIterator[Event]:
        while True:
            yield await self._events.get()

    def _ask(self) -> None:
        if self.refuses is not None:
            raise EngineRefused("The checking process does not answer", words=self.refuses)

    def _statuses(self) -> dict[str, TargetStatus]:
        return {
            f"{service.key}/{target.key}": TargetStatus(
                state=self.states.get(f"{service.key}/{target.key}", "up"),  # type: ignore[arg-type]
                since=1.0,
                reason="said the test",
                checked=1.0,
                duration_ms=1.0,
                drain_ends=None,
                admin="ready" if target.enabled else "drain" if service.persistent else "maint",
                weight=None,
            )
            for service in self.plan.services.values()
            for target in service.targets
        }

    async def _push(self) -> None:
        """Bring what HAProxy has of it to what it should be."""
        for name, status in self._statuses().items():
            backend, server = name.split("/")
            running = self._haproxy.servers(backend).get(server)
            if running is None:
                continue
            if running.admin != status.admin:
                step = Release(backend, server) if status.admin == "ready" else SetState(backend, server, status.admin)
                await self._haproxy.run(step, self._haproxy.has())
            if running.up != (status.state == "up") and running.admin != "maint":
                await self._haproxy.run(SetHealth(backend, server, up=status.state == "up"), self._haproxy.has())


class Rig:
    """The appliance and everything it stands on."""

    def __init__(self) -> None:
        self.haproxy = FakeHaproxy()
        self.health = FakeHealth(self.haproxy)
        self.process = FakeHealthProcess()
        self.store = MemoryStore()
        self.host = FakeHost()
        self.journal = Journal(self.store)
        #: gone with the rig
        self.directory = tempfile.TemporaryDirectory(prefix="sy")
        self.collector = Collector(Path("/nonexistent/haproxy.sock"))
        self.dataplane = DataPlane(
            self.haproxy,
            cast(HealthProcess, self.process),
            cast(HealthClient, self.health),
            self.collector.before_reload,
        )
        self.appliance = Appliance(
            journal=self.journal,
            compiler=compiler(),
            dataplane=self.dataplane,
            host=self.host,
            collector=self.collector,
            recorder=Recorder(RecordFile(Path(self.directory.name) / "statistics.db"), HostFigureReader()),
            edge_log=EdgeLog(Path("/nonexistent/edge.pipe"), EdgeFiles(Path("/nonexistent"))),
            announcer=Announcer(Bus(EventLog(Path(self.directory.name) / "events.db")), self.journal.secret),
            acme_hooks=Path(self.directory.name) / "acme-hooks",
            root=Path(self.directory.name),
        )

    async def start(self) -> None:
        """The first start, with an administrator and the temporary certificate."""
        first = Batch(
            (
                AddUser(ADMINISTRATOR, "-"),
                AddUser("ann", "-", ("real",)),
                PutCertificate(TEMPORARY, material("steelyard.invalid"), temporary=True),
            )
        )
        before = self.journal.load()
        change = first.apply(before.configuration)
        ann = Actor(change.configuration.user("ann"), "system")
        await self.journal.commit(before, change.configuration, "first start", ann, "", change.secrets, None)
        await self.appliance.start(self.journal.load())

    def actor(self, name: str = ADMINISTRATOR) -> Actor:
        return Actor(self.appliance.snapshot().configuration.user(name), "test")

    async def do(self, command: Command, *, wait: bool | None = True, **more: Any) -> Outcome:
        """Carry out a command as the administrator, and wait for its reload."""
        return await self.appliance.execute(command, self.actor(), wait=wait, **more)

    def statuses(self) -> dict[int, str]:
        """The status word of every revision."""
        return {entry.number: entry.status for entry in self.appliance.history(1000)}

    def check_that_all_agree(self) -> None:
        """Store, memory, plan and engine hold the same configuration."""
        configuration = self.appliance.snapshot().configuration
        stored = self.journal.load()
        assert stored.configuration == configuration
        assert stored.revision == self.appliance.snapshot().revision
        plan = compiler().compile(configuration).haproxy
        assert self.dataplane.wanted == plan
        assert self.dataplane.applied == plan
        for key, service in self.haproxy.has().services.items():
            expected = {s.name: (s.address, s.port, s.limit, s.enabled) for s in plan.services[key].backend.servers}
            assert {s.name: (s.address, s.port, s.limit, s.enabled) for s in service.backend.servers} == expected
        assert set(self.haproxy.has().services) == set(plan.services)
        self.store.check_integrity()


@asynccontextmanager
async def running() -> AsyncIterator[Rig]:
    """A started rig, closed at the end."""
    rig = Rig()
    await rig.start()
    try:
        yield rig
    finally:
        rig.haproxy.hold.set()
        rig.health.hold_sync.set()
        await rig.appliance.close(stop_engines=True)
