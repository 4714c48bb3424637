"""`steelyard statistics`: what services and real servers carry now, and what was recorded over time."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any

import typer
from rich.console import Group
from rich.text import Text

from steelyard.cli import output
from steelyard.cli.failures import Misuse
from steelyard.cli.session import Session, command

_BARS = " ▁▂▃▄▅▆▇█"
_PLAIN_BARS = " .:-=+*#%@"
_WIDTH = 60
_STEPS = ("", "k", "M", "G", "T", "P")
_EVERYTHING = "services"


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    command(app, "statistics")(show_statistics)


def show_statistics(
    session: Session,
    objects: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[OBJECT...]", help="host, services, service/INDEX or service/INDEX/SERVER.", show_default=False
        ),
    ] = None,
    over: Annotated[
        str | None,
        typer.Option(help="Show what was recorded over the last hour, day, week, month or year.", show_default=False),
    ] = None,
) -> None:
    """Show what services and real servers carry now, or with --over what they carried."""
    if over is None:
        if objects:
            raise Misuse("Objects are chosen among what was recorded", "Add --over hour, day, week, month or year")
        found = session.api.get("/statistics")
        columns = ("index", "name", "open", "connections", "connections/s", "requests", "in", "out", "records")
        session.show(found, lambda: output.table(columns, _rows(found["services"]), right=columns[2:]))
        return
    recorded = session.api.get("/statistics/history", object=objects or [_EVERYTHING, "host"], span=over)
    session.show(recorded, lambda: _recorded(recorded))


def _rows(services: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, ...]]:
    for service in services:
        yield str(service["index"]), service["name"], *_figures(service)
        for server in service["servers"]:
            yield f"  rs {server['index']}", f"  {output.endpoint(server)}", *_figures(server)


def _figures(counters: Mapping[str, Any]) -> tuple[str, ...]:
    return (
        str(counters["active_connections"]),
        str(counters["total_connections"]),
        str(counters["connections_per_second"]),
        str(counters["requests"]),
        f"{scaled(counters['bytes_in'])}B",
        f"{scaled(counters['bytes_out'])}B",
        str(counters["persistence_entries"]),
    )


def _recorded(found: Mapping[str, Any]) -> Group:
    parts: list[Any] = [
        f"The last {found['span']} in steps of {found['step']} s, since {output.moment(found['first'])}"
    ]
    for one in found["objects"]:
        rows = [(name.replace("_", " "), *_row(values, one["peaks"][name])) for name, values in one["averages"].items()]
        columns = (one["object"], "", "average", "peak")
        parts += ["", output.table(columns, rows, right=("average", "peak"))]
    return Group(*parts)


def _row(averages: Sequence[float | None], peaks: Sequence[float | None]) -> tuple[Text | str, ...]:
    known = [value for value in averages if value is not None]
    if not known:
        return "nothing was recorded", "", ""
    highest = max(value for value in peaks if value is not None)
    return graph(averages), scaled(sum(known) / len(known)), scaled(highest)


def graph(values: Sequence[float | None], width: int = _WIDTH) -> str:
    """Values as bars, oldest first, each column the average of as many; a column without values is empty."""
    bars = _BARS if (sys.stdout.encoding or "").lower().startswith("utf") else _PLAIN_BARS
    columns: list[float | None] = []
    for column in range(width):
        part = values[column * len(values) // width : (column + 1) * len(values) // width]
        known = [value for value in part if value is not None]
        columns.append(sum(known) / len(known) if known else None)
    most = max((value for value in columns if value is not None), default=0.0) or 1.0
    return "".join(bars[0] if value is None else bars[1 + round(value / most * (len(bars) - 2))] for value in columns)


def scaled(value: float) -> str:
    """A number with three digits and a decimal prefix."""
    for prefix in _STEPS[:-1]:
        if abs(value) < 1000:
            return f"{value:.3g}{prefix}"
        value /= 1000
    return f"{value:,.0f}{_STEPS[-1]}"
