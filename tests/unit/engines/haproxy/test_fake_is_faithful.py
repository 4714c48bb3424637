"""The fake and the real HAProxy, asked the same: they refuse the same, and are the same afterwards."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from tests.support import certificates, haproxy_binaries
from tests.support.ports import free_ports

from steelyard.emit.haproxy.server_state import ServerState
from steelyard.engines.haproxy.engine import RealHaproxy
from steelyard.engines.haproxy.fake import FakeHaproxy
from steelyard.engines.haproxy.layout import Layout
from steelyard.engines.haproxy.runtime import ask
from steelyard.health.engine_text import servers_state
from steelyard.health.steps import Have
from steelyard.model.certificate import Material, read_upload
from steelyard.model.errors import EngineRefused
from steelyard.plan.haproxy import (
    Backend,
    Bind,
    BindTls,
    CertificateFile,
    Frontend,
    Globals,
    HaproxyPlan,
    Server,
    ServerTls,
    ServicePlan,
    Table,
)
from steelyard.plan.operations import (
    AddServer,
    AssignCertificate,
    DropSessions,
    LoadCertificate,
    Operation,
    Release,
    RemoveServer,
    ReplaceCertificate,
    SetAddress,
    SetHealth,
    SetMaxConnections,
    SetState,
    SetWeight,
    UnloadCertificate,
    WithdrawCertificate,
)

pytestmark = [pytest.mark.engine, pytest.mark.timeout(60)]


def server(number: int, **changes: object) -> Server:
    made = Server(f"rs{number}", number, f"10.0.0.{number}", 8000, weight=100, limit=0, enabled=True)
    return replace(made, **changes)  # type: ignore[arg-type]


def backend(name: str, *servers: Server, **changes: object) -> ServicePlan:
    made = Backend(name, "http", ("roundrobin",), servers, idle_seconds=60)
    return ServicePlan(name, None, replace(made, **changes))  # type: ignore[arg-type]


PLAN = HaproxyPlan(
    Globals(100, 1),
    {
        "vs1": backend("vs1", server(1), server(2), table=Table("ip", 1000, 60)),
        "vs2": backend("vs2", server(3, port=None)),
        "vs3": backend("vs3", server(4, tls=ServerTls("str(shop.example)"))),
    },
)
OTHER = HaproxyPlan(Globals(100, 1), {"vs1": backend("vs1", server(1, weight=7), server(9))})


def states(plan: HaproxyPlan) -> list[ServerState]:
    """Up and ready, but for rs2, which is down, and rs9, which drains."""
    return [
        ServerState(s.backend.name, one, one.name != "rs2", "drain" if one.name == "rs9" else "ready", one.weight)
        for s in plan.services.values()
        for one in s.backend.servers
    ]


@dataclass
class Pair:
    real: RealHaproxy
    fake: FakeHaproxy
    layout: Layout
    material: Material

    async def both(self, operation: Operation, plan: HaproxyPlan = PLAN) -> bool:
        """Run an operation on both: they agree whether it is refused, and how things are afterwards."""
        refused = []
        for engine in (self.real, self.fake):
            try:
                await engine.run(operation, plan)
            except EngineRefused as refusal:
                refused.append(refusal.words)
            else:
                refused.append("")
        assert bool(refused[0]) == bool(refused[1]), f"{operation}: real {refused[0]!r}, fake {refused[1]!r}"
        await self.same()
        return not refused[0]

    async def same(self) -> None:
        assert await self._real_servers() == self._fake_servers()

    async def _real_servers(self) -> dict[tuple[str, str], object]:
        text = await ask(self.layout.socket, "show servers state")
        found: dict[tuple[str, str], object] = {}
        rows = {(words[1], words[3]): words for words in map(str.split, text.splitlines()[2:]) if len(words) > 20}
        for name, have in servers_state(text).items():
            found[name] = (*_comparable(have), rows[name][4], int(rows[name][18]), int(rows[name][2]))
        return found

    def _fake_servers(self) -> dict[tuple[str, str], object]:
        found: dict[tuple[str, str], object] = {}
        for name in self.fake.backends:
            for key, running in self.fake.servers(name).items():
                have = Have(running.up, running.admin, running.weight)
                one = running.server
                found[(name, key)] = (*_comparable(have), one.address, one.port or 0, one.id)
        return found


def _comparable(have: Have) -> tuple[bool, str, int]:
    """A server in maintenance is neither up nor down."""
    return (have.up and have.admin != "maint", have.admin, have.weight)


@pytest.fixture(params=haproxy_binaries.NAMES)
async def pair(request: pytest.FixtureRequest) -> AsyncIterator[Pair]:
    binary = haproxy_binaries.require(request.param)
    root = Path(tempfile.mkdtemp(prefix="sy"))
    layout = Layout(root)
    layout.make()
    material = read_upload(certificates.leaf("shop.example", kind="ec").bundle())
    real = RealHaproxy(binary, layout, lambda _: material.key_pem or b"", lua=True)
    fake = FakeHaproxy()
    try:
        for engine in (real, fake):
            await engine.start(PLAN, states(PLAN))
        yield Pair(real, fake, layout, material)
    finally:
        await real.stop()
        shutil.rmtree(root, ignore_errors=True)


async def test_both_start_with_the_states_they_are_given(pair: Pair) -> None:
    await pair.same()


async def test_both_carry_out_and_refuse_the_same_operations(pair: Pair) -> None:
    both = pair.both
    assert await both(SetWeight("vs1", "rs1", 0))
    assert await both(SetWeight("vs1", "rs1", 256))
    assert not await both(SetWeight("vs1", "rs1", 257))
    assert not await both(SetWeight("vs1", "rs7", 1))
    assert not await both(SetWeight("vs9", "rs1", 1))
    assert await both(SetHealth("vs1", "rs1", up=False))
    assert await both(SetHealth("vs1", "rs2", up=True))
    assert not await both(SetHealth("vs1", "rs7", up=True))
    assert await both(SetMaxConnections("vs1", "rs1", 500))
    assert await both(SetMaxConnections("vs1", "rs1", 0))
    assert await both(DropSessions("vs1", "rs1"))
    assert not await both(DropSessions("vs1", "rs7"))
    assert not await both(ReplaceCertificate("shop"), _with_certificate(pair.material))


async def test_a_server_that_leaves_maintenance_is_up_whatever_was_said_before(pair: Pair) -> None:
    both = pair.both
    assert await both(SetState("vs1", "rs1", "maint"))
    assert await both(SetHealth("vs1", "rs1", up=False))
    assert await both(Release("vs1", "rs1"))
    assert pair.fake.server("vs1", "rs1").up
    assert await both(SetHealth("vs1", "rs1", up=False))
    assert await both(SetState("vs1", "rs1", "drain"))
    assert await both(SetState("vs1", "rs1", "ready"))
    assert not pair.fake.server("vs1", "rs1").up


async def test_addresses_and_ports_change_at_run_time(pair: Pair) -> None:
    both = pair.both
    assert await both(SetAddress("vs1", "rs1", "10.0.0.9", 8001))
    assert await both(SetAddress("vs1", "rs1", "10.0.0.9", 8001))
    assert await both(SetAddress("vs1", "rs1", "2001:db8::9", 8001))
    assert await both(SetAddress("vs2", "rs3", "10.0.0.8", None))
    assert not await both(SetAddress("vs1", "rs7", "10.0.0.9", 8001))
    assert await both(SetAddress("vs2", "rs3", "10.0.0.8", 80))
    assert await both(SetAddress("vs1", "rs1", "10.0.0.7", None))


async def test_servers_are_added_and_removed_under_haproxys_rules(pair: Pair) -> None:
    both = pair.both
    assert await both(AddServer("vs1", server(5, weight=0, limit=10)))
    assert not await both(AddServer("vs1", server(5)))
    assert not await both(AddServer("vs1", replace(server(5), name="rs6")))
    assert not await both(AddServer("vs9", server(6)))
    assert not await both(AddServer("vs1", server(6, weight=257)))
    assert await both(AddServer("vs2", server(6, port=None)))
    assert await both(AddServer("vs3", server(7, tls=ServerTls("ssl_fc_sni"))))
    assert await both(AddServer("vs3", server(8, address="2001:db8::8", tls=ServerTls(None))))
    assert await both(Release("vs1", "rs5"))
    assert await both(RemoveServer("vs1", "rs5"))
    assert not await both(RemoveServer("vs1", "rs5"))
    assert await both(AddServer("vs1", server(5)))
    assert await both(RemoveServer("vs1", "rs1"))


async def test_a_reload_takes_the_states_it_is_given_and_forgets_what_was_done_at_run_time(pair: Pair) -> None:
    assert await pair.both(SetWeight("vs1", "rs2", 3))
    for engine in (pair.real, pair.fake):
        await engine.reload(OTHER, lambda: states(OTHER))
    await pair.same()
    assert pair.fake.server("vs1", "rs9").admin == "drain"


async def test_a_plan_that_cannot_be_loaded_leaves_what_runs_as_it_was(pair: Pair) -> None:
    twice = HaproxyPlan(Globals(100, 1), {"vs1": backend("vs1", server(1), replace(server(2), id=1))})
    for engine in (pair.real, pair.fake):
        with pytest.raises(EngineRefused):
            await engine.check(twice)
        with pytest.raises(EngineRefused):
            await engine.reload(twice, lambda: states(twice))
    await pair.same()


async def test_certificates_of_listeners_come_and_go_by_the_same_rules(pair: Pair) -> None:
    (port,) = free_ports(1)
    files = {
        name: CertificateFile(name, pair.material.chain_pem, pair.material.key_id or "") for name in ("one", "two")
    }

    def listening(*names: str) -> HaproxyPlan:
        tls = BindTls(names, (), "TLSv1.2")
        frontend = Frontend("vs1", "http", (Bind("127.0.0.1", port, port),), tls, 60)
        service = replace(backend("vs1", server(1)), frontend=frontend)
        return HaproxyPlan(PLAN.settings, {"vs1": service}, {name: files[name] for name in names})

    first, both = listening("one"), listening("one", "two")
    for engine in (pair.real, pair.fake):
        await engine.reload(first, lambda: states(first))
    for operation, works in (
        (AssignCertificate("vs1", "two"), False),
        (UnloadCertificate("two"), False),
        (LoadCertificate("two"), True),
        (AssignCertificate("vs2", "two"), False),
        (AssignCertificate("vs1", "two"), True),
        (UnloadCertificate("two"), False),
        (WithdrawCertificate("vs1", "one"), False),
        (WithdrawCertificate("vs1", "two"), True),
        (WithdrawCertificate("vs1", "two"), False),
        (LoadCertificate("two"), True),
        (UnloadCertificate("two"), True),
        (UnloadCertificate("one"), False),
    ):
        assert await pair.both(operation, both) is works, operation
    assert pair.fake.has().certificates == first.certificates


def _with_certificate(material: Material) -> HaproxyPlan:
    file = CertificateFile("shop", material.chain_pem, material.key_id or "")
    return HaproxyPlan(PLAN.settings, {}, {"shop": file})
