"""Events for tests."""

from __future__ import annotations

from typing import Any

from steelyard.model.severity import Severity
from steelyard.observe.events.event import Event

AT = 1_800_000_000.125


def event(text: str = "VS tcp/10.0.0.1:80: RS 10.0.0.2:80 removed: connection refused", **members: Any) -> Event:
    """A server went down, unless said otherwise."""
    given: dict[str, Any] = {"kind": "server_down", "severity": Severity.WARN, "at": AT, "service": 1, "server": 2}
    return Event(text=text, **(given | {"number": 7} | members))
