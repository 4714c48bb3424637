"""An event: one thing that happened, as a value. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal, get_args

from steelyard.model.severity import Severity

#: SNMP traps are numbered by the place in this list, so new kinds come last
Kind = Literal[
    "server_up",
    "server_down",
    "server_flapping",
    "server_steady",
    "service_up",
    "service_down",
    "service_instead",
    "service_flapping",
    "service_steady",
    "certificate_expiring",
    "certificate_expired",
    "configuration_changed",
    "configuration_failed",
    "haproxy_restarted",
    "checks_restarted",
    "trouble",
    "trouble_over",
    "notification_failing",
    "notification_working",
    "notification_lost",
    "events_lost",
    "started",
    "test",
    "sign_in_locked",
    "client_limited",
    "limits",
    "limit_reached",
    "limit_over",
]
KINDS: tuple[Kind, ...] = get_args(Kind)

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")
_LONGEST_TEXT = 1000


def one_line(text: str) -> str:
    """Text as it may stand in a line of a log: reasons hold what real servers answered."""
    clean = _CONTROL.sub(" ", text).encode("utf-8", "replace").decode("utf-8").strip()
    return clean if len(clean) <= _LONGEST_TEXT else clean[: _LONGEST_TEXT - 3] + "..."


@dataclass(frozen=True, slots=True)
class Event:
    """What happened at `at` (seconds since the epoch), in one line.

    `service` and `server` are indexes, 0 for none. `about` names what else it is about: a certificate, a subscriber.
    `ends` is the level of the trouble that is over with it: who was told of that is told of this. `damped` says that
    it is one of many of something flapping, and `late` that it happened while nobody here saw it. `number` is its
    place in the log, 0 before it has one.
    """

    kind: Kind
    severity: Severity
    text: str
    at: float
    service: int = 0
    server: int = 0
    about: str = ""
    ends: Severity | None = None
    damped: bool = False
    late: bool = False
    number: int = 0

    @property
    def reach(self) -> Severity:
        """The level it is told at."""
        return self.severity if self.ends is None else min(self.severity, self.ends)

    def as_json(self) -> dict[str, Any]:
        """The event as programs get it. Its time is RFC 3339 in UTC."""
        return {
            "number": self.number,
            "at": moment(self.at),
            "kind": self.kind,
            "severity": self.severity.word,
            "text": self.text,
            "service": self.service or None,
            "server": self.server or None,
            "about": self.about,
            "ends": None if self.ends is None else self.ends.word,
            "damped": self.damped,
            "late": self.late,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Event:
        """The inverse of `as_json`. Raises `KeyError` or `ValueError`."""
        return cls(
            kind=data["kind"],
            severity=Severity.of(data["severity"]),
            text=data["text"],
            at=datetime.fromisoformat(data["at"]).timestamp(),
            service=data["service"] or 0,
            server=data["server"] or 0,
            about=data["about"],
            ends=None if data["ends"] is None else Severity.of(data["ends"]),
            damped=data["damped"],
            late=data["late"],
            number=data["number"],
        )


def moment(at: float) -> str:
    """Seconds since the epoch as RFC 3339 in UTC with milliseconds."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def line(event: Event) -> str:
    """An event as a line of a log file."""
    return f"{moment(event.at)} {event.severity.word} {event.kind}: {event.text}"
