"""`steelyard cert`: certificates. Files are PEM or PKCS#12, told apart by what is in them."""

from __future__ import annotations

import base64
import sys
from collections.abc import Mapping, Sequence
from getpass import getpass
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

import typer
from rich.table import Table

from steelyard.cli import output
from steelyard.cli.connection import read_secret
from steelyard.cli.failures import Misuse, Refused
from steelyard.cli.session import Session, command

app = typer.Typer(no_args_is_help=True, help="Certificates that services are assigned.")

PASSWORD_VARIABLE = "STEELYARD_CERTIFICATE_PASSWORD"

Name = Annotated[str, typer.Argument(metavar="NAME", help="What it is assigned by.", show_default=False)]
File = Annotated[
    Path, typer.Argument(metavar="FILE", help="Key, certificate and chain; - is standard input.", show_default=False)
]
PasswordFile = Annotated[
    Path | None,
    typer.Option("--certificate-password-file", help=f"Opens an encrypted file; or set {PASSWORD_VARIABLE}."),
]


def material(content: bytes, password: str | None) -> dict[str, Any]:
    """The members of the API that carry a certificate file."""
    found: dict[str, Any] = {} if password is None else {"password": password}
    if b"-----BEGIN " in content:
        try:
            return {**found, "pem": content.decode("utf-8")}
        except UnicodeDecodeError:  # comments in another encoding stand between the blocks
            pass
    return {**found, "data": base64.b64encode(content).decode("ascii")}


def read_file(file: Path) -> bytes:
    """The bytes of a file; `-` is standard input. Raises `Misuse`."""
    try:
        return sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes()
    except OSError as failure:
        raise Misuse(f"{file} cannot be read: {failure.strerror or failure}") from None


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
            ", ".join(map(str, certificate["used_by"])) or "none",
        )
        for certificate in found
    ]
    return output.table(("name", "subject", "names", "key", "valid until", "used by vs"), rows)


@command(app, "add", change=True)
def add(session: Session, name: Name, file: File, password_of_file: PasswordFile = None) -> None:
    """Import a certificate with its key."""
    change = _send(session, "POST", "/certificates", {"name": name}, file, password_of_file)
    session.report(change, f"Certificate {name} imported")


@command(app, "replace", change=True)
def replace(session: Session, name: Name, file: File, password_of_file: PasswordFile = None) -> None:
    """Replace the content of a certificate; the services keep it and nothing is reloaded."""
    change = _send(session, "PUT", f"/certificates/{quote(name, safe='')}", {}, file, password_of_file)
    session.report(change, f"Certificate {name} replaced")


@command(app, "remove", change=True)
def remove(session: Session, name: Name) -> None:
    """Remove a certificate that no service uses."""
    change = session.write("DELETE", f"/certificates/{quote(name, safe='')}")
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
