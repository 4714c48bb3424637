"""`steelyard-netd` as a child of the control plane, where nobody else has started it.

Under systemd it has a unit of its own and a socket outside the state directory; then there is nothing to start here.
"""

from __future__ import annotations

from pathlib import Path

from steelyard.engines.own_process import OwnProcess
from steelyard.engines.privilege import held

_PROGRAM = "steelyard.netd.main"
#: where the unit's process listens
UNIT_SOCKET = Path("/run/steelyard-netd/netd.sock")


class NetdProcess(OwnProcess):
    """Starts, adopts, watches and ends `steelyard-netd`."""

    def __init__(self, *, socket: Path, directory: Path, pid_file: Path, log: Path) -> None:
        super().__init__(
            "steelyard-netd",
            _PROGRAM,
            ["--socket", str(socket), "--directory", str(directory)],
            directory=directory,
            pid_file=pid_file,
            log=log,
        )
        self.socket = socket


def may_start() -> bool:
    """Whether this process has the privilege to hand on."""
    return "CAP_NET_ADMIN" in held()
