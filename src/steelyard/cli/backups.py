"""`steelyard backup`, `restore` and `reset`: everything as a file, back from it, and everything gone."""

from __future__ import annotations

import base64
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from steelyard.cli import output
from steelyard.cli.certificate_backups import PassPhrase, given_pass_phrase, write_new
from steelyard.cli.certificate_files import read_file
from steelyard.cli.configuration import Yes, carry_out
from steelyard.cli.connection import read_secret
from steelyard.cli.failures import Failure, Misuse, Refused
from steelyard.cli.session import Session, command

NEW_PASSWORD_VARIABLE = "STEELYARD_NEW_PASSWORD"
CONFIRMATION = "reset"
#: how a file begins that a pass phrase opens; loading the parts that read one would slow every command down
SEALED = b"STEELYARD-BACKUP "
#: a large configuration takes a while to be checked and to come into force
_PATIENCE = 600.0


def register(app: typer.Typer) -> None:
    """Add the commands to the program."""
    command(app, "backup")(back_up)
    command(app, "restore", change=True)(restore)
    command(app, "reset")(reset)


def back_up(
    session: Session,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="- is standard output.", show_default=False)],
    without_secrets: Annotated[
        bool, typer.Option("--without-secrets", help="No keys, passwords and users, and no pass phrase.")
    ] = False,
    pass_phrase: PassPhrase = None,
) -> None:
    """Write everything that is configured into a file, encrypted: keys, passwords and users too."""
    body: dict[str, Any] = {}
    if not without_secrets:
        body["password"] = given_pass_phrase(session, pass_phrase, twice=True, otherwise=", or give --without-secrets")
    elif pass_phrase is not None:
        raise Misuse("A backup without secrets has no pass phrase", "Leave out one of the two options")
    content = base64.b64decode(session.api.request("POST", "/backup", body=body, patience=_PATIENCE)["data"])
    if str(file) == "-":
        sys.stdout.buffer.write(content)
        return
    write_new(file, content)
    if session.json:
        output.print_json({"file": str(file), "bytes": len(content), "complete": not without_secrets})
    else:
        what = "without its secrets" if without_secrets else "with all its secrets"
        output.console().print(f"The configuration is backed up {what} to {file}")


def restore(
    session: Session,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="- is standard input.", show_default=False)],
    parts: Annotated[
        list[str] | None,
        typer.Option("--part", "--parts", help="base, or vs (services); may be repeated. Everything if left out."),
    ] = None,
    keep_users: Annotated[
        bool, typer.Option("--keep-users", help="Users, passwords and API keys stay as they are.")
    ] = False,
    network: Annotated[bool, typer.Option("--network", help="The host's network becomes the backup's, too.")] = False,
    incomplete: Annotated[
        bool, typer.Option("--incomplete", help="Leave out what lacks its secret, instead of refusing the file.")
    ] = False,
    pass_phrase: PassPhrase = None,
    yes: Yes = False,
) -> None:
    """Make the configuration what a backup says: shows what changes, asks, and does it, all or nothing."""
    content = read_file(file)
    body: dict[str, Any] = {
        "data": base64.b64encode(content).decode("ascii"),
        "parts": [name for given in parts or () for name in given.split(",") if name],
        "users": not keep_users,
        "network": "restore" if network else "keep",
        "incomplete": incomplete,
    }
    if content.startswith(SEALED):
        body["password"] = given_pass_phrase(session, pass_phrase, twice=False)
    plan = session.write("POST", "/restore", body, dry_run=True, patience=_PATIENCE)
    if not session.json:
        for line in plan["object"]["left_out"]:
            output.console(stderr=True).print(f"Left out: {line}", soft_wrap=True)

    def execute() -> dict[str, Any]:
        try:
            return session.write("POST", "/restore", body, based_on=plan["revision"], dry_run=False, patience=_PATIENCE)
        except Failure as failure:
            if failure.error.get("kind") == "stale":
                raise Refused({**failure.error, "remedy": "Look at the new plan: run it again"}) from None
            raise

    carry_out(session, plan, yes, "Restore this?", execute, "Restored")


def reset(
    session: Session,
    password: Annotated[
        Path | None,
        typer.Option(
            "--new-password-file",
            help=f"Holds the administrator's new password; or set {NEW_PASSWORD_VARIABLE}. Made up if left out.",
        ),
    ] = None,
    forget_network: Annotated[
        bool, typer.Option("--forget-network", help="Also leave the host's network to another tool.")
    ] = False,
    yes: Yes = False,
) -> None:
    """Clear everything as at the first start: services, certificates, users, history, statistics. Traffic ends."""
    if not yes:
        if not session.interactive:
            raise Misuse("Nobody can be asked whether everything is to go", "Give --yes if you mean it")
        output.console(stderr=True).print(
            "Everything goes: services, certificates and keys, users, history, statistics, logs. Traffic ends.\n"
            "Nothing brings it back but a backup."
        )
        if typer.prompt(f"Type {CONFIRMATION} to go on", err=True) != CONFIRMATION:
            raise Misuse("Nothing was reset")
    given = read_secret(password, NEW_PASSWORD_VARIABLE)
    body = {"confirm": CONFIRMATION, "network": "forget" if forget_network else "keep"}
    if given is not None:
        body["password"] = given
    found = session.api.request("POST", "/reset", body=body)
    if session.json:
        output.print_json(found)
    elif found["password"] is None:
        output.console().print(f"Everything is reset. Sign in as {found['user']} with the password you gave.")
    else:
        output.console().print(
            f"Everything is reset. Sign in as {found['user']}; one-time password, shown only now: {found['password']}",
            soft_wrap=True,
            highlight=False,
        )
