"""A slot: the place of a sub-service in its parent, where it is what a real server is elsewhere.

Its index comes from the same counter as those of real servers (`reference/loadmaster-api/03`, 3.2).
"""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field

from steelyard.model.real_server import ATTACHED_RULES, STANDBY
from steelyard.model.setting import Setting, Settings

_SECTION = "sub-service slot"


class Slot(Settings):
    """One sub-service as its parent sees it."""

    noun: ClassVar[str] = "sub-service slot"

    index: int = Field(ge=1)
    #: index of the sub-service
    service: int = Field(ge=1)
    weight: Annotated[
        int,
        Setting(
            "weight",
            _SECTION,
            "Weight",
            "Share of new connections under weighted scheduling.",
            answer="Weight",
            ge=1,
            le=65535,
        ),
    ] = 1000
    limit: Annotated[
        int,
        Setting(
            "limit",
            _SECTION,
            "Connection limit",
            "Concurrent connections it may have; 0 means no limit.",
            answer="Limit",
            ge=0,
            le=100_000,
        ),
    ] = 0
    rate_limit: Annotated[
        int,
        Setting(
            "ratelimit",
            _SECTION,
            "Connection rate limit",
            "New connections per second; 0 means no limit.",
            answer="RateLimit",
            ge=0,
            le=1_000_000,
            built=False,
            why_unbuilt="HAProxy chooses a server after all rules that could count what it gets",
        ),
    ] = 0
    follow: Annotated[
        int,
        Setting(
            "follow",
            _SECTION,
            "Healthcheck on",
            "Index of the real server, or sub-service slot, of any service whose verdict decides for this slot; 0 or"
            " its own index: the sub-service decides.",
            answer="Follow",
            ge=0,
            le=2**31 - 1,
        ),
    ] = 0
    standby_below: STANDBY = 0
    enabled: Annotated[
        bool, Setting("enable", _SECTION, "Enabled", "A disabled slot gets no new clients.", answer="Enable")
    ] = True
    critical: Annotated[
        bool,
        Setting("critical", _SECTION, "Critical", "The parent is down when this one is.", answer="Critical"),
    ] = False
    rules: ATTACHED_RULES = ()

    @property
    def checked_as(self) -> int:
        """The index of the member whose verdict it takes; 0 where its sub-service decides."""
        return 0 if self.follow == self.index else self.follow

    @property
    def engine_name(self) -> str:
        """Its name in every engine."""
        return f"rs{self.index}"
