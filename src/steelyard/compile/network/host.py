"""The host's network, and the addresses of services, from a configuration. Pure."""

from __future__ import annotations

from steelyard.model.configuration import Configuration
from steelyard.model.network import BOND_MODES, Interface, interface_of, needs_no_network, own_addresses
from steelyard.plan.network import HeldAddress, HostEntry, HostNetwork, Link, NetworkPlan, Route


def compile_network(configuration: Configuration) -> NetworkPlan:
    """What the kernel's network must have. Nothing of it where another tool owns the network."""
    if not configuration.host.managed:
        return NetworkPlan()
    return NetworkPlan.model_construct(
        held=_held(configuration), host=_host(configuration), routes={}, rules={}, sysctls={}
    )


def _held(configuration: Configuration) -> dict[str, HeldAddress]:
    """The addresses of services that no interface has of its own, each on the interface of its network."""
    own = own_addresses(configuration.interfaces.values())
    found: dict[str, HeldAddress] = {}
    for service in configuration.services.values():
        address = service.address
        if service.is_sub or not address or address in own or address in found:
            continue
        if needs_no_network(address):
            continue
        interface = interface_of(configuration.interfaces, address)
        if interface is not None:
            found[address] = HeldAddress(address=address, interface=interface.name)
    return found


def _host(configuration: Configuration) -> HostNetwork:
    host = configuration.host
    routes = [
        *(Route(destination="0.0.0.0/0", gateway=one) for one in filter(None, [host.default_gateway])),
        *(Route(destination="::/0", gateway=one) for one in filter(None, [host.default_gateway6])),
        *(Route(destination=one.destination, gateway=one.gateway) for one in configuration.routes.values()),
    ]
    return HostNetwork(
        links={name: _link(one, configuration) for name, one in configuration.interfaces.items()},
        routes={route.key: route for route in routes},
        host_name=host.host_name or None,
        name_servers=host.name_servers,
        search_domains=host.search_domains,
        hosts=tuple(
            HostEntry(address=one.address, names=one.names)
            for one in sorted(configuration.hosts.values(), key=lambda one: one.address)
        ),
    )


def _link(interface: Interface, configuration: Configuration) -> Link:
    members = tuple(one.name for one in configuration.interfaces.values() if one.bond == interface.name)
    return Link(
        name=interface.name,
        kind=interface.kind,
        lower=interface.parent if interface.kind == "vlan" else None,
        tag=interface.vlan if interface.kind == "vlan" else None,
        mode="802.3ad" if BOND_MODES[interface.bond_mode] == "802.3ad" else "active-backup",
        members=members,
        mtu=interface.mtu,
        addresses=interface.addresses,
    )
