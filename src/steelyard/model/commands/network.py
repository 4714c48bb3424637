"""Commands on the host's network. Each changes what is wanted; where Steelyard does not manage it they are refused.

What cannot be (`model.network_refusals`) is looked at after the command, for it depends on the services, too.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from ipaddress import ip_address, ip_interface
from typing import Any, ClassVar

from steelyard.model.commands.command import Change
from steelyard.model.configuration import Configuration
from steelyard.model.errors import ConflictError, NotFound, OperatorError
from steelyard.model.network import HostParameters, HostsEntry, Interface, StaticRoute, own_addresses
from steelyard.model.network_refusals import refuse_address_of_service


def require_managed(configuration: Configuration) -> None:
    """Raise `OperatorError` where another tool owns the network."""
    if not configuration.host.managed:
        raise OperatorError(
            "Steelyard does not manage this host's network: another tool owns it",
            field="managed",
            allowed="changes of a network that Steelyard manages",
            remedy="Change it with that tool, or hand it to Steelyard: `steelyard network manage on`",
        )


def interface_named(configuration: Configuration, name: str) -> Interface:
    """The interface of that name, or of that number. Raises `NotFound`."""
    found = configuration.interfaces.get(name)
    if found is None and name.isascii() and name.isdigit():
        found = next((one for one in configuration.interfaces.values() if str(one.number) == name), None)
    if found is None:
        raise NotFound("interface", name[:40])
    return found


def with_interface(configuration: Configuration, interface: Interface) -> Configuration:
    """The configuration with that interface, in the order of numbers."""
    found = {**configuration.interfaces, interface.name: interface}
    return replace(configuration, interfaces=dict(sorted(found.items(), key=lambda pair: pair[1].number)))


def _lowest_free(configuration: Configuration) -> int:
    taken = {one.number for one in configuration.interfaces.values()}
    return next(number for number in range(65536) if number not in taken)


@dataclass(frozen=True)
class ManageNetwork:
    """Begin to manage the network as it is (the other fields are what was found), or end it.

    What was found becomes what is wanted, so nothing changes at that moment. When it ends, everything stays as it is
    and is another tool's from then on, but the addresses that services alone had go.
    """

    on: bool
    interfaces: tuple[Interface, ...] = ()
    routes: tuple[StaticRoute, ...] = ()
    #: parameters of the host by field name: gateways, name servers, search domains
    found: Mapping[str, Any] = field(default_factory=dict)
    permission: ClassVar[str] = "root"

    @property
    def summary(self) -> str:
        return "manage the network" if self.on else "leave the network to another tool"

    def apply(self, configuration: Configuration) -> Change:
        host = configuration.host
        if host.managed == self.on:
            return Change(configuration, "host")
        if not self.on:
            kept = HostParameters.make({"confirm_seconds": host.confirm_seconds})
            return Change(replace(configuration, host=kept, interfaces={}, routes={}, hosts={}), "host")
        services = {service.address for service in configuration.services.values()}
        return Change(
            replace(
                configuration,
                host=host.changed({**self.found, "managed": True}),
                interfaces={one.name: _without(one, services) for one in self.interfaces},
                routes={one.destination: one for one in self.routes},
            ),
            "host",
        )


def _without(interface: Interface, services: Iterable[str]) -> Interface:
    """An interface as it was found, without addresses that are there for services: those with all bits as prefix."""
    held = set(services)

    def is_held(one: str) -> bool:
        parsed = ip_interface(one)
        return str(parsed.ip) in held and parsed.network.prefixlen == parsed.max_prefixlen

    own, *others = [one for one in interface.addresses if not is_held(one)] or [""]
    return interface.changed({"address": own, "additional": tuple(others)})


@dataclass(frozen=True)
class ChangeInterface:
    """Change an interface: its address, its MTU, the mode of a bond. One the kernel has is known from then on."""

    interface: str
    changes: Mapping[str, Any] = field(repr=False)
    #: the kernel's, when the configuration does not know it yet
    found: Interface | None = None
    permission: ClassVar[str] = "root"

    @property
    def summary(self) -> str:
        return f"change interface {self.interface}: {', '.join(sorted(self.changes))}"

    def apply(self, configuration: Configuration) -> Change:
        require_managed(configuration)
        before = _known(configuration, self.interface, self.found)
        for name in ("name", "number", "kind", "parent", "vlan", "bond"):
            if name in self.changes and self.changes[name] != getattr(before, name):
                raise OperatorError(
                    f"{name} of an interface stays as it is", field=name, remedy="Remove it and make another"
                )
        if "bond_mode" in self.changes and before.kind != "bond":
            raise OperatorError(f"{before.name} is no bond and has no mode", field="bond_mode", remedy="Name a bond")
        after = before.changed(self.changes)
        _refuse_services(configuration, before, after)
        return Change(with_interface(configuration, after), after.name)


@dataclass(frozen=True)
class AddAddress:
    """Give an interface one more address."""

    interface: str
    address: str
    found: Interface | None = None
    permission: ClassVar[str] = "root"

    @property
    def summary(self) -> str:
        return f"add address {self.address} to interface {self.interface}"

    def apply(self, configuration: Configuration) -> Change:
        require_managed(configuration)
        before = _known(configuration, self.interface, self.found)
        if self.address in before.addresses:
            raise ConflictError(f"{before.name} has {self.address} already", field="address", with_what=before.name)
        after = before.changed({"additional": (*before.additional, self.address)})
        if not before.address:
            first, *others = after.additional
            after = before.changed({"address": first, "additional": tuple(others)})
        _refuse_services(configuration, before, after)
        return Change(with_interface(configuration, after), after.name)


@dataclass(frozen=True)
class RemoveAddress:
    """Take an address from an interface."""

    interface: str
    address: str
    permission: ClassVar[str] = "root"

    @property
    def summary(self) -> str:
        return f"remove address {self.address} from interface {self.interface}"

    def apply(self, configuration: Configuration) -> Change:
        require_managed(configuration)
        before = interface_named(configuration, self.interface)
        asked = before.changed({"address": self.address, "additional": ()}).address
        if asked not in before.addresses:
            raise NotFound(f"address of {before.name}", self.address[:60])
        own, *others = [one for one in before.addresses if one != asked] or [""]
        after = before.changed({"address": own, "additional": tuple(others)})
        return Change(with_interface(configuration, after), after.name)


@dataclass(frozen=True)
class AddVlan:
    """Make a VLAN on an interface; it is called after both, eth1.10."""

    interface: str
    vlan: Any
    found: Interface | None = None
    permission: ClassVar[str] = "root"

    @property
    def summary(self) -> str:
        return f"add VLAN {self.vlan} to interface {self.interface}"

    def apply(self, configuration: Configuration) -> Change:
        require_managed(configuration)
        parent = _known(configuration, self.interface, self.found)
        configuration = with_interface(configuration, parent)
        made = Interface.make(
            {
                "name": f"{parent.name}.{self.vlan}"[:16],
                "number": _lowest_free(configuration),
                "kind": "vlan",
                "parent": parent.name,
                "vlan": self.vlan,
            }
        )
        if made.name in configuration.interfaces:
            raise ConflictError(f"{made.name} exists already", field="vlan", with_what=made.name)
        return Change(with_interface(configuration, made), made.name)


@dataclass(frozen=True)
class AddBond:
    """Make a bond of one port; others follow. The port's addresses become the bond's."""

    interface: str
    mode: Any = 1
    found: Interface | None = None
    permission: ClassVar[str] = "root"

    @property
    def summary(self) -> str:
        return f"make a bond of interface {self.interface}"

    def apply(self, configuration: Configuration) -> Change:
        require_managed(configuration)
        port = _known(configuration, self.interface, self.found)
        configuration = with_interface(configuration, port)
        if port.kind != "port" or port.bond:
            raise OperatorError(
                f"{port.name} is {'in ' + port.bond if port.bond else 'no port'}",
                field="interface",
                value=port.name,
                allowed="a port that is in no bond",
                remedy="Choose another interface",
            )
        _refuse_vlans(configuration, port)
        number = next(one for one in range(65536) if f"bnd{one}" not in configuration.interfaces)
        bond = Interface.make(
            {
                "name": f"bnd{number}",
                "number": _lowest_free(configuration),
                "kind": "bond",
                "bond_mode": self.mode,
                "address": port.address,
                "additional": port.additional,
                "mtu": port.mtu,
            }
        )
        member = port.changed({"bond": bond.name, "address": "", "additional": ()})
        return Change(with_interface(with_interface(configuration, member), bond), bond.name)


@dataclass(frozen=True)
class JoinBond:
    """Put a port into a bond, or with an empty `bond` take it out."""

    interface: str
    bond: str
    found: Interface | None = None
    permission: ClassVar[str] = "root"

    @property
    def summary(self) -> str:
        return f"put interface {self.interface} into {self.bond}" if self.bond else f"take {self.interface} out"

    def apply(self, configuration: Configuration) -> Change:
        require_managed(configuration)
        port = _known(configuration, self.interface, self.found)
        if not self.bond and not port.bond:
            raise OperatorError(
                f"{port.name} is in no bond", field="interface", value=port.name, remedy="Nothing to do"
            )
        if self.bond:
            _refuse_vlans(configuration, port)
        if self.bond and port.addresses:
            raise OperatorError(
                f"{port.name} has addresses, which a port in a bond cannot have",
                field="interface",
                value=port.name,
                allowed="a port without addresses",
                remedy="Remove its addresses first",
            )
        bond = interface_named(configuration, self.bond).name if self.bond else ""
        return Change(with_interface(configuration, port.changed({"bond": bond})), port.name)


@dataclass(frozen=True)
class RemoveInterface:
    """Remove a VLAN or a bond. A bond's ports are free then; its addresses go to the first of them."""

    interface: str
    permission: ClassVar[str] = "root"

    @property
    def summary(self) -> str:
        return f"remove interface {self.interface}"

    def apply(self, configuration: Configuration) -> Change:
        require_managed(configuration)
        gone = interface_named(configuration, self.interface)
        if gone.kind == "port":
            raise OperatorError(
                f"{gone.name} is a port of the host and cannot be removed",
                field="interface",
                value=gone.name,
                allowed="a VLAN or a bond",
                remedy="Remove its addresses instead",
            )
        _refuse_vlans(configuration, gone)
        left = {name: one for name, one in configuration.interfaces.items() if name != gone.name}
        addresses: dict[str, Any] = {"address": gone.address, "additional": gone.additional, "mtu": gone.mtu}
        for name, one in left.items():
            if gone.kind == "bond" and one.bond == gone.name:
                left[name] = one.changed({"bond": "", **addresses})
                addresses = {}
        return Change(replace(configuration, interfaces=left), gone.name)


@dataclass(frozen=True)
class AddRoute:
    """Add a static route."""

    destination: str
    gateway: str
    permission: ClassVar[str] = "root"

    @property
    def summary(self) -> str:
        return f"add route to {self.destination} through {self.gateway}"

    def apply(self, configuration: Configuration) -> Change:
        require_managed(configuration)
        route = StaticRoute.make({"destination": self.destination, "gateway": self.gateway})
        before = configuration.routes.get(route.destination)
        if before is not None:
            raise ConflictError(
                f"There is a route to {route.destination} already, through {before.gateway}",
                field="destination",
                with_what=before.gateway,
            )
        routes = {**configuration.routes, route.destination: route}
        return Change(replace(configuration, routes=dict(sorted(routes.items()))), route.destination)


@dataclass(frozen=True)
class RemoveRoute:
    """Remove a static route."""

    destination: str
    permission: ClassVar[str] = "root"

    @property
    def summary(self) -> str:
        return f"remove route to {self.destination}"

    def apply(self, configuration: Configuration) -> Change:
        require_managed(configuration)
        # an address alone is a network of one
        known = {self.destination, f"{self.destination}/32", f"{self.destination}/128"}
        found = next((one for one in configuration.routes if one in known), None)
        if found is None:
            raise NotFound("route", self.destination[:60])
        routes = {key: one for key, one in configuration.routes.items() if key != found}
        return Change(replace(configuration, routes=routes), found)


@dataclass(frozen=True)
class AddHostsEntry:
    """Let an address be known by a name on this host."""

    address: str
    names: tuple[str, ...]
    permission: ClassVar[str] = "root"

    @property
    def summary(self) -> str:
        return f"add hosts entry {self.address} {' '.join(self.names)}"

    def apply(self, configuration: Configuration) -> Change:
        require_managed(configuration)
        entry = HostsEntry.make({"address": self.address, "names": self.names})
        before = configuration.hosts.get(entry.address)
        if before is not None:
            entry = before.changed({"names": (*before.names, *(one for one in entry.names if one not in before.names))})
        return Change(replace(configuration, hosts={**configuration.hosts, entry.address: entry}), entry.address)


@dataclass(frozen=True)
class RemoveHostsEntry:
    """Remove an address with all its names."""

    address: str
    permission: ClassVar[str] = "root"

    @property
    def summary(self) -> str:
        return f"remove hosts entry {self.address}"

    def apply(self, configuration: Configuration) -> Change:
        require_managed(configuration)
        try:
            address = str(ip_address(self.address))
        except ValueError:
            address = self.address
        if address not in configuration.hosts:
            raise NotFound("hosts entry", self.address[:60])
        hosts = {key: one for key, one in configuration.hosts.items() if key != address}
        return Change(replace(configuration, hosts=hosts), address)


@dataclass(frozen=True)
class UndoNetwork:
    """The host's network of an earlier revision, everything else as it is: nobody has confirmed the change."""

    revision: int
    then: Configuration = field(repr=False)
    permission: ClassVar[str] = "root"

    @property
    def summary(self) -> str:
        return f"undo the change of the network of revision {self.revision}, which was not confirmed"

    def apply(self, configuration: Configuration) -> Change:
        then = self.then
        return Change(
            replace(configuration, host=then.host, interfaces=then.interfaces, routes=then.routes, hosts=then.hosts),
            "host",
        )


def refuse_unmanaged(before: HostParameters, after: HostParameters) -> None:
    """Raise `OperatorError` for a parameter that needs a managed network, or that another command must change."""
    if before.managed != after.managed:
        raise OperatorError(
            "The network is taken over, or given up, as it is",
            field="managed",
            allowed="`steelyard network manage on` and off, or PUT /api/v1/network/managed",
            remedy="Use these",
        )
    if not after.managed:
        for name in HostParameters.declared():
            if name not in ("managed", "confirm_seconds") and getattr(before, name) != getattr(after, name):
                raise OperatorError(
                    f"{after.wire_name(name)} cannot be set: Steelyard does not manage this host's network",
                    field=name,
                    allowed="parameters of a network that Steelyard manages",
                    remedy="Change it with the tool that owns it, or hand it over: `steelyard network manage on`",
                )


def _known(configuration: Configuration, name: str, found: Interface | None) -> Interface:
    """The interface, or the kernel's when the configuration has none of its name yet; it gets a free number then."""
    try:
        return interface_named(configuration, name)
    except NotFound:
        if found is None:
            raise
        return found.changed({"number": _lowest_free(configuration)})


def _refuse_services(configuration: Configuration, before: Interface, after: Interface) -> None:
    """An address that a service has cannot become an interface's: the service would take its connections."""
    known = own_addresses([before])
    for address in own_addresses([after]):
        if address not in known:
            refuse_address_of_service(configuration, address, "address")


def _refuse_vlans(configuration: Configuration, interface: Interface) -> None:
    on = [one.name for one in configuration.interfaces.values() if one.parent == interface.name]
    if on:
        raise OperatorError(
            f"{interface.name} has VLANs on it: {', '.join(on)}",
            field="interface",
            value=interface.name,
            allowed="an interface without VLANs",
            remedy="Remove the VLANs first",
        )
