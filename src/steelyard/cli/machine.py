"""The machine Steelyard runs on, and what an appliance should have at least.

Two processors, 2 GB of memory, 32 GB of disk and two ports are what LoadMaster asks of a virtual machine. Less is told
and never refused.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

_GB = 1000**3
#: a virtual machine of 2 GiB shows its system somewhat less
_LEAST_MEMORY = 18 * _GB // 10
_LEAST_DISK = 30 * _GB
_LEAST_PROCESSORS = _LEAST_PORTS = 2


@dataclass(frozen=True)
class Machine:
    """Processors this process may use, bytes of memory, bytes of the disk at `/`, network ports without loopback."""

    processors: int
    memory: int
    disk: int
    ports: int

    @classmethod
    def here(cls) -> Machine:
        """This one."""
        links = Path("/sys/class/net")
        return cls(
            len(os.sched_getaffinity(0)),
            os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
            shutil.disk_usage("/").total,
            sum(one.name != "lo" for one in links.iterdir()) if links.is_dir() else 0,
        )

    def findings(self) -> tuple[tuple[str, bool, str, str], ...]:
        """Each with whether it is enough: item, enough, what there is, remedy."""
        return (
            (
                "processors",
                self.processors >= _LEAST_PROCESSORS,
                f"{self.processors}, {_LEAST_PROCESSORS} are recommended",
                "Give the machine another one.",
            ),
            (
                "memory",
                self.memory >= _LEAST_MEMORY,
                f"{self.memory / _GB:.1f} GB, 2 are recommended",
                "Give the machine more, or keep certificates and real servers few.",
            ),
            (
                "disk",
                self.disk >= _LEAST_DISK,
                f"{self.disk / _GB:.0f} GB, 32 are recommended",
                "Give the machine a larger one, or keep statistics and logs short.",
            ),
            (
                "ports",
                self.ports >= _LEAST_PORTS,
                f"{self.ports}: {'two arms are possible' if self.ports >= _LEAST_PORTS else 'one arm alone'}",
                "Add a network card where clients and real servers are in networks of their own.",
            ),
        )
