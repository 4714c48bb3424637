"""`steelyard template`: application templates, and making services from them."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

import typer
from rich.console import Group
from rich.table import Table

from steelyard.cli import find, output
from steelyard.cli.failures import Misuse
from steelyard.cli.session import Session, command

app = typer.Typer(no_args_is_help=True, help="Application templates: recipes that make one service or several.")

Name = Annotated[str, typer.Argument(metavar="TEMPLATE", help="Its name.", show_default=False)]


@command(app, "list")
def list_templates(session: Session) -> None:
    """Show every template: those that come with Steelyard, and your own."""
    found = session.api.get("/templates")
    session.show(found, lambda: _table(found))


def _table(found: Sequence[Mapping[str, Any]]) -> Table:
    rows = [
        (one["name"], one["comment"], ", ".join(map(_said, one["services"])), "yes" if one["shipped"] else "no")
        for one in found
    ]
    return output.table(("name", "what for", "services", "shipped"), rows)


def _said(service: Mapping[str, Any]) -> str:
    return f"{service['protocol']}/{service['port']}" + (f" on {service['place']}" if service["place"] else "")


@command(app, "show")
def show(session: Session, name: Name) -> None:
    """Show one template: its file, what it counts on and what is to be done afterwards."""
    found = session.api.get(_path(name))

    def page() -> Group:
        warnings = [f"! {text}" for text in found["warnings"]]
        steps = [f"then: {text}" for text in found["next"]]
        return Group(found["text"].rstrip(), "", *warnings, *steps)

    session.show(found, page)


@command(app, "add", change=True)
def add(session: Session, file: Annotated[Path, typer.Argument(help="YAML; - for standard input.")]) -> None:
    """Import the templates of a file."""
    change = session.write("POST", "/templates", {"text": _text(file)})
    count = len(change["object"] or ())
    session.report(change, f"{count} template{'' if count == 1 else 's'} imported")


@command(app, "remove", change=True)
def remove(session: Session, name: Name) -> None:
    """Forget a template of your own. Services made from it stay."""
    session.report(session.write("DELETE", _path(name)), f"Template {name} removed")


@command(app, "prepare", change=True)
def prepare(session: Session, name: Name) -> None:
    """Set the global settings a template counts on: steelyard template prepare "Lync Internal 2013 HLB Only"."""
    session.report(session.write("POST", f"{_path(name)}/prerequisites"), f"What template {name} counts on is set")


@command(app, "export")
def export(
    session: Session, service: Annotated[str, typer.Argument(metavar="VS", help="Index, name or ADDRESS:PORT.")]
) -> None:
    """Print a virtual service as a template, without addresses, real servers and certificates."""
    found = session.api.get(f"/virtual-services/{find.service(session, service)}/template")
    session.show(found, found["text"].rstrip)


@command(app, "use", change=True)
def use(
    session: Session,
    name: Name,
    addresses: Annotated[
        list[str],
        typer.Argument(metavar="ADDRESS...", help="One address; or PLACE=ADDRESS for a template with several."),
    ],
    port: Annotated[
        int | None, typer.Option(min=1, max=65535, help="Of the first service.", show_default=False)
    ] = None,
    service_name: Annotated[
        str, typer.Option("--name", help="Of the service; before the names of several.", show_default=False)
    ] = "",
    servers: Annotated[
        list[str] | None, typer.Option("--rs", help="Address of a real server; may be repeated.", show_default=False)
    ] = None,
    certificates: Annotated[
        list[str] | None, typer.Option("--cert", help="Name of a certificate; may be repeated.", show_default=False)
    ] = None,
) -> None:
    """Make the services of a template: steelyard template use HTTP 192.0.2.10 --rs 10.0.0.1 --rs 10.0.0.2."""
    places = dict(one.split("=", 1) for one in addresses if "=" in one)
    plain = [one for one in addresses if "=" not in one]
    if len(plain) > 1:
        raise Misuse("Several addresses are told apart by their places", "Give PLACE=ADDRESS for each")
    body: dict[str, Any] = {"servers": servers or [], "certificates": certificates or []}
    body |= {"address": plain[0]} if plain else {}
    body |= {"addresses": places} if places else {}
    body |= {"port": port} if port is not None else {}
    body |= {"name": service_name} if service_name else {}
    change = session.write("POST", f"{_path(name)}/services", body)
    made = (change["object"] or {}).get("services", ())
    indexes = ", ".join(str(one["index"]) for one in made)
    session.report(change, f"Virtual service{'' if len(made) == 1 else 's'} {indexes} made")
    if not session.json and change["object"]:
        for text in change["object"]["warnings"]:
            typer.echo(f"warning: {text}")
        for text in change["object"]["next"]:
            typer.echo(f"then: {text}")


def _text(file: Path) -> str:
    try:
        return sys.stdin.read() if str(file) == "-" else file.read_text()
    except (OSError, UnicodeDecodeError) as failure:
        raise Misuse(f"{file} cannot be read: {failure}", "Give a file of templates") from failure


def _path(name: str) -> str:
    return f"/templates/{quote(name, safe='')}"
