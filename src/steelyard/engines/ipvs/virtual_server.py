"""From a layer-4 service to what IPVS has for it, and from one such state to another. Pure.

Facts of the kernel (Linux 6.1, net/netfilter/ipvs) that forced the shape:

- A virtual server is known by a firewall mark, or by protocol, address and one port. A mark covers any ports and lets
  address and ports change under open connections, so that form is the rule. nftables puts it on (`emit.ipvs.marks`).
- A virtual server by mark with persistence does not translate ports (ip_vs_sched_persist compares with the port of the
  virtual server, which has none), and answers of real servers find a SIP service only by address (ip_vs_new_conn_out).
  These two have the other form.
- Records lead to a real server of weight 0, unless net.ipv4.vs.expire_quiescent_template says that they are void then.
  Steelyard's meaning of down and of disabled is the latter, so weight 0 is the way to keep new clients away while what
  is open goes on.
- Bits of the flags of a virtual server above the sixth are kept and not looked at. Ours say there that it is ours, and
  which service it is: nothing else would tell after a crash.
- "sh" gives each real server `weight` of its 256 slots in turn (ip_vs_sh_reassign): weights of a thousand would give
  the first one all. It refuses clients whose server is away, unless told to look further.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from steelyard.model.errors import EngineRefused
from steelyard.plan.layer4 import Layer4Server, Layer4Service, Standings, effective_weight, standing_of

Endpoint = tuple[str, int]

#: flags of a virtual server (linux/ip_vs.h)
PERSISTENT = 0x0001
HASHED = 0x0002
ONE_PACKET = 0x0004
LOOK_FURTHER = 0x0008  # IP_VS_SVC_F_SCHED_SH_FALLBACK

#: our part of flags and marks: a number that says whose, then the service's
_OURS = 0x5
_INDEX_BITS = 22
MOST_INDEX = (1 << _INDEX_BITS) - 1
_FLAG_SHIFT = 6
MARK_BASE = _OURS << 28
MARK_MASK = 0xFFFFFFFF ^ MOST_INDEX

TCP, UDP = 6, 17
_PROTOCOLS = {"tcp": TCP, "udp": UDP}

#: how packets reach a real server (IP_VS_CONN_F_MASQ, IP_VS_CONN_F_DROUTE)
METHODS: Mapping[Literal["nat", "route"], int] = {"nat": 0, "route": 3}


@dataclass(frozen=True, slots=True)
class Identity:
    """What IPVS knows a virtual server by: a mark, or else protocol, address and port."""

    ipv6: bool
    mark: int = 0
    protocol: int = 0
    address: str = ""
    port: int = 0

    def __str__(self) -> str:
        if self.mark:
            return f"mark {self.mark:#x}"
        host = f"[{self.address}]" if self.ipv6 else self.address
        return f"{'tcp' if self.protocol == TCP else 'udp'} {host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Destination:
    """A real server in IPVS. A `limit` of 0 is none."""

    address: str
    port: int
    method: int
    weight: int
    limit: int = 0

    @property
    def endpoint(self) -> Endpoint:
        return self.address, self.port

    def __str__(self) -> str:
        host = f"[{self.address}]" if ":" in self.address else self.address
        return f"{host}:{self.port}"


@dataclass(frozen=True, slots=True)
class VirtualServer:
    """A service in IPVS without its real servers. `flags` leave out the kernel's own; `prefix` is of clients."""

    identity: Identity
    index: int
    schedule: str
    flags: int
    timeout: int
    prefix: int
    engine: str = ""

    @property
    def key(self) -> str:
        return f"vs{self.index}"


@dataclass(frozen=True, slots=True)
class Wanted:
    """A service in IPVS, whole. `servers` says which key of the plan each endpoint stands for."""

    virtual: VirtualServer
    destinations: Mapping[Endpoint, Destination]
    servers: Mapping[Endpoint, str]

    @property
    def open(self) -> bool:
        """Whether some real server takes new clients."""
        return any(destination.weight for destination in self.destinations.values())


def index_of(key: str) -> int:
    """The number in the key of a service. Raises `EngineRefused` when there is no room for it."""
    index = int(key.removeprefix("vs"))
    if index > MOST_INDEX:
        raise EngineRefused(f"IPVS can carry services up to number {MOST_INDEX}, and {key} is above that")
    return index


def mark_of(index: int) -> int:
    """The firewall mark of a service."""
    return MARK_BASE | index


def our_flags(index: int) -> int:
    """The part of the flags that says which service this is."""
    return _OURS << 28 | index << _FLAG_SHIFT


def our_index(flags: int) -> int | None:
    """Which service flags are of; None when they are not ours."""
    return (flags >> _FLAG_SHIFT) & MOST_INDEX if flags >> 28 == _OURS else None


def wanted(service: Layer4Service, standings: Standings, absent: frozenset[Endpoint] = frozenset()) -> Wanted:
    """What IPVS must have for a service.

    `absent` are real servers whose connections were cut: they stay out while they take no clients.
    """
    index = index_of(service.key)
    weights = [_weight(service, server, standings) for server in service.servers]
    servers: dict[Endpoint, str] = {}
    destinations: dict[Endpoint, Destination] = {}
    shares = [*zip(service.servers, weights, strict=True)]
    if service.sorry is not None:
        needed = service.enabled and not any(weights)
        shares.append((service.sorry, 1 if needed else 0))
    identity = _identity(service, index)
    for server, weight in shares:
        # IPVS fills in the client's port for 0, except where a virtual server has a port of its own
        endpoint = (server.address, server.port or identity.port)
        # the sorry server may be one of the others
        share = max(weight, destinations[endpoint].weight if endpoint in destinations else 0)
        servers.setdefault(endpoint, server.key)
        destinations[endpoint] = Destination(*endpoint, METHODS[server.forwarding], share, server.limit)
    return Wanted(
        _virtual(service, identity, index),
        {at: one for at, one in destinations.items() if one.weight or at not in absent},
        servers,
    )


def _weight(service: Layer4Service, server: Layer4Server, standings: Standings) -> int:
    if not service.enabled:
        return 0
    weight = effective_weight(service, server, standing_of(service, server, standings))
    return weight if _scheduler(service) in ("wrr", "wlc") else min(weight, 1)


def _scheduler(service: Layer4Service) -> str:
    """The kernel's. Weights that move have to count, whatever the configured ones do."""
    return (
        {"rr": "wrr", "lc": "wlc"}.get(service.schedule, service.schedule)
        if service.weights_by_health
        else (service.schedule)
    )


def _identity(service: Layer4Service, index: int) -> Identity:
    if not by_address(service):
        return Identity(service.ipv6, mark=mark_of(index))
    return Identity(
        service.ipv6, protocol=_PROTOCOLS[service.protocol], address=service.address, port=service.ports[0].first
    )


def by_address(service: Layer4Service) -> bool:
    """Whether it has to be known by address and port, which a service of one port can be."""
    if len(service.ports) != 1 or service.ports[0].first != service.ports[0].last or service.persistence is None:
        return False
    return service.persistence.kind == "sip" or _translates(service)


def _translates(service: Layer4Service) -> bool:
    one = service.ports[0].first if len(service.ports) == 1 and service.ports[0].first == service.ports[0].last else -1
    return any(server.forwarding == "nat" and server.port not in (0, one) for server in service.members())


def _virtual(service: Layer4Service, identity: Identity, index: int) -> VirtualServer:
    flags = our_flags(index)
    persistence = service.persistence
    if persistence is not None:
        flags |= PERSISTENT
    if service.protocol == "udp" and (service.idle == 1 or (persistence is not None and persistence.kind == "sip")):
        # many calls of a SIP proxy come from one port, so each datagram has to be looked at
        flags |= ONE_PACKET
    if service.schedule == "sh":
        flags |= LOOK_FURTHER
    widest = 128 if service.ipv6 else 32
    prefix = widest if persistence is None else persistence.prefix6 if service.ipv6 else persistence.prefix4
    return VirtualServer(
        identity=identity,
        index=index,
        schedule=_scheduler(service),
        flags=flags,
        timeout=0 if persistence is None else persistence.seconds,
        prefix=prefix,
        engine="sip" if persistence is not None and persistence.kind == "sip" else "",
    )


@dataclass(frozen=True, slots=True)
class Step:
    """One request to IPVS. Without a destination it is about the virtual server itself."""

    action: Literal["add", "set", "remove"]
    virtual: VirtualServer
    destination: Destination | None = None

    def __str__(self) -> str:
        if self.destination is None:
            how = f", {self.virtual.schedule}" if self.action != "remove" else ""
            return f"IPVS: {self.action} {self.virtual.key} ({self.virtual.identity}){how}"
        weight = f", weight {self.destination.weight}" if self.action != "remove" else ""
        return f"IPVS: {self.action} {self.destination} of {self.virtual.key}{weight}"


State = tuple[VirtualServer, Mapping[Endpoint, Destination]]


def steps(old: State | None, new: State | None) -> Iterator[Step]:
    """What leads from one state of a virtual server to another; both are of the same identity.

    Real servers come before others go, so clients always find one.
    """
    if new is None:
        if old is not None:
            yield Step("remove", old[0])
        return
    virtual, destinations = new
    before: Mapping[Endpoint, Destination] = {} if old is None else old[1]
    if old is None:
        yield Step("add", virtual)
    elif old[0] != virtual:
        yield Step("set", virtual)
    for endpoint, destination in destinations.items():
        if endpoint not in before:
            yield Step("add", virtual, destination)
        elif before[endpoint] != destination:
            yield Step("set", virtual, destination)
    for endpoint, destination in before.items():
        if endpoint not in destinations:
            yield Step("remove", virtual, destination)
