"""`steelyard vs`: virtual services."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any

import typer
from rich.console import Group
from rich.table import Table
from rich.text import Text

from steelyard.cli import find, output, values
from steelyard.cli.real_servers import server_table
from steelyard.cli.session import Session, command
from steelyard.cli.sub_services import names_of, slot_table
from steelyard.model.virtual_service import VirtualService

app = typer.Typer(no_args_is_help=True, help="Virtual services: what clients connect to.")

_LISTED = "index,status,reason,name,address,port,protocol,service_type,schedule,persistence,servers,slots,parent,layer"
_AVAILABLE = frozenset({"Up", "Unchecked", "Standby", "Redirect", "Fail Message"})

Service = Annotated[str, typer.Argument(metavar="VS", help="Index, name or ADDRESS:PORT.", show_default=False)]
Pairs = Annotated[
    list[str] | None,
    typer.Argument(metavar="SETTING=VALUE", help="See `steelyard settings vs`.", show_default=False),
]


@command(app, "list")
def list_services(session: Session) -> None:
    """Show every virtual service."""
    found = session.api.get("/virtual-services", fields=_LISTED)
    columns = ("index", "status", "name", "address", "layer", "type", "schedule", "persistence", "servers")
    session.show(found, lambda: output.table(columns, map(_row, found), right=("index",)))


def _row(service: Mapping[str, Any]) -> tuple[Text | str, ...]:
    members = service["servers"] or service["slots"]
    up = sum(member["status"] in _AVAILABLE for member in members)
    of_subs = " sub-services" if service["slots"] else ""
    return (
        str(service["index"]),
        output.state(service["status"]),
        service["name"],
        f"in {service['parent']}" if service["parent"] else f"{service['protocol']}/{output.endpoint(service)}",
        str(service["layer"]["number"]),
        service["service_type"],
        service["schedule"],
        service["persistence"],
        f"{up} of {len(members)}{of_subs} available",
    )


@command(app, "show")
def show(
    session: Session,
    service: Service,
    all_settings: Annotated[bool, typer.Option("--all", help="Also settings at their defaults.")] = False,
) -> None:
    """Show one virtual service: its state, what was set on it, and its real servers."""
    found = session.api.get(f"/virtual-services/{find.service(session, service)}")
    session.show(found, lambda: _page(found, all_settings, _members(session, found)))


@command(app, "refused")
def refused(session: Session, service: Service) -> None:
    """Show which clients were refused in the TLS handshake since the last reload, and why."""
    found = session.api.get(f"/virtual-services/{find.service(session, service)}/refused-clients")
    session.show(found, lambda: _refused(found) if found else "No client was refused since the last reload")


def _refused(found: Sequence[Mapping[str, Any]]) -> Table:
    rows = [(output.moment(one["at"]), one["client"], one["subject"] or "none", one["reason"]) for one in found]
    return output.table(("when", "client", "certificate", "reason"), rows)


def _members(session: Session, service: Mapping[str, Any]) -> Table:
    if service["slots"]:
        return slot_table(service["slots"], names_of(session, service["index"]))
    return server_table(service["servers"])


def _page(service: Mapping[str, Any], all_settings: bool, members: Table) -> Group:
    known_as = f"sub-service of {service['parent']}" if service["parent"] else output.endpoint(service)
    head = Text(f"{service['index']} {service['name'] or known_as}  ", style="bold")
    head.append_text(output.state(service["status"]))
    layer = service["layer"]
    head.append(f"  {service['reason']}\n", style="not bold")
    head.append(f"{layer['title']}, carried by {layer['carried_by']}: {layer['reason']}", style="not bold dim")
    declared = VirtualService.declared()
    rows = [
        (name, output.setting_value(value), declared[name].setting.label)
        for name, value in service.items()
        if name in declared and (all_settings or not declared[name].is_default(_comparable(value)))
    ]
    warned = list(_warnings(service))
    return Group(head, *warned, "", output.table(("setting", "value", ""), rows), "", members)


def _warnings(service: Mapping[str, Any]) -> Iterator[Text]:
    """What works as it is set, but hardly as it is meant."""
    for one in service["warnings"]:
        yield Text(f"! {one['message']}. Remedy: {one['remedy']}", style="yellow")


def _comparable(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


@command(app, "add", change=True)
def add(
    session: Session,
    where: Annotated[str, typer.Argument(metavar="ADDRESS:PORT", help="Where clients connect.", show_default=False)],
    pairs: Pairs = None,
    udp: Annotated[bool, typer.Option("--udp", help="For UDP in place of TCP.")] = False,
    name: Annotated[str | None, typer.Option(help="What people call it.")] = None,
    service_type: Annotated[str | None, typer.Option("--type", help="http, gen or ts.")] = None,
    servers: Annotated[
        list[str] | None, typer.Option("--rs", metavar="ADDRESS:PORT", help="A real server; may be repeated.")
    ] = None,
) -> None:
    """Make a virtual service: steelyard vs add 127.0.0.1:8080 --type http --rs 10.0.0.5:80 schedule=lc.

    With --udp it is one for UDP, and the port * is every port that no other service of the address has.
    """
    body = {**values.endpoint(where), **values.settings(VirtualService, pairs or ())}
    if udp:
        body["protocol"] = "udp"
    if name is not None:
        body["name"] = name
    if service_type is not None:
        body["service_type"] = service_type
    if servers:
        body["servers"] = [values.endpoint(server) for server in servers]
    change = session.write("POST", "/virtual-services", body)
    made = change["object"] or {}
    _report(session, change, f"Virtual service {made.get('index')} made")


def _report(session: Session, change: Mapping[str, Any], done: str) -> None:
    """Say what a change of one service did, and what the service lacks now."""
    session.report(change, done)
    if not session.json and change["object"]:
        for warning in _warnings(change["object"]):
            output.console().print(warning)


@command(app, "set", change=True)
def change_settings(session: Session, service: Service, pairs: Pairs = None) -> None:
    """Change settings: steelyard vs set web schedule=wrr persistence=src."""
    index = find.service(session, service)
    change = session.write("PATCH", f"/virtual-services/{index}", values.settings(VirtualService, pairs or ()))
    _report(session, change, f"Virtual service {index} changed")


@command(app, "remove", change=True)
def remove(
    session: Session, service: Service, yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False
) -> None:
    """Remove a virtual service with its real servers or sub-services."""
    index = find.service(session, service)
    if not session.dry_run:
        session.confirm(f"Remove virtual service {service}?", yes)
    session.report(session.write("DELETE", f"/virtual-services/{index}"), f"Virtual service {index} removed")


@command(app, "duplicate", change=True)
def duplicate(
    session: Session,
    service: Service,
    where: Annotated[str, typer.Argument(metavar="ADDRESS:PORT", help="Where the copy is.", show_default=False)],
) -> None:
    """Copy a virtual service with its real servers."""
    index = find.service(session, service)
    change = session.write("POST", f"/virtual-services/{index}/duplicate", values.endpoint(where))
    made = change["object"] or {}
    session.report(change, f"Virtual service {made.get('index')} made from {index}")


@command(app, "enable", change=True)
def enable(session: Session, service: Service) -> None:
    """Let a virtual service accept connections."""
    _switch(session, service, True)


@command(app, "disable", change=True)
def disable(session: Session, service: Service) -> None:
    """Let a virtual service accept no new connections; those it has are kept."""
    _switch(session, service, False)


def _switch(session: Session, service: str, enabled: bool) -> None:
    index = find.service(session, service)
    change = session.write("PATCH", f"/virtual-services/{index}", {"enabled": enabled})
    session.report(change, f"Virtual service {index} {'enabled' if enabled else 'disabled'}")
