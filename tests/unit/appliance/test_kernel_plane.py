"""The control plane's side of `steelyard-netd`: plans and differences, restarts, what waits to be confirmed."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from steelyard.appliance.kernel_plane import KernelPlane
from steelyard.appliance.problems import Problems
from steelyard.engines.netlink.fake import FakeNetwork
from steelyard.engines.nft.packet_rules import MemoryPacketRules
from steelyard.model.errors import ConflictError, EngineRefused, HostLacks
from steelyard.netd.client import NetdClient
from steelyard.netd.files import NetdFiles
from steelyard.netd.keeper import Keeper
from steelyard.netd.layer4 import Layer4
from steelyard.netd.server import NetdServer
from steelyard.plan.kernel import KernelPlan
from steelyard.plan.network import HeldAddress, HostNetwork, Link, NetworkPlan


class NoNames:
    def apply(self, wanted: HostNetwork) -> tuple[str, ...]:
        return ()

    def clear(self) -> None: ...


class Netd(NetdClient):
    """`steelyard-netd` in this process: the real protocol over a kernel in memory. `dead` answers nobody."""

    def __init__(self, directory: Path) -> None:
        super().__init__("/nowhere")
        self.directory = directory
        self.network = FakeNetwork("eth0")
        self.network.foreign("eth0", "192.0.2.1/24")
        self.asked: list[str] = []
        self.now = 1000.0
        self.dead = False
        self.start()

    def start(self) -> None:
        files = NetdFiles(self.directory)
        self.keeper = Keeper(
            self.network, Layer4({}), NoNames(), files, clock=lambda: self.now, packet_rules=MemoryPacketRules()
        )
        self.keeper.start()
        self.server = NetdServer(self.keeper, self.directory / "sock", frozenset())

    async def _exchange(self, request: dict[str, Any]) -> dict[str, Any]:
        if self.dead:
            raise EngineRefused("steelyard-netd does not answer")
        self.asked.append(request["op"])
        self.server._loop = asyncio.get_running_loop()
        return await self.server._answer(json.dumps(request).encode())

    def addresses(self) -> list[str]:
        return sorted(one.address for one in self.network.read().addresses)


class Rig:
    def __init__(self, directory: Path) -> None:
        self.netd = Netd(directory)
        self.undone: list[int] = []
        self.problems = Problems(lambda concern, words: None)
        self.plane = KernelPlane(self.netd, None)

    async def start(self, plan: KernelPlan | None = None, revision: int = 1) -> None:
        async def on_undone(number: int) -> None:
            self.undone.append(number)

        await self.plane.start(plan or KernelPlan(), revision, self.problems, on_undone)

    async def again(self, plan: KernelPlan, revision: int) -> None:
        """Another control plane on the same `steelyard-netd`."""
        await self.plane.close(stop=False)
        self.plane = KernelPlane(self.netd, None)
        await self.start(plan, revision)


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    made = Rig(tmp_path)
    yield made
    await made.plane.close(stop=False)


def plan(*held: str, own: str | None = None) -> KernelPlan:
    host = None if own is None else HostNetwork(links={"eth0": Link(name="eth0", addresses=(own,))})
    return KernelPlan(
        network=NetworkPlan(held={one: HeldAddress(address=one, interface="eth0") for one in held}, host=host)
    )


async def test_who_has_nothing_for_the_kernel_asks_nobody(rig: Rig) -> None:
    await rig.start()
    rig.netd.asked.clear()
    await rig.plane.check(KernelPlan())
    await rig.plane.apply(KernelPlan(), 2, 60)
    await rig.plane.restore(KernelPlan(), 1)
    assert rig.netd.asked == []


async def test_differences_are_sent_and_everything_to_one_that_has_started_anew(rig: Rig) -> None:
    await rig.start()
    await rig.plane.apply(plan("192.0.2.50"), 2, 60)
    rig.netd.asked.clear()
    await rig.plane.check(plan("192.0.2.51"))
    await rig.plane.apply(plan("192.0.2.51"), 3, 60)
    assert rig.netd.asked == ["check", "change", "status"] and rig.netd.addresses() == ["192.0.2.1", "192.0.2.51"]
    # it has lost its files, and the generation with them
    for file in rig.netd.directory.glob("*.json*"):
        file.unlink()
    rig.netd.start()
    await rig.plane.apply(plan("192.0.2.52"), 4, 60)
    assert rig.netd.asked[-3:] == ["change", "plan", "status"] and rig.netd.addresses() == ["192.0.2.1", "192.0.2.52"]


async def test_another_control_plane_goes_on_where_the_first_one_ended(rig: Rig) -> None:
    await rig.start()
    await rig.plane.apply(plan("192.0.2.50"), 2, 60)
    await rig.again(plan("192.0.2.50", "192.0.2.51"), 3)
    assert rig.netd.addresses() == ["192.0.2.1", "192.0.2.50", "192.0.2.51"] and not rig.problems
    await rig.again(KernelPlan(), 4)
    assert rig.netd.addresses() == ["192.0.2.1"], "what a rollback took away while nobody could be told"


async def test_what_is_refused_is_as_before_and_the_previous_plan_is_put_back(rig: Rig) -> None:
    await rig.start()
    await rig.plane.apply(plan("192.0.2.50"), 2, 60)
    elsewhere = KernelPlan(
        network=NetworkPlan(held={"192.0.2.60": HeldAddress(address="192.0.2.60", interface="eth9")})
    )
    with pytest.raises(EngineRefused, match="refused to add address"):
        await rig.plane.apply(elsewhere, 3, 60)
    await rig.plane.restore(plan("192.0.2.50"), 2)
    assert rig.netd.addresses() == ["192.0.2.1", "192.0.2.50"] and not rig.problems
    await rig.plane.apply(plan("192.0.2.51"), 3, 60)
    assert rig.netd.addresses() == ["192.0.2.1", "192.0.2.51"]


async def test_without_anybody_who_may_a_change_is_refused_with_the_remedy(tmp_path: Path) -> None:
    nobody = KernelPlane(None, None)
    with pytest.raises(HostLacks, match="cannot change the kernel"):
        await nobody.check(plan("192.0.2.50"))
    gone = Rig(tmp_path)
    gone.netd.dead = True
    await gone.start()
    with pytest.raises(HostLacks, match="does not run") as refusal:
        await gone.plane.apply(plan("192.0.2.50"), 2, 60)
    assert "steelyard-netd.service" in refusal.value.remedy
    await gone.plane.close(stop=False)


async def test_a_change_that_may_cut_off_waits_and_no_other_is_taken_until_it_is_confirmed(rig: Rig) -> None:
    await rig.start()
    await rig.plane.apply(plan("192.0.2.50", own="192.0.2.1/24"), 2, 60)
    assert rig.plane.waiting is None, "it was taken over as it was"
    await rig.plane.apply(plan("192.0.2.50", own="192.0.2.2/24"), 3, 60)
    assert rig.plane.waiting is not None and rig.plane.waiting.revision == 3
    for other in (plan("192.0.2.50", own="192.0.2.3/24"), plan("192.0.2.50")):
        with pytest.raises(ConflictError, match="waits to be confirmed"):
            await rig.plane.check(other)
    await rig.plane.check(plan("192.0.2.51", own="192.0.2.2/24"))
    # a control plane that starts meanwhile knows
    await rig.again(plan("192.0.2.50", own="192.0.2.2/24"), 3)
    assert rig.plane.waiting is not None and rig.plane.waiting.revision == 3
    assert await rig.plane.confirm() == 3
    rig.netd.now += 1000
    assert not rig.netd.keeper.undo_overdue() and rig.plane.waiting is None
    with pytest.raises(ConflictError):
        await rig.plane.confirm()
    with pytest.raises(ConflictError):
        await rig.plane.undo()


@pytest.mark.parametrize("word", ["confirm", "undo"])
async def test_an_answer_that_comes_after_it_went_back_is_told_so(rig: Rig, word: str) -> None:
    """The clock is that of `steelyard-netd`, and this side has not looked since."""
    await rig.start()
    await rig.plane.apply(plan(own="192.0.2.1/24"), 2, 60)
    await rig.plane.apply(plan(own="192.0.2.2/24"), 3, 60)
    rig.netd.now += 61
    assert rig.netd.keeper.undo_overdue() and rig.plane.waiting is not None
    with pytest.raises(ConflictError, match="No change of the network waits"):
        await getattr(rig.plane, word)()
    assert rig.plane.waiting is None
    await asyncio.sleep(0)
    assert rig.undone == [3]


async def test_zero_seconds_wait_for_nobody(rig: Rig) -> None:
    await rig.start()
    await rig.plane.apply(plan(own="192.0.2.1/24"), 2, 0)
    await rig.plane.apply(plan(own="192.0.2.2/24"), 3, 0)
    assert rig.plane.waiting is None and rig.netd.addresses() == ["192.0.2.2"]


async def test_what_went_back_while_nobody_was_there_is_found_out_and_not_brought_again(rig: Rig) -> None:
    await rig.start()
    await rig.plane.apply(plan(own="192.0.2.1/24"), 2, 60)
    await rig.plane.apply(plan(own="192.0.2.2/24"), 3, 60)
    rig.netd.now += 61
    assert rig.netd.keeper.undo_overdue()
    await rig.again(plan(own="192.0.2.2/24"), 3)
    assert rig.netd.addresses() == ["192.0.2.1"], "the committed configuration still says otherwise"
    await asyncio.sleep(0)
    assert rig.undone == [3]
    # what the callback brings about: the configuration follows
    await rig.plane.apply(plan(own="192.0.2.1/24"), 4, 60)
    assert rig.netd.addresses() == ["192.0.2.1"] and rig.netd.keeper.status().undone == ""


async def test_what_goes_back_meanwhile_refuses_the_change_that_does_not_know(rig: Rig) -> None:
    await rig.start()
    await rig.plane.apply(plan(own="192.0.2.1/24"), 2, 60)
    await rig.plane.apply(plan(own="192.0.2.2/24"), 3, 60)
    rig.netd.now += 61
    rig.netd.keeper.undo_overdue()
    with pytest.raises(EngineRefused):
        await rig.plane.apply(plan("192.0.2.50", own="192.0.2.2/24"), 4, 60)
    assert rig.netd.addresses() == ["192.0.2.1"]
    await asyncio.sleep(0)
    assert rig.undone == [3]


async def test_the_dry_run_says_what_would_be_done(rig: Rig) -> None:
    await rig.start()
    await rig.plane.apply(plan("192.0.2.50", own="192.0.2.1/24"), 2, 60)
    assert rig.plane.describe(plan("192.0.2.51", own="192.0.2.2/24")) == (
        "add address 192.0.2.2/24 to eth0",
        "add address 192.0.2.51 to eth0",
        "remove address 192.0.2.50 from eth0",
        "remove address 192.0.2.1/24 from eth0",
    )
