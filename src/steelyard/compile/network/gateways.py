"""Gateways of services' own, as policy routing. Pure.

Answers to clients leave by the service's gateway. At layer 7 they come from the service's own address and ports; what
this host asks real servers from that address comes from other ports and goes its usual way. At layer 4 the kernel
routes them before it puts the service's address on, so they are known by real server and port. Networks this host is on
itself, and those it has routes to, are asked first, unless only default routes are to be used.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from ipaddress import ip_network
from typing import Literal

from steelyard.model.gateway_refusals import Answers, answers_of
from steelyard.model.virtual_service import VirtualService
from steelyard.plan.network import MAIN_TABLE, NetworkPlan, Route, Rule

#: tables of services: this and the service's number
FIRST_TABLE = 0x5359_0000
#: after the kernel's own table of this host's addresses (0) and before the main one (32766)
_ATTACHED_FIRST, _OWN_GATEWAY = 5000, 5001


def with_gateways(
    network: NetworkPlan, services: Iterable[tuple[VirtualService, Literal[4, 7]]], *, default_only: bool
) -> NetworkPlan:
    """The network with what services with a gateway need. Each service comes with its layer."""
    routes: dict[str, Route] = {}
    rules: dict[str, Rule] = {}
    for service, layer in services:
        if not service.default_gateway or service.is_sub:
            continue
        table = FIRST_TABLE + service.index
        everywhere = "::/0" if ":" in service.default_gateway else "0.0.0.0/0"
        route = Route(destination=everywhere, gateway=service.default_gateway, table=table)
        routes[route.key] = route
        for rule in _rules(service, layer, table, default_only):
            rules[rule.key] = rule
    if not rules:
        return network
    return network.model_copy(update={"routes": {**network.routes, **routes}, "rules": {**network.rules, **rules}})


def _rules(service: VirtualService, layer: Literal[4, 7], table: int, default_only: bool) -> Iterator[Rule]:
    for protocol, address, first, last in _answers(service, layer):
        source = str(ip_network(address))
        ports: Literal["tcp", "udp"] = "udp" if protocol == "udp" else "tcp"
        if not default_only:
            yield Rule(
                source=source,
                table=MAIN_TABLE,
                priority=_ATTACHED_FIRST,
                protocol=ports,
                first=first,
                last=last,
                not_default=True,
            )
        yield Rule(source=source, table=table, priority=_OWN_GATEWAY, protocol=ports, first=first, last=last)


def _answers(service: VirtualService, layer: Literal[4, 7]) -> Iterator[Answers]:
    """What answers come from. Refusals at layer 4 come from this host itself, by the service's address."""
    for first, last in service.port_ranges:
        yield service.protocol, service.address, first, last
    if layer == 4:
        yield from answers_of(service)
