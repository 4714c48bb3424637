"""What one attempt of a check said and heard.

A transcript is evidence for the operator, so every text in it is bounded and printable: what a real server answers
must not be able to forge a log line or fill the memory.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any


class Outcome(Enum):
    """How an attempt ended. `UNASKED` means this host could not ask (out of sockets, held up): it proves nothing."""

    GOOD = "good"
    BAD = "bad"
    SILENT = "silent"
    FAILED = "failed"
    UNASKED = "unasked"


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back, before it is timed: the outcome, the first line received and why, in an operator's words."""

    outcome: Outcome
    received: str
    reason: str


@dataclass(frozen=True, slots=True)
class Transcript:
    """One attempt. `started` is seconds since the epoch; `connect_ms` None means that no connection was made.

    `check` names the check where a real server has several.
    """

    started: float
    duration_ms: float
    connect_ms: float | None
    sent: str
    received: str
    outcome: Outcome
    reason: str
    attempt: int = 1
    attempts: int = 1
    check: str = ""

    def summary(self) -> str:
        """The reason with what an operator asks next: how long a good answer took, how often silence was repeated."""
        if self.outcome is Outcome.GOOD:
            return f"{self.reason} in {milliseconds(self.duration_ms)}"
        if self.attempt > 1 and self.outcome in (Outcome.SILENT, Outcome.FAILED):
            return f"{self.reason}, {self.attempt} attempts"
        return self.reason

    def as_json(self) -> dict[str, Any]:
        """The transcript as plain data."""
        return {
            "started": round(self.started, 3),
            "duration_ms": round(self.duration_ms, 2),
            "connect_ms": None if self.connect_ms is None else round(self.connect_ms, 2),
            "sent": self.sent,
            "received": self.received,
            "outcome": self.outcome.value,
            "reason": self.reason,
            "attempt": self.attempt,
            "attempts": self.attempts,
            "check": self.check,
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Transcript:
        """The inverse of `as_json`. Raises `KeyError`, `TypeError` or `ValueError` on anything else."""
        connect = data["connect_ms"]
        return cls(
            started=float(data["started"]),
            duration_ms=float(data["duration_ms"]),
            connect_ms=None if connect is None else float(connect),
            sent=str(data["sent"]),
            received=str(data["received"]),
            outcome=Outcome(data["outcome"]),
            reason=str(data["reason"]),
            attempt=int(data["attempt"]),
            attempts=int(data["attempts"]),
            check=str(data.get("check", "")),
        )


def milliseconds(value: float) -> str:
    """A duration for a sentence: whole milliseconds, or "<1 ms"."""
    return f"{value:.0f} ms" if value >= 1 else "<1 ms"


def printable(text: str | bytes, limit: int = 80) -> str:
    """Foreign text made safe for a log line: printable ASCII, everything else escaped, at most `limit` characters."""
    if isinstance(text, bytes):
        text = text[: limit * 4].decode("latin-1")
    text = text[: limit * 4]
    safe = "".join(c if " " <= c <= "~" else c.encode("unicode_escape").decode("ascii") for c in text)
    return safe if len(safe) <= limit else safe[: limit - 3] + "..."


def endpoint(address: str, port: int) -> str:
    """Address and port as an operator writes them; IPv6 in brackets."""
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
