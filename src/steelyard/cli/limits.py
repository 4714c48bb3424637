"""`steelyard limit`: limits of clients, and limiting rules. Global limits are `steelyard parameters set limits`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any
from urllib.parse import quote

import typer
from rich.console import Group
from rich.table import Table

from steelyard.cli import output, values
from steelyard.cli.session import Session, command
from steelyard.model.limits import LimitRule

app = typer.Typer(no_args_is_help=True, help="Limits of clients, and rules that limit requests.")

Kind = Annotated[
    str,
    typer.Argument(
        metavar="KIND",
        help="connections, connections_per_second, requests_per_second or bandwidth (kbit/s).",
        show_default=False,
    ),
]
Network = Annotated[str, typer.Argument(metavar="NETWORK", help="An address or network.", show_default=False)]
Limit = Annotated[int, typer.Argument(metavar="LIMIT", help="0 is no limit.", show_default=False)]
Name = Annotated[str, typer.Argument(metavar="NAME", help="Name of the rule.", show_default=False)]
Pairs = Annotated[
    list[str], typer.Argument(metavar="SETTING=VALUE...", help="pattern, limit and match.", show_default=False)
]
Position = Annotated[int, typer.Argument(metavar="POSITION", help="1 is the first.", show_default=False)]


@command(app, "list")
def list_limits(session: Session) -> None:
    """Show limits of clients and limiting rules."""
    found = session.api.get("/limits")
    session.show(found, lambda: Group(_clients(found["clients"]), _rules(found["rules"])))


def _clients(found: Mapping[str, Any]) -> Table:
    rows = [
        (kind.replace("_", " "), entry["network"], str(entry["limit"]))
        for kind, entries in found.items()
        for entry in entries
    ]
    return output.table(("limit of", "each client of", "limit"), rows)


def _rules(found: list[Mapping[str, Any]]) -> Table:
    rows = [(rule["name"], str(rule["match"]), rule["pattern"], str(rule["limit"])) for rule in found]
    return output.table(("rule", "match", "pattern", "requests per second"), rows)


def _kind(kind: str) -> str:
    return quote(kind.replace("-", "_"), safe="")


@command(app, "set", change=True)
def set_limit(session: Session, kind: Kind, network: Network, limit: Limit) -> None:
    """Set what each client of a network may do."""
    done = session.write("PUT", f"/limits/clients/{_kind(kind)}", {"network": network, "limit": limit})
    session.report(done, f"Limit of {network} set")


@command(app, "remove", change=True)
def remove(session: Session, kind: Kind, network: Network) -> None:
    """Remove the limit of a network."""
    done = session.write("DELETE", f"/limits/clients/{_kind(kind)}/{quote(network, safe='/:')}")
    session.report(done, f"Limit of {network} removed")


@command(app, "add-rule", change=True)
def add_rule(session: Session, name: Name, pairs: Pairs) -> None:
    """Add a limiting rule: steelyard limit add-rule search pattern=^/search limit=5."""
    done = session.write("POST", "/limits/rules", {"name": name, **values.settings(LimitRule, pairs)})
    session.report(done, f"Limiting rule {name} added")


@command(app, "change-rule", change=True)
def change_rule(session: Session, name: Name, pairs: Pairs) -> None:
    """Change a limiting rule."""
    done = session.write("PATCH", f"/limits/rules/{quote(name, safe='')}", values.settings(LimitRule, pairs))
    session.report(done, f"Limiting rule {name} changed")


@command(app, "move-rule", change=True)
def move_rule(session: Session, name: Name, position: Position) -> None:
    """Give a limiting rule another place: the first that fits a request decides."""
    done = session.write("POST", f"/limits/rules/{quote(name, safe='')}/move", {"position": position})
    session.report(done, f"Limiting rule {name} moved")


@command(app, "remove-rule", change=True)
def remove_rule(session: Session, name: Name) -> None:
    """Remove a limiting rule."""
    done = session.write("DELETE", f"/limits/rules/{quote(name, safe='')}")
    session.report(done, f"Limiting rule {name} removed")
