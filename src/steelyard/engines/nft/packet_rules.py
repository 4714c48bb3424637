"""Strict routing and the packet routing filter, in the kernel and in memory."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from steelyard.emit.nft.forwarding import forwarding_text
from steelyard.emit.nft.strict import strict_text
from steelyard.engines.nft.library import Nftables


class PacketRules(Protocol):
    """What packets may do besides being balanced. Both raise `EngineRefused` or `HostLacks`."""

    def strict(self, wanted: bool) -> None:
        """Take packets to an address of this host only by the interface that has it, or by any."""
        ...

    def forwards(self, networks: Iterable[str] | None) -> None:
        """Forward what these networks begin, and what is balanced, and nothing else; None forwards everything."""
        ...


class NftPacketRules:
    """Tables of nftables, of their own. libnftables is started when they are first asked for."""

    def __init__(self) -> None:
        self._library: Nftables | None = None

    def strict(self, wanted: bool) -> None:
        """See `PacketRules.strict`."""
        self._run(strict_text(wanted))

    def forwards(self, networks: Iterable[str] | None) -> None:
        """See `PacketRules.forwards`."""
        self._run(forwarding_text(networks))

    def _run(self, text: str) -> None:
        if self._library is None:
            self._library = Nftables()
        self._library.run(text)


@dataclass
class MemoryPacketRules:
    """In memory, for tests."""

    is_strict: bool = False
    lets_through: tuple[str, ...] | None = None

    def strict(self, wanted: bool) -> None:
        """See `PacketRules.strict`."""
        self.is_strict = wanted

    def forwards(self, networks: Iterable[str] | None) -> None:
        """See `PacketRules.forwards`."""
        self.lets_through = None if networks is None else tuple(networks)
