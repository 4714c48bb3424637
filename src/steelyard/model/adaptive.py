"""Adaptive scheduling: the load agent of resource based scheduling (`reference/loadmaster-api/04`, 4.5)."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

from pydantic import field_validator
from pydantic_core import PydanticCustomError

from steelyard.model.setting import Setting, Settings
from steelyard.model.text import PRINTABLE_PATH, PRINTABLE_PATH_SAYS

_SECTION = "adaptive"

#: scheduling methods whose weights move
MOVING = frozenset({"adaptive", "dl", "sdn-adaptive"})


def refuse_tls_port(value: int) -> int:
    """Agents are asked in plain text, so 443 cannot be an agent's port. Raises what names value and remedy."""
    if value == 443:
        raise PydanticCustomError(
            "setting",
            "{why}",
            {
                "why": "is the port of HTTPS, and load agents are asked by plain HTTP",
                "allowed": "1 to 65535 but 443",
                "remedy": "Give the port where the agent answers plain HTTP",
            },
        )
    return value


class AdaptiveParameters(Settings):
    """The load agent of every service that names none of its own."""

    noun: ClassVar[str] = "adaptive parameter"

    url: Annotated[
        str,
        Setting(
            "AdaptiveURL",
            _SECTION,
            "Adaptive URL",
            "Where the agent of each real server tells its load: 0 (idle) to 100 (overloaded) in the first line.",
            filled=True,
            max_length=126,
            pattern=PRINTABLE_PATH,
            pattern_says=PRINTABLE_PATH_SAYS,
        ),
    ] = "/load"
    port: Annotated[
        int,
        Setting(
            "AdaptivePort", _SECTION, "Port", "Port of the agents; they speak plain HTTP, so not 443.", ge=1, le=65535
        ),
    ] = 80
    interval: Annotated[
        int,
        Setting(
            "AdaptiveInterval",
            _SECTION,
            "Adaptive Interval",
            "Time between two polls of an agent; in effect never shorter than the service's check interval.",
            unit="seconds",
            ge=1,
            le=86_400,
        ),
    ] = 7
    least_load: Annotated[
        int,
        Setting(
            "MinPercent",
            _SECTION,
            "Min. Control Variable Value",
            "While every load of a service is below it, the static weights hold: plain weighted round robin.",
            unit="%",
            ge=0,
            le=50,
        ),
    ] = 5

    @field_validator("port")
    @classmethod
    def _plain(cls, value: int) -> Any:
        return refuse_tls_port(value)
