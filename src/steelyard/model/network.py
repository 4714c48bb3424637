"""The host's network as its operator wants it: interfaces, routes, names (`reference/behaviour.md` section 4.5).

It counts only where Steelyard manages the network (`managed`); elsewhere another tool owns it and it is only read.
Interfaces keep the number they were first seen with, because LoadMaster's API knows them by it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from ipaddress import IPv4Interface, IPv4Network, IPv6Interface, IPv6Network, ip_address, ip_interface, ip_network
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import field_validator, model_validator
from pydantic_core import PydanticCustomError

from steelyard.model.setting import Setting, Settings

AnyNetwork = IPv4Network | IPv6Network
AnyInterface = IPv4Interface | IPv6Interface
Kind = Literal["port", "vlan", "bond"]

_HOST = "host"
_INTERFACE = "interface"
_NAME = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_DOMAIN = rf"{_NAME}(?:\.{_NAME})*\.?"

#: what the bonds of LoadMaster's API are called
BOND_MODES: Mapping[int, str] = {1: "active-backup", 4: "802.3ad"}

#: networks in which every host has addresses anyway
_LOOPBACK: tuple[AnyNetwork, ...] = (ip_network("127.0.0.0/8"), ip_network("::1/128"))


def _wrong(why: str, allowed: str) -> PydanticCustomError:
    return PydanticCustomError("setting", "{why}", {"why": why, "allowed": allowed})


def canonical_address(value: str) -> str:
    """An address as it is written everywhere, or "" for none. Raises pydantic's error with what is allowed."""
    if not value:
        return ""
    try:
        parsed = ip_address(value)
    except ValueError:
        raise _wrong("is no address", "an IPv4 or IPv6 address") from None
    if parsed.version == 6 and parsed.scope_id is not None:
        raise _wrong("names an interface", "an address without %")
    if parsed.is_unspecified or parsed.is_multicast or parsed.is_loopback:
        raise _wrong("is not the address of a host", "an address of one host")
    return str(parsed)


def canonical_interface(value: str) -> str:
    """An address with the prefix length of its network, "10.0.0.5/24", or "" for none."""
    if not value:
        return ""
    try:
        parsed = ip_interface(value)
    except ValueError:
        raise _wrong("is no address with a prefix length", "an address such as 10.0.0.5/24 or 2001:db8::5/64") from None
    canonical_address(str(parsed.ip))
    if "/" not in value:
        raise _wrong("has no prefix length", "an address such as 10.0.0.5/24 or 2001:db8::5/64")
    network = parsed.network
    if network.prefixlen == 0:
        raise _wrong("covers every address", "a prefix length of 1 or more")
    if network.version == 4 and network.prefixlen < 31 and parsed.ip in (network[0], network[-1]):
        which = "network" if parsed.ip == network[0] else "broadcast"
        raise _wrong(f"is the {which} address of {network}", "the address of a host in its network")
    return parsed.with_prefixlen


def canonical_network(value: str) -> str:
    """A network, "10.0.0.0/8"; an address alone is a network of one."""
    try:
        return str(ip_network(value))
    except ValueError as failure:
        why = "has bits behind its prefix" if "host bits" in str(failure) else "is no network"
        raise _wrong(why, "a network such as 10.0.0.0/8 or 2001:db8::/32") from None


class HostParameters(Settings):
    """The host itself. LoadMaster's names are those of `reference/loadmaster-api/08`, 8.7 and 8.8."""

    noun: ClassVar[str] = "parameter of the host"

    managed: Annotated[
        bool,
        Setting(
            None,
            _HOST,
            "Manage the Network",
            "Steelyard makes the host's network what is said here, and gives services their addresses. Off: another"
            " tool owns the network, and an address of a service must be there already.",
        ),
    ] = False
    confirm_seconds: Annotated[
        int,
        Setting(
            None,
            _HOST,
            "Confirm Changes within",
            "A change of the network that may cut the administrator off goes back by itself unless it is confirmed in"
            " this time. 0: it never goes back.",
            unit="seconds",
            ge=5,
            le=3600,
            or_zero=True,
        ),
    ] = 60
    default_gateway: Annotated[
        str, Setting("dfltgw", _HOST, "IPv4 Default Gateway", "Where packets to no known network go.")
    ] = ""
    default_gateway6: Annotated[
        str, Setting("dfltgwv6", _HOST, "IPv6 Default Gateway", "Where packets to no known network go.")
    ] = ""
    host_name: Annotated[
        str,
        Setting(
            "hostname",
            _HOST,
            "Hostname",
            "Name of the host. Empty leaves the one it has.",
            max_length=64,
            pattern=_DOMAIN,
            pattern_says="letters, digits, hyphens and dots",
        ),
    ] = ""
    name_servers: Annotated[
        tuple[str, ...],
        Setting(
            "nameserver",
            _HOST,
            "DNS NameServers",
            "Name servers of the host, asked in this order; three at most are. Empty leaves those it has.",
            separator=",",
        ),
    ] = ()
    search_domains: Annotated[
        tuple[str, ...],
        Setting(
            "searchlist",
            _HOST,
            "DNS Search Domains",
            "Domains in which a short name is looked for.",
            separator=" ",
        ),
    ] = ()

    @field_validator("default_gateway", "default_gateway6")
    @classmethod
    def _canonical(cls, value: str) -> str:
        return canonical_address(value)

    @field_validator("default_gateway")
    @classmethod
    def _four(cls, value: str) -> str:
        if ":" in value:
            raise _wrong("is an IPv6 address", "an IPv4 address")
        return value

    @field_validator("default_gateway6")
    @classmethod
    def _six(cls, value: str) -> str:
        if value and ":" not in value:
            raise _wrong("is an IPv4 address", "an IPv6 address")
        return value

    @field_validator("name_servers")
    @classmethod
    def _servers(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        try:
            found = tuple(str(ip_address(one)) for one in value)
        except ValueError:
            raise _wrong("holds something that is no address", "IPv4 or IPv6 addresses") from None
        if len(set(found)) != len(found):
            raise _wrong("names a server twice", "each server once")
        return found

    @field_validator("search_domains")
    @classmethod
    def _domains(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for one in value:
            if len(one) > 253 or re.fullmatch(_DOMAIN, one) is None:
                raise _wrong(f"holds {one[:60]!r}, which is no domain", "domains of letters, digits, hyphens and dots")
        return value

    def gateways(self) -> Iterator[str]:
        """The default gateways there are."""
        yield from filter(None, (self.default_gateway, self.default_gateway6))


class Interface(Settings):
    """A network interface. A port is there by itself; VLANs and bonds are made.

    The first address is the interface's own. `bond` is the bond a port belongs to.
    """

    noun: ClassVar[str] = "network interface"

    name: Annotated[
        str,
        Setting(
            None,
            _INTERFACE,
            "Name",
            "What the kernel calls it.",
            max_length=15,
            filled=True,
            pattern=r"[A-Za-z0-9._-]+",
            pattern_says="1 to 15 letters, digits, dots, hyphens and underscores",
        ),
    ]
    number: Annotated[
        int, Setting("interface", _INTERFACE, "Number", "What LoadMaster's API knows it by.", ge=0, le=65535)
    ]
    kind: Annotated[
        Kind,
        Setting(
            None,
            _INTERFACE,
            "Kind",
            "What it is.",
            choices={"port": "there by itself", "vlan": "a VLAN on another interface", "bond": "several ports as one"},
        ),
    ] = "port"
    address: Annotated[
        str, Setting("addr", _INTERFACE, "Interface Address", "Address with the prefix length of its network.")
    ] = ""
    additional: Annotated[
        tuple[str, ...],
        Setting(
            None, _INTERFACE, "Additional Addresses", "Further addresses, each with its prefix length.", separator=" "
        ),
    ] = ()
    mtu: Annotated[
        int,
        Setting(
            "mtu",
            _INTERFACE,
            "MTU",
            "Longest packet; 0 leaves the kernel's.",
            unit="bytes",
            ge=512,
            le=9216,
            or_zero=True,
        ),
    ] = 0
    parent: Annotated[str, Setting(None, _INTERFACE, "Lies on", "The interface a VLAN lies on.", max_length=15)] = ""
    vlan: Annotated[int, Setting("vlanid", _INTERFACE, "VLAN Id", "Tag of a VLAN.", ge=1, le=4094, or_zero=True)] = 0
    bond_mode: Annotated[
        int,
        Setting(
            "bondmode",
            _INTERFACE,
            "Bonding Mode",
            "How a bond uses its ports.",
            choices=BOND_MODES,
        ),
    ] = 1
    bond: Annotated[str, Setting(None, _INTERFACE, "Bond", "The bond a port belongs to.", max_length=15)] = ""

    @field_validator("address")
    @classmethod
    def _own(cls, value: str) -> str:
        return canonical_interface(value)

    @field_validator("additional")
    @classmethod
    def _others(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(canonical_interface(one) for one in value)

    @model_validator(mode="after")
    def _whole(self) -> Self:
        own = [str(ip_interface(one).ip) for one in self.addresses]
        for one in own:
            if own.count(one) > 1:
                raise PydanticCustomError("rule", "{why}", {"name": "additional", "why": f"{one} is there twice"})
        if self.kind == "vlan" and not (self.vlan and self.parent):
            raise PydanticCustomError("rule", "{why}", {"name": "vlan", "why": "a VLAN needs an id from 1 to 4094"})
        if self.bond and self.kind != "port":
            raise PydanticCustomError("rule", "{why}", {"name": "bond", "why": "only ports belong to bonds"})
        if self.bond and self.addresses:
            why = "a port in a bond has no addresses of its own; the bond has them"
            raise PydanticCustomError("rule", "{why}", {"name": "address", "why": why})
        return self

    @property
    def addresses(self) -> tuple[str, ...]:
        """All addresses with their prefix lengths, its own first."""
        return (*((self.address,) if self.address else ()), *self.additional)

    def networks(self) -> Iterator[AnyNetwork]:
        """The networks it is in."""
        for one in self.addresses:
            yield ip_interface(one).network


class StaticRoute(Settings):
    """A route through a gateway on a local network."""

    noun: ClassVar[str] = "route"

    destination: Annotated[str, Setting("dest", "route", "Destination", "The network it leads to.")]
    gateway: Annotated[str, Setting("gateway", "route", "Gateway", "An address on a local network.", filled=True)]

    @field_validator("destination")
    @classmethod
    def _network(cls, value: str) -> str:
        found = ip_network(canonical_network(value))
        if found.prefixlen == 0:
            raise _wrong("leads everywhere", "a network; everything else goes by the default gateway")
        if found.is_multicast or found.is_loopback:
            raise _wrong("is no network of hosts", "a network of hosts")
        return str(found)

    @field_validator("gateway")
    @classmethod
    def _gateway(cls, value: str) -> str:
        return canonical_address(value)

    @model_validator(mode="after")
    def _one_family(self) -> Self:
        if (":" in self.destination) != (":" in self.gateway):
            why = f"{self.gateway} is of another address family than {self.destination}"
            raise PydanticCustomError("rule", "{why}", {"name": "gateway", "why": why})
        return self


class HostsEntry(Settings):
    """An address with the names it is known by on this host."""

    noun: ClassVar[str] = "hosts entry"

    address: Annotated[
        str, Setting("hostip", "hosts", "IP Address", "The address.", answer="HostIPAddress", filled=True)
    ]
    names: Annotated[
        tuple[str, ...],
        Setting("hostfqdn", "hosts", "Host FQDN", "Names it is known by.", answer="HostFqdn", separator=" "),
    ]

    @field_validator("address")
    @classmethod
    def _address(cls, value: str) -> str:
        try:
            return str(ip_address(value))
        except ValueError:
            raise _wrong("is no address", "an IPv4 or IPv6 address") from None

    @field_validator("names")
    @classmethod
    def _names(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for one in value:
            if len(one) > 253 or re.fullmatch(_DOMAIN, one) is None:
                raise _wrong(f"holds {one[:60]!r}, which is no name", "names of letters, digits, hyphens and dots")
        if not value:
            raise _wrong("is empty", "at least one name")
        return value


def interface_of(interfaces: Mapping[str, Interface], address: str) -> Interface | None:
    """The interface on whose network an address lies; of several the one with the longest prefix."""
    parsed = ip_address(address)
    found: list[tuple[int, Interface]] = [
        (network.prefixlen, one)
        for one in interfaces.values()
        for network in one.networks()
        if network.version == parsed.version and parsed in network
    ]
    return max(found, key=lambda pair: pair[0])[1] if found else None


def own_addresses(interfaces: Iterable[Interface]) -> dict[str, str]:
    """The addresses of interfaces, each with the interface's name."""
    return {str(ip_interface(one).ip): interface.name for interface in interfaces for one in interface.addresses}


def needs_no_network(address: str) -> bool:
    """Whether every host has that address: loopback, or the one that stands for all."""
    parsed: Any = ip_address(address)
    return int(parsed) == 0 or any(parsed.version == network.version and parsed in network for network in _LOOPBACK)


def networks_said(interfaces: Mapping[str, Interface]) -> str:
    """The local networks, for people."""
    return ", ".join(f"{network} ({one.name})" for one in interfaces.values() for network in one.networks()) or "none"
