"""`steelyard events`: what happened, as it happens, and who is told."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from typing import Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from steelyard.cli import output
from steelyard.cli.session import Session, command

app = typer.Typer(no_args_is_help=True, help="Events: real servers, services, certificates, changes, troubles.")

_STYLES: Mapping[str, str] = {
    "emergency": "bold white on red",
    "critical": "bold red",
    "error": "red",
    "warn": "yellow",
    "notice": "",
    "info": "bright_black",
}

Kinds = Annotated[list[str] | None, typer.Option("--kind", help="Only this kind; may be given again.")]
Level = Annotated[str | None, typer.Option("--severity", help="Only events as grave as that or graver.")]
Service = Annotated[int | None, typer.Option("--service", min=1, help="Only events of that virtual service.")]


def _line(event: Mapping[str, Any]) -> Text:
    said = Text(f"{output.moment(event['at'])}  ")
    said.append(f"{event['severity']:<9}", style=_STYLES.get(str(event["severity"]), ""))
    said.append(f"  {event['text']}")
    notes = [word for word in ("late", "damped") if event[word]]
    if notes:
        said.append(f"  ({', '.join(notes)})", style="bright_black")
    return said


@command(app, "show")
def show(
    session: Session,
    since: Annotated[str | None, typer.Option(help="Only events from this time on: 2026-01-31T12:00:00Z.")] = None,
    kind: Kinds = None,
    service: Service = None,
    severity: Level = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="How many of the newest.")] = 50,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with what happens from now on.")] = False,
) -> None:
    """Show events, oldest first."""
    chosen: dict[str, Any] = {"kind": ",".join(kind) if kind else None, "service": service, "severity": severity}
    found = session.api.get("/events", since=since, limit=limit, **chosen)
    if not follow:
        session.show(found, lambda: Text("\n").join(map(_line, found)) if found else "No events")
        return
    _print(session, found)
    last = found[-1]["number"] if found else None
    _print(session, session.api.stream("/events/stream", after=last, **chosen))


def _print(session: Session, events: Iterable[Mapping[str, Any]]) -> None:
    console = output.console()
    for event in events:
        if session.json:
            output.print_json(event)
        else:
            console.print(_line(event), soft_wrap=True)
        # who reads a pipe waits for each of them
        sys.stdout.flush()


@command(app, "subscribers")
def subscribers(session: Session) -> None:
    """Show who is told of events, and whether it works."""
    found = session.api.get("/events/subscribers")
    session.show(found, lambda: _subscribers(found) if found else "Nobody is told; see `steelyard settings email`")


def _subscribers(found: Iterable[Mapping[str, Any]]) -> Table:
    rows = [
        (
            str(one["name"]),
            str(one["level"]),
            Text(str(one["state"]), style="bold red" if one["state"] == "failing" else ""),
            str(one["delivered"]),
            str(one["waiting"]),
            str(one["lost"]),
            str(one["error"]),
        )
        for one in found
    ]
    columns = ("subscriber", "level", "state", "delivered", "waiting", "lost", "error")
    return output.table(columns, rows, right=("delivered", "waiting", "lost"))


@command(app, "test")
def send_test(
    session: Session,
    severity: Annotated[str, typer.Option(help="Level of the test.")] = "info",
    text: Annotated[str, typer.Option(help="What to say.")] = "",
) -> None:
    """Tell every subscriber of an event that is only a test."""
    event = session.api.request("POST", "/events/test", body={"severity": severity, "text": text})
    session.show(event, lambda: f"Sent as event {event['number']}; `steelyard events subscribers` says who has it")


@command(app, "clear")
def clear(session: Session, yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False) -> None:
    """Remove every event from the log."""
    session.confirm("Remove every event from the log?", yes)
    found = session.api.request("DELETE", "/events")
    session.show(found, lambda: f"{found['removed']} events removed")
