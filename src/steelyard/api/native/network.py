"""The host's network: `/network`. It is read everywhere, and changed where Steelyard manages it.

A change that may cut the administrator off goes back by itself unless it is confirmed; `waiting` says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from fastapi.responses import JSONResponse

from steelyard.api.native.access import Appliance, Caller
from steelyard.api.native.bodies import JsonObject, only, text
from steelyard.api.native.objects import settings_json
from steelyard.api.native.routing import NativeRouter
from steelyard.api.native.schemas import CHANGED, MADE, answers, body
from steelyard.api.native.writing import Writing, read, settings_given
from steelyard.model.commands import (
    AddAddress,
    AddBond,
    AddHostsEntry,
    AddRoute,
    AddVlan,
    ChangeInterface,
    JoinBond,
    ManageNetwork,
    RemoveAddress,
    RemoveHostsEntry,
    RemoveInterface,
    RemoveRoute,
)
from steelyard.model.configuration import Configuration
from steelyard.model.errors import OperatorError
from steelyard.model.network import HostsEntry, Interface, StaticRoute
from steelyard.observe.known_interfaces import found_interface, taken_over

router = NativeRouter(prefix="/network", tags=["network"])


@router.get("", responses=answers("Network"))
async def show_network(appliance: Appliance) -> JSONResponse:
    """The network as it is: interfaces with their addresses, routes of the main table, names; and what waits."""
    snapshot, waiting = appliance.snapshot(), appliance.network_waiting()
    return read(
        snapshot.revision,
        {
            **asdict(await appliance.network()),
            "managed": snapshot.configuration.host.managed,
            "waiting": None if waiting is None else {"revision": waiting.revision, "seconds": waiting.seconds},
        },
    )


@router.put("/managed", responses=CHANGED, openapi_extra=body("Managed"))
async def manage_network(write: Writing, data: JsonObject) -> JSONResponse:
    """Manage the network, taking over what is there; or leave it, as it is, to another tool."""
    only(data, ("managed",), "who manages the network")
    managed = data.get("managed")
    if not isinstance(managed, bool):
        raise OperatorError("managed is true or false", field="managed", allowed="true, false", remedy="Give one")
    command = taken_over(await write.appliance.network()) if managed else ManageNetwork(False)
    return await write.carry_out(command)


@router.post("/confirm", responses=answers("Confirmed"))
async def confirm_network(appliance: Appliance, actor: Caller) -> JSONResponse:
    """Keep the change that waits to be confirmed."""
    return JSONResponse({"revision": await appliance.confirm_network(actor)})


@router.post("/undo", responses=answers("Confirmed"))
async def undo_network(appliance: Appliance, actor: Caller) -> JSONResponse:
    """Take the change that waits to be confirmed back now; the answer is the revision that does."""
    return JSONResponse({"revision": await appliance.undo_network(actor)})


# --- interfaces


def _interface(configuration: Configuration, key: int | str | None) -> Any:
    found = configuration.interfaces.get(str(key))
    return None if found is None else settings_json(found)


_INTERFACES = {"type": "array", "items": {"$ref": "#/components/schemas/WantedInterface"}}


@router.get("/interfaces", responses=answers(_INTERFACES))
async def list_interfaces(appliance: Appliance) -> JSONResponse:
    """The interfaces as they are wanted, by number; none where Steelyard does not manage the network."""
    snapshot = appliance.snapshot()
    return read(snapshot.revision, [settings_json(one) for one in snapshot.configuration.interfaces.values()])


@router.patch("/interfaces/{name}", responses=CHANGED, openapi_extra=body("InterfaceChanges"))
async def change_interface(write: Writing, name: str, data: JsonObject) -> JSONResponse:
    """Change an interface: `address`, `additional`, `mtu`, `bond_mode`."""
    changes = settings_given(Interface, data)
    name, found = await _found(write, name)
    return await write.carry_out(ChangeInterface(name, changes, found), _interface)


@router.delete("/interfaces/{name}", responses=CHANGED)
async def remove_interface(write: Writing, name: str) -> JSONResponse:
    """Remove a VLAN or a bond."""
    return await write.carry_out(RemoveInterface(name))


@router.post("/interfaces/{name}/addresses", responses=CHANGED, openapi_extra=body("InterfaceAddress"))
async def add_address(write: Writing, name: str, data: JsonObject) -> JSONResponse:
    """Give an interface one more address."""
    only(data, ("address",), "an address of an interface")
    name, found = await _found(write, name)
    return await write.carry_out(AddAddress(name, text(data, "address"), found), _interface)


@router.post("/interfaces/{name}/addresses/remove", responses=CHANGED, openapi_extra=body("InterfaceAddress"))
async def remove_address(write: Writing, name: str, data: JsonObject) -> JSONResponse:
    """Take an address from an interface."""
    only(data, ("address",), "an address of an interface")
    return await write.carry_out(RemoveAddress(name, text(data, "address")), _interface)


@router.post("/interfaces/{name}/vlans", responses=MADE, openapi_extra=body("NewVlan"))
async def add_vlan(write: Writing, name: str, data: JsonObject) -> JSONResponse:
    """Make a VLAN on an interface."""
    only(data, ("vlan",), "a VLAN")
    name, found = await _found(write, name)
    return await write.carry_out(AddVlan(name, data.get("vlan"), found), _interface, made="network/interfaces")


@router.post("/bonds", responses=MADE, openapi_extra=body("NewBond"))
async def add_bond(write: Writing, data: JsonObject) -> JSONResponse:
    """Make a bond of a port, which gives it its addresses."""
    only(data, ("interface", "bond_mode"), "a bond")
    name, found = await _found(write, text(data, "interface"))
    command = AddBond(name, data.get("bond_mode", 1), found)
    return await write.carry_out(command, _interface, made="network/interfaces")


@router.post("/bonds/{bond}/members", responses=CHANGED, openapi_extra=body("BondMember"))
async def join_bond(write: Writing, bond: str, data: JsonObject) -> JSONResponse:
    """Put a port into a bond."""
    only(data, ("interface",), "a port of a bond")
    name, found = await _found(write, text(data, "interface"))
    return await write.carry_out(JoinBond(name, bond, found), _interface)


@router.delete("/bonds/{bond}/members/{name}", responses=CHANGED)
async def leave_bond(write: Writing, bond: str, name: str) -> JSONResponse:
    """Take a port out of a bond."""
    known = write.appliance.snapshot().configuration.interfaces.get(name)
    if known is not None and known.bond != bond:
        raise OperatorError(f"{name} is not in {bond}", field="bond", value=bond, remedy="Name the bond it is in")
    return await write.carry_out(JoinBond(name, ""), _interface)


async def _found(write: Writing, name: str) -> tuple[str, Interface | None]:
    """The interface of a path, by name or number; with what it is when only the kernel knows it."""
    return found_interface(await write.appliance.network(), write.appliance.snapshot().configuration, name)


# --- routes and names

_ROUTES = {"type": "array", "items": {"$ref": "#/components/schemas/StaticRoute"}}
_HOSTS = {"type": "array", "items": {"$ref": "#/components/schemas/HostsEntry"}}


@router.get("/routes", responses=answers(_ROUTES))
async def list_routes(appliance: Appliance) -> JSONResponse:
    """The static routes that are wanted; the default gateways are parameters of the host."""
    snapshot = appliance.snapshot()
    return read(snapshot.revision, [settings_json(one) for one in snapshot.configuration.routes.values()])


@router.post("/routes", responses=CHANGED, openapi_extra=body("StaticRoute"))
async def add_route(write: Writing, data: JsonObject) -> JSONResponse:
    """Add a static route."""
    settings_given(StaticRoute, data)
    return await write.carry_out(AddRoute(text(data, "destination"), text(data, "gateway")), _route)


@router.delete("/routes/{destination:path}", responses=CHANGED)
async def remove_route(write: Writing, destination: str) -> JSONResponse:
    """Remove a static route, named by the network it leads to."""
    return await write.carry_out(RemoveRoute(destination))


def _route(configuration: Configuration, key: int | str | None) -> Any:
    found = configuration.routes.get(str(key))
    return None if found is None else settings_json(found)


@router.get("/hosts", responses=answers(_HOSTS))
async def list_hosts_entries(appliance: Appliance) -> JSONResponse:
    """Addresses with names of their own on this host."""
    snapshot = appliance.snapshot()
    return read(snapshot.revision, [settings_json(one) for one in snapshot.configuration.hosts.values()])


@router.post("/hosts", responses=CHANGED, openapi_extra=body("HostsEntry"))
async def add_hosts_entry(write: Writing, data: JsonObject) -> JSONResponse:
    """Give an address names; those it has stay."""
    settings_given(HostsEntry, data)
    return await write.carry_out(AddHostsEntry(text(data, "address"), _names(data)), _entry)


@router.delete("/hosts/{address}", responses=CHANGED)
async def remove_hosts_entry(write: Writing, address: str) -> JSONResponse:
    """Remove an address with its names."""
    return await write.carry_out(RemoveHostsEntry(address))


def _names(data: Mapping[str, Any]) -> tuple[str, ...]:
    names = data.get("names")
    if not isinstance(names, list) or not all(isinstance(one, str) for one in names):
        raise OperatorError("names is a list of names", field="names", allowed="a list", remedy="Give a list")
    return tuple(names)


def _entry(configuration: Configuration, key: int | str | None) -> Any:
    found = configuration.hosts.get(str(key))
    return None if found is None else settings_json(found)
