"""Whose packets are whose: the table of marks in the kernel, and one in memory."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Protocol

from steelyard.emit.ipvs.marks import MarkedService, changes, removal, whole
from steelyard.engines.nft.library import Nftables
from steelyard.model.errors import EngineRefused


class Marks(Protocol):
    """A table of marks. Each call is one transaction; `trial` has the kernel look at it without carrying it out.

    All raise `EngineRefused` with the kernel's words, or `HostLacks`.
    """

    def replace(self, services: Iterable[MarkedService], *, trial: bool = False) -> None:
        """Have a table for exactly these services, whatever there is."""
        ...

    def change(self, old: Iterable[MarkedService], new: Iterable[MarkedService], *, trial: bool = False) -> None:
        """Have these instead of those in the table that is there."""
        ...

    def remove(self) -> None:
        """Have no table."""
        ...


class NftMarks:
    """The table, by libnftables, which is started at the first transaction."""

    def __init__(self) -> None:
        self._library: Nftables | None = None

    def replace(self, services: Iterable[MarkedService], *, trial: bool = False) -> None:
        """See `Marks.replace`."""
        self._run(whole(services), trial)

    def change(self, old: Iterable[MarkedService], new: Iterable[MarkedService], *, trial: bool = False) -> None:
        """See `Marks.change`."""
        self._run(changes(old, new), trial)

    def remove(self) -> None:
        """See `Marks.remove`."""
        self._run(removal(), False)

    def _run(self, text: str, trial: bool) -> None:
        if not text:
            return
        if self._library is None:
            self._library = Nftables()
        if trial:
            self._library.check(text)
        else:
            self._library.run(text)


@dataclass
class MemoryMarks:
    """What the table would have. `refuse` is the mark of a service that is refused."""

    services: set[MarkedService] = field(default_factory=set)
    there: bool = False
    transactions: int = 0
    refuse: int = 0

    def replace(self, services: Iterable[MarkedService], *, trial: bool = False) -> None:
        """See `Marks.replace`."""
        self._put(set(services), trial)

    def change(self, old: Iterable[MarkedService], new: Iterable[MarkedService], *, trial: bool = False) -> None:
        """See `Marks.change`."""
        gone = set(old)
        if not self.there or not gone <= self.services:
            raise EngineRefused("nftables refused a change", words="No such file or directory")
        self._put((self.services - gone) | set(new), trial)

    def remove(self) -> None:
        """See `Marks.remove`."""
        self.services, self.there = set(), False

    def _put(self, services: set[MarkedService], trial: bool) -> None:
        if any(service.mark == self.refuse for service in services):
            raise EngineRefused("nftables refused a change", words="Operation not supported")
        if not trial:
            self.transactions += services != self.services or not self.there
            self.services, self.there = services, True
