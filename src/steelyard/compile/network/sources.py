"""The kernel's part in source addresses: real servers that see clients, and server NAT. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Literal

from steelyard.model.configuration import Configuration
from steelyard.model.sources import SourceSettings, seen_by_server, seen_by_servers
from steelyard.model.virtual_service import VirtualService
from steelyard.model.virtual_service.instead import handles_itself
from steelyard.plan.network import NetworkPlan
from steelyard.plan.sources import Leaving, ServerPorts, SourcesPlan

_FORWARDING = {False: "ipv4/ip_forward", True: "ipv6/conf/all/forwarding"}
_Ranges = list[tuple[int, int]]


@dataclass(frozen=True, slots=True)
class Carried:
    """A service with its parent, and the layer it runs at."""

    service: VirtualService
    parent: VirtualService | None
    layer: Literal[4, 7]


def with_sources(network: NetworkPlan, carried: Iterable[Carried], configuration: Configuration) -> NetworkPlan:
    """The network with what source addresses need."""
    every = tuple(carried)
    settings = SourceSettings(configuration.layer7.transparent, configuration.network.subnet_originating)
    transparent = _transparent(every, settings)
    leaving: tuple[Leaving, ...] = ()
    masqueraded: tuple[str, ...] = ()
    if configuration.network.server_nat:
        leaving = _leaving(every)
        if configuration.host.managed:
            own = {one.server for one in leaving}
            servers = {server.address for one in every for server in one.service.servers}
            masqueraded = tuple(sorted(servers - own))
    if not (transparent or leaving or masqueraded):
        return network
    plan = SourcesPlan.model_construct(
        transparent=transparent,
        servers_local=bool(transparent) and configuration.layer7.real_servers_local,
        leaving=leaving,
        masqueraded=masqueraded,
    )
    families = {":" in one.server for one in leaving}
    sysctls = {**network.sysctls, **{_FORWARDING[ipv6]: "1" for ipv6 in sorted(families)}}
    return network.model_copy(update={"sources": plan, "sysctls": sysctls})


def _transparent(every: tuple[Carried, ...], settings: SourceSettings) -> tuple[ServerPorts, ...]:
    ports: dict[str, _Ranges] = {}
    for one in every:
        if one.layer != 7 or not one.service.transparent:
            continue
        seen = seen_by_servers(one.service, one.parent, settings)
        outer = one.service if one.parent is None else one.parent
        for server in one.service.servers:
            if seen_by_server(seen, outer.address, server.address).kind == "client":
                follows = bool(one.service.extra_ports) and server.port == one.service.port
                wanted = outer.port_ranges if follows else ((server.port, server.port),)
                ports.setdefault(server.address, []).extend(wanted)
        sorry = one.service if handles_itself(one.service) else outer
        address, port = sorry.standby_address, sorry.standby_port
        if address and seen_by_server(seen, outer.address, address).kind == "client":
            ports.setdefault(address, []).extend(((port, port),) if port else outer.port_ranges)
    return tuple(
        ServerPorts(address=address, first=first, last=last)
        for address in sorted(ports)
        for first, last in _joined(ports[address])
    )


def _joined(ranges: _Ranges) -> Iterator[tuple[int, int]]:
    """The same ports by ranges in order that do not touch."""
    current: tuple[int, int] | None = None
    for first, last in sorted(ranges):
        if current is not None and first <= current[1] + 1:
            current = (current[0], max(current[1], last))
        else:
            if current is not None:
                yield current
            current = (first, last)
    if current is not None:
        yield current


def _leaving(every: tuple[Carried, ...]) -> tuple[Leaving, ...]:
    """By destination port where a server is in several services: that of the service whose port it is, and else that of
    the first one.
    """
    users: dict[str, list[VirtualService]] = {}
    for one in every:
        outer = one.service if one.parent is None else one.parent
        if not outer.use_for_snat or not outer.enabled or outer.address in ("", "0.0.0.0", "::"):
            continue
        for server in one.service.servers:
            if (":" in server.address) == (":" in outer.address):
                services = users.setdefault(server.address, [])
                if outer not in services:
                    services.append(outer)
    return tuple(_all_leaving(users))


def _all_leaving(users: Mapping[str, list[VirtualService]]) -> Iterator[Leaving]:
    for address in sorted(users, key=lambda one: (":" in one, ip_address(one).packed)):
        services = sorted(users[address], key=lambda one: one.index)
        if len({one.address for one in services}) > 1:
            taken: dict[str, _Ranges] = {}
            for service in services:
                protocol: Literal["tcp", "udp"] = "udp" if service.protocol == "udp" else "tcp"
                held = taken.setdefault(protocol, [])
                for wanted in service.port_ranges:
                    for first, last in _free(wanted, held):
                        yield Leaving(server=address, source=service.address, protocol=protocol, first=first, last=last)
                        held.append((first, last))
        yield Leaving(server=address, source=services[0].address)


def _free(wanted: tuple[int, int], held: _Ranges) -> list[tuple[int, int]]:
    """What of some ports nobody has."""
    first, last = wanted
    found: _Ranges = []
    for start, end in sorted(held):
        if end < first or start > last:
            continue
        if start > first:
            found.append((first, start - 1))
        first = end + 1
    if first <= last:
        found.append((first, last))
    return found
