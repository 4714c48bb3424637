"""What IPVS has to be told for all its services: net.ipv4.vs.*, each with its reason.

They are the network namespace's and hold for virtual servers of others too. They are there while the module is loaded.
IPVS has one time-out for all TCP and one for all UDP, so that is the longest any service asks for.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from steelyard.engines.ipvs.kernel import IpvsKernel, Timeouts
from steelyard.model.errors import HostLacks
from steelyard.plan.layer4 import Layer4Service

DIRECTORY = Path("/proc/sys/net/ipv4/vs")

ALWAYS: Mapping[str, str] = {
    # A real server that is removed takes its connections with it at once (Linux 5.9). Without this their packets vanish
    # until the entries time out, and clients hang instead of connecting anew.
    "expire_nodest_conn": "1",
    # A record of a real server that is down or disabled is void: its client gets another one.
    "expire_quiescent_template": "1",
    # A client that comes back from the port of a finished connection is scheduled anew, not sent where that one went.
    "conn_reuse_mode": "1",
    # Answers are routed as they come, from the real server, like those of other services at layer 4; rules of policy
    # routing that know a port would not find them again.
    "snat_reroute": "0",
}


#: an idle time of UDP up to this one is no time: 1 expects no answer, 2 one
_WORDS_OF_UDP = 2


class Settings:
    """Sets what is needed and puts back what was there before."""

    def __init__(self, directory: Path = DIRECTORY) -> None:
        self._directory = directory
        self._before: dict[str, str] = {}
        self._timeouts_before: Timeouts | None = None

    def need(self, services: Iterable[Layer4Service], kernel: IpvsKernel) -> None:
        """Have IPVS work as these services expect it."""
        tcp = udp = 0
        source_nat = False
        for service in services:
            source_nat = source_nat or service.source_nat is not None
            if service.protocol == "tcp":
                tcp = max(tcp, service.idle)
            elif service.idle > _WORDS_OF_UDP:
                udp = max(udp, service.idle)
        for name, value in ALWAYS.items():
            self._set(name, value)
        # Only packets that connection tracking knows can be given another source; otherwise IPVS keeps its packets away
        # from it, which is faster.
        if source_nat:
            self._set("conntrack", "1")
        elif "conntrack" in self._before:
            self._put_back("conntrack")
        self._need_timeouts(tcp, udp, kernel)

    def put_back(self, kernel: IpvsKernel) -> None:
        """Undo, as far as this process did it."""
        for name in tuple(self._before):
            self._put_back(name)
        self._need_timeouts(0, 0, kernel)

    def _need_timeouts(self, tcp: int, udp: int, kernel: IpvsKernel) -> None:
        before = self._timeouts_before
        if before is None and not (tcp or udp):
            return
        now = kernel.timeouts()
        before = before or now
        wanted = Timeouts(tcp or before.tcp, udp or before.udp)
        if wanted != now:
            kernel.set_timeouts(wanted)
        self._timeouts_before = before if tcp or udp else None

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
