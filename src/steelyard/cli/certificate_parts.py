"""What people see of certificates."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich.text import Text

from steelyard.cli import output

_STYLES = {"error": "bold red", "warning": "yellow", "note": "cyan"}
#: days under which people should do something, and something now
_SOON, _VERY_SOON = 30, 7


def days(left: int) -> Text:
    """Days until a certificate ends, coloured when they are few."""
    if left < 0:
        return Text("expired", style="bold red")
    return Text(str(left), style="bold red" if left < _VERY_SOON else "yellow" if left < _SOON else "")


def summary(problems: Sequence[Mapping[str, Any]]) -> Text:
    """Problems by their kinds, for a column."""
    found = Text()
    for problem in problems:
        found.append(", " if found else "").append(str(problem["kind"]), style=_STYLES.get(problem["severity"], ""))
    return found


def problems(found: Iterable[Mapping[str, Any]]) -> Text:
    """Each problem with its remedy."""
    said = Text()
    for problem in found:
        said.append(f"{problem['severity']}: ", style=_STYLES.get(problem["severity"], ""))
        said.append(f"{problem['text']}.\n    {problem['remedy']}.\n")
    said.rstrip()
    return said


def fields(pairs: Iterable[tuple[str, str]]) -> Text:
    """Names and values, one pair a line."""
    pairs = tuple(pairs)
    width = max(len(name) for name, _ in pairs)
    said = Text()
    for name, value in pairs:
        said.append(f"{name:{width}}  ", style="bold").append(f"{value}\n")
    said.rstrip()
    return said


def certificate(found: Mapping[str, Any]) -> Text:
    """A certificate with its chain and its problems."""
    bits = f" {found['key_bits']}" if found["key_bits"] else ""
    said = fields(
        (
            ("name", found["name"]),
            ("subject", found["subject"]),
            ("names", ", ".join(found["names"]) or "none"),
            ("issuer", found["issuer"]),
            ("key", f"{found['key_type']}{bits}"),
            ("serial", found["serial"]),
            ("sha256", found["sha256"]),
            ("valid", f"{output.moment(found['not_before'])} to {output.moment(found['not_after'])}"),
            ("days left", str(found["days_left"])),
            ("used by vs", ", ".join(map(str, found["used_by"])) or "none"),
            ("clients get", " <- ".join(found["chain"])),
        )
    )
    if found["problems"]:
        said.append("\n\n").append(problems(found["problems"]))
    return said
