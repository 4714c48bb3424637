"""What the checking process tells others, as plain frozen values. Times are seconds since the epoch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from steelyard.health.verdict import State
from steelyard.plan.operations import AdminState

#: The longest line on the control socket: a plan of 100,000 servers is about 20 MB.
LINE_BYTES = 256 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class TargetStatus:
    """One real server of one service.

    `since` is when `state` began, `reason` what the last check said, `checked` when it started (None before the first),
    `drain_ends` when a running drain ends, `weight` the weight given by fixed weighting (None: the configuration's).
    """

    state: State
    since: float
    reason: str
    checked: float | None
    duration_ms: float | None
    drain_ends: float | None
    admin: AdminState
    weight: int | None

    def as_json(self) -> dict[str, Any]:
        """The status as plain data."""
        # `dataclasses.asdict` copies deeply, which is 20 times slower; a snapshot has 10,000 of these.
        return {
            "state": self.state,
            "since": self.since,
            "reason": self.reason,
            "checked": self.checked,
            "duration_ms": self.duration_ms,
            "drain_ends": self.drain_ends,
            "admin": self.admin,
            "weight": self.weight,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> TargetStatus:
        """The inverse of `as_json`. Raises `KeyError` when something is missing."""
        return cls(
            state=data["state"],
            since=data["since"],
            reason=data["reason"],
            checked=data["checked"],
            duration_ms=data["duration_ms"],
            drain_ends=data["drain_ends"],
            admin=data["admin"],
            weight=data["weight"],
        )


@dataclass(frozen=True, slots=True)
class Event:
    """A change: of the verdict ("verdict") or of the administrative state ("admin"). `target` is "service/server".

    "service" says that a whole service was shut, because of a critical target or the minimum, or is open again;
    `target` is then its key. `run` and `number` say where it stands among the events of one run (`health.recent`).
    """

    event: Literal["verdict", "admin", "service"]
    target: str
    before: str
    after: str
    reason: str
    at: float
    run: str = field(default="", compare=False)
    number: int = field(default=0, compare=False)

    def as_json(self) -> dict[str, Any]:
        """The event as it goes over the control socket."""
        return {
            "event": self.event,
            "target": self.target,
            "from": self.before,
            "to": self.after,
            "reason": self.reason,
            "at": self.at,
            "run": self.run,
            "number": self.number,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Event:
        """The inverse of `as_json`. Raises `KeyError` when something is missing."""
        return cls(
            data["event"],
            data["target"],
            data["from"],
            data["to"],
            data["reason"],
            data["at"],
            data.get("run", ""),
            data.get("number", 0),
        )
