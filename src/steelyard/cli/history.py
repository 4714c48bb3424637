"""`steelyard history`, `rollback`: what was changed, and the way back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import typer
from rich.console import Group
from rich.text import Text

from steelyard.cli import output
from steelyard.cli.configuration import Yes, carry_out
from steelyard.cli.session import Session, command

_STYLES = {"applied": "green", "failed": "bold red"}


def register(app: typer.Typer) -> None:
    """Add the commands to the program."""
    command(app, "history")(show_history)
    command(app, "rollback", change=True, without=["wait"])(roll_back)


def show_history(
    session: Session,
    number: Annotated[int | None, typer.Argument(min=1, help="Show one revision.", show_default=False)] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many.")] = 20,
) -> None:
    """Show the last changes, or one of them with what it changed."""
    if number is not None:
        entry = session.api.get(f"/history/{number}")
        session.show(entry, lambda: _page(entry))
        return
    found = session.api.get("/history", limit=limit)
    columns = ("revision", "when", "who", "through", "status", "what", "why")
    session.show(found, lambda: output.table(columns, map(_row, found), right=("revision",)))


def _row(entry: Mapping[str, Any]) -> tuple[Text | str, ...]:
    return (
        str(entry["number"]),
        output.moment(entry["at"]),
        entry["author"],
        entry["origin"],
        Text(entry["status"], style=_STYLES.get(entry["status"], "")),
        entry["summary"],
        entry["reason"],
    )


def _page(entry: Mapping[str, Any]) -> Group:
    head = Text(f"Revision {entry['number']}: {entry['summary']}\n", style="bold")
    head.append(f"{output.moment(entry['at'])} by {entry['author']} through {entry['origin']}\n", style="not bold")
    if entry["reason"]:
        head.append(f"Why: {entry['reason']}\n", style="not bold")
    head.append(entry["status"], style=_STYLES.get(entry["status"], "not bold"))
    if entry["detail"]:
        head.append(f": {entry['detail']}", style="not bold")
    return Group(head, "", output.differences(entry["differences"]))


def roll_back(
    session: Session, number: Annotated[int, typer.Argument(min=1, metavar="REVISION")], yes: Yes = False
) -> None:
    """Make the configuration of an earlier revision the newest one: shows the plan, asks, and does it."""
    wanted = {"revision": number, "reason": session.reason}
    plan = session.api.request("POST", "/rollback", body={**wanted, "dry_run": True})

    def execute() -> Any:
        return session.api.request("POST", "/rollback", body=wanted, based_on=plan["revision"])

    carry_out(session, plan, yes, f"Roll back to revision {number}?", execute, f"Rolled back to revision {number}")
