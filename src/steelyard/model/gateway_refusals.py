"""What cannot be, of gateways of services' own (`reference/behaviour.md` section 4.5): said before anything is changed.

Answers of a service at layer 4 are known by the real server they come from, so services that share a real server's port
share its gateway.
"""

from __future__ import annotations

from collections.abc import Iterator

from steelyard.model.configuration import Configuration
from steelyard.model.errors import ConflictError, OperatorError
from steelyard.model.network import interface_of, networks_said, own_addresses
from steelyard.model.virtual_service import VirtualService
from steelyard.model.virtual_service.layers import asked_for_layer4

_FIELD = "default_gateway"
#: protocol, address, first and last port answers come from
Answers = tuple[str, str, int, int]


def refuse_gateway_faults(old: Configuration, new: Configuration) -> None:
    """Raise `OperatorError` or `ConflictError` for what this change brings that cannot be."""
    with_gateway = [service for service in new.services.values() if service.default_gateway]
    if not with_gateway:
        return
    network_changed = (old.interfaces, old.host) != (new.interfaces, new.host)
    for service in with_gateway:
        if network_changed or old.services.get(service.index) is not service:
            _gateway(service, new)
    if old.services != new.services:
        _shared_servers(new)


def answers_of(service: VirtualService) -> Iterator[Answers]:
    """What the answers of a service at layer 4 come from, its real servers that answer by way of this host."""
    for server in service.servers:
        if server.forward == "route":
            continue
        if server.port in (0, service.port):
            for first, last in service.port_ranges:
                yield service.protocol, server.address, first, last
        else:
            yield service.protocol, server.address, server.port, server.port


def _gateway(service: VirtualService, new: Configuration) -> None:
    gateway = service.default_gateway
    own = own_addresses(new.interfaces.values())
    holder = next((one for one in new.services.values() if one.address == gateway and not one.is_sub), None)
    if gateway in own or holder is not None:
        raise OperatorError(
            f"DefaultGW {gateway} is this host's own address: packets would go round in a loop",
            field=_FIELD,
            value=gateway,
            allowed="the address of a router on a local network",
            remedy="Give the router's address",
        )
    if new.host.managed and interface_of(new.interfaces, gateway) is None:
        raise OperatorError(
            f"DefaultGW {gateway} is on no local network; there are: {networks_said(new.interfaces)}",
            field=_FIELD,
            value=gateway,
            allowed=f"an address in one of these networks: {networks_said(new.interfaces)}",
            remedy="Give an interface an address of that network first",
        )


def _shared_servers(new: Configuration) -> None:
    known: dict[tuple[str, str], list[tuple[int, int, VirtualService]]] = {}
    for service in new.services.values():
        if service.is_sub or not asked_for_layer4(service):
            continue
        for protocol, address, first, last in answers_of(service):
            others = known.setdefault((protocol, address), [])
            for other_first, other_last, other in others:
                if first <= other_last and other_first <= last and other.default_gateway != service.default_gateway:
                    raise ConflictError(
                        f"{other.title} and {service.title} share real server {address} and its port"
                        f" {max(first, other_first)}, so they need the same DefaultGW: answers are told apart by where"
                        " they come from",
                        field=_FIELD,
                        with_what=other.title,
                    )
            others.append((first, last, service))
