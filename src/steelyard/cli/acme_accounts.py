"""`steelyard acme account`: who this appliance is to an authority."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from getpass import getpass
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

import typer
from rich.table import Table

from steelyard.cli import output, values
from steelyard.cli.certificate_files import read_file
from steelyard.cli.connection import read_secret
from steelyard.cli.failures import Misuse
from steelyard.cli.session import Session, command
from steelyard.model.acme_account import AcmeAccount

app = typer.Typer(no_args_is_help=True, help="Accounts at ACME authorities.")

HMAC_VARIABLE = "STEELYARD_ACME_HMAC"
PASSWORD_VARIABLE = "STEELYARD_ACME_KEY_PASSWORD"
#: authorities may be slow
_PATIENCE_SECONDS = 600.0

Name = Annotated[str, typer.Argument(metavar="NAME", help="letsencrypt, digicert or a name of yours.")]
Pairs = Annotated[
    list[str] | None,
    typer.Argument(metavar="SETTING=VALUE", help="See `steelyard settings acme-account`.", show_default=False),
]


@command(app, "list")
def list_accounts(session: Session) -> None:
    """Show every account."""
    found = session.api.get("/acme/accounts")
    session.show(found, lambda: _table(found))


def _table(found: Sequence[Mapping[str, Any]]) -> Table:
    rows = [
        (
            one["name"],
            one["directory_url"],
            one["email"],
            one["kid"],
            one["uri"] if one["registered"] else "not registered",
            ", ".join(one["used_by"]) or "none",
        )
        for one in found
    ]
    return output.table(("name", "directory", "e-mail", "kid", "account", "used by"), rows)


@command(app, "show")
def show(session: Session, name: Name = "letsencrypt") -> None:
    """Show one account."""
    found = session.api.get(_path(name))
    session.show(found, lambda: _table([found]))


@command(app, "set", change=True)
def change_settings(
    session: Session,
    name: Name,
    pairs: Pairs = None,
    authority: Annotated[
        Path | None, typer.Option("--authority-file", help="Whom to believe for the directory's TLS, in PEM.")
    ] = None,
    hmac_file: Annotated[
        Path | None, typer.Option("--hmac-file", help=f"HMAC key of the binding; or set {HMAC_VARIABLE}.")
    ] = None,
    ask_hmac: Annotated[bool, typer.Option("--ask-hmac", help="Ask for the HMAC key of the binding.")] = False,
) -> None:
    """Make an account or change it: steelyard acme account set own directory_url=https://ca.example.com/acme/directory."""
    body: dict[str, Any] = values.settings(AcmeAccount, pairs or ())
    if authority is not None:
        body["authority_pem"] = read_file(authority).decode("utf-8", "replace")
    hmac = getpass("HMAC key: ") if ask_hmac else read_secret(hmac_file, HMAC_VARIABLE)
    if hmac is not None:
        body["hmac"] = hmac
    session.report(session.write("PATCH", _path(name), body), f"ACME account {name} changed")


@command(app, "register")
def register(
    session: Session,
    name: Name = "letsencrypt",
    email: Annotated[str | None, typer.Option("--email", help="Whom the authority writes to.")] = None,
    agree: Annotated[bool, typer.Option("--agree-terms", help="You agree to its terms of service.")] = False,
) -> None:
    """Register an account with its authority, or find the one that its key has."""
    body: dict[str, Any] = {"agree_terms": agree}
    if email is not None:
        body["email"] = email
    found = session.api.request("POST", f"{_path(name)}/register", body=body, patience=_PATIENCE_SECONDS)
    session.show(found, lambda: f"ACME account {name} is registered: {found['uri']}")


@command(app, "fetch")
def fetch(
    session: Session,
    name: Name,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Private key of the account, PEM or JSON Web Key.")],
    password: Annotated[
        Path | None, typer.Option("--key-password-file", help=f"Opens the key; or set {PASSWORD_VARIABLE}.")
    ] = None,
) -> None:
    """Take over an account that exists, by its key."""
    try:
        body = {"key": read_file(file).decode()}
    except UnicodeError:
        raise Misuse(f"{file} is no text", "Give a key in PEM, or a JSON Web Key") from None
    secret = read_secret(password, PASSWORD_VARIABLE)
    if secret is not None:
        body["password"] = secret
    found = session.api.request("POST", f"{_path(name)}/fetch", body=body, patience=_PATIENCE_SECONDS)
    session.show(found, lambda: f"ACME account {name} is taken over: {found['uri']}")


@command(app, "remove", change=True)
def remove(session: Session, name: Name) -> None:
    """Forget an account that no certificate uses; the authority is not told."""
    session.report(session.write("DELETE", _path(name)), f"ACME account {name} removed")


def _path(name: str) -> str:
    return f"/acme/accounts/{quote(name, safe='')}"
