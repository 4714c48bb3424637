"""Strict routing and the packet routing filter as `steelyard-netd` sees them. Only who asks for them needs nftables."""

from __future__ import annotations

import logging
from collections.abc import Callable

from steelyard.engines.nft.packet_rules import PacketRules
from steelyard.model.errors import EngineRefused, HostLacks
from steelyard.plan.network import NetworkPlan

log = logging.getLogger("steelyard.netd")


class PlannedPacketRules:
    """Keeps the kernel at a plan of packet rules."""

    def __init__(self, kernel: PacketRules) -> None:
        self._kernel = kernel

    def change(self, before: NetworkPlan, wanted: NetworkPlan) -> None:
        """From one plan to another."""
        if before.strict != wanted.strict:
            self._kernel.strict(wanted.strict)
        if before.forwards != wanted.forwards:
            self._kernel.forwards(wanted.forwards)

    def take_up(self, wanted: NetworkPlan) -> None:
        """Have exactly these: a process that was killed within a change may have left what is not planned any more."""
        self._exactly(wanted.strict, lambda: self._kernel.strict(wanted.strict))
        self._exactly(wanted.forwards is not None, lambda: self._kernel.forwards(wanted.forwards))

    def _exactly(self, wanted: bool, action: Callable[[], None]) -> None:
        try:
            action()
        except (EngineRefused, HostLacks) as failure:
            # without nftables nothing was left by anybody
            if wanted:
                raise
            log.info("nothing is looked for that may have been left: %s", failure.message)
