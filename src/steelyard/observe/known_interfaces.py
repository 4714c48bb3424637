"""The interfaces the kernel has and those the configuration knows, under one numbering; and the network as it is, as
what an operator would have to say to have it so.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from ipaddress import ip_network

from steelyard.model.commands.network import ManageNetwork
from steelyard.model.configuration import Configuration
from steelyard.model.errors import OperatorError
from steelyard.model.network import BOND_MODES, HostParameters, Kind, StaticRoute
from steelyard.model.network import Interface as Wanted
from steelyard.observe.network_state import Interface, NetworkState

_NAME = re.compile(r"[A-Za-z0-9._-]{1,15}")


def numbered(state: NetworkState, configuration: Configuration) -> dict[int, Interface]:
    """The interfaces beside loopback by number. The configuration's numbers stay; what it does not know comes after."""
    known = {one.name: one.number for one in configuration.interfaces.values()}
    found = [one for one in state.interfaces if one.number is not None]
    numbers = {known[one.name]: one for one in found if one.name in known}
    taken = set(known.values())
    free = (number for number in range(65536) if number not in taken)
    for one in found:
        if one.name not in known:
            numbers[next(free)] = one
    return dict(sorted(numbers.items()))


def found_interface(state: NetworkState, configuration: Configuration, name: str) -> tuple[str, Wanted | None]:
    """The name of the interface that is meant by a name or number, and what it is when only the kernel knows it."""
    for number, one in numbered(state, configuration).items():
        if name in (one.name, str(number)):
            known = one.name in configuration.interfaces
            return one.name, None if known else _wanted(one, number, _bonds(state))
    return name, None


def unknown_ports(state: NetworkState, configuration: Configuration) -> dict[str, Wanted]:
    """The interfaces that only the kernel knows, by name."""
    return {
        one.name: _wanted(one, number, _bonds(state))
        for number, one in numbered(state, configuration).items()
        if one.name not in configuration.interfaces and _NAME.fullmatch(one.name)
    }


def taken_over(state: NetworkState) -> ManageNetwork:
    """The command that makes the network as it is what is wanted."""
    return ManageNetwork(
        on=True,
        interfaces=tuple(
            _wanted(one, one.number, _bonds(state))
            for one in state.interfaces
            if one.number is not None and _NAME.fullmatch(one.name)
        ),
        routes=tuple(_routes(state)),
        found={
            "default_gateway": state.default_gateway(4),
            "default_gateway6": _global(state.default_gateway(6)),
            **_names(state),
        },
    )


def _bonds(state: NetworkState) -> dict[str, int]:
    """The bonds of a mode that can be said, with that mode."""
    return {one.name: one.bond_mode for one in state.interfaces if one.bond_mode in BOND_MODES and one.bond_mode}


def _wanted(one: Interface, number: int, bonds: Mapping[str, int]) -> Wanted:
    """An interface as it is. Addresses that end by themselves are left to who gave them."""
    kind: Kind = "bond" if one.name in bonds else "vlan" if one.vlan and one.parent else "port"
    own, *others = [each for each in one.addresses if each not in one.passing or ":" not in each] or [""]
    return Wanted.make(
        {
            "name": one.name,
            "number": number,
            "kind": kind,
            "address": own,
            "additional": tuple(others),
            **({"parent": one.parent, "vlan": one.vlan} if kind == "vlan" else {}),
            **({"bond_mode": bonds[one.name]} if kind == "bond" else {}),
            **({"bond": one.member_of} if kind == "port" and one.member_of in bonds and not one.addresses else {}),
        }
    )


def _routes(state: NetworkState) -> Iterator[StaticRoute]:
    seen: set[str] = set()
    for route in sorted(state.routes, key=lambda one: one.metric):
        if route.gateway and not route.is_default and route.destination not in seen and _global(route.gateway):
            seen.add(route.destination)
            yield StaticRoute.make({"destination": route.destination, "gateway": route.gateway})


def _names(state: NetworkState) -> dict[str, tuple[str, ...]]:
    """Name servers and search domains, as far as they can be said; a resolver may have more than that."""
    found = {"name_servers": state.name_servers, "search_domains": state.search_domains}
    try:
        HostParameters.make(found)
    except OperatorError:
        return {}
    return found


def _global(gateway: str) -> str:
    """A gateway of link scope comes from router advertisements, and goes with them."""
    return "" if not gateway or ip_network(gateway).is_link_local else gateway
