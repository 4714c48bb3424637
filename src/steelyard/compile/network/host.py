"""The host's network, and the addresses of services, from a configuration. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from steelyard.model.configuration import Configuration
from steelyard.model.network import BOND_MODES, Interface, interface_of, needs_no_network, own_addresses
from steelyard.plan.network import HeldAddress, HostEntry, HostNetwork, Link, NetworkPlan, Route


class NetworkCompiler:
    """Compiles networks; what has not changed is not looked at again, and stays the same objects."""

    def __init__(self) -> None:
        self._interfaces: Mapping[str, Interface] = {}
        self._own: Mapping[str, str] = {}
        #: where each address is held; None where it need not be
        self._places: dict[str, HeldAddress | None] = {}
        self._held: dict[str, HeldAddress] = {}
        self._parts: tuple[object, ...] = ()
        self._host = HostNetwork()

    def compile(self, configuration: Configuration) -> NetworkPlan:
        """What the kernel's network must have. Nothing of it where another tool owns the network."""
        if not configuration.host.managed:
            return NetworkPlan()
        parts = (configuration.interfaces, configuration.routes, configuration.hosts, configuration.host)
        if len(parts) != len(self._parts) or any(a is not b for a, b in zip(parts, self._parts, strict=True)):
            self._parts, self._host = parts, _host(configuration)
        return NetworkPlan.model_construct(
            held=self._addresses(configuration), host=self._host, routes={}, rules={}, sysctls={}
        )

    def _addresses(self, configuration: Configuration) -> dict[str, HeldAddress]:
        """The addresses of services that no interface has of its own, each on the interface of its network."""
        if self._interfaces is not configuration.interfaces:
            self._interfaces, self._places = configuration.interfaces, {}
            self._own = own_addresses(configuration.interfaces.values())
        found: dict[str, HeldAddress] = {}
        for service in configuration.services.values():
            # a service's first, and those it connects with
            for address in (() if service.is_sub else (service.address,)) + service.local_bind_addresses:
                if not address or address in found:
                    continue
                if address not in self._places:
                    self._places[address] = self._place(address)
                place = self._places[address]
                if place is not None:
                    found[address] = place
        if found != self._held:
            self._held = found
        return self._held

    def _place(self, address: str) -> HeldAddress | None:
        if address in self._own or needs_no_network(address):
            return None
        interface = interface_of(self._interfaces, address)
        return None if interface is None else HeldAddress(address=address, interface=interface.name)


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
