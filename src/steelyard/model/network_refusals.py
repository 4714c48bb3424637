"""What cannot be, of a host's network and the services on it: said before anything is changed.

It is looked at after every change, whichever command made it, and only while Steelyard manages the network.
"""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_address, ip_interface, ip_network

from steelyard.model.configuration import Configuration
from steelyard.model.errors import ConflictError, OperatorError
from steelyard.model.network import (
    AnyNetwork,
    Interface,
    interface_of,
    needs_no_network,
    networks_said,
    own_addresses,
)
from steelyard.model.virtual_service import VirtualService


def refuse_network_faults(old: Configuration, new: Configuration) -> None:
    """Raise `OperatorError` or `ConflictError` for what this change brings that cannot be."""
    if not new.host.managed:
        return
    network_changed = (old.interfaces, old.routes, old.host) != (new.interfaces, new.routes, new.host)
    if network_changed:
        _interfaces(new)
        _gateways(new)
        _routes(new)
    for index, service in new.services.items():
        if network_changed or old.services.get(index) is not service:
            before = old.services.get(index)
            moved = before is None or before.address != service.address
            _service(service, new, moved=moved or not old.host.managed, was=old)


def _interfaces(new: Configuration) -> None:
    taken: dict[AnyNetwork, str] = {}
    for interface in new.interfaces.values():
        _link(interface, new)
        for one in interface.addresses:
            parsed = ip_interface(one)
            for other, name in taken.items():
                if name != interface.name and other.version == parsed.version and other.overlaps(parsed.network):
                    raise OperatorError(
                        f"{one} of {interface.name} is in {other}, which is the network of {name}: nobody could tell"
                        " by which interface its hosts are reached",
                        field="address",
                        value=one,
                        allowed="networks that do not overlap",
                        remedy=f"Give it an address of another network, or take that of {name} away first",
                    )
            taken[parsed.network] = interface.name
    numbers = [one.number for one in new.interfaces.values()]
    if len(set(numbers)) != len(numbers):
        raise ConflictError("Two interfaces have the same number", field="number")
    owners: dict[str, str] = {}
    for interface in new.interfaces.values():
        for one in interface.addresses:
            address = str(ip_interface(one).ip)
            if address in owners:
                raise ConflictError(
                    f"{address} is the address of {owners[address]} already", field="address", with_what=owners[address]
                )
            owners[address] = interface.name


def _link(interface: Interface, new: Configuration) -> None:
    if interface.kind == "vlan":
        parent = new.interfaces.get(interface.parent)
        if parent is None or parent.kind == "vlan" or parent.bond:
            raise OperatorError(
                f"{interface.name} cannot lie on {interface.parent!r}",
                field="parent",
                value=interface.parent,
                allowed="a port that is in no bond, or a bond",
                remedy="Choose another interface",
            )
        for other in new.interfaces.values():
            if other is not interface and (other.parent, other.vlan, other.kind) == (
                *(interface.parent, interface.vlan),
                "vlan",
            ):
                raise ConflictError(
                    f"VLAN {interface.vlan} on {interface.parent} is there already: {other.name}",
                    field="vlan",
                    with_what=other.name,
                )
    if interface.bond:
        bond = new.interfaces.get(interface.bond)
        if bond is None or bond.kind != "bond":
            raise OperatorError(
                f"{interface.bond!r} is no bond",
                field="bond",
                value=interface.bond,
                allowed=", ".join(one.name for one in new.interfaces.values() if one.kind == "bond") or "none is there",
                remedy="Make the bond first",
            )


def _gateways(new: Configuration) -> None:
    for field in ("default_gateway", "default_gateway6"):
        gateway = getattr(new.host, field)
        if gateway:
            _gateway(field, gateway, new)


def _gateway(field: str, gateway: str, new: Configuration) -> None:
    name = new.host.wire_name(field)
    own = own_addresses(new.interfaces.values())
    if gateway in own:
        raise OperatorError(
            f"{name} {gateway} is this host's own address on {own[gateway]}: packets would go round in a loop",
            field=field,
            value=gateway,
            allowed="the address of a router on a local network",
            remedy="Give the router's address",
        )
    if interface_of(new.interfaces, gateway) is None:
        raise OperatorError(
            f"{name} {gateway} is on no local network; there are: {networks_said(new.interfaces)}",
            field=field,
            value=gateway,
            allowed=f"an address in one of these networks: {networks_said(new.interfaces)}",
            remedy="Give an interface an address of that network first",
        )
    service = _service_of(gateway, new)
    if service is not None:
        raise _held_by_service(field, gateway, service)


def _routes(new: Configuration) -> None:
    for route in new.routes.values():
        _gateway("gateway", route.gateway, new)
        leads = ip_network(route.destination)
        for interface in new.interfaces.values():
            for network in interface.networks():
                if network.version == leads.version and leads.subnet_of(network):  # type: ignore[arg-type]
                    raise OperatorError(
                        f"dest {route.destination} is part of {network}, where {interface.name} is itself: packets to"
                        f" it would go to {route.gateway}, and the answers past it",
                        field="destination",
                        value=route.destination,
                        allowed="a network behind a gateway",
                        remedy="Leave the route out",
                    )
        for other in new.routes.values():
            if other is not route and _reaches(other.destination, route.gateway, new):
                raise OperatorError(
                    f"gateway {route.gateway} of {route.destination} is itself behind {other.gateway}, by the route to"
                    f" {other.destination}: a loop of routes",
                    field="gateway",
                    value=route.gateway,
                    allowed="a gateway that is reached directly",
                    remedy=f"Remove the route to {other.destination} first",
                )


def _reaches(destination: str, gateway: str, new: Configuration) -> bool:
    """Whether packets to a gateway would follow that route: it is more exact than the gateway's local network."""
    leads, parsed = ip_network(destination), ip_address(gateway)
    if leads.version != parsed.version or parsed not in leads:
        return False
    local = [
        network.prefixlen
        for interface in new.interfaces.values()
        for network in interface.networks()
        if network.version == parsed.version and parsed in network
    ]
    return not local or leads.prefixlen >= max(local)


def _service(service: VirtualService, new: Configuration, *, moved: bool, was: Configuration) -> None:
    address = service.address
    if service.is_sub or not address or needs_no_network(address):
        return
    for gateway in _all_gateways(new):
        if gateway == address:
            raise OperatorError(
                f"{address} is the address of a gateway, and cannot be that of a virtual service",
                field="address",
                value=address,
                allowed="an address nobody else has",
                remedy="Choose another address",
            )
    if interface_of(new.interfaces, address) is not None:
        return
    lost = not moved and was.host.managed and interface_of(was.interfaces, address) is not None
    if not moved and not lost:
        return
    said = networks_said(new.interfaces)
    if lost:
        raise OperatorError(
            f"Virtual service {service.index} {service.title} at {address} would be on no local network",
            field="address",
            value=address,
            allowed=f"the service's network stays; there would be: {said}",
            remedy="Move or remove the service first, or keep its network as an additional address",
        )
    raise OperatorError(
        f"{address} is on no local network; there are: {said}",
        field="address",
        value=address,
        allowed=f"an address in one of these networks: {said}",
        remedy="Give an interface an address of that network first (`steelyard network address add`)",
    )


def _all_gateways(new: Configuration) -> Iterator[str]:
    yield from new.host.gateways()
    for route in new.routes.values():
        yield route.gateway


def _service_of(address: str, new: Configuration) -> VirtualService | None:
    for service in new.services.values():
        if service.address == address and not service.is_sub:
            return service
    return None


def refuse_address_of_service(configuration: Configuration, address: str, field: str) -> None:
    """Raise when a virtual service has an address that is to be an interface's, or another host's."""
    service = _service_of(address, configuration)
    if service is not None:
        raise _held_by_service(field, address, service)


def _held_by_service(field: str, address: str, service: VirtualService) -> ConflictError:
    return ConflictError(
        f"{address} is the address of virtual service {service.index} {service.title}",
        field=field,
        with_what=str(service.index),
    )
