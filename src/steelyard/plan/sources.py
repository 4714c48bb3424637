"""Which addresses connections carry that this host makes or passes on, as far as the kernel has to help, as values.

Real servers that see their clients' addresses answer to those: the answers have to be taken in here. Connections that
real servers start themselves leave with an address of this host, or of a service (server NAT).
"""

from __future__ import annotations

from ipaddress import ip_address, ip_network
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, model_validator

#: on packets that are answers to connections made with a client's address; nobody else uses this number
DIVERTED = 0x5359_0D17
#: on connections made with a client's address that carry an address of this host in place of it
NOT_TRANSPARENT = 0x5400_0001
#: on connections made with a client's address to this host itself
HERE = 0x5400_0002
#: the first of those on connections that carry one of several addresses
ROTATED = 0x5400_0100
#: the routing table in which every address is this host's
TABLE = 0x5358_0000
#: before the rules of services' own gateways
PRIORITY = 4000


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


def _address(value: str) -> str:
    return str(ip_address(value))


def _network(value: str) -> str:
    return str(ip_network(value))


Address = Annotated[str, AfterValidator(_address)]
Network = Annotated[str, AfterValidator(_network)]
Port = Annotated[int, Field(ge=1, le=65535)]
#: as `plan.network.InterfaceName`, and without what would end a string of nftables
InterfaceName = Annotated[str, StringConstraints(pattern=r'^[^\s/:"\\*\x00-\x1f\x7f]{1,15}$')]


class ServerPorts(_Frozen):
    """Ports of a real server that HAProxy asks with the addresses of clients.

    The real server sees these `sources` in turn in place of the client's address, where there are any.
    """

    address: Address
    first: Port
    last: Port
    sources: tuple[Address, ...] = ()

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.first > self.last:
            raise ValueError(f"ports {self.first}-{self.last} end before they begin")
        if any((":" in one) != (":" in self.address) for one in self.sources):
            raise ValueError(f"{self.address} and its sources are of different families")
        return self


class Leaving(_Frozen):
    """Connections that a real server starts leave with that address; with `protocol` those to the ports alone."""

    server: Address
    source: Address
    protocol: Literal["tcp", "udp"] | None = None
    first: int = Field(0, ge=0, le=65535)
    last: int = Field(0, ge=0, le=65535)

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if (":" in self.server) != (":" in self.source):
            raise ValueError(f"{self.server} and {self.source} are of different families")
        if self.first > self.last or bool(self.first) != (self.protocol is not None):
            raise ValueError(f"what {self.server} starts has ports that are none, or ports without a protocol")
        return self


class SourcesPlan(_Frozen):
    """All of it. Ports of one address do not overlap, nor do those of what one server starts by one protocol.

    Clients on the network of the real server are seen as this host, because it would answer them past it; so are
    clients that are themselves real servers, with `servers_local`. `masqueraded` are networks of real servers, whose
    connections leave with this host's address on the network of its default gateway.
    """

    transparent: tuple[ServerPorts, ...] = ()
    servers_local: bool = False
    leaving: tuple[Leaving, ...] = ()
    masqueraded: tuple[Network, ...] = ()

    @property
    def alternate(self) -> frozenset[str]:
        """All addresses that real servers see in turn."""
        return frozenset(address for one in self.transparent for address in one.sources)

    @property
    def empty(self) -> bool:
        """Whether the kernel need not have anything for it."""
        return not (self.transparent or self.leaving or self.masqueraded)


class Surroundings(_Frozen):
    """What the kernel has now that these rules go by: its networks with their interfaces, and where the rest goes."""

    attached: tuple[tuple[Network, InterfaceName], ...] = ()
    #: the interfaces of the default routes, by "4" and "6"
    outward: dict[Literal["4", "6"], tuple[InterfaceName, ...]] = Field(default_factory=dict)
