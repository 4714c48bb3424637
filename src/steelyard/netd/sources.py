"""Source addresses as `steelyard-netd` sees them: what is wanted, by what the network is at that moment."""

from __future__ import annotations

import contextlib
from ipaddress import ip_address, ip_interface

from steelyard.engines.netlink.contract import NetworkKernel
from steelyard.engines.netlink.present import Present
from steelyard.engines.sources.contract import SourcesKernel
from steelyard.model.errors import HostLacks
from steelyard.plan.network import MAIN_TABLE, NetworkPlan
from steelyard.plan.sources import SourcesPlan, Surroundings

_NOTHING = SourcesPlan()


class Sources:
    """Keeps the kernel at a plan of source addresses."""

    def __init__(self, network: NetworkKernel, kernel: SourcesKernel | None) -> None:
        self._network = network
        self._kernel = kernel
        #: None: what the kernel has from before is not known
        self._has: SourcesPlan | None = None

    def start(self, wanted: NetworkPlan) -> None:
        """Bring the kernel to a plan, whatever it has."""
        if self._kernel is None:
            return
        if wanted.sources.empty:
            # without nftables there is nothing from before either
            with contextlib.suppress(HostLacks):
                self._kernel.clear()
            self._has = wanted.sources
        else:
            self._put(wanted.sources)

    def check(self, wanted: NetworkPlan) -> None:
        """Raise what `apply` would raise. It goes by the network as it is, which may change with the plan."""
        if self._kernel is not None and not wanted.sources.empty and wanted.sources != self._has:
            self._kernel.check(wanted.sources, surroundings(self._network.read()))

    def apply(self, wanted: NetworkPlan, *, again: bool = False) -> None:
        """Bring the kernel to a plan; `again` also when the plan is what it was, because the network may not be."""
        if wanted.sources.empty:
            if self._has is None or not self._has.empty:
                self.clear()
            return
        if again or wanted.sources != self._has:
            self._put(wanted.sources)

    def clear(self) -> None:
        """Remove all of it."""
        if self._kernel is not None and (self._has is None or not self._has.empty):
            self._kernel.clear()
        self._has = _NOTHING

    def _put(self, plan: SourcesPlan) -> None:
        if self._kernel is None:
            raise HostLacks("Source addresses cannot be changed here", lacks="nftables", remedy="Install nftables")
        self._has = None
        self._kernel.apply(plan, surroundings(self._network.read()))
        self._has = plan


def surroundings(present: Present) -> Surroundings:
    """The networks this host is on, and the interfaces of its default routes."""
    attached: dict[tuple[str, str], None] = {}
    for one in present.addresses:
        network = ip_interface(f"{one.address}/{one.prefix}").network
        if network.prefixlen < network.max_prefixlen and not ip_address(one.address).is_loopback:
            attached[str(network), one.interface] = None
    outward: dict[str, tuple[str, ...]] = {}
    for family, everywhere in (("4", "0.0.0.0/0"), ("6", "::/0")):
        found = {
            one.interface
            for one in present.routes
            if one.destination == everywhere and one.table == MAIN_TABLE and one.interface
        }
        if found:
            outward[family] = tuple(sorted(found))
    return Surroundings.model_validate({"attached": _disjoint(attached), "outward": outward})


def _disjoint(attached: dict[tuple[str, str], None]) -> tuple[tuple[str, str], ...]:
    """Networks of an interface that lie within another one of it say nothing more, and sets take no overlaps."""
    kept: list[tuple[str, str]] = []
    for text, interface in sorted(attached, key=lambda one: ip_interface(one[0]).network.prefixlen):
        network = ip_interface(text).network
        inside = any(
            other == interface
            and ip_interface(known).version == network.version
            and network.subnet_of(
                ip_interface(known).network  # type: ignore[arg-type]
            )
            for known, other in kept
        )
        if not inside:
            kept.append((text, interface))
    return tuple(sorted(kept))
