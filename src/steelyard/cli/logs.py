"""`steelyard logs`: what the edge filter logged."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import quote

import typer

from steelyard.cli import output
from steelyard.cli.session import Session, command

app = typer.Typer(no_args_is_help=True, help="Logs of the edge filter.")


@command(app, "edge")
def show_edge_log(
    session: Session,
    kind: Annotated[str, typer.Argument(metavar="connection|security|user", help="Which log.", show_default=False)],
    tail: Annotated[int, typer.Option(min=1, max=10_000, help="How many of the last lines.")] = 100,
    since: Annotated[str | None, typer.Option(help="Only lines from this time on: 2026-01-31T12:00:00Z.")] = None,
) -> None:
    """Show what the edge filter logged, oldest first."""
    query = {"tail": tail} if since is None else {"tail": tail, "since": since}
    found = session.api.get(f"/logs/edge/{quote(kind, safe='')}", **query)
    if session.json:
        output.print_json(found)
        return
    # as they are in the file: lines are for other programs too
    for line in found["lines"]:
        typer.echo(line)
