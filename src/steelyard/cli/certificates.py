"""`steelyard cert`: certificates. Files are PEM or PKCS#12, told apart by what is in them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from getpass import getpass
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

import typer
from rich.table import Table

from steelyard.cli import certificate_backups, certificate_parts, intermediates, output, signing_requests
from steelyard.cli.certificate_files import material, read_file
from steelyard.cli.connection import read_secret
from steelyard.cli.failures import Refused
from steelyard.cli.session import Session, command

app = typer.Typer(no_args_is_help=True, help="Certificates that services are assigned.")
app.add_typer(intermediates.app, name="intermediate")
app.add_typer(signing_requests.app, name="request")
certificate_backups.register(app)

PASSWORD_VARIABLE = "STEELYARD_CERTIFICATE_PASSWORD"

Name = Annotated[str, typer.Argument(metavar="NAME", help="What it is assigned by.", show_default=False)]
File = Annotated[
    Path, typer.Argument(metavar="FILE", help="Key, certificate and chain; - is standard input.", show_default=False)
]
PasswordFile = Annotated[
    Path | None,
    typer.Option("--certificate-password-file", help=f"Opens an encrypted file; or set {PASSWORD_VARIABLE}."),
]


@command(app, "list")
def list_certificates(session: Session) -> None:
    """Show every certificate."""
    found = session.api.get("/certificates")
    session.show(found, lambda: _table([certificate for certificate in found if not certificate["temporary"]]))


def _table(found: Sequence[Mapping[str, Any]]) -> Table:
    rows = [
        (
            certificate["name"],
            certificate["subject"],
            ", ".join(certificate["names"]),
            certificate["key_type"],
            output.moment(certificate["not_after"]),
            certificate_parts.days(certificate["days_left"]),
            ", ".join(map(str, certificate["used_by"])) or "none",
            certificate_parts.summary(certificate["problems"]),
        )
        for certificate in found
    ]
    columns = ("name", "subject", "names", "key", "valid until", "days", "used by vs", "problems")
    return output.table(columns, rows, right=("days",))


Host = Annotated[str | None, typer.Option("--host", help="Say whether it is for this host.", show_default=False)]


@command(app, "show")
def show(session: Session, name: Name, host: Host = None) -> None:
    """Show a certificate: what it says, what clients are sent, and what is wrong with it."""
    found = session.api.get(_path(name), host=host)
    session.show(found, lambda: certificate_parts.certificate(found))


@command(app, "check")
def check(session: Session, name: Name, host: Host = None) -> None:
    """Say what is wrong with a certificate and what to do about it; exit code 1 when it fails clients."""
    found = session.api.get(_path(name), host=host)["problems"]
    session.show(found, lambda: certificate_parts.problems(found) if found else f"Nothing is wrong with {name}")
    if any(problem["severity"] == "error" for problem in found):
        raise typer.Exit(1)


def _path(name: str) -> str:
    return f"/certificates/{quote(name, safe='')}"


@command(app, "add", change=True)
def add(session: Session, name: Name, file: File, password_of_file: PasswordFile = None) -> None:
    """Import a certificate with its key, or without for one that answers a signing request made here."""
    change = _send(session, "POST", "/certificates", {"name": name}, file, password_of_file)
    session.report(change, f"Certificate {name} imported")
    _warn(session, change)


@command(app, "replace", change=True)
def replace(session: Session, name: Name, file: File, password_of_file: PasswordFile = None) -> None:
    """Replace the content of a certificate; the services keep it and nothing is reloaded."""
    change = _send(session, "PUT", _path(name), {}, file, password_of_file)
    session.report(change, f"Certificate {name} replaced")
    _warn(session, change)


def _warn(session: Session, change: Mapping[str, Any]) -> None:
    """What was left out of the upload, and what is wrong with the certificate."""
    made = change["object"]
    if made is None or session.json:
        return
    for note in made["notes"]:
        output.console().print(note)
    if made["problems"]:
        output.console().print(certificate_parts.problems(made["problems"]))


@command(app, "remove", change=True)
def remove(session: Session, name: Name) -> None:
    """Remove a certificate that no service uses."""
    change = session.write("DELETE", _path(name))
    session.report(change, f"Certificate {name} removed")


def _send(
    session: Session, method: str, path: str, body: Mapping[str, Any], file: Path, password_file: Path | None
) -> dict[str, Any]:
    """Send the file; where somebody can be asked, ask for the password it turns out to need."""
    content = read_file(file)
    password = read_secret(password_file, PASSWORD_VARIABLE)
    try:
        return session.write(method, path, {**body, **material(content, password)})
    except Refused as refused:
        if refused.error.get("field") != "password" or password is not None or not session.interactive:
            raise
    return session.write(method, path, {**body, **material(content, getpass(f"Password of {file}: "))})
