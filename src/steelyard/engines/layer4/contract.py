"""What carries layer-4 services: nftables (`engines.nft`), IPVS (`engines.ipvs`) and one in memory (`fake`).

A driver is handed only services whose `driver` names it. It keeps in memory what is in force and works out the smallest
change itself. All calls block for a few milliseconds, are made by one thread at a time, and are atomic: what is refused
leaves the kernel as it was. Connections that are open survive every call but `drop` and the removal of their server.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from steelyard.plan.layer4 import Layer4Service, ServerName, Standings


@dataclass(frozen=True, slots=True)
class Traffic:
    """Totals since the service or server came: new connections, then packets and bytes from and to clients.

    `active` is how many connections are open now, `records` how many clients have a persistence record.
    """

    connections: int = 0
    packets_in: int = 0
    bytes_in: int = 0
    packets_out: int = 0
    bytes_out: int = 0
    active: int = 0
    records: int = 0


@dataclass(frozen=True, slots=True)
class ServiceTraffic:
    """What a service has carried, and each of its servers by key (the sorry server too)."""

    whole: Traffic = Traffic()
    servers: Mapping[str, Traffic] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Record:
    """A persistence record: this client goes to that server for so many more seconds."""

    service: str
    client: str
    server: str
    seconds: float


class Layer4Driver(Protocol):
    """A way of carrying layer-4 services. All raise `EngineRefused` (the kernel's words attached) or `HostLacks`."""

    def adopt(self) -> frozenset[str]:
        """Read what the kernel has from before; the keys of services found, which keep connections and records."""
        ...

    def check(self, services: Mapping[str, Layer4Service | None]) -> None:
        """Have the kernel try a change without making it, as far as it can."""
        ...

    def apply(self, services: Mapping[str, Layer4Service | None], standings: Standings) -> None:
        """Make these services be so, in one transaction. None removes a service, its records and its connections.

        `standings` are those that are known of any server, changed or not; they are kept. A server that is new and is
        not in them is up. A server that is gone from a service loses its records and its connections.
        """
        ...

    def tell(self, standings: Standings) -> None:
        """Take what the checking process says now of these servers; unknown servers are passed over."""
        ...

    def drop(self, servers: Iterable[ServerName]) -> None:
        """Cut every open connection of these servers. Their clients' records stay."""
        ...

    def describe(self, services: Mapping[str, Layer4Service | None]) -> tuple[str, ...]:
        """What `apply` would do, for people."""
        ...

    def traffic(self) -> Mapping[str, ServiceTraffic]:
        """Counters of services, by key. What has carried nothing is left out; figures may be some seconds old."""
        ...

    def look(self) -> None:
        """Read the counters, for `traffic` to have them at once.

        The one method that another thread may call while this one works; what a change disturbs is thrown away.
        """
        ...

    def records(self, service: str) -> tuple[Record, ...]:
        """The persistence records of a service."""
        ...

    def flush_records(self, service: str) -> None:
        """Forget every persistence record of a service."""
        ...

    def clear(self) -> None:
        """Remove all that is ours from the kernel, connections included, and nothing else."""
        ...


__all__ = ["Layer4Driver", "Record", "ServiceTraffic", "Traffic"]
