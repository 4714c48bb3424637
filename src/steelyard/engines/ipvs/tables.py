"""Whole transactions of nftables: carried out, tried, or kept in memory."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from steelyard.engines.nft.library import Nftables
from steelyard.model.errors import EngineRefused


class Tables(Protocol):
    """Something that carries out whole transactions."""

    def run(self, text: str) -> None:
        """Carry out commands, all or none. Raises `EngineRefused` with the kernel's words, or `HostLacks`."""
        ...

    def check(self, text: str) -> None:
        """Have commands looked at without carrying them out. Raises as `run` does."""
        ...


class LibraryTables:
    """libnftables, started at the first transaction."""

    def __init__(self) -> None:
        self._library: Nftables | None = None

    def run(self, text: str) -> None:
        """See `Tables.run`."""
        self._started().run(text)

    def check(self, text: str) -> None:
        """See `Tables.check`."""
        self._started().check(text)

    def _started(self) -> Nftables:
        if self._library is None:
            self._library = Nftables()
        return self._library


@dataclass
class MemoryTables:
    """Keeps the transactions. `refuse`: those with this in their text are refused."""

    done: list[str] = field(default_factory=list)
    refuse: str = ""

    def run(self, text: str) -> None:
        """See `Tables.run`."""
        self.check(text)
        self.done.append(text)

    def check(self, text: str) -> None:
        """See `Tables.check`."""
        if self.refuse and self.refuse in text:
            raise EngineRefused("nftables refused a change", words=self.refuse)
