"""Source addresses by the kernel of the namespace this process is in."""

from __future__ import annotations

from steelyard.emit.nft.sources import clear_text, sources_text
from steelyard.engines.netlink.divert import divert
from steelyard.engines.nft.library import Nftables
from steelyard.plan.sources import SourcesPlan, Surroundings


class LocalSources:
    """See `SourcesKernel`. The library is loaded when something is wanted for the first time."""

    def __init__(self) -> None:
        self._nftables: Nftables | None = None

    def apply(self, plan: SourcesPlan, here: Surroundings) -> None:
        """See `SourcesKernel.apply`. The way of answers is there before any packet needs it."""
        if plan.transparent:
            divert(wanted=True)
        self._library().run(sources_text(plan, here))
        if not plan.transparent:
            divert(wanted=False)

    def check(self, plan: SourcesPlan, here: Surroundings) -> None:
        """See `SourcesKernel.check`."""
        self._library().check(sources_text(plan, here))

    def clear(self) -> None:
        """See `SourcesKernel.clear`."""
        self._library().run(clear_text())
        divert(wanted=False)

    def _library(self) -> Nftables:
        if self._nftables is None:
            self._nftables = Nftables()
        return self._nftables
