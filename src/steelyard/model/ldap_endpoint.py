"""LDAP endpoints: how a directory is signed in to (`reference/loadmaster-api/06`, 6.4).

An endpoint keeps the name of its account's password among the secrets, never the password.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, ClassVar

from pydantic import field_validator
from pydantic_core import PydanticCustomError

from steelyard.model.setting import Setting, Settings
from steelyard.model.text import IDENTIFIER, IDENTIFIER_SAYS, canonical_address

_SECTION = "ldap endpoint"
PLAIN, START_TLS, LDAPS = range(3)
SECURITY = {PLAIN: "plain", START_TLS: "StartTLS", LDAPS: "LDAPS"}

_SERVERS_SAY = "addresses separated by blanks, each with an optional port: 192.0.2.10, [2001:db8::1]:389"
_MOST_SERVERS = 8
_WITH_PORT = re.compile(r"(?:\[(?P<six>[^\]]+)\]|(?P<four>[^:\[\]]+))(?::(?P<port>[0-9]{1,5}))?")


class LdapEndpoint(Settings):
    """One directory: where it is, how it is spoken to, and who asks."""

    noun: ClassVar[str] = "LDAP endpoint"

    name: Annotated[
        str,
        Setting(
            "name",
            _SECTION,
            "LDAP endpoint name",
            "Name it is referred to by.",
            max_length=127,
            pattern=IDENTIFIER,
            pattern_says=IDENTIFIER_SAYS,
            filled=True,
        ),
    ]
    security: Annotated[
        int,
        Setting(
            "ldaptype",
            _SECTION,
            "LDAP Protocol",
            "Plain text, TLS after the connection is made, or TLS from the first byte. No certificate is verified.",
            choices=SECURITY,
        ),
    ] = PLAIN
    servers: Annotated[
        tuple[str, ...],
        Setting(
            "server",
            _SECTION,
            "LDAP Server(s)",
            "Asked in place of the real servers, one after the other until one answers well; none means that the real"
            " servers themselves are asked.",
            separator=" ",
            pattern_says=_SERVERS_SAY,
        ),
    ] = ()
    validation_interval: Annotated[
        int,
        Setting(
            "vinterval",
            _SECTION,
            "Validation Interval",
            "How often a signed-in user is looked up again.",
            unit="seconds",
            ge=10,
            le=86400,
            built=False,
            why_unbuilt="endpoints sign in for health checks alone, and there is no signed-in user to look up",
        ),
    ] = 60
    referrals: Annotated[
        int,
        Setting(
            "referralcount",
            _SECTION,
            "Referral Count",
            "Referrals that are followed.",
            answer="refcnt",
            ge=0,
            le=10,
            built=False,
            why_unbuilt="a check asks whether this directory answers; a referral would have it ask another",
        ),
    ] = 0
    timeout: Annotated[
        int,
        Setting(
            "timeout",
            _SECTION,
            "Server Timeout",
            "Time one server may take, within the time-out of the check that asks.",
            unit="seconds",
            ge=5,
            le=60,
        ),
    ] = 5
    user: Annotated[
        str,
        Setting(
            "adminuser",
            _SECTION,
            "Admin User",
            "Distinguished name, or what else the directory takes, to sign in with; empty signs in anonymously.",
            max_length=512,
        ),
    ] = ""
    password_key: str = ""
    base: Annotated[
        str,
        Setting(
            None,
            _SECTION,
            "Entry to find",
            "Distinguished name of an entry that must be found after signing in; empty looks for none.",
            max_length=512,
        ),
    ] = ""

    @field_validator("servers")
    @classmethod
    def _canonical(cls, value: tuple[str, ...]) -> Any:
        if len(value) > _MOST_SERVERS:
            raise _wrong(f"holds more than {_MOST_SERVERS} servers")
        return tuple(_canonical_server(item) for item in value)

    def places(self) -> tuple[tuple[str, int], ...]:
        """The servers as address and port; without one it is that of the protocol."""
        usual = 636 if self.security == LDAPS else 389
        found = (_WITH_PORT.fullmatch(item) for item in self.servers)
        return tuple((one["six"] or one["four"], int(one["port"] or usual)) for one in found if one is not None)


def _wrong(why: str) -> PydanticCustomError:
    return PydanticCustomError("setting", "{why}", {"why": why, "allowed": _SERVERS_SAY})


def _canonical_server(item: str) -> str:
    """An address in its one spelling with its port, if it has one."""
    found = _WITH_PORT.fullmatch(item)
    port = "" if found is None else found["port"] or ""
    try:
        # what is in no such form may still be an IPv6 address without brackets
        address = canonical_address(item if found is None else found["six"] or found["four"])
    except ValueError:
        address = ""
    if not address or not 1 <= int(port or 1) <= 65535 or (found is None and "[" in item):
        raise _wrong(f"holds {item[:80]!r}, which is no address with a port")
    shown = f"[{address}]" if ":" in address else address
    return f"{shown}:{int(port)}" if port else shown
