"""When a service and its members count as up (`reference/loadmaster-api/02`, 2.6; `behaviour.md`, 7.3)."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import field_validator

from steelyard.model.setting import Setting, Settings

_SECTION = "checks"
_MOST = 10


class AvailabilitySettings(Settings):
    """How many real servers a service needs, and how often a check must say the same."""

    enhanced_checks: Annotated[
        bool,
        Setting(
            "EnhancedHealthchecks",
            _SECTION,
            "Enhanced Options",
            "The service needs a minimum number of real servers.",
            answer="EnhancedHealthChecks",
        ),
    ] = False
    minimum_servers: Annotated[
        int,
        Setting(
            "RsMinimum",
            _SECTION,
            "Minimum number of RS",
            "Real servers (or sub-services) that must be available, or the service is down. More than there are means"
            " all of them; 1 is kept as 0. Needs Enhanced Options.",
            ge=0,
            le=1024,
        ),
    ] = 0
    check_rise: Annotated[
        int,
        Setting(
            None,
            _SECTION,
            "Rise",
            "Good checks in a row until a server that was down is up. The first check of a new server decides alone.",
            ge=1,
            le=_MOST,
        ),
    ] = 1
    check_fall: Annotated[
        int,
        Setting(
            None,
            _SECTION,
            "Fall",
            "Bad checks in a row until a server that was up is down.",
            ge=1,
            le=_MOST,
        ),
    ] = 1
    check_mode: Annotated[
        str,
        Setting(
            None,
            _SECTION,
            "Several checks",
            "What makes a server up where the service has further checks.",
            choices={"all": "every check is good", "any": "one good check is enough"},
        ),
    ] = "all"

    @field_validator("minimum_servers")
    @classmethod
    def _one_is_none(cls, value: int) -> Any:
        return 0 if value == 1 else value
