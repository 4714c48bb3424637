"""`steelyard apply`, `diff`, `export`: the whole configuration as a file."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from steelyard.cli import documents, output
from steelyard.cli.failures import Failure, Misuse, Refused
from steelyard.cli.network import say_what_waits
from steelyard.cli.session import Session, command

_PATH = "/configuration"

Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]


def carry_out(session: Session, plan: dict[str, Any], yes: bool, question: str, execute: Any, done: str) -> None:
    """Show the plan, ask, and do it. `plan` is the answer of a dry run; `execute` does it and gives its own answer."""
    if session.dry_run or not plan["differences"]:
        session.report(plan, done)
        return
    if not session.json:
        output.console().print(output.plan(plan))
    elif session.interactive and not yes:
        output.console(stderr=True).print(output.plan(plan))
    session.confirm(question, yes)
    session.report(execute(), done)


def register(app: typer.Typer) -> None:
    """Add the commands to the program."""
    command(app, "apply", change=True)(apply)
    command(app, "diff")(show_difference)
    command(app, "export")(export)


def apply(
    session: Session,
    file: Annotated[Path, typer.Option("--file", "-f", help="YAML, or JSON by its ending; - is standard input.")],
    yes: Yes = False,
) -> None:
    """Make the configuration what a file says: shows the plan, asks, and does it. Doing it twice changes nothing.

    What the file does not name is removed or takes its default; users and API keys stay.
    """
    document = documents.load(file)
    plan = session.write("PUT", _PATH, document, dry_run=True)

    def execute() -> dict[str, Any]:
        try:
            return session.write("PUT", _PATH, document, based_on=plan["revision"], dry_run=False)
        except Failure as failure:
            if failure.error.get("kind") == "stale":
                raise Refused({**failure.error, "remedy": "Look at the new plan: run it again"}) from None
            raise

    carry_out(session, plan, yes, "Apply this?", execute, "Applied")
    declares_network = "network" in document or "host" in (document.get("parameters") or {})
    if declares_network and not session.json and not session.dry_run:
        say_what_waits(session)


def export(
    session: Session,
    network: Annotated[
        bool, typer.Option(help="With the host's own network, where it is managed; without it for another host.")
    ] = True,
) -> None:
    """Print the configuration as YAML that `apply` takes; certificates by name, without their keys."""
    found = session.api.get(_PATH, network=None if network else "false")
    if session.json:
        output.print_json(found)
    else:
        sys.stdout.write(documents.dump(found))


def show_difference(
    session: Session,
    old: Annotated[int | None, typer.Argument(min=0, help="A revision.", show_default=False)] = None,
    new: Annotated[int | None, typer.Argument(min=0, help="A later one; now if left out.", show_default=False)] = None,
    file: Annotated[Path | None, typer.Option("--file", "-f", help="Compare with a configuration file.")] = None,
) -> None:
    """Show what differs: between revisions, or between now and a file. Without either, what the last change did."""
    if file is not None:
        if old is not None:
            raise Misuse("Give either revisions or a file")
        plan = session.write("PUT", _PATH, documents.load(file), dry_run=True)
        session.show(plan, lambda: output.plan(plan) if plan["differences"] else "No difference")
        return
    if old is None:
        entries = session.api.get("/history", limit=1)
        old = max(0, int(entries[0]["number"]) - 1) if entries else 0
    found = session.api.get("/diff", old=old, new=new)
    session.show(found, lambda: output.differences(found["differences"]) if found["differences"] else "No difference")
