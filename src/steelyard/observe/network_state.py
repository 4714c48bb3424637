"""The host's network as it is: interfaces, addresses, routes, name servers and names. Nothing is changed here.

Interfaces, addresses and routes come from the kernel by netlink (rtnetlink(7)), name servers from resolv.conf(5), names
from hosts(5).
"""

from __future__ import annotations

import socket
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any, Literal

from steelyard.engines.host_names import HostEntry, parse_hosts, parse_resolver
from steelyard.model.errors import HostLacks

__all__ = [
    "HostEntry",
    "Interface",
    "InterfaceKind",
    "NetworkState",
    "Route",
    "parse_hosts",
    "parse_resolver",
    "read_network",
]

InterfaceKind = Literal["port", "bond", "vlan", "vxlan", "bridge", "loopback", "other"]

_LOOPBACK, _UP = 0x8, 0x1
_MAIN_TABLE = 254
_LINK_SCOPE = 253
_PERMANENT = 0x80
#: kinds of the kernel (IFLA_INFO_KIND) that have a word of their own; a real port has none
_KINDS: Mapping[str | None, InterfaceKind] = {
    None: "port",
    "bond": "bond",
    "vlan": "vlan",
    "vxlan": "vxlan",
    "bridge": "bridge",
    "veth": "port",
}
_EVERYWHERE = {socket.AF_INET: "0.0.0.0/0", socket.AF_INET6: "::/0"}
_RESOLVER = Path("/etc/resolv.conf")
_HOSTS = Path("/etc/hosts")


@dataclass(frozen=True)
class Interface:
    """A network interface. `number` counts those beside loopback from 0, and loopback has none.

    `addresses` are written as address/prefix, those of link scope left out. `vlan` is the tag of a VLAN on `parent`;
    `member_of` names the bond or bridge it belongs to. `gateway` tells whether a default route leaves by it.
    """

    name: str
    number: int | None
    kind: InterfaceKind
    up: bool
    mtu: int
    hardware_address: str
    addresses: tuple[str, ...] = ()
    vlan: int | None = None
    parent: str = ""
    member_of: str = ""
    gateway: bool = False
    #: those of the addresses that end by themselves, as those from router advertisements do
    passing: tuple[str, ...] = ()
    #: the kernel's number of how a bond uses its ports
    bond_mode: int | None = None


@dataclass(frozen=True)
class Route:
    """A route of the main table. `destination` is a network, `gateway` is empty for one that is reached directly."""

    destination: str
    gateway: str
    interface: str
    metric: int

    @property
    def is_default(self) -> bool:
        """Whether it leads everywhere."""
        return self.destination in _EVERYWHERE.values()


@dataclass(frozen=True)
class NetworkState:
    """All of it at one moment."""

    host_name: str
    interfaces: tuple[Interface, ...]
    routes: tuple[Route, ...]
    name_servers: tuple[str, ...]
    search_domains: tuple[str, ...]
    hosts: tuple[HostEntry, ...]

    def default_gateway(self, version: Literal[4, 6]) -> str:
        """The gateway of the best default route, "" without one."""
        found = [
            route
            for route in self.routes
            if route.gateway and route.is_default and ip_address(route.gateway).version == version
        ]
        return min(found, key=lambda route: route.metric).gateway if found else ""


def read_network(resolver: Path = _RESOLVER, hosts: Path = _HOSTS) -> NetworkState:
    """The network of the namespace this process is in. Takes some milliseconds. Raises `HostLacks` without netlink."""
    # a tenth of a second to import, which a start need not wait for
    from pyroute2 import IPRoute

    try:
        with IPRoute() as netlink:
            links = list(netlink.get_links())
            addresses = list(netlink.get_addr())
            routes = list(netlink.get_routes(table=_MAIN_TABLE))
    except OSError as failure:
        raise HostLacks(
            f"The kernel does not tell about the network: {failure.strerror}",
            lacks="netlink",
            remedy="Let the service use AF_NETLINK sockets (RestrictAddressFamilies of its unit)",
        ) from failure
    names = {link["index"]: link.get_attr("IFLA_IFNAME") for link in links}
    found = tuple(_routes(routes, names))
    name_servers, search_domains = parse_resolver(_text(resolver))
    return NetworkState(
        socket.gethostname(),
        tuple(_interfaces(links, addresses, names, {route.interface for route in found if route.is_default})),
        found,
        name_servers,
        search_domains,
        parse_hosts(_text(hosts)),
    )


def _interfaces(
    links: list[Any], addresses: list[Any], names: Mapping[int, str], by_default: set[str]
) -> Iterable[Interface]:
    held: dict[int, list[str]] = {}
    passing: dict[int, list[str]] = {}
    for one in addresses:
        if one["scope"] != _LINK_SCOPE:
            own = one.get_attr("IFA_LOCAL") or one.get_attr("IFA_ADDRESS")
            held.setdefault(one["index"], []).append(f"{own}/{one['prefixlen']}")
            if not (one.get_attr("IFA_FLAGS") or one["flags"]) & _PERMANENT:
                passing.setdefault(one["index"], []).append(held[one["index"]][-1])
    number = 0
    for link in links:
        loopback = bool(link["flags"] & _LOOPBACK)
        information = link.get_attr("IFLA_LINKINFO")
        word = information.get_attr("IFLA_INFO_KIND") if information else None
        kind = "loopback" if loopback else _KINDS.get(word, "other")
        data = information.get_attr("IFLA_INFO_DATA") if kind in ("vlan", "bond") else None
        name = names[link["index"]]
        yield Interface(
            name=name,
            number=None if loopback else number,
            kind=kind,
            up=bool(link["flags"] & _UP) and link.get_attr("IFLA_OPERSTATE") in ("UP", "UNKNOWN"),
            mtu=link.get_attr("IFLA_MTU"),
            hardware_address="" if loopback else link.get_attr("IFLA_ADDRESS") or "",
            addresses=tuple(held.get(link["index"], ())),
            vlan=data.get_attr("IFLA_VLAN_ID") if data and kind == "vlan" else None,
            bond_mode=data.get_attr("IFLA_BOND_MODE") if data and kind == "bond" else None,
            parent=names.get(link.get_attr("IFLA_LINK"), "") if kind in ("vlan", "vxlan") else "",
            member_of=names.get(link.get_attr("IFLA_MASTER"), ""),
            gateway=name in by_default,
            passing=tuple(passing.get(link["index"], ())),
        )
        number += not loopback


def _routes(routes: list[Any], names: Mapping[int, str]) -> Iterable[Route]:
    for one in routes:
        network = one.get_attr("RTA_DST")
        destination = _EVERYWHERE[one["family"]] if network is None else f"{network}/{one['dst_len']}"
        if ip_network(destination).is_link_local or ip_network(destination).is_multicast:
            continue
        # of a route with several gateways, the first stands for all
        hops = one.get_attr("RTA_MULTIPATH")
        hop = hops[0] if hops else one
        via = one.get_attr("RTA_VIA") or {}
        yield Route(
            destination,
            hop.get_attr("RTA_GATEWAY") or via.get("addr", ""),
            names.get(hop["oif"] if hops else one.get_attr("RTA_OIF"), ""),
            one.get_attr("RTA_PRIORITY") or 0,
        )


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8", "replace")
    except OSError:
        # a host without the file has none of its entries
        return ""
