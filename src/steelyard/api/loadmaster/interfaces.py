"""The host's network: interfaces, routes, names (`reference/loadmaster-api/09`, 9.7 and 9.8).

Where another tool owns the network it is only read, and the commands that would change it are refused by the model.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from steelyard.api.loadmaster.answers import Answer, Data, Message, Value, YesNo
from steelyard.api.loadmaster.call import Call, Entry
from steelyard.api.loadmaster.failures import Refusal, not_built
from steelyard.model.commands import (
    AddAddress,
    AddBond,
    AddHostsEntry,
    AddRoute,
    AddVlan,
    ChangeInterface,
    Command,
    JoinBond,
    RemoveAddress,
    RemoveHostsEntry,
    RemoveInterface,
    RemoveRoute,
)
from steelyard.model.commands.network import require_managed
from steelyard.model.errors import OperatorError
from steelyard.model.network import Interface as Wanted
from steelyard.observe.known_interfaces import found_interface, numbered
from steelyard.observe.network_state import Interface, InterfaceKind, NetworkState

_TYPES: Mapping[InterfaceKind, str] = {
    "port": "Port",
    "bond": "Bond",
    "vlan": "VLAN",
    "vxlan": "VXLAN",
    "bridge": "Bridge",
    "other": "Other",
}

#: parameters of the host (08, 8.7 and 8.8) as the host has them, for where nobody has said anything
NETWORK: Mapping[str, Callable[[NetworkState], Value]] = {
    "dfltgw": lambda state: state.default_gateway(4),
    "dfltgwv6": lambda state: state.default_gateway(6),
    "hostname": lambda state: state.host_name,
    "nameserver": lambda state: ",".join(state.name_servers),
    "searchlist": lambda state: " ".join(state.search_domains),
}

#: commands that are known and not built
REFUSED = dict.fromkeys(("addvxlan", "delvxlan"), "Only VLANs and bonds are made")

#: what `modiface` changes, in the order in which LoadMaster looks; None is not built, with what to do instead
_CHANGES: Mapping[str, tuple[str | None, str]] = {
    "addr": ("address", ""),
    "mtu": ("mtu", ""),
    "hacheck": (None, "high availability is not built in Steelyard yet"),
    "clupdate": (None, "clusters are not built in Steelyard yet"),
    "gwiface": (None, "the default gateway may be on any interface: set dfltgw"),
    "bondmode": ("bond_mode", ""),
    "partner": (None, "high availability is not built in Steelyard yet"),
    "shared": (None, "high availability is not built in Steelyard yet"),
    "partneripaddress": (None, "high availability is not built in Steelyard yet"),
    "sharedipaddress": (None, "high availability is not built in Steelyard yet"),
    "adminwuienable": (None, "the address of the administration interface is given to `steelyard serve`"),
    "geotraffic": (None, "global balancing is not built in Steelyard yet"),
}


def _record(number: int, interface: Interface, wanted: Wanted | None) -> dict[str, Value]:
    # the addresses of services are no additional addresses
    first, *others = (wanted.addresses if wanted is not None else interface.addresses) or ("",)
    more: dict[str, Value] = {"AdditionalAddresses": tuple(others)} if others else {}
    return {
        "Id": number,
        "IPAddress": first,
        "Mtu": str(interface.mtu),
        "InterfaceType": _TYPES.get(interface.kind, "Other"),
        "GeoTrafficEnable": YesNo(False),
        "DefaultInterface": YesNo(interface.gateway),
        **more,
    }


async def showiface(call: Call) -> Answer:
    """All interfaces but loopback, or the one that `interface` numbers."""
    wanted = call.configuration.interfaces
    known = {
        number: _record(number, one, wanted.get(one.name))
        for number, one in numbered(await call.appliance.network(), call.configuration).items()
    }
    asked = call.parameters.text("interface") or call.parameters.text("iface")
    if asked is None:
        return Data({"Interface": tuple(known.values())})
    number = int(asked) if asked.isascii() and asked.isdigit() and len(asked) < 6 else -1
    if number not in known:
        allowed = f"0 to {len(known) - 1}" if known else "none"
        raise OperatorError(f"interface {asked[:40]!r} does not exist; there are: {allowed}", field="interface")
    return Data({"Interface": (known[number],)})


async def _named(call: Call, name: str = "interface") -> tuple[str, Wanted | None]:
    """The interface a command names by its number, and what it is if only the kernel knows it."""
    if name == "interface" and "interface" not in call.parameters:
        name = "iface"
    asked = call.parameters.required(name)
    require_managed(call.configuration)
    return found_interface(await call.appliance.network(), call.configuration, asked)


async def modiface(call: Call) -> Answer:
    """One change; which one is the first that LoadMaster would look for."""
    for name, (field, remedy) in _CHANGES.items():
        if name not in call.parameters:
            continue
        if field is None:
            require_managed(call.configuration)
            raise not_built(f"{name} of modiface", remedy)
        interface, found = await _named(call)
        value = (call.parameters.text(name) or "").strip()
        await call.execute(ChangeInterface(interface, {field: value if field == "address" else value or 0}, found))
        return Message()
    require_managed(call.configuration)
    raise Refusal(422, f"modiface needs one of {', '.join(name for name, (field, _) in _CHANGES.items() if field)}")


async def addadditional(call: Call) -> Answer:
    """One more address of an interface."""
    address = call.parameters.required("addr", "Address")
    interface, found = await _named(call)
    await call.execute(AddAddress(interface, address, found))
    return Message()


async def deladditional(call: Call) -> Answer:
    """One less."""
    address = call.parameters.required("addr", "Address")
    interface, _ = await _named(call)
    await call.execute(RemoveAddress(interface, address))
    return Message()


async def createbond(call: Call) -> Answer:
    """A bond of this port."""
    interface, found = await _named(call)
    await call.execute(AddBond(interface, found=found))
    return Message()


async def addbond(call: Call) -> Answer:
    """The port joins the bond of that number."""
    interface, found = await _named(call)
    await call.execute(JoinBond(interface, _bond(call), found))
    return Message()


async def delbond(call: Call) -> Answer:
    """The port leaves the bond."""
    interface, found = await _named(call)
    wanted = call.configuration.interfaces.get(interface)
    if wanted is not None and wanted.bond != _bond(call):
        raise OperatorError(f"interface {interface} is not in {_bond(call)}", field="bond")
    await call.execute(JoinBond(interface, "", found))
    return Message()


def _bond(call: Call) -> str:
    """The number in bndN, or that whole name."""
    asked = call.parameters.required("bond")
    return f"bnd{asked}" if asked.isascii() and asked.isdigit() else asked


async def unbond(call: Call) -> Answer:
    """The bond is dissolved."""
    interface, _ = await _named(call)
    return await _remove(call, interface, "bond")


async def addvlan(call: Call) -> Answer:
    """A VLAN on an interface."""
    vlan = call.parameters.required("vlanid", "Integer")
    interface, found = await _named(call)
    await call.execute(AddVlan(interface, vlan, found))
    return Message()


async def delvlan(call: Call) -> Answer:
    """Away with it; it is named itself, or by the interface it is on and its id."""
    interface, _ = await _named(call)
    asked = (call.parameters.text("vlanid") or "").strip()
    known = call.configuration.interfaces
    if interface in known and known[interface].kind != "vlan" and asked:
        interface = next(
            (one.name for one in known.values() if one.parent == interface and str(one.vlan) == asked), interface
        )
    return await _remove(call, interface, "vlan")


async def _remove(call: Call, interface: str, kind: str) -> Answer:
    known = call.configuration.interfaces.get(interface)
    if known is not None and known.kind != kind:
        raise OperatorError(
            f"interface {interface} is no {kind.upper() if kind == 'vlan' else kind}", field="interface"
        )
    await call.execute(RemoveInterface(interface))
    return Message()


async def showroute(call: Call) -> Answer:
    """Routes through a gateway, the default ones left out: these are parameters."""
    if call.configuration.host.managed:
        pairs = [(one.destination, one.gateway) for one in call.configuration.routes.values()]
    else:
        routes = (await call.appliance.network()).routes
        pairs = [(one.destination, one.gateway) for one in routes if one.gateway and not one.is_default]
    return Data({"Route": tuple({"Destination": destination, "Gateway": gateway} for destination, gateway in pairs)})


async def addroute(call: Call) -> Answer:
    """A static route."""
    destination, gateway = call.parameters.required("dest", "Address"), call.parameters.required("gateway", "Address")
    return await _done(call, AddRoute(destination, gateway))


async def delroute(call: Call) -> Answer:
    """Away with it."""
    return await _done(call, RemoveRoute(call.parameters.required("dest", "Address")))


async def gethosts(call: Call) -> Answer:
    """A record for each name: those that were added, or where another tool owns the network the hosts file's."""
    if call.configuration.host.managed:
        pairs = [(one.address, name) for one in call.configuration.hosts.values() for name in one.names]
    else:
        entries = (await call.appliance.network()).hosts
        pairs = [(entry.address, name) for entry in entries for name in entry.names]
    return Data({"HostsEntry": tuple({"HostIPAddress": address, "HostFqdn": name} for address, name in pairs)})


async def addhostsentry(call: Call) -> Answer:
    """A name of an address; one that has names gets one more."""
    address, name = call.parameters.required("hostip", "Address"), call.parameters.required("hostfqdn")
    return await _done(call, AddHostsEntry(address, tuple(name.split())))


async def delhostsentry(call: Call) -> Answer:
    """Away with the address and its names."""
    return await _done(call, RemoveHostsEntry(call.parameters.required("hostip", "Address")))


async def _done(call: Call, command: Command) -> Answer:
    await call.execute(command)
    return Message()


async def host_parameter(call: Call, name: str, state: NetworkState | None = None) -> Value:
    """A parameter of the host: as it was set, or as the host has it. `state` is that if it was read already."""
    host = call.configuration.host
    declared = host.by_wire()[name]
    value = getattr(host, declared.name)
    if not value and (not host.managed or name == "hostname"):
        return NETWORK[name](state or await call.appliance.network())
    return (declared.setting.separator or "").join(value) if isinstance(value, tuple) else str(value)


COMMANDS = (
    Entry("showiface", showiface),
    Entry("modiface", modiface, "root"),
    Entry("addadditional", addadditional, "root"),
    Entry("deladditional", deladditional, "root"),
    Entry("createbond", createbond, "root"),
    Entry("addbond", addbond, "root"),
    Entry("delbond", delbond, "root"),
    Entry("unbond", unbond, "root"),
    Entry("addvlan", addvlan, "root"),
    Entry("delvlan", delvlan, "root"),
    Entry("showroute", showroute),
    Entry("addroute", addroute, "root"),
    Entry("delroute", delroute, "root"),
    Entry("gethosts", gethosts),
    Entry("addhostsentry", addhostsentry, "root"),
    Entry("delhostsentry", delhostsentry, "root"),
)
