"""The host's network as the quick setup sees it: the side of the clients, the side of the real servers, the names.

LoadMaster's first interface is its network side and the second its farm side; here they are the ports and bonds of the
lowest numbers. What is configured counts where Steelyard manages the network, what is there elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from steelyard.model.configuration import Configuration
from steelyard.model.network import Interface as Wanted
from steelyard.observe.known_interfaces import found_interface, numbered
from steelyard.observe.network_state import Interface, NetworkState


@dataclass(frozen=True)
class Side:
    """An interface that may be a side. `dynamic` are those of its addresses that end by themselves, as DHCP's do."""

    interface: str
    number: int
    up: bool
    hardware_address: str
    address: str
    #: every address the kernel has there, with its prefix length
    addresses: tuple[str, ...]
    dynamic: tuple[str, ...] = ()


@dataclass(frozen=True)
class NetworkSides:
    """All the quick setup asks for, as it is now. A host of one interface has no farm side."""

    managed: bool
    network: Side | None
    farm: Side | None
    #: everything that could be a side, by number
    candidates: tuple[Side, ...]
    default_gateway: str
    name_servers: tuple[str, ...]
    search_domains: tuple[str, ...]
    host_name: str


def network_sides(state: NetworkState, configuration: Configuration) -> NetworkSides:
    """The sides of a host."""
    found = tuple(_candidates(state, configuration))
    host = configuration.host
    gateway = (host.default_gateway or host.default_gateway6) if host.managed else ""
    return NetworkSides(
        managed=host.managed,
        network=found[0] if found else None,
        farm=found[1] if len(found) > 1 else None,
        candidates=found,
        default_gateway=gateway or state.default_gateway(4) or state.default_gateway(6),
        name_servers=host.name_servers or state.name_servers,
        search_domains=host.search_domains or state.search_domains,
        host_name=host.host_name or state.host_name,
    )


def _candidates(state: NetworkState, configuration: Configuration) -> Iterator[Side]:
    for number, one in numbered(state, configuration).items():
        if one.kind in ("port", "bond") and not one.member_of:
            yield Side(
                interface=one.name,
                number=number,
                up=one.up,
                hardware_address=one.hardware_address,
                address=_own(one, configuration.interfaces.get(one.name)),
                addresses=one.addresses,
                dynamic=one.passing,
            )


def _own(one: Interface, wanted: Wanted | None) -> str:
    if wanted is not None and wanted.address:
        return wanted.address
    four = [each for each in one.addresses if ":" not in each]
    return (four or [each for each in one.addresses if each not in one.passing] or [""])[0]


def unknown_interfaces(state: NetworkState, configuration: Configuration, names: Iterable[str]) -> Mapping[str, Wanted]:
    """Those of the named interfaces that only the kernel knows, as what they are."""
    found: dict[str, Any] = {name: found_interface(state, configuration, name)[1] for name in names if name}
    return {name: one for name, one in found.items() if one is not None}
