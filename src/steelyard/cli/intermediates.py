"""`steelyard cert intermediate`: authorities' certificates that complete chains."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

import typer
from rich.table import Table

from steelyard.cli import certificate_parts, output
from steelyard.cli.certificate_files import material, read_file
from steelyard.cli.session import Session, command

app = typer.Typer(no_args_is_help=True, help="Authorities' certificates that complete chains.")

Name = Annotated[str, typer.Argument(metavar="NAME", help="What it is called here.", show_default=False)]
File = Annotated[
    Path, typer.Argument(metavar="FILE", help="Certificates in PEM; - is standard input.", show_default=False)
]


def _path(name: str) -> str:
    return f"/intermediates/{quote(name, safe='')}"


@command(app, "list")
def list_intermediates(session: Session) -> None:
    """Show every intermediate certificate, and whose chains it completes."""
    found = session.api.get("/intermediates")
    session.show(found, lambda: _table(found))


def _table(found: Sequence[Mapping[str, Any]]) -> Table:
    rows = [
        (
            one["name"],
            one["subject"],
            one["issuer"] if not one["root"] else "itself (a root)",
            output.moment(one["not_after"]),
            certificate_parts.days(one["days_left"]),
            ", ".join(one["completes"]) or "none",
            certificate_parts.summary(one["problems"]),
        )
        for one in found
    ]
    columns = ("name", "subject", "issuer", "valid until", "days", "completes", "problems")
    return output.table(columns, rows, right=("days",))


@command(app, "show")
def show(session: Session, name: Name) -> None:
    """Print an intermediate certificate as PEM."""
    found = session.api.get(_path(name))
    session.show(found, lambda: str(found["pem"]).rstrip())


@command(app, "add", change=True)
def add(session: Session, name: Name, file: File) -> None:
    """Import intermediate certificates; of several in a file the second is called NAME-2. Nothing is reloaded."""
    change = session.write("POST", "/intermediates", {"name": name, **material(read_file(file), None)})
    session.report(change, f"Intermediate certificate {name} imported")


@command(app, "replace", change=True)
def replace(session: Session, name: Name, file: File) -> None:
    """Put another certificate in the place of one; nothing is reloaded."""
    change = session.write("PUT", _path(name), material(read_file(file), None))
    session.report(change, f"Intermediate certificate {name} replaced")


@command(app, "remove", change=True)
def remove(session: Session, name: Name) -> None:
    """Remove an intermediate certificate; chains it completed are sent without it."""
    session.report(session.write("DELETE", _path(name)), f"Intermediate certificate {name} removed")
