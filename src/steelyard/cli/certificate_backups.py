"""`steelyard cert backup` and `cert restore`: certificates with their keys in an encrypted file."""

from __future__ import annotations

import base64
import os
import sys
from getpass import getpass
from pathlib import Path
from typing import Annotated

import typer

from steelyard.cli import output
from steelyard.cli.certificate_files import read_file
from steelyard.cli.connection import read_secret
from steelyard.cli.failures import Misuse
from steelyard.cli.session import Session, command

VARIABLE = "STEELYARD_BACKUP_PASS_PHRASE"

PassPhrase = Annotated[
    Path | None,
    typer.Option("--pass-phrase-file", help=f"Holds the pass phrase, 7 to 64 characters; or set {VARIABLE}."),
]


def register(app: typer.Typer) -> None:
    """Add the commands to those of certificates."""
    command(app, "backup")(back_up)
    command(app, "restore", change=True)(restore)


def given_pass_phrase(session: Session, file: Path | None, *, twice: bool, otherwise: str = "") -> str:
    """From a file, the environment or a question, asked `twice` for a new one. `otherwise` is what else helps.

    Raises `Misuse` where there is none, or the two differ.
    """
    found = read_secret(file, VARIABLE)
    if found is not None:
        return found
    if not session.interactive:
        raise Misuse("No pass phrase is given", f"Set {VARIABLE}, or name a file by --pass-phrase-file{otherwise}")
    found = getpass("Pass phrase of the backup: ")
    if twice and getpass("Again: ") != found:
        raise Misuse("The two pass phrases differ")
    return found


def back_up(
    session: Session,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="- is standard output.", show_default=False)],
    pass_phrase: PassPhrase = None,
) -> None:
    """Write every certificate with its key, and every intermediate, into an encrypted file."""
    body = {"password": given_pass_phrase(session, pass_phrase, twice=True)}
    content = base64.b64decode(session.api.request("POST", "/certificate-backup", body=body)["data"])
    if str(file) == "-":
        sys.stdout.buffer.write(content)
        return
    write_new(file, content)
    if session.json:
        output.print_json({"file": str(file), "bytes": len(content)})
    else:
        output.console().print(f"Certificates backed up to {file}")


def write_new(file: Path, content: bytes) -> None:
    """A new file for its owner alone. Raises `Misuse`, also for one that is there: it may be the only backup."""
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as opened:
            opened.write(content)
    except OSError as failure:
        raise Misuse(f"{file} cannot be written: {failure.strerror or failure}", "Name another file") from None


def restore(
    session: Session,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="- is standard input.", show_default=False)],
    part: Annotated[
        str, typer.Option("--type", help="full, third (intermediates) or vs (certificates of services).")
    ] = "full",
    pass_phrase: PassPhrase = None,
) -> None:
    """Bring certificates and intermediates of a backup back, all or none; those of the same names are replaced."""
    body = {
        "data": base64.b64encode(read_file(file)).decode("ascii"),
        "password": given_pass_phrase(session, pass_phrase, twice=False),
        "type": part,
    }
    session.report(session.write("POST", "/certificate-restore", body), "Certificates restored")
