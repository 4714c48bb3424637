"""What nftables must hold for one service, from the service and what the checks say of its servers. Pure.

A new connection meets, in this order: a reset if it opens nothing (its connection was cut, and the client has to hear
of it), the client's record, the choice of a slot, and where there is no slot the sorry server or a refusal. All packets
after the first follow the connection, whatever changes here.

nftables cannot change an element in place, but a record can be dropped and written again in one packet (`update` of an
element that is there renews its time and keeps its old data, 6.18).
"""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256
from ipaddress import ip_address

from steelyard.compile.layer4.slots import hashed, interleaved
from steelyard.plan.layer4 import Layer4Server, Layer4Service, Standings, effective_weight, standing_of
from steelyard.plan.nft import (
    COUNTERS,
    MOST_SLOTS,
    NETWORKS,
    NOTHING,
    SERVER_MARK,
    SERVICE_MARK,
    SORRY_MARK,
    Data,
    Drop,
    DropRecord,
    Element,
    Goto,
    IdleTimeouts,
    IfClientIn,
    IfMarkTakesClients,
    Jump,
    KeepRecord,
    Leave,
    LimitIdle,
    Mark,
    MarkFromRecord,
    MarkFromSlot,
    NetworkSet,
    Program,
    Refuse,
    RefuseUnopened,
    Rule,
    SetMark,
)

TRANSLATE = "translate"

#: seconds a UDP exchange waits for its answer (the kernel's own default)
_UNREPLIED = 30


def service_mark(service: Layer4Service) -> Mark:
    """The mark that stands for a service while a record is looked up."""
    return Mark(SERVICE_MARK | _number(service.key))


def server_mark(service: str, server: str) -> Mark:
    """The mark of a server's connections."""
    if server == "sorry":
        return Mark(SORRY_MARK | _number(service))
    return Mark(SERVER_MARK | _number(server))


def _number(key: str) -> int:
    return int(key[2:])


def program(service: Layer4Service | None, standings: Standings) -> Program:
    """Chains, rules and elements of one service; nothing for one that is gone."""
    if service is None:
        return NOTHING
    timeouts = idle_timeouts(service)
    slots = slots_of(service, standings)
    elements = dict(_elements(service, standings))
    base = _number(service.key) * MOST_SLOTS
    for number, key in enumerate(slots):
        elements[Element("slots", (base + number,))] = server_mark(service.key, key)
    return Program(
        networks=_networks(service),
        chains={service.key: tuple(_rules(service, len(slots), base, timeouts))},
        elements=elements,
        timeouts=() if timeouts is None else (timeouts,),
    )


def slots_of(service: Layer4Service, standings: Standings) -> tuple[str, ...]:
    """The key of the server each slot leads to; empty when no server takes new clients."""
    weights = {
        server.key: effective_weight(service, server, standing_of(service, server, standings))
        for server in service.servers
    }
    live = [key for key, weight in weights.items() if weight]
    if service.schedule == "sh":
        return hashed(tuple(weights), frozenset(live))
    if not live:
        return ()
    if service.schedule == "wrr" or service.weights_by_health:
        return tuple(live[position] for position in interleaved([weights[key] for key in live]))
    return tuple(live)


def takes_recorded(server: Layer4Server, service: Layer4Service, standings: Standings) -> bool:
    """Whether a server takes clients that have a record of it."""
    return server.enabled and standing_of(service, server, standings).up


def idle_timeouts(service: Layer4Service) -> IdleTimeouts | None:
    """When its connections are forgotten. LoadMaster's 1 for UDP forgets after a packet, 2 after the answer."""
    if not service.idle:
        return None
    if service.protocol == "tcp":
        return IdleTimeouts("tcp", service.ipv6, (("established", service.idle),))
    unreplied = min(service.idle, _UNREPLIED) if service.idle != 2 else _UNREPLIED
    replied = 1 if service.idle == 2 else service.idle
    return IdleTimeouts("udp", service.ipv6, (("unreplied", unreplied), ("replied", replied)))


def _networks(service: Layer4Service) -> tuple[NetworkSet, ...]:
    """The clients it refuses, as a set whose name tells its content."""
    if not service.refused:
        return ()
    ranges = tuple((ip_address(one.first), ip_address(one.last)) for one in service.refused)
    digest = sha256("\n".join(f"{first}-{last}" for first, last in ranges).encode()).hexdigest()[:24]
    return (NetworkSet(f"{NETWORKS}{digest}", service.ipv6, ranges),)


def _rules(service: Layer4Service, slots: int, base: int, timeouts: IdleTimeouts | None) -> Iterator[Rule]:
    for networks in _networks(service):
        refuse = Drop() if service.refuse_silently else Refuse(service.protocol)
        yield IfClientIn(networks.name, networks.ipv6), refuse
    if service.protocol == "tcp":
        yield (RefuseUnopened(),)
    if timeouts is not None:
        yield (LimitIdle(timeouts.name),)
    choice = MarkFromSlot(slots, base, service.schedule == "sh", service.ipv6)
    persistence = service.persistence
    if persistence is None:
        if slots:
            yield choice, Jump(TRANSLATE)
    else:
        own = service_mark(service)
        prefix = persistence.prefix6 if service.ipv6 else persistence.prefix4
        keep = KeepRecord(own, service.ipv6, prefix, persistence.seconds)
        yield (SetMark(own),)
        yield (MarkFromRecord(service.ipv6, prefix),)
        yield IfMarkTakesClients(), keep, Jump(TRANSLATE)
        yield (DropRecord(own, service.ipv6, prefix),)
        if slots:
            yield choice, keep, Jump(TRANSLATE)
    if service.sorry is not None:
        yield SetMark(server_mark(service.key, service.sorry.key)), Jump(TRANSLATE)
    else:
        yield (Refuse(service.protocol),)


def _elements(service: Layer4Service, standings: Standings) -> Iterator[tuple[Element, Data]]:
    family = 6 if service.ipv6 else 4
    lead = Goto(service.key)
    address = ip_address(service.address)
    if service.enabled and service.wildcard:
        yield Element(f"any_port{family}", (address, service.protocol)), lead
        for ports in service.spared:
            for port in range(ports.first, ports.last + 1):
                yield Element(f"services{family}", (address, service.protocol, port)), Leave()
    elif service.enabled:
        for ports in service.ports:
            for port in range(ports.first, ports.last + 1):
                yield Element(f"services{family}", (address, service.protocol, port)), lead
    for server in service.members():
        mark = server_mark(service.key, server.key)
        target = ip_address(server.address)
        if server.port:
            yield Element(f"targets{family}", (mark,)), (target, server.port)
        else:
            yield Element(f"addresses{family}", (mark,)), target
        for counter in COUNTERS:
            yield Element(counter, (mark,)), None
        if service.source_nat is not None:
            yield Element(f"sources{family}", (mark,)), ip_address(service.source_nat)
        if takes_recorded(server, service, standings):
            yield Element("takes", (mark,)), None
