"""`steelyard ldap`: LDAP endpoints."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from steelyard.cli import output
from steelyard.cli.secret_holders import SecretHolders
from steelyard.cli.session import Session, command
from steelyard.model.ldap_endpoint import SECURITY, LdapEndpoint

app = typer.Typer(no_args_is_help=True, help="LDAP endpoints: how health checks sign in to a directory.")

PASSWORD_VARIABLE = "STEELYARD_LDAP_PASSWORD"
_ENDPOINTS = SecretHolders("/ldap-endpoints", LdapEndpoint, "password", "Password of the user", PASSWORD_VARIABLE)

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
    found = session.api.get(_ENDPOINTS.path)
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
    found = session.api.get(_ENDPOINTS.place(name))
    session.show(found, lambda: _table([found]))


@command(app, "add", change=True)
def add(
    session: Session, name: Name, pairs: Pairs = None, password: PasswordFile = None, ask: AskPassword = False
) -> None:
    """Make an endpoint: steelyard ldap add office user=cn=probe,dc=example,dc=com --ask-user-password."""
    _ENDPOINTS.add(session, name, pairs, password, ask=ask)


@command(app, "set", change=True)
def change_settings(
    session: Session, name: Name, pairs: Pairs = None, password: PasswordFile = None, ask: AskPassword = False
) -> None:
    """Change an endpoint: steelyard ldap set office security=1."""
    _ENDPOINTS.change(session, name, pairs, password, ask=ask)


@command(app, "remove", change=True)
def remove(session: Session, name: Name) -> None:
    """Remove an endpoint that no service uses."""
    _ENDPOINTS.remove(session, name)
