"""What a running HAProxy says of itself, read through its sockets by this process: the proof, apart from Steelyard."""

from __future__ import annotations

import contextlib
import re
import socket
import time
from dataclasses import dataclass
from pathlib import Path

_MASTER = re.compile(r"^\d+\s+master\s+(\d+)\s", re.MULTILINE)
_DISABLED = 0x01 | 0x08


@dataclass(frozen=True)
class ServerSeen:
    """A server in `show servers state`. `weight` is the effective one; `disabled` says maintenance or drain."""

    weight: int
    disabled: bool


@dataclass(frozen=True)
class EngineSockets:
    """The worker's and the master's socket of one state directory."""

    state_dir: Path

    def servers(self, backend: str) -> dict[str, ServerSeen]:
        """The servers of a backend, by name."""
        found = {}
        for line in _ask(self.state_dir / "run" / "haproxy.sock", f"show servers state {backend}").splitlines()[2:]:
            words = line.split()
            if len(words) > 8:
                found[words[3]] = ServerSeen(int(words[7]), bool(int(words[6]) & _DISABLED))
        return found

    def reloads(self) -> int:
        """How often the master has reloaded. It replaces itself after each reload and is deaf for that moment."""
        deadline = time.monotonic() + 5
        while True:
            with contextlib.suppress(OSError):
                found = _MASTER.search(_ask(self.state_dir / "run" / "master.sock", "show proc\nquit"))
                if found is not None:
                    return int(found[1])
            if time.monotonic() > deadline:
                raise RuntimeError("HAProxy's master does not answer")
            time.sleep(0.01)


def _ask(path: Path, command: str) -> str:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(5)
        connection.connect(str(path))
        connection.sendall(command.encode() + b"\n")
        parts = []
        while part := connection.recv(65536):
            parts.append(part)
    return b"".join(parts).decode()
