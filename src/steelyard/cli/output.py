"""What people see: tables, states with colour, shape and word, plans, and errors in one line with their remedy."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from steelyard.cli.wording import in_settings_words

_WIDTH_WITHOUT_TERMINAL = 160
_LONGEST_SHOWN = 2000

#: status -> shape, shape where the terminal has no Unicode, style
_STATES: Mapping[str, tuple[str, str, str]] = {
    "Up": ("●", "+", "green"),
    "Down": ("✖", "x", "bold red"),
    "Disabled": ("○", "o", "bright_black"),
    "Draining": ("◐", "~", "yellow"),
    "Unchecked": ("◌", ".", "cyan"),
    "Standby": ("◍", "=", "cyan"),
    "Sorry": ("◐", "~", "yellow"),
    "Redirect": ("➜", ">", "blue"),
    "Fail Message": ("▪", "!", "blue"),
}
_SIGNS: Mapping[str, tuple[str, str]] = {"add": ("+", "green"), "change": ("~", "yellow"), "remove": ("-", "red")}


def console(*, stderr: bool = False) -> Console:
    """A console that takes names literally (no markup) and does not fold lines when it is read by a program."""
    terminal = (sys.stderr if stderr else sys.stdout).isatty()
    width = None if terminal else _WIDTH_WITHOUT_TERMINAL
    return Console(stderr=stderr, width=width, markup=False, emoji=False, highlight=False)


def setting_value(value: Any) -> str:
    """The value of a setting as it is typed: `on`, `off`, items of a list with commas; long ones are cut short."""
    if isinstance(value, bool):
        return "on" if value else "off"
    text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:60]}... ({len(text)} characters)"


def as_json(value: Any) -> str:
    """For programs."""
    return json.dumps(value, indent=2, ensure_ascii=not _unicode(sys.stdout.encoding))


def print_json(value: Any) -> None:
    """For programs, on standard output."""
    sys.stdout.write(as_json(value) + "\n")


def _unicode(encoding: str | None) -> bool:
    return (encoding or "").lower().replace("-", "").startswith("utf")


def state(status: str) -> Text:
    """A status as shape and word, coloured."""
    shape, plain, style = _STATES.get(status, ("?", "?", "bright_black"))
    return Text(f"{shape if _unicode(sys.stdout.encoding) else plain} {status}", style=style)


def table(columns: Iterable[str], rows: Iterable[Sequence[Text | str]], *, right: Iterable[str] = ()) -> Table:
    """A table; columns named in `right` are aligned right."""
    found = Table(box=None, header_style="bold", pad_edge=False, padding=(0, 2, 0, 0))
    numbers = set(right)
    for column in columns:
        found.add_column(column, justify="right" if column in numbers else "left", overflow="fold")
    for row in rows:
        found.add_row(*row)
    return found


def moment(at: str | None) -> str:
    """A time of the API in the local time zone."""
    if at is None:
        return ""
    return datetime.fromisoformat(at).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def endpoint(thing: Mapping[str, Any]) -> str:
    """Address and port as they are typed."""
    address, port = str(thing["address"]), thing["port"] or "*"
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def differences(found: Iterable[Mapping[str, Any]]) -> Text:
    """Differing objects with their settings: + made, ~ changed, - removed."""
    said = Text()
    for difference in found:
        sign, style = _SIGNS.get(str(difference["action"]), ("?", ""))
        said.append(f"{sign} {difference['title']}\n", style=style)
        for line in difference["lines"]:
            said.append(f"    {line}\n")
    said.rstrip()
    return said


def plan(change: Mapping[str, Any]) -> Text:
    """What a change does: differences, operations of the engine in order, and whether it reloads."""
    said = differences(change["differences"]).append("\n")
    if change["operations"]:
        said.append("Operations:\n", style="bold")
        for operation in change["operations"]:
            said.append(f"    {operation}\n")
    if change["reload"]:
        reasons = "; ".join(change["reload_reasons"])
        said.append(f"One hitless reload{': ' + reasons if reasons else ''}", style="yellow")
    else:
        said.append("No reload", style="green")
    return said


def error_line(error: Mapping[str, Any]) -> Text:
    """An error in one line: where, what, what to do; the engine's own words under it."""
    said = Text("Error: ", style="bold red")
    if error.get("position"):
        said.append(f"{error['position']}: ", style="bold")
    message = in_settings_words(str(error.get("message", "no reason was given")), str(error.get("field", "")))
    said.append(message, style="not bold default")
    if error.get("remedy"):
        end = "" if message.endswith((".", "!", "?")) else "."
        said.append(f"{end} {error['remedy']}", style="not bold default")
    if error.get("words"):
        said.append(f"\n{str(error['words']).rstrip()}", style="not bold default")
    return said
