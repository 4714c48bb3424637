"""The table `inet steelyard_ipvs`: which packets are of which IPVS service, as firewall marks.

Marks are put on in the hook before IPVS's own (`input`, and `output` for clients on this host), after routing, so that
no rule of policy routing sees them. The services' ports lie in maps, so a packet costs two look-ups however many there
are, and a change of one service is a change of its elements. All values are numbers and addresses, plain words.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
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
    "listing": "map listing { type mark : verdict; }",
}

# The later rule wins, so a service of some ports goes before one of all. Where nothing is found a rule ends, and the
# next one is looked at. A service of all ports leaves what is a socket's of this host on its address: listeners, and
# answers to what this host has asked from there. Packets from here pass `from_outside`, too, when they arrive. Who is
# refused is refused what would begin a connection; UDP does not show that, so all of it is.
_CHAINS = """
chain steer {
    meta mark set ip daddr . meta l4proto . th dport map @ports4
    meta mark set ip6 daddr . meta l4proto . th dport map @ports6
    meta mark 0 return
    tcp flags & (fin | syn | rst | ack) == syn goto begin
    meta l4proto udp goto begin
}
chain begin {
    meta mark vmap @listing
    meta mark @closed goto refuse
}
chain refuse {
    meta l4proto tcp reject with tcp reset
    reject with icmpx port-unreachable
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

    A `closed` one refuses new TCP connections. With `source`, real servers see that address. Clients in the ranges of
    `refused` are refused, `unheard` says without a word.
    """

    mark: int
    protocol: Literal["tcp", "udp"]
    address: str
    ports: tuple[tuple[int, int], ...] = ()
    closed: bool = False
    source: str | None = None
    refused: tuple[tuple[str, str], ...] = ()
    unheard: bool = False


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
        if service.refused:
            found["listing"].add(f"{mark} : jump {_name(service)}")
    return {name: frozenset(members) for name, members in found.items()}


def whole(services: Iterable[MarkedService]) -> str:
    """One transaction that makes the table anew, whatever there was."""
    these = list(services)
    lines = [f"table {TABLE} {{ }}", f"delete table {TABLE}", f"table {TABLE} {{", *_SETS.values(), _CHAINS, "}"]
    return _text([*lines, *_lists([], these), *_changes("add", {}, elements(these))])


def changes(old: Iterable[MarkedService], new: Iterable[MarkedService]) -> str:
    """One transaction that has these services instead of those; empty when they are the same."""
    gone, come = list(old), list(new)
    before, after = elements(gone), elements(come)
    return _text(
        [
            *_changes("delete", after, before),
            *_lists(gone, come),
            *_changes("add", before, after),
        ]
    )


def removal() -> str:
    """One transaction after which there is no such table."""
    return f"table {TABLE} {{ }}\ndelete table {TABLE}\n"


def _text(lines: list[str]) -> str:
    return "".join(f"{line}\n" for line in lines)


def _changes(verb: Literal["add", "delete"], without: Elements, these: Elements) -> list[str]:
    lines = []
    for name, members in these.items():
        different = sorted(members - without.get(name, frozenset()))
        if different:
            lines.append(f"{verb} element {TABLE} {name} {{ {', '.join(different)} }}")
    return lines


def _name(service: MarkedService) -> str:
    """Of the chain and the set of a service's list."""
    return f"list_{service.mark:x}"


def _lists(old: Iterable[MarkedService], new: Iterable[MarkedService]) -> Iterator[str]:
    """The lists of refused clients, a set and a chain each: one set for all would take minutes to fill."""
    before = {one.mark: one for one in old if one.refused}
    after = {one.mark: one for one in new if one.refused}
    for mark, service in before.items():
        if mark not in after or _family(after[mark]) != _family(service):
            yield from (f"flush chain {TABLE} {_name(service)}", f"delete chain {TABLE} {_name(service)}")
            yield f"delete set {TABLE} {_name(service)}"
    for mark, service in after.items():
        name, known = _name(service), before.get(mark)
        if known is not None and _family(known) != _family(service):
            known = None
        if known is None:
            kind = "ipv6_addr" if _family(service) == "ip6" else "ipv4_addr"
            yield f"add set {TABLE} {name} {{ type {kind}; flags interval; }}"
            yield f"add chain {TABLE} {name}"
        if known is None or known.unheard != service.unheard:
            verdict = "drop" if service.unheard else "goto refuse"
            yield f"flush chain {TABLE} {name}"
            yield f"add rule {TABLE} {name} {_family(service)} saddr @{name} {verdict}"
        if known is None or known.refused != service.refused:
            yield f"flush set {TABLE} {name}"
            yield f"add element {TABLE} {name} {{ {', '.join(_ranges(service))} }}"


def _family(service: MarkedService) -> Literal["ip", "ip6"]:
    return "ip6" if ":" in service.address else "ip"


def _ranges(service: MarkedService) -> Iterator[str]:
    for lowest, highest in service.refused:
        one, other = ip_address(lowest), ip_address(highest)
        yield f"{one}" if one == other else f"{one}-{other}"
