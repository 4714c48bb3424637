"""`steelyard sub` and `steelyard slot`: sub-services of a virtual service, and what the parent decides of each.

A sub-service has an index of its own, with which `steelyard vs` and `steelyard rs` take it like any service.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import typer
from rich.table import Table

from steelyard.cli import find, output, values
from steelyard.cli.session import Session, command
from steelyard.model.slot import Slot
from steelyard.model.virtual_service import VirtualService

app = typer.Typer(no_args_is_help=True, help="Sub-services: services without an address, reached through a parent.")
slots = typer.Typer(no_args_is_help=True, help="Slots: weight, limit and state of a sub-service in its parent.")

Parent = Annotated[str, typer.Argument(metavar="PARENT", help="Index, name or ADDRESS:PORT.", show_default=False)]
Sub = Annotated[str, typer.Argument(metavar="SUB", help="Index or name of the sub-service.", show_default=False)]
Pairs = Annotated[
    list[str] | None,
    typer.Argument(metavar="SETTING=VALUE", help="See `steelyard settings vs`.", show_default=False),
]
SlotPairs = Annotated[
    list[str] | None,
    typer.Argument(metavar="SETTING=VALUE", help="weight, limit, critical, enabled.", show_default=False),
]


def slot_table(found: Sequence[Mapping[str, Any]], names: Mapping[int, str]) -> Table:
    """Slots with their states; `names` are those of the sub-services."""
    rows = [
        (
            str(slot["service"]),
            output.state(slot["status"]),
            names.get(slot["service"], ""),
            str(slot["index"]),
            str(slot["weight"]),
            str(slot["limit"] or "none"),
            "yes" if slot["critical"] else "",
            slot["reason"],
        )
        for slot in found
    ]
    columns = ("sub", "status", "name", "slot", "weight", "limit", "critical", "reason")
    return output.table(columns, rows, right=("sub", "slot", "weight", "limit"))


def names_of(session: Session, parent: int) -> dict[int, str]:
    """The names of the sub-services of a parent."""
    return {sub["index"]: sub["name"] for sub in session.api.get(f"/virtual-services/{parent}/sub-services")}


@command(app, "list")
def list_subs(session: Session, parent: Parent) -> None:
    """Show the sub-services of a virtual service."""
    index = find.service(session, parent)
    found = session.api.get(f"/virtual-services/{index}/sub-services")
    held = session.api.get(f"/virtual-services/{index}/slots")
    session.show(found, lambda: slot_table(held, {sub["index"]: sub["name"] for sub in found}))


@command(app, "add", change=True)
def add(
    session: Session,
    parent: Parent,
    pairs: Pairs = None,
    name: Annotated[str | None, typer.Option(help="What people call it.")] = None,
    servers: Annotated[
        list[str] | None, typer.Option("--rs", metavar="ADDRESS:PORT", help="A real server; may be repeated.")
    ] = None,
    weight: Annotated[int | None, typer.Option(help="Its share under weighted scheduling.")] = None,
    limit: Annotated[int | None, typer.Option(help="Concurrent connections it may have.")] = None,
    critical: Annotated[bool, typer.Option("--critical", help="The parent is down when it is.")] = False,
) -> None:
    """Make a sub-service: steelyard sub add web --name api --rs 10.0.0.5:80 schedule=lc."""
    index = find.service(session, parent)
    body: dict[str, Any] = values.settings(VirtualService, pairs or ())
    if name is not None:
        body["name"] = name
    if servers:
        body["servers"] = [values.endpoint(server) for server in servers]
    slot = {"weight": weight, "limit": limit, "critical": critical or None}
    given = {key: value for key, value in slot.items() if value is not None}
    if given:
        body["slot"] = given
    change = session.write("POST", f"/virtual-services/{index}/sub-services", body)
    made = change["object"] or {}
    session.report(change, f"Sub-service {made.get('index')} added to virtual service {index}")


@command(app, "remove", change=True)
def remove(
    session: Session,
    parent: Parent,
    sub: Sub,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Remove a sub-service with its real servers and its slot."""
    slot, _ = _slot(session, parent, sub)
    if not session.dry_run:
        session.confirm(f"Remove sub-service {sub}?", yes)
    said = f"Sub-service {slot['service']} removed"
    session.report(session.write("DELETE", f"/virtual-services/{slot['service']}"), said)


@command(app, "add-rs", change=True)
def add_server(
    session: Session,
    parent: Parent,
    where: Annotated[str, typer.Argument(metavar="ADDRESS:PORT", help="The real server.", show_default=False)],
) -> None:
    """Add a real server to every sub-service. To one alone: `steelyard rs add SUB ADDRESS:PORT`."""
    index = find.service(session, parent)
    change = session.write("POST", f"/virtual-services/{index}/sub-services/real-servers", values.endpoint(where))
    session.report(change, f"Real server added to all sub-services of {index}")


@command(slots, "list")
def list_slots(session: Session, parent: Parent) -> None:
    """Show the slots of a virtual service."""
    index = find.service(session, parent)
    found = session.api.get(f"/virtual-services/{index}/slots")
    session.show(found, lambda: slot_table(found, names_of(session, index)))


@command(slots, "set", change=True)
def change_slot(session: Session, parent: Parent, sub: Sub, pairs: SlotPairs = None) -> None:
    """Change a slot: steelyard slot set web api weight=200 critical=yes."""
    slot, path = _slot(session, parent, sub)
    change = session.write("PATCH", path, values.settings(Slot, pairs or ()))
    session.report(change, f"Slot {slot['index']} of sub-service {slot['service']} changed")


@command(slots, "enable", change=True)
def enable(session: Session, parent: Parent, sub: Sub) -> None:
    """Let a sub-service have new clients."""
    slot, path = _slot(session, parent, sub)
    session.report(session.write("POST", f"{path}/enable"), f"Sub-service {slot['service']} enabled")


@command(slots, "disable", change=True)
def disable(session: Session, parent: Parent, sub: Sub) -> None:
    """Give a sub-service no new clients; those with a record may come until the drain time ends."""
    slot, path = _slot(session, parent, sub)
    session.report(session.write("POST", f"{path}/disable"), f"Sub-service {slot['service']} disabled")


def _slot(session: Session, parent: str, sub: str) -> tuple[Mapping[str, Any], str]:
    """The slot of the sub-service a person means, and its place."""
    index = find.service(session, parent)
    slot = find.slot(session, index, sub)
    return slot, f"/virtual-services/{index}/slots/{slot['index']}"
