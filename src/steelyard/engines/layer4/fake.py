"""A driver in memory that keeps the kernel's rules: what nftables refuses, this one refuses, and clients get what they
would get from it (`connect`).

Tried against the real one by `tests/network/test_layer4_driver.py`:

- A place (address, protocol, port) belongs to one service; another that wants it is refused, and nothing changes.
- A service that goes, and a server that goes, lose their connections; a server that comes back under another key has
  none. Everything else leaves connections alone.
- A record of a server that takes no clients is forgotten when its client comes.
- Weights share clients in proportion, and a weight of 0 leaves those with a record.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_network

from steelyard.compile.layer4.program import program, slots_of, takes_recorded
from steelyard.diff.nft import transaction
from steelyard.emit.nft.transaction import command_text
from steelyard.engines.layer4.contract import Record, ServiceTraffic, Traffic
from steelyard.model.errors import EngineRefused
from steelyard.plan.layer4 import Driver, Layer4Service, ServerName, Standing, Standings
from steelyard.plan.nft import Program

_Place = tuple[str, str, int]
_ANY_PORT = 0


@dataclass
class FakeLayer4:
    """The `Layer4Driver` in memory. `now` is its clock, in seconds; `refusing` makes it refuse the next change."""

    driver: Driver = "nft"
    now: float = 0.0
    refusing: str = ""
    services: dict[str, Layer4Service] = field(default_factory=dict)
    standings: dict[ServerName, Standing] = field(default_factory=dict)
    #: what `adopt` finds
    left: frozenset[str] = frozenset()
    connections: list[ServerName] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)
    _turns: Counter[str] = field(default_factory=Counter)
    _opened: Counter[ServerName] = field(default_factory=Counter)
    _records: dict[tuple[str, str], tuple[str, float]] = field(default_factory=dict)

    def adopt(self) -> frozenset[str]:
        self.calls.append("adopt")
        return self.left

    def check(self, services: Mapping[str, Layer4Service | None]) -> None:
        self._refuse(services)

    def apply(self, services: Mapping[str, Layer4Service | None], standings: Standings) -> None:
        self.calls.append("apply")
        self._refuse(services)
        self.left = frozenset()
        for key, service in services.items():
            if service is None:
                self.services.pop(key, None)
            else:
                self.services[key] = service
        known = {(key, one.key) for key, service in self.services.items() for one in service.members()}
        self.standings = {name: one for name, one in {**self.standings, **standings}.items() if name in known}
        self.connections = [name for name in self.connections if name in known]

    def tell(self, standings: Standings) -> None:
        self.calls.append("tell")
        known = {(key, one.key) for key, service in self.services.items() for one in service.members()}
        self.standings |= {name: one for name, one in standings.items() if name in known}

    def drop(self, servers: Iterable[ServerName]) -> None:
        self.calls.append("drop")
        cut = set(servers)
        self.connections = [name for name in self.connections if name not in cut]

    def describe(self, services: Mapping[str, Layer4Service | None]) -> tuple[str, ...]:
        changes = [(self._program(self.services.get(key)), self._program(new)) for key, new in services.items()]
        return tuple(command_text(command) for command in transaction(changes))

    def look(self) -> None:
        """There is nothing that takes time."""

    def traffic(self) -> Mapping[str, ServiceTraffic]:
        found = {}
        for key, service in self.services.items():
            servers = {
                one.key: Traffic(connections=self._opened[key, one.key], active=self.connections.count((key, one.key)))
                for one in service.members()
            }
            opened = sum(count for (owner, _), count in self._opened.items() if owner == key)
            active = sum(one.active for one in servers.values())
            found[key] = ServiceTraffic(Traffic(connections=opened, active=active), servers)
        return found

    def records(self, service: str) -> tuple[Record, ...]:
        return tuple(
            Record(service, client, server, until - self.now)
            for (owner, client), (server, until) in self._records.items()
            if owner == service and until > self.now
        )

    def flush_records(self, service: str) -> None:
        self._records = {name: one for name, one in self._records.items() if name[0] != service}

    def clear(self) -> None:
        self.calls.append("clear")
        self.services.clear()
        self.standings.clear()
        self.connections.clear()
        self._records.clear()

    def connect(self, address: str, port: int, client: str, protocol: str = "tcp") -> str | None:
        """The key of the server a new client gets; None when it is refused."""
        places = self._places(self.services)
        key = places.get((address, protocol, port)) or places.get((address, protocol, _ANY_PORT))
        if key is None:
            return None
        server = self._chosen(self.services[key], client)
        if server is not None:
            self._opened[key, server] += 1
            self.connections.append((key, server))
        return server

    def _chosen(self, service: Layer4Service, client: str) -> str | None:
        kept = service.persistence
        known = ""
        if kept is not None:
            prefix = kept.prefix6 if service.ipv6 else kept.prefix4
            known = str(ip_network((client, prefix), strict=False).network_address)
            server, until = self._records.get((service.key, known), ("", 0.0))
            recorded = next((one for one in service.servers if one.key == server), None)
            if until > self.now and recorded is not None and takes_recorded(recorded, service, self.standings):
                self._records[service.key, known] = (server, self.now + kept.seconds)
                return server
            self._records.pop((service.key, known), None)
        slots = slots_of(service, self.standings)
        if not slots:
            return None if service.sorry is None else service.sorry.key
        turn = hash(client) if service.schedule == "sh" else self._turns[service.key]
        self._turns[service.key] += 1
        chosen = slots[turn % len(slots)]
        if kept is not None:
            self._records[service.key, known] = (chosen, self.now + kept.seconds)
        return chosen

    def _refuse(self, services: Mapping[str, Layer4Service | None]) -> None:
        if self.refusing:
            words, self.refusing = self.refusing, ""
            raise EngineRefused("nftables refused a change", words=words)
        after = {key: one for key, one in {**self.services, **services}.items() if one is not None}
        self._places(after)

    def _places(self, services: Mapping[str, Layer4Service]) -> dict[_Place, str]:
        found: dict[_Place, str] = {}
        for key, service in services.items():
            if not service.enabled:
                continue
            ports = [_ANY_PORT] if service.wildcard else [p for r in service.ports for p in range(r.first, r.last + 1)]
            for port in ports:
                place = (service.address, service.protocol, port)
                if found.setdefault(place, key) != key:
                    raise EngineRefused("nftables refused a change", words="Error: Could not process rule: File exists")
        return found

    def _program(self, service: Layer4Service | None) -> Program:
        return program(service, self.standings)


__all__ = ["FakeLayer4"]
