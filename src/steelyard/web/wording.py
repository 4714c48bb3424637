"""Numbers and times as people read them. Pure."""

from __future__ import annotations

import time
from datetime import UTC, datetime

_STEPS = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))


def thousands(value: float) -> str:
    """1204 -> "1,204"; what is below ten and no whole number gets one decimal."""
    if value != int(value) and abs(value) < 10:
        return f"{value:.1f}"
    return f"{round(value):,}"


def scaled(value: float, unit: str) -> tuple[str, str]:
    """A number of three figures and its unit with a prefix: 412_300_000 bit/s -> ("412", "Mbit/s")."""
    for size, prefix in _STEPS:
        if abs(value) >= size * 0.9995:
            return _three(value / size), prefix + unit
    return _three(value), unit


def _three(value: float) -> str:
    if value == int(value) or abs(value) >= 99.95:
        return f"{value:.0f}"
    return f"{value:.1f}" if abs(value) >= 9.995 else f"{value:.2f}".rstrip("0").rstrip(".")


def bits(bytes_per_second: float) -> str:
    """Bytes a second as bits: "412 Mbit/s"."""
    return " ".join(scaled(bytes_per_second * 8, "bit/s"))


def kilobytes(value: float) -> str:
    """Kilobytes of 1,024 bytes as "1.2 GiB"."""
    for size, unit in ((1024**2, "GiB"), (1024, "MiB")):
        if value >= size:
            return f"{_three(value / size)} {unit}"
    return f"{value:.0f} KiB"


def duration(seconds: float) -> str:
    """Two units at most: "3 min 20 s", "9 days", "4 h"."""
    left = max(0, round(seconds))
    for size, unit, below, smaller in ((86400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s")):
        if left >= size:
            rest = left % size // below
            return f"{left // size} {unit} {rest} {smaller}" if rest and left < size * 10 else f"{left // size} {unit}"
    return f"{left} s"


def ago(at: float, now: float | None = None) -> str:
    """How long ago a moment was."""
    past = (time.time() if now is None else now) - at
    return "just now" if past < 1 else f"{duration(past)} ago"


def moment(at: float) -> str:
    """A moment in UTC, to the second."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def plural(count: int, one: str, many: str = "") -> str:
    """A count with its noun: "1 service", "24 services"."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def ports(extra: tuple[str, ...]) -> str:
    """How many extra ports there are, as LoadMaster shows it: "+8"."""
    count = 0
    for part in extra:
        first, _, last = part.partition("-")
        count += int(last or first) - int(first) + 1
    return f"+{count}" if count else ""


#: status -> the class of its look; what is not here looks like something that takes no part
STATUS_LOOK = {
    "Up": "up",
    "Unchecked": "unchecked",
    "Standby": "standby",
    "Down": "down",
    "Draining": "drain",
    "Sorry": "drain",
    "Redirect": "instead",
    "Fail Message": "instead",
    "Disabled": "off",
}


def look(status: str) -> str:
    """The class of a status."""
    return STATUS_LOOK.get(status, "off")
