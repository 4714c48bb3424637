"""The table `inet steelyard_ipvs`: which packets are of which IPVS service, as firewall marks.

Marks are put on in the hook before IPVS's own (`input`, and `output` for clients on this host), after routing, so that
no rule of policy routing sees them. The services' ports lie in maps, so a packet costs two look-ups however many there
are, and a change of one service is a change of its elements. All values are numbers and addresses, plain words.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Literal

TABLE = "inet steelyard_ipvs"

#: the elements of each map and set of the table
Elements = Mapping[str, frozenset[str]]

_SETS = {
    "ports4": "map ports4 { type ipv4_addr . inet_proto . inet_service : mark; flags interval; }",
    "ports6": "map ports6 { type ipv6_addr . inet_proto . inet_service : mark; flags interval; }",
    "wildcard4": "map wildcard4 { type ipv4_addr . inet_proto : mark; }",
    "wildcard6": "map wildcard6 { type ipv6_addr . inet_proto : mark; }",
    "wildcards": "set wildcards { type mark; }",
    "source4": "map source4 { type mark : ipv4_addr; }",
    "source6": "map source6 { type mark : ipv6_addr; }",
    "closed": "set closed { type mark; }",
}

# The later rule wins, so a service of some ports goes before one of all. Where nothing is found a rule ends, and the
# next one is looked at. A service of all ports leaves what is a socket's of this host on its address: listeners, and
# answers to what this host has asked from there. Packets from here pass `from_outside`, too, when they arrive.
_CHAINS = """
chain steer {
    meta mark set ip daddr . meta l4proto . th dport map @ports4
    meta mark set ip6 daddr . meta l4proto . th dport map @ports6
    meta mark @closed tcp flags & (fin | syn | rst | ack) == syn reject with tcp reset
}
chain from_outside {
    type filter hook input priority mangle;
    meta mark set ip daddr . meta l4proto map @wildcard4
    meta mark set ip6 daddr . meta l4proto map @wildcard6
    meta mark @wildcards socket wildcard 0 meta mark set 0
    jump steer
}
chain from_here {
    type filter hook output priority mangle;
    jump steer
}
chain translate {
    type nat hook postrouting priority srcnat;
    meta nfproto ipv4 snat ip to meta mark map @source4
    meta nfproto ipv6 snat ip6 to meta mark map @source6
}
"""


@dataclass(frozen=True, slots=True)
class MarkedService:
    """The packets of one service. No `ports` means all that no other service of the address has.

    A `closed` one refuses new TCP connections. With `source`, real servers see that address.
    """

    mark: int
    protocol: Literal["tcp", "udp"]
    address: str
    ports: tuple[tuple[int, int], ...] = ()
    closed: bool = False
    source: str | None = None


def elements(services: Iterable[MarkedService]) -> Elements:
    """What the maps and sets must hold for these services."""
    found: dict[str, set[str]] = {name: set() for name in _SETS}
    for service in services:
        address = ip_address(service.address)
        mark = f"{service.mark:#x}"
        if not service.ports:
            found[f"wildcard{address.version}"].add(f"{address} . {service.protocol} : {mark}")
            found["wildcards"].add(mark)
        for first, last in service.ports:
            ports = f"{first:d}" if first == last else f"{first:d}-{last:d}"
            found[f"ports{address.version}"].add(f"{address} . {service.protocol} . {ports} : {mark}")
        if service.closed and service.protocol == "tcp":
            found["closed"].add(mark)
        if service.source is not None:
            found[f"source{address.version}"].add(f"{mark} : {ip_address(service.source)}")
    return {name: frozenset(members) for name, members in found.items()}


def whole(wanted: Elements) -> str:
    """One transaction that makes the table anew, whatever there was."""
    lines = [f"table {TABLE} {{ }}", f"delete table {TABLE}", f"table {TABLE} {{", *_SETS.values(), _CHAINS, "}"]
    return "\n".join([*lines, *_changes("add", {}, wanted)]) + "\n"


def changes(old: Elements, new: Elements) -> str:
    """One transaction from one content to another; empty when they are the same."""
    lines = [*_changes("delete", new, old), *_changes("add", old, new)]
    return "\n".join(lines) + "\n" if lines else ""


def removal() -> str:
    """One transaction after which there is no such table."""
    return f"table {TABLE} {{ }}\ndelete table {TABLE}\n"


def _changes(verb: Literal["add", "delete"], without: Elements, these: Elements) -> list[str]:
    lines = []
    for name, members in these.items():
        different = sorted(members - without.get(name, frozenset()))
        if different:
            lines.append(f"{verb} element {TABLE} {name} {{ {', '.join(different)} }}")
    return lines
