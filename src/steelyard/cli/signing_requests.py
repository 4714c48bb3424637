"""`steelyard cert request`: keys made here, and the requests an authority signs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any
from urllib.parse import quote

import typer
from rich.table import Table

from steelyard.cli import output
from steelyard.cli.session import Session, command

app = typer.Typer(no_args_is_help=True, help="Signing requests (CSR); their keys stay here.")

Name = Annotated[str, typer.Argument(metavar="NAME", help="What it is called here.", show_default=False)]


def _part(flag: str, says: str) -> Any:
    return typer.Option(flag, help=says, show_default=False)


def _path(name: str) -> str:
    return f"/signing-requests/{quote(name, safe='')}"


@command(app, "list")
def list_requests(session: Session) -> None:
    """Show every signing request that waits for its certificate."""
    found = session.api.get("/signing-requests")
    session.show(found, lambda: _table(found))


def _table(found: Sequence[Mapping[str, Any]]) -> Table:
    rows = [(one["name"], one["subject"], ", ".join(one["names"]), one["key_type"]) for one in found]
    return output.table(("name", "subject", "names", "key"), rows)


@command(app, "create", change=True)
def create(
    session: Session,
    name: Name,
    common_name: Annotated[str | None, _part("--common-name", "Host name in the subject.")] = None,
    names: Annotated[list[str] | None, _part("--host", "Host name or address; may be given again.")] = None,
    organization: Annotated[str | None, _part("--organization", "In the subject.")] = None,
    organizational_unit: Annotated[str | None, _part("--organizational-unit", "In the subject.")] = None,
    locality: Annotated[str | None, _part("--locality", "In the subject.")] = None,
    state: Annotated[str | None, _part("--state", "In the subject.")] = None,
    country: Annotated[str | None, _part("--country", "Two letters, in the subject.")] = None,
    email: Annotated[str | None, _part("--email", "In the subject.")] = None,
    key: Annotated[str, typer.Option("--key", help="rsa-2048, rsa-4096, ec-p256 or ec-p384.")] = "rsa-2048",
    show_key: Annotated[bool, typer.Option("--show-key", help="Print the key too, this once.")] = False,
) -> None:
    """Make a key and print the request for it. Import the certificate that comes back without a key."""
    parts = {
        "common_name": common_name,
        "organization": organization,
        "organizational_unit": organizational_unit,
        "locality": locality,
        "state": state,
        "country": country,
        "email": email,
    }
    subject = {part: value for part, value in parts.items() if value is not None}
    body = {"name": name, "subject": subject, "names": names or [], "key_type": key, "show_key": show_key}
    change = session.write("POST", "/signing-requests", body)
    if session.json or change["dry_run"]:
        session.report(change, "")
        return
    # the request alone goes to standard output, where it may be sent on
    output.console(stderr=True).print(f"Signing request {name} made: revision {change['revision']}")
    typer.echo(change["object"]["pem"] + change["object"].get("key", ""), nl=False)


@command(app, "show")
def show(session: Session, name: Name) -> None:
    """Print a signing request as PEM."""
    found = session.api.get(_path(name))
    session.show(found, lambda: str(found["pem"]).rstrip())


@command(app, "remove", change=True)
def remove(session: Session, name: Name) -> None:
    """Give a signing request up; the certificate it would bring then needs its key."""
    session.report(session.write("DELETE", _path(name)), f"Signing request {name} removed")
