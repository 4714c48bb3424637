"""What IPVS has to be told for all its services: net.ipv4.vs.*, each with its reason.

They are the network namespace's and hold for virtual servers of others too. They are there while the module is loaded.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from steelyard.model.errors import HostLacks

DIRECTORY = Path("/proc/sys/net/ipv4/vs")

ALWAYS: Mapping[str, str] = {
    # A real server that is removed takes its connections with it at once (Linux 5.9). Without this their packets vanish
    # until the entries time out, and clients hang instead of connecting anew.
    "expire_nodest_conn": "1",
    # A record of a real server that is down or disabled is void: its client gets another one.
    "expire_quiescent_template": "1",
    # A client that comes back from the port of a finished connection is scheduled anew, not sent where that one went.
    "conn_reuse_mode": "1",
}


class Settings:
    """Sets what is needed and puts back what was there before."""

    def __init__(self, directory: Path = DIRECTORY) -> None:
        self._directory = directory
        self._before: dict[str, str] = {}

    def need(self, *, source_nat: bool) -> None:
        """Have IPVS work as the services expect it.

        `source_nat`: only packets that connection tracking knows can be given another source; otherwise IPVS keeps its
        packets away from it, which is faster.
        """
        wanted = {**ALWAYS, "conntrack": "1"} if source_nat else ALWAYS
        for name, value in wanted.items():
            self._set(name, value)
        if not source_nat and "conntrack" in self._before:
            self._put_back("conntrack")

    def put_back(self) -> None:
        """Undo, as far as this process did it."""
        for name in tuple(self._before):
            self._put_back(name)

    def _set(self, name: str, value: str) -> None:
        path = self._directory / name
        try:
            now = path.read_text().strip()
            if now != value:
                path.write_text(value)
                self._before.setdefault(name, now)
        except OSError as failure:
            raise HostLacks(
                f"net.ipv4.vs.{name} cannot be set to {value}: {failure.strerror}",
                lacks="ipvs",
                remedy="Use a kernel with IPVS of Linux 5.9 or newer, and run steelyard-netd with CAP_NET_ADMIN.",
            ) from None

    def _put_back(self, name: str) -> None:
        path = self._directory / name
        if path.exists():
            path.write_text(self._before[name])
        del self._before[name]
