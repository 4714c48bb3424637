"""What the host's network must be, as plain frozen values, as far as it is Steelyard's business.

`held` are the addresses of services; they come and go with them and concern nobody else. `host` is what an operator has
said about the host itself, None where another tool owns the network: only then a change can cut an administrator off,
so it is this part alone that goes back by itself when nobody confirms it.
"""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network, ip_address, ip_interface, ip_network
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, model_validator

from steelyard.plan.sources import SourcesPlan

#: a name the kernel takes for an interface (IFNAMSIZ less its end, dev_valid_name in net/core/dev.c)
InterfaceName = Annotated[str, StringConstraints(pattern=r"^[^\s/:\x00-\x1f\x7f]{1,15}$", min_length=1, max_length=15)]

MOST_TABLE = 0xFFFFFFFF
MAIN_TABLE = 254


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


def _address(value: str) -> str:
    return str(ip_address(value))


def _interface(value: str) -> str:
    return str(ip_interface(value))


def _network(value: str) -> str:
    return str(ip_network(value))


Address = Annotated[str, AfterValidator(_address)]
#: an address with the prefix length of its network, "10.0.0.5/24"
AddressPrefix = Annotated[str, AfterValidator(_interface)]
Network = Annotated[str, AfterValidator(_network)]


class HeldAddress(_Frozen):
    """An address of a service. It is held with all bits as its prefix, so it makes no route and is no source by itself.

    Neighbours are told when it comes: by gratuitous ARP, or by an unsolicited neighbour advertisement.
    """

    address: Address
    interface: InterfaceName

    @property
    def key(self) -> str:
        return self.address


class Link(_Frozen):
    """An interface. `port` is there by itself and only set; the others are made and removed.

    `members` of a bond are ports; `lower` is what a VLAN lies on. An `mtu` of 0 leaves the kernel's.
    """

    name: InterfaceName
    kind: Literal["port", "vlan", "bond"] = "port"
    lower: InterfaceName | None = None
    tag: int | None = Field(None, ge=1, le=4094, description="VLAN id")
    mode: Literal["active-backup", "802.3ad"] = "active-backup"
    members: tuple[InterfaceName, ...] = ()
    mtu: int = Field(0, ge=0, le=9216)
    addresses: tuple[AddressPrefix, ...] = Field((), description="the first of each family is the one packets leave by")

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if (self.kind == "vlan") != (self.tag is not None and self.lower is not None):
            raise ValueError(f"{self.name}: a VLAN, and nothing else, has a tag and what it lies on")
        if self.members and self.kind != "bond":
            raise ValueError(f"{self.name}: only a bond has members")
        if self.mtu and self.mtu < 68:
            raise ValueError(f"{self.name}: an MTU below 68 carries no IP")
        if len(set(self.addresses)) != len(self.addresses):
            raise ValueError(f"{self.name} has an address twice")
        return self


class Route(_Frozen):
    """A route to a network through a gateway. `table` 254 is the main one."""

    destination: Network
    gateway: Address
    table: int = Field(MAIN_TABLE, ge=1, le=MOST_TABLE)

    @model_validator(mode="after")
    def _one_family(self) -> Self:
        if (":" in self.destination) != (":" in self.gateway):
            raise ValueError(f"{self.destination} and its gateway {self.gateway} are of different families")
        return self

    @property
    def key(self) -> str:
        return f"{self.table}/{self.destination}"

    def network(self) -> IPv4Network | IPv6Network:
        """Where it leads."""
        return ip_network(self.destination)


class Rule(_Frozen):
    """Policy routing: packets from these addresses are looked up in that table, before the main one.

    With `protocol` it is about the packets of that protocol from the ports `first` to `last` alone. One that is
    `not_default` passes over the table's default route, so that the next rule is asked.
    """

    source: Network
    table: int = Field(ge=1, le=MOST_TABLE)
    priority: int = Field(ge=1, le=32765)
    protocol: Literal["tcp", "udp"] | None = None
    first: int = Field(0, ge=0, le=65535)
    last: int = Field(0, ge=0, le=65535)
    not_default: bool = False

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.first > self.last or bool(self.first) != (self.protocol is not None):
            raise ValueError(f"a rule for {self.source} has ports that are none, or ports without a protocol")
        return self

    @property
    def key(self) -> str:
        ports = f"/{self.protocol}/{self.first}-{self.last}" if self.protocol else ""
        return f"{self.priority}/{self.source}{ports}"

    def __str__(self) -> str:
        ports = f" {self.protocol} port {self.first}-{self.last}" if self.protocol else ""
        default = ", its default route aside" if self.not_default else ""
        return f"packets from {self.source}{ports} by table {self.table}{default}"


class HostEntry(_Frozen):
    """A line of the hosts file."""

    address: Address
    names: tuple[Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._-]{1,253}$")], ...] = Field(min_length=1)


class HostNetwork(_Frozen):
    """The host's own network, as its operator wants it. None and empty leave what is there.

    An interface that is not among `links` is nobody's business here.
    """

    links: dict[str, Link] = Field(default_factory=dict)
    routes: dict[str, Route] = Field(default_factory=dict, description="static and default routes of the main table")
    host_name: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9.-]{1,64}$")] | None = None
    name_servers: tuple[Address, ...] | None = None
    search_domains: tuple[Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._-]{1,253}$")], ...] | None = None
    hosts: tuple[HostEntry, ...] | None = None

    @model_validator(mode="after")
    def _keyed(self) -> Self:
        if any(link.name != key for key, link in self.links.items()):
            raise ValueError("a link stands under another name than its own")
        if any(route.key != key for key, route in self.routes.items()):
            raise ValueError("a route stands under another key than its own")
        return self


class NetworkPlan(_Frozen):
    """Everything the kernel's network must have of Steelyard."""

    held: dict[str, HeldAddress] = Field(default_factory=dict, description="addresses of services")
    host: HostNetwork | None = None
    #: policy routing of services with a gateway of their own
    routes: dict[str, Route] = Field(default_factory=dict)
    rules: dict[str, Rule] = Field(default_factory=dict)
    #: below /proc/sys/net, by path with slashes: "ipv4/ip_forward"; put back when it is wanted no more
    sysctls: dict[str, str] = Field(default_factory=dict)
    #: packets to an address of this host come in by the interface that has it, or not at all
    strict: bool = False
    #: networks whose hosts may begin connections through this one; None forwards everything
    forwards: tuple[Network, ...] | None = None
    #: addresses that connections carry: clients', and those of what real servers start
    sources: SourcesPlan = Field(default_factory=SourcesPlan)

    @model_validator(mode="after")
    def _keyed(self) -> Self:
        for part in (self.held, self.routes, self.rules):
            for key, one in part.items():
                if one.key != key:
                    raise ValueError(f"{one.key!r} stands under the key {key!r}")
        if any(not _is_sysctl(name) for name in self.sysctls):
            raise ValueError("a sysctl is named by its path below /proc/sys/net")
        return self

    @property
    def empty(self) -> bool:
        """Whether there is nothing for the kernel to have."""
        return self == _NOTHING


def _is_sysctl(name: str) -> bool:
    parts = name.split("/")
    return all(part and part not in (".", "..") and part.isprintable() for part in parts) and parts[0] in (
        "ipv4",
        "ipv6",
        "netfilter",
        "core",
    )


_NOTHING = NetworkPlan()
