"""The table of source addresses: answers to connections with clients' addresses, and server NAT.

It is replaced whole in one transaction, in which no packet sees a gap, and connections keep the addresses they have.

- `own` sees connections of this host. Those with a foreign source are HAProxy's, to real servers that see clients'
  addresses. A client on the real server's own network would get its answer past this host, and drop it. Answers of a
  real server on this host itself would leave for the client; they are sent back in.
- `divert` comes after the addresses of answers have been translated back (-100), and before routing. Packets of a
  connection whose socket here has a foreign address are marked, and routed to this host by a rule about the mark.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from steelyard.plan.sources import DIVERTED, HERE, NOT_TRANSPARENT, ROTATED, ServerPorts, SourcesPlan, Surroundings

NAME = "steelyard_sources"

_FAMILIES = (("4", "ip", "ipv4_addr", False), ("6", "ip6", "ipv6_addr", True))
_IN = f"inet {NAME}"


def clear_text() -> str:
    """Commands that remove the table, whether it is there or not."""
    return f"add table {_IN}\ndelete table {_IN}\n"


def sources_text(plan: SourcesPlan, here: Surroundings) -> str:
    """Commands that put the table there in place of what it was."""
    return clear_text() + "".join(f"{line}\n" for line in _lines(plan, here))


def _lines(plan: SourcesPlan, here: Surroundings) -> Iterator[str]:
    yield f"add table {_IN}"
    yield f"add chain {_IN} own {{ type route hook output priority -90; policy accept; }}"
    yield f"add chain {_IN} divert {{ type filter hook prerouting priority -90; policy accept; }}"
    yield f"add chain {_IN} leaving {{ type nat hook postrouting priority 101; policy accept; }}"
    yield f"add rule {_IN} own ct mark {HERE:#x} ct direction reply meta mark set {DIVERTED:#x} accept"
    yield f"add rule {_IN} leaving ct mark {NOT_TRANSPARENT:#x} masquerade"
    for family, word, kind, ipv6 in _FAMILIES:
        yield from _transparent(plan, here, family, word, kind, ipv6)
        yield from _server_nat(plan, here, family, word, kind, ipv6)


def _transparent(plan: SourcesPlan, here: Surroundings, family: str, word: str, kind: str, ipv6: bool) -> Iterator[str]:
    servers = [one for one in plan.transparent if (":" in one.address) == ipv6]
    if not servers:
        return
    yield from _ports(f"servers{family}", kind, servers)
    attached = [f'{network} . "{interface}"' for network, interface in here.attached if (":" in network) == ipv6]
    yield from _set("set", f"attached{family}", f"type {kind} . ifname; flags interval;", attached)
    ours = f"{word} daddr . tcp dport @servers{family} ct state new fib saddr type != local"
    for number, sources in enumerate(sorted({one.sources for one in servers if one.sources})):
        turn, mark = f"turn{family}_{number}", f"{ROTATED + number * 2 + ipv6:#x}"
        yield from _ports(turn, kind, [one for one in servers if one.sources == sources])
        yield f"add rule {_IN} own {ours} {word} daddr . tcp dport @{turn} ct mark set {mark} accept"
        listed = ", ".join(f"{place} : {source}" for place, source in enumerate(sources))
        one = sources[0] if len(sources) == 1 else f"numgen inc mod {len(sources)} map {{ {listed} }}"
        yield f"add rule {_IN} leaving ct mark {mark} snat {word} to {one}"
    yield f"add rule {_IN} own {ours} fib daddr type local ct mark set {HERE:#x} accept"
    yield f"add rule {_IN} own {ours} {word} saddr . oifname @attached{family} ct mark set {NOT_TRANSPARENT:#x}"
    if plan.servers_local:
        addresses = sorted({one.address for one in servers})
        yield from _set("set", f"real{family}", f"type {kind};", addresses)
        yield f"add rule {_IN} own {ours} {word} saddr @real{family} ct mark set {NOT_TRANSPARENT:#x}"
    answers = f"{word} saddr . tcp sport @servers{family} ct direction reply socket transparent 1"
    yield f"add rule {_IN} divert {answers} meta mark set {DIVERTED:#x}"


def _server_nat(plan: SourcesPlan, here: Surroundings, family: str, word: str, kind: str, ipv6: bool) -> Iterator[str]:
    interfaces = here.outward.get("6" if ipv6 else "4", ())
    leaving = [one for one in plan.leaving if (":" in one.server) == ipv6]
    by_port = [
        f"{one.protocol} . {one.server} . {_range(one.first, one.last)} : {one.source}"
        for one in leaving
        if one.protocol is not None
    ]
    by_server = [f"{one.server} : {one.source}" for one in leaving if one.protocol is None]
    others = [one for one in plan.masqueraded if (":" in one) == ipv6]
    if not interfaces or not (by_port or by_server or others):
        return
    out = f"oifname {{ {', '.join(chr(34) + one + chr(34) for one in interfaces)} }}"
    key = f"inet_proto . {kind} . inet_service"
    yield from _set("map", f"by_port{family}", f"type {key} : {kind}; flags interval;", by_port)
    yield from _set("map", f"by_server{family}", f"type {kind} : {kind};", by_server)
    yield from _set("set", f"others{family}", f"type {kind}; flags interval; auto-merge;", others)
    lookup = f"meta l4proto . {word} saddr . th dport map @by_port{family}"
    yield f"add rule {_IN} leaving {out} snat {word} to {lookup}"
    yield f"add rule {_IN} leaving {out} snat {word} to {word} saddr map @by_server{family}"
    yield f"add rule {_IN} leaving {out} {word} saddr @others{family} masquerade"


def _ports(name: str, kind: str, servers: Iterable[ServerPorts]) -> Iterator[str]:
    ports = [f"{one.address} . {_range(one.first, one.last)}" for one in servers]
    yield from _set("set", name, f"type {kind} . inet_service; flags interval;", ports)


def _set(what: str, name: str, content: str, elements: Iterable[str]) -> Iterator[str]:
    yield f"add {what} {_IN} {name} {{ {content} }}"
    listed = ", ".join(elements)
    if listed:
        yield f"add element {_IN} {name} {{ {listed} }}"


def _range(first: int, last: int) -> str:
    return str(first) if first == last else f"{first}-{last}"
