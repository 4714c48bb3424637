"""How long statistics are kept, and how finely.

Each tier condenses the one before it, so its step is a multiple of that one's, and everything of a tier fits into a
number of steps that is known beforehand: space is bounded.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Span = Literal["hour", "day", "week", "month", "year"]


@dataclass(frozen=True, slots=True)
class Tier:
    """One fineness: so many steps of so many seconds, the last `span`. Steps begin at multiples of their length."""

    number: int
    span: Span
    step: int
    steps: int

    def begin(self, at: float) -> int:
        """When the step began that a moment lies in; both in seconds since the epoch."""
        return int(at) // self.step * self.step

    def oldest(self, at: float) -> int:
        """When the oldest step begins that is kept at a moment."""
        return self.begin(at) - self.steps * self.step


TIERS = (
    Tier(0, "hour", 10, 360),
    Tier(1, "day", 120, 720),
    Tier(2, "week", 600, 1008),
    Tier(3, "month", 3600, 744),
    Tier(4, "year", 43_200, 732),
)
FINEST = TIERS[0]


def tier_of(span: Span) -> Tier:
    """The tier that shows a span."""
    return next(tier for tier in TIERS if tier.span == span)
