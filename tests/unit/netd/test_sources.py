"""Source addresses in `steelyard-netd`: what is wanted reaches the kernel, by the network as it is, and goes again."""

from __future__ import annotations

import pytest

from steelyard.engines.netlink.fake import FakeNetwork
from steelyard.model.errors import EngineRefused, HostLacks
from steelyard.netd.sources import Sources
from steelyard.plan.network import NetworkPlan
from steelyard.plan.sources import ServerPorts, SourcesPlan, Surroundings

WANTED = NetworkPlan(sources=SourcesPlan(transparent=(ServerPorts(address="10.0.0.11", first=80, last=80),)))
NOTHING = NetworkPlan()


class Kernel:
    """Notes what it is asked for; `fails` is what it raises."""

    def __init__(self) -> None:
        self.has: list[SourcesPlan | None] = []
        self.here = Surroundings()
        self.fails: Exception | None = None

    def _do(self, plan: SourcesPlan | None) -> None:
        if self.fails is not None:
            raise self.fails
        self.has.append(plan)

    def apply(self, plan: SourcesPlan, here: Surroundings) -> None:
        self.here = here
        self._do(plan)

    def check(self, plan: SourcesPlan, here: Surroundings) -> None:
        if self.fails is not None:
            raise self.fails

    def clear(self) -> None:
        self._do(None)


@pytest.fixture
def kernel() -> Kernel:
    return Kernel()


@pytest.fixture
def sources(kernel: Kernel) -> Sources:
    network = FakeNetwork("eth1")
    network.foreign("eth1", "10.0.0.1/24")
    return Sources(network, kernel)


def test_what_is_wanted_comes_once_and_goes(sources: Sources, kernel: Kernel) -> None:
    sources.start(NOTHING)
    sources.apply(NOTHING)
    sources.apply(WANTED)
    sources.apply(WANTED)
    assert kernel.has == [None, WANTED.sources]
    assert kernel.here.attached == (("10.0.0.0/24", "eth1"),)
    sources.apply(WANTED, again=True)
    sources.apply(NOTHING)
    sources.clear()
    assert kernel.has == [None, WANTED.sources, WANTED.sources, None]


def test_what_was_kept_is_put_there_at_the_start(sources: Sources, kernel: Kernel) -> None:
    sources.start(WANTED)
    assert kernel.has == [WANTED.sources]


def test_a_refusal_is_told_and_nothing_is_believed(sources: Sources, kernel: Kernel) -> None:
    sources.start(NOTHING)
    kernel.fails = EngineRefused("no")
    with pytest.raises(EngineRefused):
        sources.check(WANTED)
    with pytest.raises(EngineRefused):
        sources.apply(WANTED)
    kernel.fails = None
    sources.apply(NOTHING)
    assert kernel.has[-1] is None, "what the refusal left is cleared away"


def test_hosts_without_nftables_work_as_long_as_nothing_is_wanted(sources: Sources, kernel: Kernel) -> None:
    kernel.fails = HostLacks("no nftables", lacks="nftables", remedy="install it")
    sources.start(NOTHING)
    sources.apply(NOTHING)
    with pytest.raises(HostLacks):
        sources.apply(WANTED)
