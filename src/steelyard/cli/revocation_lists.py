"""`steelyard crl`: revocation lists of clients' authorities; `steelyard cert stapling` is added to its neighbours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

import typer
from rich.table import Table

from steelyard.cli import output
from steelyard.cli.certificate_files import material, read_file
from steelyard.cli.certificates import app as certificate_app
from steelyard.cli.session import Session, command

app = typer.Typer(no_args_is_help=True, help="Revocation lists: client certificates that are refused.")

Name = Annotated[str, typer.Argument(metavar="NAME", help="What it is kept under.", show_default=False)]
File = Annotated[
    Path, typer.Argument(metavar="FILE", help="The list, PEM or DER; - is standard input.", show_default=False)
]


@command(app, "list")
def list_revocation_lists(session: Session) -> None:
    """Show every revocation list."""
    found = session.api.get("/revocation-lists")
    session.show(found, lambda: _table(found))


def _table(found: Sequence[Mapping[str, Any]]) -> Table:
    rows = [
        (
            one["name"],
            one["issuer"],
            ", ".join(one["authorities"]) or "none",
            str(one["revoked"]),
            output.moment(one["last_update"]),
            output.moment(one["next_update"]) if one["next_update"] else "no end",
        )
        for one in found
    ]
    return output.table(("name", "issuer", "authority", "revoked", "made", "holds until"), rows)


@command(app, "add", change=True)
def add(session: Session, name: Name, file: File) -> None:
    """Import a revocation list; its authority has to be here as an intermediate."""
    change = session.write("POST", "/revocation-lists", {"name": name, **material(read_file(file), None)})
    session.report(change, f"Revocation list {name} imported")


@command(app, "replace", change=True)
def replace(session: Session, name: Name, file: File) -> None:
    """Replace a revocation list by a newer one, or import it; nothing is reloaded for a newer one."""
    path = f"/revocation-lists/{quote(name, safe='')}"
    change = session.write("PUT", path, material(read_file(file), None))
    session.report(change, f"Revocation list {name} replaced")


@command(app, "remove", change=True)
def remove(session: Session, name: Name) -> None:
    """Remove a revocation list: what it names is accepted again."""
    change = session.write("DELETE", f"/revocation-lists/{quote(name, safe='')}")
    session.report(change, f"Revocation list {name} removed")


@command(certificate_app, "stapling")
def stapling(session: Session) -> None:
    """Show how OCSP stapling stands with each certificate that services have."""
    found = session.api.get("/stapling")
    session.show(found, lambda: _stapling(found))


def _stapling(found: Sequence[Mapping[str, Any]]) -> Table:
    rows = [
        (
            one["certificate"],
            one["responder"] or "none",
            output.moment(one["answer_until"]) if one["answer_until"] else "no answer",
            output.moment(one["next"]) if one["next"] else "never",
            one["trouble"] or one["never"] or "none",
        )
        for one in found
    ]
    return output.table(("certificate", "responder", "answer until", "asked next", "trouble"), rows)
