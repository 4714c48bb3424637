"""Free ports that stay free until somebody listens on them.

Rule: never from the kernel's ephemeral range. A port the kernel may hand to an outgoing connection (32768 and up by
default) can be taken between our choosing it and the server's bind, and load tests open thousands of connections.
Workers of one run have parts of the range to themselves, for the same reason.
"""

from __future__ import annotations

import contextlib
import os
import random
import socket
import threading

_PARTS = 4
_PART = int("".join(filter(str.isdigit, os.environ.get("PYTEST_XDIST_WORKER", ""))) or 0) % _PARTS
_EACH = 4200
_FIRST, _LAST = 15_000 + _PART * _EACH, 15_000 + (_PART + 1) * _EACH - 1
#: given out and not yet forgotten, oldest first; whoever had a port so many ports ago has long ended
_issued: dict[int, None] = {}
_REMEMBERED = _EACH // 2
_lock = threading.Lock()


def _is_free(address: str, port: int, kind: socket.SocketKind) -> bool:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with contextlib.closing(socket.socket(family, kind)) as probe:
        try:
            probe.bind((address, port))
        except OSError:
            return False
    return True


def _remember(port: int) -> None:
    _issued[port] = None
    if len(_issued) > _REMEMBERED:
        del _issued[next(iter(_issued))]


def free_port(address: str = "0.0.0.0", *, udp: bool = False) -> int:
    """A port nobody listens on, not given out lately by this process.

    The default address asks for a port that is free on every IPv4 address of the host, so it suits any 127.x.y.z too.
    """
    kind = socket.SOCK_DGRAM if udp else socket.SOCK_STREAM
    with _lock:
        for _ in range(1000):
            port = random.randint(_FIRST, _LAST)
            if port not in _issued and _is_free(address, port, kind):
                _remember(port)
                return port
    raise RuntimeError(f"no free port on {address} between {_FIRST} and {_LAST}")


def free_ports(count: int, address: str = "0.0.0.0") -> list[int]:
    """Several consecutive free ports, for services with extra ports."""
    for _ in range(1000):
        first = free_port(address)
        rest = range(first + 1, first + count)
        with _lock:
            if all(port not in _issued and _is_free(address, port, socket.SOCK_STREAM) for port in rest):
                for port in rest:
                    _remember(port)
                return [first, *rest]
    raise RuntimeError(f"no {count} consecutive free ports on {address}")
