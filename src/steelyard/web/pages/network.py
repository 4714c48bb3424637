"""The host's network: interfaces, names and name servers, the default gateway, routes.

It is shown everywhere. Where Steelyard manages it, it is changed here, after a look at what the change does; one that
may cut the administrator off goes back by itself unless it is confirmed, which every page asks for while it waits.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any

from starlette.responses import Response

from steelyard.model.commands import (
    AddAddress,
    AddBond,
    AddHostsEntry,
    AddRoute,
    AddVlan,
    ChangeInterface,
    Command,
    JoinBond,
    ManageNetwork,
    RemoveAddress,
    RemoveHostsEntry,
    RemoveInterface,
    RemoveRoute,
)
from steelyard.model.configuration import Configuration
from steelyard.model.errors import HostLacks, NotFound, SteelyardError
from steelyard.model.network import BOND_MODES
from steelyard.model.network import Interface as Wanted
from steelyard.observe.known_interfaces import found_interface, numbered, taken_over
from steelyard.observe.network_state import Interface, NetworkState
from steelyard.web.confirming import Question, confirmed
from steelyard.web.editing import Drawn, Editor, Part, edited
from steelyard.web.frame import Visit, page
from steelyard.web.pages.parameters import parameter_editor
from steelyard.web.pages.service import BOTH, scrolled


@dataclass(frozen=True)
class Row:
    """An interface as it is, and as it is wanted where that is known."""

    number: int
    name: str
    now: Interface | None
    wanted: Wanted | None

    @property
    def kind(self) -> str:
        """What it is, in words."""
        if self.now is not None and self.now.kind == "vlan":
            return f"VLAN {self.now.vlan} on {self.now.parent}"
        if self.wanted is not None and self.wanted.kind == "vlan":
            return f"VLAN {self.wanted.vlan} on {self.wanted.parent}"
        member = self.now.member_of if self.now is not None else ""
        kind = self.now.kind if self.now is not None else self.wanted.kind if self.wanted is not None else "port"
        return f"{kind} in {member}" if member else str(kind)

    @property
    def addresses(self) -> list[tuple[str, str]]:
        """Every address with what is to be known of it."""
        now = self.now.addresses if self.now is not None else ()
        if self.wanted is None:
            return [(one, "") for one in now]
        missing = [(one, "not there") for one in self.wanted.addresses if one not in now]
        own = set(self.wanted.addresses)
        return [(one, "" if one in own else "not of this configuration") for one in now] + missing

    @property
    def removable(self) -> bool:
        """Whether it was made and can be removed."""
        return self.wanted is not None and self.wanted.kind != "port"


def rows_of(state: NetworkState, configuration: Configuration) -> list[Row]:
    """Every interface beside loopback, those too that are wanted and not there."""
    there = numbered(state, configuration)
    rows = [Row(number, one.name, one, configuration.interfaces.get(one.name)) for number, one in there.items()]
    names = {row.name for row in rows}
    rows += [Row(one.number, one.name, None, one) for one in configuration.interfaces.values() if one.name not in names]
    return sorted(rows, key=lambda row: row.number)


@dataclass(frozen=True)
class Looked:
    """The network as it is; without one, why it cannot be read."""

    state: NetworkState | None
    trouble: HostLacks | None = None


async def _looked(visit: Visit) -> Looked:
    try:
        return Looked(await visit.appliance.network())
    except HostLacks as failure:
        return Looked(None, failure)


def _context(visit: Visit, looked: Looked, **more: Any) -> dict[str, Any]:
    managed = visit.snapshot.configuration.host.managed
    return {
        "managed": managed,
        "state": looked.state,
        "trouble": looked.trouble,
        "may": visit.may("root"),
        "changes": managed and visit.may("root"),
        **more,
    }


async def _found(visit: Visit, name: str) -> tuple[str, Wanted | None]:
    """An interface by name; with what it is when only the kernel knows it."""
    return found_interface(await visit.appliance.network(), visit.snapshot.configuration, name)


# -------------------- interfaces


async def interfaces(visit: Visit) -> Response:
    """Every interface with its addresses, and who manages the network."""
    looked = await _looked(visit)
    configuration = visit.snapshot.configuration
    rows = rows_of(looked.state, configuration) if looked.state is not None else []
    held = {str(one.address): one for one in configuration.services.values() if not one.is_sub}
    ports = [row.name for row in rows if row.kind == "port" and (row.wanted is None or not row.wanted.bond)]
    return visit.render(
        "pages/interfaces.html",
        _context(visit, looked, rows=rows, held=held, ports=ports, modes=BOND_MODES),
    )


async def manage(visit: Visit) -> Response:
    """Ask, and take over the network as it is, or leave it to another tool."""
    back = visit.url("interfaces")
    if visit.snapshot.configuration.host.managed:
        command: Command = ManageNetwork(False)
        question = Question(
            "Leave the network to another tool?",
            "Leave it",
            back,
            back,
            "Steelyard does not manage the network any more",
            text="Interfaces, routes and names stay as they are. Addresses that services alone had go, and an address"
            " of a service must be there already from then on.",
        )
    else:
        command = taken_over(await visit.appliance.network())
        question = Question(
            "Manage this host's network here?",
            "Manage it",
            back,
            back,
            "Steelyard manages the network",
            text="It is taken over as it is, so nothing changes now. From then on interfaces, routes and names are"
            " changed here, and services bring their addresses along. Have the tool that owned it leave it alone.",
            danger=False,
        )
    return await confirmed(visit, command, question)


def _moves_to(visit: Visit, address: str, path: str) -> str:
    """Where this page is after a change of the address it was asked at; empty where that stays, or is another's."""
    before, after = address.partition("/")[0], visit.field("address").strip().partition("/")[0]
    here = visit.request.url
    if not before or here.hostname != before or after == before:
        return ""
    try:
        version = ip_address(after).version
    except ValueError:
        return ""
    host = after if version == 4 else f"[{after}]"
    return f"{here.scheme}://{host}{f':{here.port}' if here.port else ''}{path}"


async def interface(visit: Visit) -> Response:
    """One interface: its addresses, MTU and what can be made on it."""
    name, found = await _found(visit, visit.request.path_params["name"])
    configuration = visit.snapshot.configuration
    known = configuration.interfaces.get(name) or found
    if known is None:
        raise NotFound("interface", name[:40])
    names = ("address", "additional", "mtu", "bond_mode") if known.kind == "bond" else ("address", "additional", "mtu")
    back = visit.url("interfaces")
    moves_to = _moves_to(visit, known.address, back)
    editor = Editor(
        model=Wanted,
        values={each: getattr(known, each) for each in Wanted.declared()},
        parts=(Part("interface", "Interface", names),),
        command=lambda changes: ChangeInterface(name, changes, found),
        done=lambda key: moves_to or back,
        permission="root",
        noun="interface",
        departs=bool(moves_to),
        fixed={} if configuration.host.managed else dict.fromkeys(names, "Another tool manages this host's network."),
    )
    bonds = [one.name for one in configuration.interfaces.values() if one.kind == "bond"]
    context = {
        "title": name,
        "sub": f"Interface {known.number}",
        "back": visit.url("interface", name=name),
        "above": ("Interfaces", back),
        "known": known,
        "bonds": bonds,
        "modes": BOND_MODES,
        "members": [one.name for one in configuration.interfaces.values() if one.bond == name],
        "changes": configuration.host.managed and visit.may("root"),
    }

    def draw(drawn: Drawn) -> Response:
        return scrolled(visit, drawn, visit.render("pages/interface.html", context, drawn=drawn))

    return await edited(visit, editor, draw)


async def change_interface(visit: Visit) -> Response:
    """Ask, and do one thing with an interface; which one is said in the query."""
    name, found = await _found(visit, visit.request.path_params["name"])
    what = visit.query("do")
    address, vlan, bond = (visit.query(each).strip() for each in ("address", "vlan", "bond"))
    mode = visit.query("mode")
    command: Command
    if what == "add-address":
        command, title, button = AddAddress(name, address, found), f"Add {address} to {name}?", "Add Address"
    elif what == "remove-address":
        command, title, button = RemoveAddress(name, address), f"Remove {address} from {name}?", "Remove"
    elif what == "add-vlan":
        number = int(vlan) if vlan.isdecimal() and len(vlan) < 6 else vlan
        command, title, button = AddVlan(name, number, found), f"Make VLAN {vlan} on {name}?", "Add New VLAN"
    elif what == "bond":
        number = int(mode) if mode.isdecimal() and len(mode) < 6 else mode
        command, title, button = AddBond(name, number, found), f"Make a bond of {name}?", "Create Bond"
    elif what == "join":
        command, title, button = JoinBond(name, bond, found), f"Put {name} into {bond}?", "Put it in"
    elif what == "leave":
        command, title, button = JoinBond(name, ""), f"Take {name} out of its bond?", "Take it out"
    elif what == "remove":
        command, title, button = RemoveInterface(name), f"Delete interface {name}?", "Delete"
    else:
        raise NotFound("operation", what[:40])
    gone = what == "remove"
    back = visit.url("interfaces") if gone else visit.url("interface", name=name)
    danger = what in ("remove", "remove-address", "leave")
    question = Question(title, button, back, visit.url("interfaces"), "The network was changed", danger=danger)
    return await confirmed(visit, command, question)


# -------------------- names, gateways and routes


async def host_dns(visit: Visit) -> Response:
    """Host name, name servers, search domains, and names of addresses."""
    parts = (Part("host", "Host & DNS", ("host_name", "name_servers", "search_domains")),)
    return await _of_host(visit, "host-dns", "Host & DNS Configuration", "How this host is called and asks", parts)


async def default_gateway(visit: Visit) -> Response:
    """Where packets to no known network go."""
    parts = (Part("gateway", "Default Gateway", ("default_gateway", "default_gateway6")),)
    sub = "Where packets to no known network go"
    return await _of_host(visit, "default-gateway", "Default Gateway", sub, parts)


async def _of_host(visit: Visit, name: str, title: str, sub: str, parts: tuple[Part, ...]) -> Response:
    looked, configuration = await _looked(visit), visit.snapshot.configuration
    here = visit.url(name)
    context = _context(
        visit,
        looked,
        title=title,
        sub=sub,
        back=here,
        above=None,
        tabs=[],
        hosts=list(configuration.hosts.values()),
    )
    template = f"pages/{name.replace('-', '_')}.html"
    if not configuration.host.managed:
        return visit.render(template, context, drawn=None)

    def draw(drawn: Drawn) -> Response:
        return scrolled(visit, drawn, visit.render(template, context, drawn=drawn))

    return await edited(visit, parameter_editor(visit, "host", parts, here), draw)


async def routes(visit: Visit) -> Response:
    """Routes through gateways on local networks, beside the default gateways."""
    looked, configuration = await _looked(visit), visit.snapshot.configuration
    there = {} if looked.state is None else {one.destination: one for one in looked.state.routes if not one.is_default}
    return visit.render(
        "pages/routes.html", _context(visit, looked, wanted=list(configuration.routes.values()), there=there)
    )


async def change_routes(visit: Visit) -> Response:
    """Ask, and add or remove a route."""
    destination, gateway = visit.query("destination").strip(), visit.query("gateway").strip()
    back = visit.url("routes")
    if visit.query("do") == "remove":
        question = Question(f"Remove the route to {destination}?", "Remove", back, back, "The route was removed")
        return await confirmed(visit, RemoveRoute(destination), question)
    title = f"Add a route to {destination} through {gateway}?"
    question = Question(title, "Add Route", back, back, "The route was added", danger=False)
    return await confirmed(visit, AddRoute(destination, gateway), question)


async def change_hosts(visit: Visit) -> Response:
    """Ask, and give an address names or take them away."""
    address, names = visit.query("address").strip(), tuple(visit.query("names").replace(",", " ").split())
    back = visit.url("host-dns")
    if visit.query("do") == "remove":
        question = Question(f"Remove the names of {address}?", "Remove", back, back, "The names were removed")
        return await confirmed(visit, RemoveHostsEntry(address), question)
    title = f"Have {address} known as {', '.join(names)}?"
    question = Question(title, "Add Names", back, back, "The names were added", danger=False)
    return await confirmed(visit, AddHostsEntry(address, names), question)


# -------------------- the change that waits


async def keep(visit: Visit) -> Response:
    """Keep the change that waits to be confirmed, or take it back now."""
    back = visit.field("back")
    here = back if back.startswith("/") and not back.startswith("//") else visit.url("interfaces")
    try:
        if visit.field("do") == "undo":
            revision = await visit.appliance.undo_network(visit.actor)
            visit.session.say(f"The change of the network was taken back: revision {revision} is in effect.")
        else:
            revision = await visit.appliance.confirm_network(visit.actor)
            visit.session.say(f"The change of the network stays: revision {revision} is confirmed.")
    except SteelyardError as failure:
        if getattr(failure, "field", "") == "permission":
            raise
        visit.session.say(failure.message, "down")
    return visit.go_to(here)


ROUTES = [
    page("/interfaces", interfaces, name="interfaces"),
    page("/interfaces/managed", manage, name="manage-network", belongs="interfaces", methods=BOTH),
    page("/interfaces/of/{name}", interface, name="interface", belongs="interfaces", methods=BOTH),
    page("/interfaces/of/{name}/change", change_interface, name="change-interface", belongs="interfaces", methods=BOTH),
    page("/host-dns", host_dns, name="host-dns", methods=BOTH),
    page("/host-dns/names", change_hosts, name="change-hosts", belongs="host-dns", methods=BOTH),
    page("/default-gateway", default_gateway, name="default-gateway", methods=BOTH),
    page("/routes", routes, name="routes"),
    page("/routes/change", change_routes, name="change-routes", belongs="routes", methods=BOTH),
    page("/network/waiting", keep, name="keep-network", belongs="interfaces", methods=("POST",)),
]
