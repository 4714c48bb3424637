"""Strict routing in the kernel, and in memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from steelyard.emit.nft.strict import strict_text
from steelyard.engines.nft.library import Nftables


class StrictRouting(Protocol):
    """Whether packets to an address of this host may come in by another interface than the one that has it."""

    def set(self, wanted: bool) -> None:
        """Have it so. Raises `EngineRefused` or `HostLacks`."""
        ...


class NftStrictRouting:
    """A table of nftables."""

    def __init__(self) -> None:
        self._library: Nftables | None = None

    def set(self, wanted: bool) -> None:
        """See `StrictRouting.set`."""
        if self._library is None:
            self._library = Nftables()
        self._library.run(strict_text(wanted))


@dataclass
class MemoryStrictRouting:
    """In memory, for tests."""

    wanted: bool = False

    def set(self, wanted: bool) -> None:
        """See `StrictRouting.set`."""
        self.wanted = wanted
