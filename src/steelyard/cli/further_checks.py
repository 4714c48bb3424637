"""`steelyard check`: what is asked of the real servers of a virtual service besides its own check."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import typer
from rich.table import Table

from steelyard.cli import find, output, values
from steelyard.cli.session import Session, command
from steelyard.model.virtual_service.further import FurtherCheck

app = typer.Typer(no_args_is_help=True, help="Further checks: asked of real servers besides the service's own check.")

Service = Annotated[str, typer.Argument(metavar="VS", help="Index, name or ADDRESS:PORT.", show_default=False)]
Name = Annotated[str, typer.Argument(metavar="NAME", help="Name of the further check.", show_default=False)]
Pairs = Annotated[
    list[str] | None,
    typer.Argument(metavar="SETTING=VALUE", help="See `steelyard settings check`.", show_default=False),
]

_DEFAULTS = {name: declared.default for name, declared in FurtherCheck.declared().items()}


@command(app, "list")
def list_checks(session: Session, service: Service) -> None:
    """Show the further checks of a virtual service."""
    found = session.api.get(f"/virtual-services/{find.service(session, service)}/checks")
    session.show(found, lambda: _table(found) if found else "There is no further check")


@command(app, "add", change=True)
def add(session: Session, service: Service, name: Name, pairs: Pairs = None) -> None:
    """Ask one thing more: steelyard check add web app check_type=http check_port=8081 check_url=/ready."""
    index = find.service(session, service)
    body = {"name": name, **values.settings(FurtherCheck, pairs or ())}
    session.report(session.write("POST", f"/virtual-services/{index}/checks", body), f"Check {name} added")


@command(app, "set", change=True)
def change_settings(session: Session, service: Service, name: Name, pairs: Pairs = None) -> None:
    """Change a further check: steelyard check set web app check_url=/alive."""
    index = find.service(session, service)
    body = values.settings(FurtherCheck, pairs or ())
    session.report(session.write("PATCH", f"/virtual-services/{index}/checks/{name}", body), f"Check {name} changed")


@command(app, "remove", change=True)
def remove(session: Session, service: Service, name: Name) -> None:
    """Ask one thing less."""
    index = find.service(session, service)
    session.report(session.write("DELETE", f"/virtual-services/{index}/checks/{name}"), f"Check {name} removed")


def _table(checks: Sequence[Mapping[str, Any]]) -> Table:
    rows = [(check["name"], check["check_type"], str(check["check_port"] or "own"), _more(check)) for check in checks]
    return output.table(("name", "kind", "port", "settings"), rows, right=("port",))


def _more(check: Mapping[str, Any]) -> str:
    shown = {name: value for name, value in check.items() if name not in ("name", "check_type", "check_port")}
    given = {name: value for name, value in shown.items() if value and value != _DEFAULTS[name]}
    return ", ".join(f"{name}={' '.join(value) if isinstance(value, list) else value}" for name, value in given.items())
