"""A layer-4 service as the kernel's drivers take it, from the operator's words. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from steelyard.model.layer import Layer
from steelyard.model.virtual_service import VirtualService
from steelyard.plan.layer4 import (
    ALL_PORTS,
    Layer4Server,
    Layer4Service,
    Persistence,
    PortRange,
    Schedule,
)
from steelyard.plan.network import NetworkPlan

#: fixed weighting and weights that move are weighted round robin whose weights the checking process tells
_SCHEDULES: Mapping[str, Schedule] = {
    "rr": "rr",
    "wrr": "wrr",
    "sh": "sh",
    "lc": "lc",
    "wlc": "wlc",
    "fixed": "wrr",
    "adaptive": "wrr",
    "dl": "wrr",
    "sdn-adaptive": "wrr",
}
#: the switch of each family, by whether it is IPv6
_FORWARDING = {False: "ipv4/ip_forward", True: "ipv6/conf/all/forwarding"}
_BY_HEALTH = frozenset({"fixed", "adaptive", "dl", "sdn-adaptive"})


def compile_layer4(service: VirtualService, layer: Layer) -> Layer4Service:
    """The plan of one service that runs at layer 4."""
    servers = tuple(
        Layer4Server(
            key=server.engine_name,
            address=server.address,
            port=_port(service, server.port),
            weight=server.weight,
            enabled=server.enabled,
            forwarding="route" if server.forward == "route" else "nat",
            limit=server.limit,
        )
        for server in service.servers
    )
    return Layer4Service(
        key=service.engine_name,
        protocol="udp" if service.protocol == "udp" else "tcp",
        address=service.address,
        ports=(ALL_PORTS,) if service.wildcard else _ranges(service),
        schedule=_SCHEDULES[service.schedule],
        driver="ipvs" if layer.carrier == "ipvs" else "nft",
        enabled=service.enabled,
        persistence=_persistence(service),
        source_nat=service.address if service.layer4_source_nat else None,
        idle=service.idle_time,
        weights_by_health=service.schedule in _BY_HEALTH,
        checked=service.check_type != "none",
        servers=servers,
        sorry=_sorry(service),
    )


def with_spared(service: Layer4Service, services: Iterable[VirtualService]) -> Layer4Service:
    """A service of the wildcard port leaves alone what others, which its driver does not carry, have on its address."""
    at_layer7 = (
        ports
        for other in services
        if (other.address, other.protocol) == (service.address, service.protocol)
        for ports in other.port_ranges
    )
    spared = tuple(PortRange(first=first, last=last) for first, last in sorted(at_layer7))
    return service.model_copy(update={"spared": spared}) if spared else service


def with_forwarding(network: NetworkPlan, services: Iterable[Layer4Service]) -> NetworkPlan:
    """The network with forwarding switched on, for each address family that is balanced by the kernel."""
    families = {service.ipv6 for service in services}
    wanted = {_FORWARDING[ipv6]: "1" for ipv6 in sorted(families)}
    return network.model_copy(update={"sysctls": {**network.sysctls, **wanted}}) if wanted else network


def _ranges(service: VirtualService) -> tuple[PortRange, ...]:
    return tuple(PortRange(first=first, last=last) for first, last in service.port_ranges)


def _port(service: VirtualService, port: int) -> int:
    """The port packets are sent to; 0 is the one the client asked for (`reference/behaviour.md`, section 9)."""
    return 0 if port == service.port and service.extra_ports else port


def _persistence(service: VirtualService) -> Persistence | None:
    if service.persistence == "none" or not service.persistence_timeout:
        return None
    prefix = service.persistence_mask
    return Persistence(
        seconds=service.persistence_timeout,
        kind="sip" if service.persistence == "udpsip" else "source",
        prefix4=prefix,
        prefix6=prefix * 4,
    )


def _sorry(service: VirtualService) -> Layer4Server | None:
    if not service.standby_address:
        return None
    port = service.standby_port or _port(service, service.port)
    return Layer4Server(key="sorry", address=service.standby_address, port=port)
