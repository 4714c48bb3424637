"""A real server: one member of a virtual service.

Its index is unique over the whole appliance, comes from one counter and is never used again; it is the server's name
in the engine, so that persistence records stay true. The settings are those of `reference/loadmaster-api/03`, section
3.3.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

from pydantic import Field, field_validator
from pydantic_core import PydanticCustomError

from steelyard.model.setting import Setting, Settings
from steelyard.model.text import HOST_NAME, HOST_NAME_SAYS, canonical_address

_SECTION = "real server"

#: names of the content rules that select a real server or a slot, in the order they are looked at
ATTACHED_RULES = Annotated[
    tuple[str, ...],
    Setting(
        None,
        _SECTION,
        "Content rules",
        "Rules that select it under content switching; `default` takes what no rule matched.",
        answer="MatchRules",
        pattern=r"[A-Za-z0-9_][A-Za-z0-9_.-]*",
    ),
]


#: standby by rule, of a real server or a slot
STANDBY = Annotated[
    int,
    Setting(
        None,
        _SECTION,
        "Standby below",
        "Takes clients only while fewer than so many of the service's other members are available, those that stand by"
        " themselves not counted; 0: always.",
        ge=0,
        le=1024,
    ),
]


class RealServer(Settings):
    """One real server. Equal (address, port) may appear once in a virtual service and in many services."""

    noun: ClassVar[str] = "real server"

    index: int = Field(ge=1)
    address: Annotated[
        str,
        Setting(
            "rs",
            _SECTION,
            "Real Server Address",
            "IPv4 or IPv6 address.",
            answer="Addr",
            pattern_says="an IPv4 or IPv6 address",
        ),
    ]
    port: Annotated[
        int,
        Setting(
            "rsport",
            _SECTION,
            "Port",
            "Port of the real server; in a service of the wildcard port 0, or *, is the one the client asked for.",
            answer="Port",
            ge=1,
            le=65535,
            or_zero=True,
            wildcard=True,
        ),
    ]
    dns_name: Annotated[
        str,
        Setting(
            None,
            _SECTION,
            "DNS name",
            "The name it was added by, when it was added by name.",
            answer="DnsName",
            pattern=rf"{HOST_NAME}\.?",
            pattern_says=HOST_NAME_SAYS,
        ),
    ] = ""
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
    forward: Annotated[
        str,
        Setting(
            "forward",
            _SECTION,
            "Forwarding method",
            "How packets reach the server; route works only at layer 4. With it packets go to the server as they are,"
            " and its answers go past this host.",
            answer="Forward",
            choices={"nat": "network address translation", "route": "direct server return"},
        ),
    ] = "nat"
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
    enabled: Annotated[
        bool, Setting("enable", _SECTION, "Enabled", "A disabled server gets no new clients.", answer="Enable")
    ] = True
    critical: Annotated[
        bool,
        Setting(
            "critical",
            _SECTION,
            "Critical",
            "The service is down while this server is down or disabled.",
            answer="Critical",
        ),
    ] = False
    follow: Annotated[
        int,
        Setting(
            "follow",
            _SECTION,
            "Healthcheck on",
            "Index of the real server, or sub-service slot, of any service whose verdict is this one's too; 0 or its"
            " own index: it is checked itself. Where the service's check is none it has no effect.",
            answer="Follow",
            ge=0,
            le=2**31 - 1,
        ),
    ] = 0
    standby_below: STANDBY = 0
    check_port: Annotated[
        int,
        Setting(
            None,
            _SECTION,
            "Check Port",
            "Port to check on this server; 0 is the service's check port, or without one the server's own port.",
            ge=0,
            le=65535,
        ),
    ] = 0
    non_local: Annotated[
        bool,
        Setting(
            "non_local",
            _SECTION,
            "Allow Remote Addresses",
            "Says that the server is on no attached network. Steelyard reaches it by the routes of its host, with or"
            " without this.",
        ),
    ] = False

    rules: ATTACHED_RULES = ()

    @field_validator("address", mode="before")
    @classmethod
    def _canonical(cls, value: Any) -> Any:
        checked = checked_address(value)
        if checked in ("0.0.0.0", "::"):
            # HAProxy takes it as "where the client was going" (2.6 manual, `server`), so as this host itself
            why = {"why": "is the address of no server", "allowed": "the address of one server"}
            raise PydanticCustomError("setting", "{why}", why)
        return checked

    @property
    def checked_as(self) -> int:
        """The index of the member whose verdict it takes; 0 where it has its own."""
        return 0 if self.follow == self.index else self.follow

    @property
    def engine_name(self) -> str:
        """Its name in every engine."""
        return f"rs{self.index}"


def checked_address(value: Any) -> Any:
    """Canonical spelling of an address given as text; pydantic turns the complaint into a message naming the field."""
    if not isinstance(value, str):
        return value
    try:
        return canonical_address(value)
    except ValueError:
        raise PydanticCustomError(
            "setting", "{why}", {"why": "is not an address", "allowed": "an IPv4 or IPv6 address"}
        ) from None
