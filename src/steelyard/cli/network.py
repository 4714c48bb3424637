"""`steelyard network`: the host's network, shown everywhere and changed where Steelyard manages it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import typer
from rich.console import Group
from typer.core import TyperGroup

from steelyard.cli import output
from steelyard.cli.failures import Misuse
from steelyard.cli.session import Session, command


class _ShowsByItself(TyperGroup):
    """Without the name of a command, the network is shown."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if not args or (args[0].startswith("-") and "--help" not in args):
            args = ["show", *args]
        return super().parse_args(ctx, args)


app = typer.Typer(cls=_ShowsByItself, help="The network of the host: interfaces, routes, names; by itself it shows it.")
address_app = typer.Typer(no_args_is_help=True, help="Addresses of interfaces.")
vlan_app = typer.Typer(no_args_is_help=True, help="VLANs.")
bond_app = typer.Typer(no_args_is_help=True, help="Bonds: several ports as one interface.")
route_app = typer.Typer(no_args_is_help=True, help="Static routes.")
hosts_app = typer.Typer(no_args_is_help=True, help="Names of addresses on this host.")
for _name, _app in (
    ("address", address_app),
    ("vlan", vlan_app),
    ("bond", bond_app),
    ("route", route_app),
    ("hosts", hosts_app),
):
    app.add_typer(_app, name=_name)

Name = Annotated[str, typer.Argument(metavar="INTERFACE", help="Its name or number.", show_default=False)]
Address = Annotated[str, typer.Argument(metavar="ADDRESS/PREFIX", help="Such as 10.0.0.5/24.", show_default=False)]


@command(app, "show")
def show_network(session: Session) -> None:
    """Show the network of the appliance as it is: interfaces, routes, name servers."""
    found = session.api.get("/network")
    session.show(found, lambda: _page(found))


@command(app, "manage", change=True)
def manage(
    session: Session,
    switch: Annotated[str, typer.Argument(metavar="on|off", help="Whether Steelyard manages it.", show_default=False)],
) -> None:
    """Hand the network to Steelyard as it is, or leave it as it is to another tool."""
    if switch not in ("on", "off"):
        raise Misuse(f"{switch!r} is neither on nor off", "Give on or off")
    change = session.write("PUT", "/network/managed", {"managed": switch == "on"})
    session.report(change, "The network is managed" if switch == "on" else "The network is left to another tool")


@command(app, "confirm")
def confirm(session: Session) -> None:
    """Keep the change of the network that waits to be confirmed; otherwise it goes back by itself."""
    found = session.api.request("POST", "/network/confirm")
    session.show(found, lambda: f"The change of revision {found['revision']} is kept")


@command(app, "undo")
def undo(session: Session) -> None:
    """Take the change of the network that waits to be confirmed back now."""
    found = session.api.request("POST", "/network/undo")
    session.show(found, lambda: f"The change is undone by revision {found['revision']}")


@command(app, "set", change=True)
def set_host(
    session: Session,
    gateway: Annotated[str | None, typer.Option(help="IPv4 default gateway; empty removes it.")] = None,
    gateway6: Annotated[str | None, typer.Option(help="IPv6 default gateway; empty removes it.")] = None,
    host_name: Annotated[str | None, typer.Option(help="Name of the host.")] = None,
    name_servers: Annotated[str | None, typer.Option(help="Name servers, separated by blanks or commas.")] = None,
    search_domains: Annotated[str | None, typer.Option(help="Search domains, separated by blanks or commas.")] = None,
    confirm_seconds: Annotated[
        int | None, typer.Option(help="How long a change that may cut you off waits to be confirmed; 0: not at all.")
    ] = None,
) -> None:
    """Set default gateways, the host's name and its name servers."""
    given: dict[str, Any] = {
        "default_gateway": gateway,
        "default_gateway6": gateway6,
        "host_name": host_name,
        "name_servers": None if name_servers is None else name_servers.replace(",", " ").split(),
        "search_domains": None if search_domains is None else search_domains.replace(",", " ").split(),
        "confirm_seconds": confirm_seconds,
    }
    changes = {name: value for name, value in given.items() if value is not None}
    if not changes:
        raise Misuse("Nothing to set", "Give an option; see --help")
    _changed(session, "PATCH", "/parameters/host", changes, "Set")


@command(app, "interface", change=True)
def change_interface(
    session: Session,
    name: Name,
    address: Annotated[str | None, typer.Option(help="Its address, such as 10.0.0.5/24; empty removes it.")] = None,
    mtu: Annotated[int | None, typer.Option(help="Longest packet in bytes; 0 is the kernel's.")] = None,
    bond_mode: Annotated[int | None, typer.Option(help="1 active-backup, 4 802.3ad.")] = None,
) -> None:
    """Change an interface."""
    given = {"address": address, "mtu": mtu, "bond_mode": bond_mode}
    changes = {key: value for key, value in given.items() if value is not None}
    if not changes:
        raise Misuse("Nothing to change", "Give an option; see --help")
    _changed(session, "PATCH", f"/network/interfaces/{name}", changes, f"Interface {name} changed")


@command(app, "interfaces")
def list_interfaces(session: Session) -> None:
    """Show the interfaces as they are wanted."""
    found = session.api.get("/network/interfaces")
    rows = [
        (
            str(one["number"]),
            one["name"],
            _wanted_kind(one),
            "\n".join(filter(None, [one["address"], *one["additional"]])),
        )
        for one in found
    ]
    session.show(found, lambda: output.table(("number", "name", "kind", "addresses"), rows, right=("number",)))


@command(address_app, "add", change=True)
def add_address(session: Session, name: Name, address: Address) -> None:
    """Give an interface one more address."""
    _changed(session, "POST", f"/network/interfaces/{name}/addresses", {"address": address}, f"{address} added")


@command(address_app, "remove", change=True)
def remove_address(session: Session, name: Name, address: Address) -> None:
    """Take an address from an interface."""
    path = f"/network/interfaces/{name}/addresses/remove"
    _changed(session, "POST", path, {"address": address}, f"{address} removed")


@command(vlan_app, "add", change=True)
def add_vlan(
    session: Session, name: Name, vlan: Annotated[int, typer.Argument(metavar="ID", help="1 to 4094.")]
) -> None:
    """Make a VLAN on an interface."""
    _changed(session, "POST", f"/network/interfaces/{name}/vlans", {"vlan": vlan}, f"VLAN {vlan} made")


@command(vlan_app, "remove", change=True)
def remove_vlan(session: Session, name: Name) -> None:
    """Remove a VLAN, named as the interface it is: eth1.10."""
    _changed(session, "DELETE", f"/network/interfaces/{name}", None, f"{name} removed")


@command(bond_app, "add", change=True)
def add_bond(
    session: Session, name: Name, mode: Annotated[int, typer.Option(help="1 active-backup, 4 802.3ad.")] = 1
) -> None:
    """Make a bond of a port; the port's addresses become the bond's."""
    _changed(session, "POST", "/network/bonds", {"interface": name, "bond_mode": mode}, "Bond made")


@command(bond_app, "join", change=True)
def join_bond(session: Session, bond: str, name: Name) -> None:
    """Put a port into a bond."""
    _changed(session, "POST", f"/network/bonds/{bond}/members", {"interface": name}, f"{name} is in {bond}")


@command(bond_app, "leave", change=True)
def leave_bond(session: Session, bond: str, name: Name) -> None:
    """Take a port out of a bond."""
    _changed(session, "DELETE", f"/network/bonds/{bond}/members/{name}", None, f"{name} left {bond}")


@command(bond_app, "remove", change=True)
def remove_bond(session: Session, bond: str) -> None:
    """Remove a bond; its addresses go to the first of its ports."""
    _changed(session, "DELETE", f"/network/interfaces/{bond}", None, f"{bond} removed")


@command(route_app, "list")
def list_routes(session: Session) -> None:
    """Show the static routes that are wanted."""
    found = session.api.get("/network/routes")
    rows = [(one["destination"], one["gateway"]) for one in found]
    session.show(found, lambda: output.table(("destination", "gateway"), rows))


@command(route_app, "add", change=True)
def add_route(session: Session, destination: str, gateway: str) -> None:
    """Add a static route."""
    data = {"destination": destination, "gateway": gateway}
    _changed(session, "POST", "/network/routes", data, f"Route to {destination} added")


@command(route_app, "remove", change=True)
def remove_route(session: Session, destination: str) -> None:
    """Remove a static route."""
    _changed(session, "DELETE", f"/network/routes/{destination}", None, f"Route to {destination} removed")


@command(hosts_app, "list")
def list_hosts(session: Session) -> None:
    """Show which addresses have names of their own here."""
    found = session.api.get("/network/hosts")
    rows = [(one["address"], " ".join(one["names"])) for one in found]
    session.show(found, lambda: output.table(("address", "names"), rows))


@command(hosts_app, "add", change=True)
def add_hosts(session: Session, address: str, names: list[str]) -> None:
    """Give an address names."""
    _changed(session, "POST", "/network/hosts", {"address": address, "names": names}, f"{address} has its names")


@command(hosts_app, "remove", change=True)
def remove_hosts(session: Session, address: str) -> None:
    """Remove an address with its names."""
    _changed(session, "DELETE", f"/network/hosts/{address}", None, f"{address} removed")


def _changed(session: Session, method: str, path: str, data: Any, done: str) -> None:
    change = session.write(method, path, data)
    session.report(change, done)
    if not session.json and not change["dry_run"]:
        say_what_waits(session)


def say_what_waits(session: Session) -> None:
    """Tell people of a change of the network that goes back unless it is confirmed."""
    waiting = session.api.get("/network")["waiting"]
    if waiting is not None:
        output.console().print(
            f"It may cut you off, so it goes back in {waiting['seconds']:.0f} s unless you confirm it:"
            " steelyard network confirm"
        )


def _page(found: Mapping[str, Any]) -> Group:
    interfaces = [
        (
            "" if one["number"] is None else str(one["number"]),
            output.state("Up" if one["up"] else "Down"),
            one["name"],
            _kind(one),
            "\n".join(one["addresses"]),
            str(one["mtu"]),
            one["hardware_address"],
        )
        for one in found["interfaces"]
    ]
    routes = [(one["destination"], one["gateway"] or "direct", one["interface"]) for one in found["routes"]]
    columns = ("number", "state", "name", "kind", "addresses", "mtu", "hardware address")
    waiting = found["waiting"]
    return Group(
        f"{found['host_name']}, name servers {', '.join(found['name_servers']) or 'none'},"
        f" search domains {', '.join(found['search_domains']) or 'none'}",
        "Steelyard manages this network" if found["managed"] else "Another tool owns this network; it is only read",
        *(
            [f"The change of revision {waiting['revision']} goes back in {waiting['seconds']:.0f} s unless confirmed"]
            if waiting is not None
            else []
        ),
        "",
        output.table(columns, interfaces, right=("number", "mtu")),
        "",
        output.table(("destination", "gateway", "interface"), routes),
    )


def _kind(interface: Mapping[str, Any]) -> str:
    kind = f"VLAN {interface['vlan']} on {interface['parent']}" if interface["kind"] == "vlan" else interface["kind"]
    return f"{kind} in {interface['member_of']}" if interface["member_of"] else kind


def _wanted_kind(interface: Mapping[str, Any]) -> str:
    kind = f"VLAN {interface['vlan']} on {interface['parent']}" if interface["kind"] == "vlan" else interface["kind"]
    return f"{kind} in {interface['bond']}" if interface["bond"] else str(kind)
