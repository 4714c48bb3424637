"""`steelyard ldap`: LDAP endpoints. A password comes from a file, the environment or the keyboard, never as a word."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from getpass import getpass
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

import typer
from rich.table import Table

from steelyard.cli import output, values
from steelyard.cli.connection import read_secret
from steelyard.cli.session import Session, command
from steelyard.model.ldap_endpoint import SECURITY, LdapEndpoint

app = typer.Typer(no_args_is_help=True, help="LDAP endpoints: how health checks sign in to a directory.")

PASSWORD_VARIABLE = "STEELYARD_LDAP_PASSWORD"

Name = Annotated[str, typer.Argument(metavar="NAME", help="What it is referred to by.", show_default=False)]
Pairs = Annotated[
    list[str] | None,
    typer.Argument(metavar="SETTING=VALUE", help="See `steelyard settings ldap-endpoint`.", show_default=False),
]
PasswordFile = Annotated[
    Path | None, typer.Option("--user-password-file", help=f"Password of the user; or set {PASSWORD_VARIABLE}.")
]
AskPassword = Annotated[bool, typer.Option("--ask-user-password", help="Ask for the password of the user.")]


@command(app, "list")
def list_endpoints(session: Session) -> None:
    """Show every LDAP endpoint."""
    found = session.api.get("/ldap-endpoints")
    session.show(found, lambda: _table(found))


def _table(found: Sequence[Mapping[str, Any]]) -> Table:
    rows = [
        (
            one["name"],
            SECURITY[one["security"]],
            " ".join(one["servers"]) or "the real servers",
            one["user"] or "anonymous",
            one["base"],
            ", ".join(map(str, one["used_by"])) or "none",
        )
        for one in found
    ]
    return output.table(("name", "security", "servers", "user", "entry to find", "used by vs"), rows)


@command(app, "show")
def show(session: Session, name: Name) -> None:
    """Show one LDAP endpoint."""
    found = session.api.get(_path(name))
    session.show(found, lambda: _table([found]))


@command(app, "add", change=True)
def add(
    session: Session, name: Name, pairs: Pairs = None, password: PasswordFile = None, ask: AskPassword = False
) -> None:
    """Make an endpoint: steelyard ldap add office user=cn=probe,dc=example,dc=com --ask-user-password."""
    body = {"name": name, **values.settings(LdapEndpoint, pairs or ()), **_password(password, ask)}
    session.report(session.write("POST", "/ldap-endpoints", body), f"LDAP endpoint {name} made")


@command(app, "set", change=True)
def change_settings(
    session: Session, name: Name, pairs: Pairs = None, password: PasswordFile = None, ask: AskPassword = False
) -> None:
    """Change an endpoint: steelyard ldap set office security=1."""
    body = {**values.settings(LdapEndpoint, pairs or ()), **_password(password, ask)}
    session.report(session.write("PATCH", _path(name), body), f"LDAP endpoint {name} changed")


@command(app, "remove", change=True)
def remove(session: Session, name: Name) -> None:
    """Remove an endpoint that no service uses."""
    session.report(session.write("DELETE", _path(name)), f"LDAP endpoint {name} removed")


def _password(file: Path | None, ask: bool) -> dict[str, str]:
    found = getpass("Password of the user: ") if ask else read_secret(file, PASSWORD_VARIABLE)
    return {} if found is None else {"password": found}


def _path(name: str) -> str:
    return f"/ldap-endpoints/{quote(name, safe='')}"
