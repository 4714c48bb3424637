"""`steelyard network`: interfaces, addresses, routes and names of the host."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import typer
from rich.console import Group

from steelyard.cli import output
from steelyard.cli.session import Session, command


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    command(app, "network")(show_network)


def show_network(session: Session) -> None:
    """Show the network of the appliance: interfaces, routes, name servers. It is read, never changed."""
    found = session.api.get("/network")
    session.show(found, lambda: _page(found))


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
    return Group(
        f"{found['host_name']}, name servers {', '.join(found['name_servers']) or 'none'},"
        f" search domains {', '.join(found['search_domains']) or 'none'}",
        "",
        output.table(columns, interfaces, right=("number", "mtu")),
        "",
        output.table(("destination", "gateway", "interface"), routes),
    )


def _kind(interface: Mapping[str, Any]) -> str:
    kind = f"VLAN {interface['vlan']} on {interface['parent']}" if interface["kind"] == "vlan" else interface["kind"]
    return f"{kind} in {interface['member_of']}" if interface["member_of"] else kind
