"""What the kernel offers to this process: privileges, limits, nftables, IPVS. Read from /proc, once.

Reading changes nothing (nftables is asked by `nft list tables`); `raise_open_files` is the one thing here that does.
"""

from __future__ import annotations

import os
import resource
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from subprocess import PIPE, STDOUT, SubprocessError, run

from steelyard.engines.programs import PROBE_SECONDS, programs
from steelyard.plan.limits import MOST_OPEN_FILES

PROC = Path("/proc")

#: Bits in the capability masks of /proc/self/status (linux/capability.h).
_CAPABILITY_BITS = {"CAP_NET_BIND_SERVICE": 10, "CAP_NET_ADMIN": 12, "CAP_NET_RAW": 13}


@dataclass(frozen=True, slots=True)
class Kernel:
    """What the kernel offers to this process.

    `granted` holds the effective capabilities, of those Steelyard knows. `ping_groups` is net.ipv4.ping_group_range: a
    process with one of its `groups` inside may open ICMP sockets. `nft_refusal` says why nftables cannot be used; it is
    empty when it can. The limits of open files are the process's own.
    """

    release: str
    granted: frozenset[str]
    lowest_unprivileged_port: int
    ping_groups: tuple[int, int]
    groups: frozenset[int]
    open_files_soft: int
    open_files_hard: int
    nft_path: str | None
    nft_refusal: str
    ipvs: bool

    @property
    def lowest_port(self) -> int:
        """The lowest port this process may bind."""
        return 1 if "CAP_NET_BIND_SERVICE" in self.granted else max(1, self.lowest_unprivileged_port)

    @property
    def ping_socket(self) -> bool:
        """Whether ICMP echo requests can be sent from a datagram socket. Root's privilege does not matter for these."""
        low, high = self.ping_groups
        return any(low <= group <= high for group in self.groups)


def raise_open_files() -> int:
    """Raise the soft limit of open files to the hard one, at most 1,048,576. Children inherit it. Returns the limit."""
    soft, hard = open_files()
    wanted = min(hard, MOST_OPEN_FILES)
    if soft >= wanted:
        return soft
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    return wanted


def open_files() -> tuple[int, int]:
    """This process's (soft, hard) limits of open files; "unlimited" counts as 1,048,576."""
    soft, hard = (
        MOST_OPEN_FILES if limit == resource.RLIM_INFINITY else limit
        for limit in resource.getrlimit(resource.RLIMIT_NOFILE)
    )
    return soft, hard


def probe_kernel(proc: Path = PROC) -> Kernel:
    """Read what the kernel offers to this process."""
    status = _status(proc)
    release = os.uname().release
    soft, hard = open_files()
    nft_path = next(programs("nft"), None)
    return Kernel(
        release=release,
        granted=granted_capabilities(status.get("CapEff", "0")),
        lowest_unprivileged_port=lowest_unprivileged_port(proc),
        ping_groups=ping_range(_line(proc / "sys/net/ipv4/ping_group_range")),
        groups=frozenset({os.getegid(), *os.getgroups()}),
        open_files_soft=soft,
        open_files_hard=hard,
        nft_path=nft_path,
        nft_refusal="the program nft is not installed" if nft_path is None else _nft_refusal(nft_path),
        ipvs=has_ipvs(proc),
    )


def granted_capabilities(mask: str) -> frozenset[str]:
    """The names in a hexadecimal mask such as "0000000000000400", of those Steelyard knows."""
    bits = int(mask, 16)
    return frozenset(name for name, bit in _CAPABILITY_BITS.items() if bits >> bit & 1)


def ping_range(text: str) -> tuple[int, int]:
    """net.ipv4.ping_group_range: two group numbers; "1 0", the kernel's default, and nothing at all mean nobody."""
    numbers = [int(word) for word in text.split()]
    return (numbers[0], numbers[1]) if len(numbers) == 2 else (1, 0)


def _nft_refusal(path: str) -> str:
    try:
        answer = run(
            [path, "list", "tables"], stdout=PIPE, stderr=STDOUT, text=True, timeout=PROBE_SECONDS, check=False
        )
    except (OSError, SubprocessError) as failure:
        return str(failure)
    if answer.returncode == 0:
        return ""
    return next(iter(answer.stdout.strip().splitlines()), f"it ended with status {answer.returncode}")


def has_ipvs(proc: Path = PROC, modules: Path | None = None) -> bool:
    """Loaded, built in, or a module: the kernel loads it by itself when IPVS is first asked for over netlink."""
    modules = modules or Path("/lib/modules") / os.uname().release
    if (proc / "net/ip_vs").exists():
        return True
    return any("/ip_vs.ko" in _text(modules / index) for index in ("modules.builtin", "modules.dep"))


def _status(proc: Path) -> Mapping[str, str]:
    pairs = (line.partition(":") for line in _text(proc / "self/status").splitlines())
    return {key: value.strip() for key, _, value in pairs}


def lowest_unprivileged_port(proc: Path) -> int:
    """net.ipv4.ip_unprivileged_port_start (Linux 4.11); it holds for IPv6 too."""
    return int(_line(proc / "sys/net/ipv4/ip_unprivileged_port_start") or 1024)


def _line(path: Path) -> str:
    return _text(path).strip()


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:  # an absent file is how the kernel says that it has no such feature
        return ""
