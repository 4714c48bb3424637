"""The kernel's part in source addresses: real servers that see clients, and server NAT. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Literal

from steelyard.model.configuration import Configuration
from steelyard.model.sources import SourceSettings, seen_by_server, source_settings
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


def with_sources(
    network: NetworkPlan,
    carried: Iterable[Carried],
    configuration: Configuration,
    server_networks: Callable[[Configuration], tuple[str, ...]],
) -> NetworkPlan:
    """The network with what source addresses need.

    Server NAT for all goes by the networks real servers are in, so that one server more changes nothing there.
    """
    every = tuple(carried)
    transparent = _transparent(every, source_settings(configuration))
    leaving: tuple[Leaving, ...] = ()
    masqueraded: tuple[str, ...] = ()
    if configuration.network.server_nat:
        leaving = _leaving(every)
        if configuration.host.managed:
            masqueraded = server_networks(configuration)
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
    """By sources, too: services that share a real server's port have the same ones (`model.sources`)."""
    ports: dict[tuple[str, tuple[str, ...]], _Ranges] = {}
    for one in every:
        alternate = settings.alternate and bool(one.service.local_bind_addresses)
        if one.layer == 7 and (one.service.transparent or alternate):
            for address, ranges in _asked(one):
                seen = seen_by_server(one.service, one.parent, settings, address)
                if seen.kind in ("client", "alternate"):
                    ports.setdefault((address, seen.addresses), []).extend(ranges)
    taken: dict[str, _Ranges] = {}
    found: list[ServerPorts] = []
    for address, sources in sorted(ports):
        held = taken.setdefault(address, [])
        for wanted in list(_joined(ports[address, sources])):
            for first, last in _free(wanted, held):
                found.append(ServerPorts(address=address, first=first, last=last, sources=sources))
                held.append((first, last))
    return tuple(found)


def _asked(one: Carried) -> Iterator[tuple[str, _Ranges]]:
    """Whom HAProxy asks for a service, on which ports: its real servers, and the sorry server."""
    service = one.service
    for server in service.servers:
        follows = bool(service.extra_ports) and server.port == service.port
        yield server.address, list(service.port_ranges) if follows else [(server.port, server.port)]
    outer = service if one.parent is None else one.parent
    sorry = service if handles_itself(service) else outer
    if sorry.standby_address:
        port = sorry.standby_port
        yield sorry.standby_address, [(port, port)] if port else list(outer.port_ranges)


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
