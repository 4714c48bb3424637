"""What the kernel must do for layer-4 services, as plain frozen values.

Names are stable for the life of what they name (`vs<index>`, `rs<index>`); a real server's key is unique among all
services and never used again, so a connection or record that carries it means the same server for ever. A verdict of
the checks is no part of a plan: it is a `Standing`, which the checking process tells. Times are in seconds.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

#: "rr" round robin, "wrr" by weight, "sh" hash of the client's address, "lc" and "wlc" least connection
Schedule = Literal["rr", "wrr", "sh", "lc", "wlc"]
#: schedules that nftables cannot do
COUNTING_SCHEDULES: frozenset[Schedule] = frozenset({"lc", "wlc"})
Driver = Literal["nft", "ipvs"]
#: (service key, server key)
ServerName = tuple[str, str]

MOST_WEIGHT = 65535


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


def _address(value: str) -> str:
    return str(ip_address(value))


class PortRange(_Frozen):
    """Ports from `first` to `last`, both included."""

    first: int = Field(ge=1, le=65535)
    last: int = Field(ge=1, le=65535)

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.first > self.last:
            raise ValueError(f"ports {self.first}-{self.last} end before they begin")
        return self


class AddressRange(_Frozen):
    """Addresses of one family from `first` to `last`, both included."""

    first: str
    last: str

    _canonical = field_validator("first", "last")(_address)


#: what a service of the wildcard port takes, as far as no other service of its address and protocol does
ALL_PORTS = PortRange(first=1, last=65535)


class Persistence(_Frozen):
    """Clients keep their server for so long after their last new connection.

    `kind` "source" knows a client by the leading bits of its address, "sip" by the Call-ID of SIP over UDP.
    """

    seconds: int = Field(ge=1, le=2_419_200)
    kind: Literal["source", "sip"] = "source"
    prefix4: int = Field(32, ge=1, le=32)
    prefix6: int = Field(128, ge=1, le=128)


class Layer4Server(_Frozen):
    """One real server. `forwarding` "nat" rewrites the destination, "route" leaves packets as they are (direct return).

    A disabled one takes no new connection, whatever its client's record says; what is open stays open.
    """

    key: str = Field(pattern=r"^(rs[1-9][0-9]{0,9}|sorry)$")
    address: str
    port: int = Field(ge=0, le=65535, description="0 is the port the client asked for")
    weight: int = Field(1000, ge=1, le=MOST_WEIGHT)
    enabled: bool = True
    forwarding: Literal["nat", "route"] = "nat"
    limit: int = Field(0, ge=0, le=100_000, description="concurrent connections; 0 means no limit")

    _canonical = field_validator("address")(_address)


class Layer4Service(_Frozen):
    """One service with its real servers. `address` and all servers are of one family.

    One that is not enabled takes no new connection but keeps its records and what is open. Where no server takes
    clients, `sorry` does; without it clients are refused (TCP reset, ICMP unreachable). Real servers see the client's
    address; with `source_nat` they see that address of this host instead, which is what one arm needs.
    """

    key: str = Field(pattern=r"^vs[1-9][0-9]{0,9}$")
    protocol: Literal["tcp", "udp"]
    address: str
    ports: tuple[PortRange, ...] = Field(min_length=1, description="sorted, without overlaps; ALL_PORTS: wildcard")
    #: ports that the wildcard leaves alone, because a service at layer 7 has them
    spared: tuple[PortRange, ...] = ()
    schedule: Schedule
    driver: Driver
    enabled: bool = True
    persistence: Persistence | None = None
    source_nat: str | None = None
    idle: int = Field(
        0, ge=0, le=86400, description="seconds without a packet; 0: the kernel's; UDP: 1 no reply, 2 one"
    )
    #: whether weights are the checking process's alone; the configured ones are then not used
    weights_by_health: bool = False
    #: whether its servers are checked: one of which nothing has been told yet is then down
    checked: bool = False
    #: clients it refuses, by ranges in order and without overlaps; `refuse_silently` says nothing to them
    refused: tuple[AddressRange, ...] = ()
    refuse_silently: bool = False
    servers: tuple[Layer4Server, ...] = ()
    sorry: Layer4Server | None = None

    _canonical = field_validator("address")(_address)

    @field_validator("source_nat")
    @classmethod
    def _canonical_source(cls, value: str | None) -> str | None:
        return None if value is None else _address(value)

    @model_validator(mode="after")
    def _whole(self) -> Self:
        others = [server.address for server in self.members()] + ([self.source_nat] if self.source_nat else [])
        if any((":" in other) != self.ipv6 for other in others):
            raise ValueError(f"{self.key} mixes IPv4 and IPv6, which the kernel cannot translate into each other")
        if any(a.last >= b.first for a, b in zip(self.ports, self.ports[1:], strict=False)):
            raise ValueError(f"the ports of {self.key} overlap or are not in order")
        if len({server.key for server in self.servers}) != len(self.servers):
            raise ValueError(f"{self.key} has a real server twice")
        return self

    @property
    def ipv6(self) -> bool:
        return ":" in self.address

    @property
    def wildcard(self) -> bool:
        """Whether it takes every port that no other service of its address has."""
        return self.ports == (ALL_PORTS,)

    def members(self) -> Iterator[Layer4Server]:
        """Its servers, and the sorry server if it has one."""
        yield from self.servers
        if self.sorry is not None:
            yield self.sorry


@dataclass(frozen=True, slots=True)
class Standing:
    """What the checking process says of a server.

    Only one that is `up` takes new connections; a record of another one is passed over. `weight` None leaves the
    plan's, 0 leaves it only clients with a record.
    """

    up: bool = True
    weight: int | None = None


Standings = Mapping[ServerName, Standing]


def standing_of(service: Layer4Service, server: Layer4Server, standings: Standings) -> Standing:
    """What holds of a server, also when nothing has been told of it."""
    told = standings.get((service.key, server.key))
    return Standing(up=not service.checked or server.key == "sorry") if told is None else told


def effective_weight(service: Layer4Service, server: Layer4Server, standing: Standing) -> int:
    """The share of new clients a server gets under a schedule that weighs; 0 gives it none."""
    if not (server.enabled and standing.up):
        return 0
    if standing.weight is not None:
        return standing.weight
    return 1 if service.weights_by_health else server.weight
