"""Strict routing and the packet routing filter (`reference/behaviour.md` section 4.5). Pure.

The filter is a switch of its own, and off at first: the host may be a router for others, who would be cut off by the
first service. Where Steelyard knows the interfaces, hosts next to a real server may begin connections, else the real
servers alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import ip_network
from typing import Any

from steelyard.model.configuration import Configuration
from steelyard.model.network import Interface, interface_of
from steelyard.plan.network import NetworkPlan


class PacketRuleCompiler:
    """Compiles both. Where an address is, is looked up once for as long as the interfaces stay."""

    def __init__(self) -> None:
        self._interfaces: Mapping[str, Interface] = {}
        self._networks: dict[str, tuple[str, ...]] = {}

    def applied(self, network: NetworkPlan, configuration: Configuration) -> NetworkPlan:
        """The network with both."""
        more: dict[str, Any] = {}
        if configuration.network.strict_routing:
            more["strict"] = True
        if configuration.access.restrict_forwarding:
            more["forwards"] = self.networks(configuration)
        return network.model_copy(update=more) if more else network

    def networks(self, configuration: Configuration) -> tuple[str, ...]:
        """The networks real servers are in; of one behind a router its address alone."""
        if self._interfaces is not configuration.interfaces:
            self._interfaces, self._networks = configuration.interfaces, {}
        known, found = self._networks, set[str]()
        for service in configuration.services.values():
            for server in service.servers:
                if server.address not in known:
                    known[server.address] = self._networks_of(server.address)
                found.update(known[server.address])
        return tuple(sorted(found))

    def _networks_of(self, address: str) -> tuple[str, ...]:
        own = ip_network(address)
        interface = interface_of(self._interfaces, address)
        networks = () if interface is None else tuple(interface.networks())
        within = [str(one) for one in networks if one.version == own.version and own.network_address in one]
        return tuple(within or [str(own)])
