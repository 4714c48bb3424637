"""`steelyard cipher-set`: the ciphers services offer. `steelyard vs set VS cipher_set=NAME` assigns a set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any
from urllib.parse import quote

import typer
from rich.table import Table

from steelyard.cli import output
from steelyard.cli.session import Session, command

app = typer.Typer(no_args_is_help=True, help="Cipher sets: what services offer with TLS 1.0 to 1.2.")

Name = Annotated[str, typer.Argument(metavar="NAME", help="Name of the set.", show_default=False)]
Ciphers = Annotated[
    list[str],
    typer.Argument(metavar="CIPHER...", help="OpenSSL names, the preferred one first.", show_default=False),
]


@command(app, "list")
def list_cipher_sets(session: Session) -> None:
    """Show every cipher set."""
    found = session.api.get("/cipher-sets")
    session.show(found, lambda: _table(found))


def _table(found: Sequence[Mapping[str, Any]]) -> Table:
    rows = [
        (
            one["name"],
            "built in" if one["built_in"] else "own",
            str(len(one["ciphers"])),
            str(len(one["missing"])) if one["missing"] else "none",
            ", ".join(map(str, one["used_by"])) or "none",
        )
        for one in found
    ]
    return output.table(("name", "kind", "ciphers", "missing here", "used by vs"), rows)


@command(app, "show")
def show(session: Session, name: Name) -> None:
    """Show the ciphers of a set, and which of them this host's HAProxy lacks."""
    found = session.api.get(f"/cipher-sets/{quote(name, safe='')}")
    session.show(found, lambda: _ciphers(found))


def _ciphers(found: Mapping[str, Any]) -> Table:
    missing = frozenset(found["missing"])
    rows = [(one, "missing here" if one in missing else "") for one in found["ciphers"]]
    return output.table((f"ciphers of {found['name']}", ""), rows)


def _listed(ciphers: Sequence[str]) -> list[str]:
    return [name for given in ciphers for name in given.replace(",", ":").split(":") if name]


@command(app, "add", change=True)
def add(session: Session, name: Name, ciphers: Ciphers) -> None:
    """Make a cipher set; ciphers may be joined by colons."""
    done = session.write("POST", "/cipher-sets", {"name": name, "ciphers": _listed(ciphers)})
    session.report(done, f"Cipher set {name} added")


@command(app, "change", change=True)
def change(session: Session, name: Name, ciphers: Ciphers) -> None:
    """Replace the ciphers of a set; services that use it offer the new ones."""
    done = session.write("PUT", f"/cipher-sets/{quote(name, safe='')}", {"ciphers": _listed(ciphers)})
    session.report(done, f"Cipher set {name} changed")


@command(app, "remove", change=True)
def remove(session: Session, name: Name) -> None:
    """Remove a cipher set that no service uses."""
    done = session.write("DELETE", f"/cipher-sets/{quote(name, safe='')}")
    session.report(done, f"Cipher set {name} removed")
