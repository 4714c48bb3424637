"""Figures of the host itself: processor, memory, network interfaces, file systems, name.

The functions are pure, from the text of `/proc` files (formats: proc(5)) to values. `HostFigureReader` reads the
files and keeps the sample before, because processor shares and byte rates are differences between two samples.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

#: shorter differences than this say little about a rate
_SHORTEST_PERIOD_SECONDS = 1.0
_MILLION = 1_000_000
_OCTAL = re.compile(r"\\([0-7]{3})")


@dataclass(frozen=True)
class CpuTimes:
    """Ticks spent since boot; `user` includes nice, `hardware` and `software` are interrupts."""

    user: int
    system: int
    idle: int
    waiting: int
    hardware: int
    software: int
    stolen: int

    def _all(self) -> tuple[int, ...]:
        return (self.user, self.system, self.idle, self.waiting, self.hardware, self.software, self.stolen)


@dataclass(frozen=True)
class CpuShares:
    """Whole percent of a period; what the shares leave to 100 was stolen by a hypervisor or rounded away."""

    user: int = 0
    system: int = 0
    idle: int = 100
    waiting: int = 0
    hardware: int = 0
    software: int = 0


@dataclass(frozen=True)
class Memory:
    """Kilobytes. Free is what can be had without swapping: the kernel's own estimate, caches included."""

    total: int
    free: int

    @property
    def used(self) -> int:
        return self.total - self.free


@dataclass(frozen=True)
class Interface:
    """A network interface. `number` is its place among the interfaces but loopback, `speed` in Mbit/s, 0 if unknown."""

    name: str
    number: int
    speed: int
    bytes_in: int
    bytes_out: int
    bytes_in_per_second: int = 0
    bytes_out_per_second: int = 0

    @property
    def tenths_in(self) -> int:
        """Load of the receiving direction in tenths of a percent of the speed."""
        return _tenths(self.bytes_in_per_second, self.speed)

    @property
    def tenths_out(self) -> int:
        return _tenths(self.bytes_out_per_second, self.speed)


def _tenths(bytes_per_second: int, speed: int) -> int:
    return round(bytes_per_second * 8 * 1000 / (speed * _MILLION)) if speed > 0 else 0


@dataclass(frozen=True)
class Partition:
    """A mounted file system; bytes."""

    name: str
    total: int
    used: int
    free: int


@dataclass(frozen=True)
class HostFigures:
    """One sample."""

    cpu: CpuShares
    cores: tuple[CpuShares, ...]
    memory: Memory
    interfaces: tuple[Interface, ...]
    partitions: tuple[Partition, ...]


class HostFigureSource(Protocol):
    """Where the figures come from."""

    def read(self) -> HostFigures:
        """The figures now."""
        ...

    def host_name(self) -> str:
        """The host's name."""
        ...

    def serial_number(self) -> str:
        """Ten digits that stay the same for this host."""
        ...


def parse_cpu(stat: str) -> dict[str, CpuTimes]:
    """`/proc/stat` -> times of "cpu" (all) and "cpu0", "cpu1", ..."""
    found: dict[str, CpuTimes] = {}
    for line in stat.splitlines():
        name, *words = line.split()
        if not name.startswith("cpu"):
            break
        user, nice, system, idle, waiting, hardware, software, stolen = ([int(word) for word in words] + [0] * 8)[:8]
        found[name] = CpuTimes(user + nice, system, idle, waiting, hardware, software, stolen)
    return found


def cpu_shares(before: CpuTimes | None, after: CpuTimes) -> CpuShares:
    """What the processor did between two readings; without an earlier one, since boot."""
    start = before._all() if before is not None else (0,) * 7
    spent = [max(0, last - first) for first, last in zip(start, after._all(), strict=True)]
    whole = sum(spent)
    if not whole:
        return CpuShares()
    user, system, idle, waiting, hardware, software, _ = (round(100 * ticks / whole) for ticks in spent)
    return CpuShares(user, system, idle, waiting, hardware, software)


def parse_memory(meminfo: str) -> Memory:
    """`/proc/meminfo` -> memory. Kernels before 3.14 have no estimate; free is then what is unused."""
    values = {}
    for line in meminfo.splitlines():
        name, _, rest = line.partition(":")
        words = rest.split()
        if words and words[0].isdigit():
            values[name] = int(words[0])
    return Memory(values.get("MemTotal", 0), values.get("MemAvailable", values.get("MemFree", 0)))


def parse_interfaces(dev: str) -> dict[str, tuple[int, int]]:
    """`/proc/net/dev` -> interface -> (bytes received, bytes sent), loopback excluded."""
    found: dict[str, tuple[int, int]] = {}
    for line in dev.splitlines()[2:]:
        name, separator, rest = line.partition(":")
        words = rest.split()
        if separator and len(words) >= 9 and name.strip() != "lo":
            found[name.strip()] = (int(words[0]), int(words[8]))
    return found


def parse_mounts(mounts: str) -> tuple[str, ...]:
    """`/proc/mounts` -> where block devices are mounted, each device once, and the root in any case."""
    found = {"/": "/"}
    seen: set[str] = set()
    for line in mounts.splitlines():
        words = line.split()
        if len(words) < 3:
            continue
        device, point = words[0], _OCTAL.sub(lambda m: chr(int(m[1], 8)), words[1])
        if point == "/":
            seen.add(device)
        elif device.startswith("/dev/") and device not in seen:
            seen.add(device)
            found[point] = point
    return tuple(found)


@dataclass
class _Sample:
    at: float
    cpu: Mapping[str, CpuTimes] = field(default_factory=dict)
    interfaces: Mapping[str, tuple[int, int]] = field(default_factory=dict)


class HostFigureReader:
    """Reads the figures of this host. Files that are missing (a container may hide some) count as empty."""

    def __init__(self, proc: Path = Path("/proc"), sys: Path = Path("/sys"), etc: Path = Path("/etc")) -> None:
        self._proc, self._sys, self._etc = proc, sys, etc
        self._before: _Sample | None = None
        self._latest: _Sample | None = None

    def read(self) -> HostFigures:
        """The figures now; rates are over the time since the last reading that is a second old or more."""
        sample = _Sample(
            time.monotonic(),
            parse_cpu(_text(self._proc / "stat")),
            parse_interfaces(_text(self._proc / "net" / "dev")),
        )
        if self._latest is None:
            self._latest = sample
        elif sample.at - self._latest.at >= _SHORTEST_PERIOD_SECONDS:
            self._before, self._latest = self._latest, sample
        before = self._before
        cores = sorted((name for name in sample.cpu if name != "cpu"), key=lambda name: int(name[3:]))
        earlier: Mapping[str, CpuTimes] = before.cpu if before is not None else {}
        return HostFigures(
            cpu=cpu_shares(earlier.get("cpu"), sample.cpu["cpu"]) if "cpu" in sample.cpu else CpuShares(),
            cores=tuple(cpu_shares(earlier.get(name), sample.cpu[name]) for name in cores),
            memory=parse_memory(_text(self._proc / "meminfo")),
            interfaces=self._interfaces(before, sample),
            partitions=tuple(self._partitions()),
        )

    def _interfaces(self, before: _Sample | None, sample: _Sample) -> tuple[Interface, ...]:
        found = []
        for number, (name, (received, sent)) in enumerate(sample.interfaces.items()):
            rates = (0, 0)
            if before is not None and name in before.interfaces:
                period = sample.at - before.at
                old = before.interfaces[name]
                rates = (round(max(0, received - old[0]) / period), round(max(0, sent - old[1]) / period))
            speed = _text(self._sys / "class" / "net" / name / "speed").strip()
            found.append(Interface(name, number, int(speed) if speed.isdigit() else 0, received, sent, *rates))
        return tuple(found)

    def _partitions(self) -> list[Partition]:
        found = []
        for point in parse_mounts(_text(self._proc / "mounts")):
            try:
                usage = shutil.disk_usage(point)
            except OSError:
                # Mounted where this user may not look: there are no figures to give.
                continue
            if usage.total:
                found.append(Partition(point, usage.total, usage.used, usage.free))
        return found

    def host_name(self) -> str:
        return os.uname().nodename

    def serial_number(self) -> str:
        machine = _text(self._etc / "machine-id").strip() or self.host_name()
        return f"{int(hashlib.sha256(machine.encode()).hexdigest(), 16) % 10**10:010d}"


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        # An interface that is down has no speed, a container no machine-id: the figure is absent, not wrong.
        return ""
