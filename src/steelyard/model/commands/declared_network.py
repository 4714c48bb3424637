"""The host's network as it is declared: each part that is given is the whole truth, each that is left out stays.

Interfaces are known by their names. A VLAN or a bond that is not declared goes; a port of the host that is not declared
stays without addresses, for it is there by itself. One that only the kernel knows is known from then on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from steelyard.model.commands.network import require_managed
from steelyard.model.configuration import Configuration
from steelyard.model.errors import ConflictError, OperatorError, located
from steelyard.model.network import HostsEntry, Interface, StaticRoute, own_addresses
from steelyard.model.network_refusals import refuse_address_of_service

Declared = Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class DeclaredNetwork:
    """Plain settings of interfaces, routes and hosts entries; None leaves a part as it is.

    `found` are the ports the kernel has and the configuration does not know, by name.
    """

    interfaces: Declared | None = None
    routes: Declared | None = None
    hosts: Declared | None = None
    found: Mapping[str, Interface] = field(default_factory=dict)

    @property
    def says_something(self) -> bool:
        """Whether it has anything that only a managed network can have."""
        return bool(self.interfaces or self.routes or self.hosts)


def with_declared_network(configuration: Configuration, declared: DeclaredNetwork) -> Configuration:
    """The configuration with the declared network. Raises `OperatorError` and `ConflictError`."""
    if declared.says_something:
        require_managed(configuration)
    with located("network"):
        if declared.interfaces is not None:
            interfaces = _interfaces(configuration, declared.interfaces, declared.found)
            known = own_addresses(configuration.interfaces.values())
            for address in own_addresses(interfaces.values()):
                if address not in known:
                    refuse_address_of_service(configuration, address, "address")
            configuration = replace(configuration, interfaces=_same(configuration.interfaces, interfaces))
        if declared.routes is not None:
            routes: dict[str, StaticRoute] = {}
            for number, settings in enumerate(declared.routes):
                with located(f"routes[{number}]"):
                    route = StaticRoute.make(dict(settings))
                    _once(routes, route.destination, f"The route to {route.destination}", "destination")
                    routes[route.destination] = route
            configuration = replace(configuration, routes=_same(configuration.routes, dict(sorted(routes.items()))))
        if declared.hosts is not None:
            hosts: dict[str, HostsEntry] = {}
            for number, settings in enumerate(declared.hosts):
                with located(f"hosts[{number}]"):
                    entry = HostsEntry.make(dict(settings))
                    _once(hosts, entry.address, f"The hosts entry of {entry.address}", "address")
                    hosts[entry.address] = entry
            configuration = replace(configuration, hosts=_same(configuration.hosts, hosts))
    return configuration


def _interfaces(
    configuration: Configuration, declared: Declared, found: Mapping[str, Interface]
) -> dict[str, Interface]:
    """Every interface there is to be, by number."""
    known = configuration.interfaces
    made: dict[str, Interface] = {}
    waiting: list[tuple[int, dict[str, Any]]] = []
    for number, settings in enumerate(declared):
        with located(f"interfaces[{number}]"):
            # its name is needed for its number
            one = Interface.make({"number": 0, **settings})
            _once(made, one.name, f"Interface {one.name}", "name")
            before = known.get(one.name) or found.get(one.name)
            _refuse_other_kind(one, before)
            if "number" not in settings:
                if before is None or before.name not in known:
                    waiting.append((number, dict(settings)))
                else:
                    one = one.changed({"number": before.number})
            made[one.name] = one
    for name, before in known.items():
        if name not in made and before.kind == "port":
            made[name] = Interface.make({"name": name, "number": before.number})
    for number, settings in waiting:
        with located(f"interfaces[{number}]"):
            name = str(settings["name"])
            taken = {one.number for other, one in made.items() if other != name}
            free = next(each for each in range(65536) if each not in taken)
            made[name] = made[name].changed({"number": free})
    kept = {name: known[name] if known.get(name) == one else one for name, one in made.items()}
    return dict(sorted(kept.items(), key=lambda pair: pair[1].number))


def _refuse_other_kind(one: Interface, before: Interface | None) -> None:
    """Ports are there or not: a declaration makes none, and turns none into something else."""
    if one.kind == "port" and (before is None or before.kind != "port"):
        raise OperatorError(
            f"{one.name} is no port of this host",
            field="name",
            value=one.name,
            allowed="its ports by their names, VLANs and bonds",
            remedy="Correct the name, or leave the interfaces out of a declaration that is for another host",
        )
    if before is not None and before.kind != one.kind:
        raise OperatorError(
            f"{one.name} is a {before.kind} and cannot become a {one.kind}",
            field="kind",
            value=one.kind,
            allowed=before.kind,
            remedy="Choose another name",
        )


def _once(there: Mapping[str, object], name: str, what: str, field: str) -> None:
    if name in there:
        raise ConflictError(f"{what} is declared twice", field=field, with_what=name)


def _same(before: Mapping[str, Any], after: dict[str, Any]) -> Mapping[str, Any]:
    """The part there is when nothing of it changes, in whatever order it was declared."""
    return before if before == after else after
