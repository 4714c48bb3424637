"""Properties and basic properties of a virtual service (`reference/loadmaster-api/02`, 2.2)."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, ValidationInfo, ValidatorFunctionWrapHandler, field_validator

from steelyard.model.real_server import checked_address
from steelyard.model.setting import Setting, Settings

_SECTION = "basic"

SERVICE_TYPES = {
    "gen": "Generic",
    "http": "HTTP-HTTP/2-HTTPS",
    "http2": "HTTP/2",
    "ts": "Remote Terminal",
    "tls": "STARTTLS protocols",
    "log": "Log Insight",
}


class BasicSettings(Settings):
    """What identifies a virtual service."""

    index: int = Field(ge=1)
    #: index of the virtual service it is a sub-service of; 0 for one that has an address of its own
    parent: int = Field(0, ge=0)
    address: Annotated[
        str,
        Setting(
            "VSAddress",
            _SECTION,
            "Virtual Address",
            "IPv4 or IPv6 address clients connect to.",
            pattern_says="an IPv4 or IPv6 address",
        ),
    ]
    port: Annotated[
        int,
        Setting(
            "VSPort",
            _SECTION,
            "Port",
            "Port clients connect to; 0, for LoadMaster *, is every port that no other service of the address has.",
            ge=1,
            le=65535,
            or_zero=True,
            text_number=True,
            wildcard=True,
        ),
    ]
    protocol: Annotated[
        str,
        Setting(
            "prot",
            _SECTION,
            "Protocol",
            "Transport protocol.",
            answer="Protocol",
            choices={"tcp": "TCP", "udp": "UDP"},
        ),
    ] = "tcp"
    enabled: Annotated[
        bool,
        Setting(
            "Enable",
            _SECTION,
            "Activate or Deactivate Service",
            "A disabled service accepts no new connections; those it has are kept until they end.",
        ),
    ] = True
    name: Annotated[
        str,
        Setting(
            "NickName",
            _SECTION,
            "Service Name",
            "Free name of the service; need not be unique.",
            answer="NickName",
            max_length=255,
            pattern=r"[A-Za-z0-9][A-Za-z0-9 .@_-]*",
            pattern_says="letters, digits, blanks and . @ - _, a letter or digit first",
        ),
    ] = ""
    service_type: Annotated[
        str,
        Setting(
            "VStype",
            _SECTION,
            "Service Type",
            "Decides which options the service has.",
            choices=SERVICE_TYPES,
            unbuilt=frozenset({"http2", "log"}),
        ),
    ] = "gen"

    @field_validator("address", mode="before")
    @classmethod
    def _canonical(cls, value: Any, info: ValidationInfo) -> Any:
        # a sub-service has no address and port of its own
        return value if value == "" and info.data.get("parent") else checked_address(value)

    @field_validator("port", mode="wrap")
    @classmethod
    def _none_without_address(cls, value: Any, usual: ValidatorFunctionWrapHandler, info: ValidationInfo) -> Any:
        return 0 if value == 0 and info.data.get("parent") else usual(value)
