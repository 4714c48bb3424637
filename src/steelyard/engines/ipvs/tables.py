"""Running transactions of `nft`, and keeping them in memory instead."""

from __future__ import annotations

from dataclasses import dataclass, field
from subprocess import PIPE, STDOUT, SubprocessError, run
from typing import Protocol

from steelyard.engines.programs import programs
from steelyard.model.errors import EngineRefused, HostLacks

_SECONDS = 20.0


class Tables(Protocol):
    """Something that carries out whole transactions."""

    def run(self, transaction: str, *, only_check: bool = False) -> None:
        """Carry it out or, with `only_check`, have the kernel try it. Raises `EngineRefused` or `HostLacks`."""
        ...


class NftProgram:
    """The program `nft`, in the network namespace of the calling thread."""

    def run(self, transaction: str, *, only_check: bool = False) -> None:
        """See `Tables.run`."""
        path = next(iter(programs("nft")), None)
        if path is None:
            raise HostLacks(
                "IPVS services need nftables to know their packets", lacks="nft", remedy="apt-get install nftables"
            )
        arguments = [path, *(["-c"] if only_check else []), "-f", "-"]
        try:
            ended = run(arguments, input=transaction, stdout=PIPE, stderr=STDOUT, text=True, timeout=_SECONDS, check=False)
        except (OSError, SubprocessError) as failure:
            raise EngineRefused("nft could not be run", words=str(failure)) from failure
        if ended.returncode:
            raise EngineRefused("The kernel refused the marks of IPVS services", words=ended.stdout.strip())


@dataclass
class MemoryTables:
    """Keeps the transactions. `refuse`: those with this in their text are refused."""

    done: list[str] = field(default_factory=list)
    refuse: str = ""

    def run(self, transaction: str, *, only_check: bool = False) -> None:
        """See `Tables.run`."""
        if self.refuse and self.refuse in transaction:
            raise EngineRefused("The kernel refused the marks of IPVS services", words=self.refuse)
        if not only_check:
            self.done.append(transaction)
