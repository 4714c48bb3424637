"""The host's network as it is: interfaces, routes, names (`reference/loadmaster-api/09`, 9.7 and 9.8).

Steelyard reads it and does not change it, so the commands that would are refused.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from steelyard.api.loadmaster.answers import Answer, Data, Value, YesNo
from steelyard.api.loadmaster.call import Call, Entry
from steelyard.model.errors import OperatorError
from steelyard.observe.network_state import Interface, InterfaceKind, NetworkState

_TYPES: Mapping[InterfaceKind, str] = {
    "port": "Port",
    "bond": "Bond",
    "vlan": "VLAN",
    "vxlan": "VXLAN",
    "bridge": "Bridge",
    "other": "Other",
}

#: parameters of the host's network (08, 8.7 and 8.8); its owner sets them
NETWORK: Mapping[str, Callable[[NetworkState], Value]] = {
    "dfltgw": lambda state: state.default_gateway(4),
    "dfltgwv6": lambda state: state.default_gateway(6),
    "nameserver": lambda state: ",".join(state.name_servers),
    "searchlist": lambda state: " ".join(state.search_domains),
}

#: said of the commands and parameters that would change it
REMEDY = "Steelyard does not manage this host's network; change it there"
REFUSED = dict.fromkeys(
    (
        *("modiface", "addadditional", "deladditional", "createbond", "addbond", "delbond", "unbond"),
        *("addvlan", "delvlan", "addvxlan", "delvxlan", "addroute", "delroute", "addhostsentry", "delhostsentry"),
    ),
    REMEDY,
)


def _record(interface: Interface) -> dict[str, Value]:
    first, *others = interface.addresses or ("",)
    more: dict[str, Value] = {"AdditionalAddresses": tuple(others)} if others else {}
    return {
        "Id": interface.number or 0,
        "IPAddress": first,
        "Mtu": str(interface.mtu),
        "InterfaceType": _TYPES.get(interface.kind, "Other"),
        "GeoTrafficEnable": YesNo(False),
        "DefaultInterface": YesNo(interface.gateway),
        **more,
    }


async def showiface(call: Call) -> Answer:
    """All interfaces but loopback, or the one that `interface` numbers."""
    known = {one.number: one for one in (await call.appliance.network()).interfaces if one.number is not None}
    asked = call.parameters.text("interface") or call.parameters.text("iface")
    if asked is None:
        return Data({"Interface": tuple(_record(one) for one in known.values())})
    number = int(asked) if asked.isascii() and asked.isdigit() and len(asked) < 6 else -1
    if number not in known:
        allowed = f"0 to {len(known) - 1}" if known else "none"
        raise OperatorError(f"interface {asked[:40]!r} does not exist; there are: {allowed}", field="interface")
    return Data({"Interface": (_record(known[number]),)})


async def showroute(call: Call) -> Answer:
    """Routes through a gateway, the default ones left out: these are parameters."""
    routes = (await call.appliance.network()).routes
    found = tuple(
        {"Destination": route.destination, "Gateway": route.gateway}
        for route in routes
        if route.gateway and not route.is_default
    )
    return Data({"Route": found})


async def gethosts(call: Call) -> Answer:
    """The hosts file, a record for each name."""
    entries = (await call.appliance.network()).hosts
    found = tuple({"HostIPAddress": entry.address, "HostFqdn": name} for entry in entries for name in entry.names)
    return Data({"HostsEntry": found})


COMMANDS = (Entry("showiface", showiface), Entry("showroute", showroute), Entry("gethosts", gethosts))
