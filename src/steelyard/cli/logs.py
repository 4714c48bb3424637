"""`steelyard logs`: what the edge filter logged."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import quote

import typer
from rich.text import Text

from steelyard.cli.session import Session, command

app = typer.Typer(no_args_is_help=True, help="Logs of the edge filter.")


@command(app, "edge")
def show_edge_log(
    session: Session,
    kind: Annotated[str, typer.Argument(help="connection, security or user.", show_default=False)],
    tail: Annotated[int, typer.Option(min=1, max=10_000, help="How many of the last lines.")] = 100,
    since: Annotated[str | None, typer.Option(help="Only lines from this time on: 2026-01-31T12:00:00Z.")] = None,
) -> None:
    """Show what the edge filter logged, oldest first."""
    query = {"tail": tail} if since is None else {"tail": tail, "since": since}
    found = session.api.get(f"/logs/edge/{quote(kind, safe='')}", **query)
    session.show(found, lambda: Text("\n".join(found["lines"]), no_wrap=True, overflow="ignore"))
