"""What a process may do: dropping all of it but what it needs, and who speaks on a Unix socket (capabilities(7)).

Python has no calls for capabilities, so these are made by ctypes. They hold for the thread that makes them and what it
starts, so a process drops privileges before anything else.
"""

from __future__ import annotations

import ctypes
import errno
import os
import socket
import struct
from collections.abc import Iterable, Mapping
from pathlib import Path

from steelyard.model.errors import HostLacks

#: numbers of include/uapi/linux/capability.h
CAPABILITIES: Mapping[str, int] = {"CAP_NET_ADMIN": 12, "CAP_NET_RAW": 13}

_VERSION_3 = 0x20080522
_SET_NO_NEW_PRIVILEGES, _DROP_BOUNDING = 38, 24
_AMBIENT, _AMBIENT_RAISE, _AMBIENT_CLEAR_ALL = 47, 2, 4
_LAST_CAPABILITY = Path("/proc/sys/kernel/cap_last_cap")

_libc = ctypes.CDLL(None, use_errno=True)


class _Header(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _Data(ctypes.Structure):
    _fields_ = (("effective", ctypes.c_uint32), ("permitted", ctypes.c_uint32), ("inheritable", ctypes.c_uint32))


def held(names: Iterable[str] = CAPABILITIES) -> frozenset[str]:
    """Those of the named capabilities that this thread has."""
    sets = _get()
    return frozenset(name for name in names if sets[CAPABILITIES[name] // 32].permitted & _bit(name))


def lacked_by(pid: int, proc: Path = Path("/proc")) -> frozenset[str]:
    """Those of the capabilities this process has that another one has not; none when that one has ended."""
    try:
        lines = (proc / str(pid) / "status").read_text().splitlines()
    except OSError:
        return frozenset()
    theirs = next((int(line.split()[1], 16) for line in lines if line.startswith("CapEff:")), 0)
    return frozenset(name for name in held() if not theirs >> CAPABILITIES[name] & 1)


def keep_only(names: Iterable[str]) -> frozenset[str]:
    """Give up everything but these capabilities, for good, programs started later included; returns what is left."""
    wanted = held(names)
    numbers = {CAPABILITIES[name] for name in wanted}
    # Where the bounding set cannot be changed, for want of CAP_SETPCAP, there is no root to come back to either.
    for number in range(int(_LAST_CAPABILITY.read_text()) + 1):
        if number not in numbers and _libc.prctl(_DROP_BOUNDING, number, 0, 0, 0) and ctypes.get_errno() != errno.EPERM:
            raise _failed("drop a capability from the bounding set")
    low = sum(1 << number for number in numbers)
    header, data = _Header(_VERSION_3, 0), (_Data * 2)(_Data(low, low, low), _Data(0, 0, 0))
    if _libc.capset(ctypes.byref(header), ctypes.byref(data)):
        raise _failed("drop capabilities")
    _libc.prctl(_AMBIENT, _AMBIENT_CLEAR_ALL, 0, 0, 0)
    for number in numbers:
        # for `nft`, when this process is not root
        if _libc.prctl(_AMBIENT, _AMBIENT_RAISE, number, 0, 0):
            raise _failed("hand a capability on")
    if _libc.prctl(_SET_NO_NEW_PRIVILEGES, 1, 0, 0, 0):
        raise _failed("give up new privileges")
    return wanted


def peer_user(connection: object) -> int | None:
    """The user who opened the other end of a Unix socket; None when the kernel does not say."""
    if not isinstance(connection, socket.socket) and not hasattr(connection, "getsockopt"):
        return None
    size = struct.calcsize("3i")
    _, user, _ = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size))
    return int(user)


def _bit(name: str) -> int:
    return 1 << (CAPABILITIES[name] % 32)


def _get() -> ctypes.Array[_Data]:
    header, data = _Header(_VERSION_3, 0), (_Data * 2)()
    if _libc.capget(ctypes.byref(header), ctypes.byref(data)):
        raise _failed("read capabilities")
    return data


def _failed(what: str) -> HostLacks:
    return HostLacks(
        f"The kernel did not let this process {what}: {os.strerror(ctypes.get_errno())}",
        lacks="capabilities",
        remedy="Start it as root, or by its systemd unit",
    )
