"""DNS providers: how the records of DNS-01 challenges come into the zones of the names (RFC 8555, 8.4).

Either by a program that the operator put into the directory of hooks, or by DNS UPDATE (RFC 2136) signed with a key
(TSIG, RFC 8945), which stays among the secrets.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Self

from pydantic import field_validator, model_validator
from pydantic_core import PydanticCustomError

from steelyard.model.setting import Setting, Settings
from steelyard.model.text import HOST_NAME, HOST_NAME_SAYS, IDENTIFIER, IDENTIFIER_SAYS, canonical_address

_SECTION = "dns provider"
HOOK, UPDATE = "hook", "rfc2136"
ALGORITHMS = dict.fromkeys(("hmac-sha256", "hmac-sha384", "hmac-sha512", "hmac-sha224", "hmac-sha1"), "")


class DnsProvider(Settings):
    """One way to have records made and removed."""

    noun: ClassVar[str] = "DNS provider"

    name: Annotated[
        str,
        Setting(
            "dnsapi",
            _SECTION,
            "DNS provider",
            "Name it is referred to by.",
            max_length=127,
            pattern=IDENTIFIER,
            pattern_says=IDENTIFIER_SAYS,
            filled=True,
        ),
    ]
    kind: Annotated[
        str,
        Setting(
            None,
            _SECTION,
            "Kind",
            "A program of this host, or DNS UPDATE.",
            choices={HOOK: "a program in the directory of hooks", UPDATE: "DNS UPDATE"},
        ),
    ] = HOOK
    program: Annotated[
        str,
        Setting(
            None,
            _SECTION,
            "Program",
            "File name in the directory acme-hooks of the state directory.",
            max_length=127,
            pattern=IDENTIFIER,
            pattern_says=IDENTIFIER_SAYS,
        ),
    ] = ""
    program_seconds: Annotated[
        int,
        Setting(
            None, _SECTION, "Time limit", "How long the program may run, once a name.", unit="seconds", ge=1, le=600
        ),
    ] = 60
    server: Annotated[
        str, Setting(None, _SECTION, "Server", "Address of the server that takes updates of the zone.", max_length=45)
    ] = ""
    port: Annotated[int, Setting(None, _SECTION, "Port", "Its port.", ge=1, le=65535)] = 53
    zone: Annotated[
        str,
        Setting(
            None,
            _SECTION,
            "Zone",
            "Zone that is updated; empty asks the server which one a name is in.",
            max_length=253,
            pattern=HOST_NAME,
            pattern_says=HOST_NAME_SAYS,
        ),
    ] = ""
    key_name: Annotated[
        str,
        Setting(
            None,
            _SECTION,
            "Key name",
            "Name of the TSIG key; empty sends updates unsigned.",
            max_length=253,
            pattern=HOST_NAME,
            pattern_says=HOST_NAME_SAYS,
        ),
    ] = ""
    algorithm: Annotated[
        str, Setting(None, _SECTION, "Algorithm", "Algorithm of the TSIG key.", choices=ALGORITHMS)
    ] = "hmac-sha256"
    key_place: str = ""
    ttl: Annotated[
        int, Setting(None, _SECTION, "TTL", "Time to live of the records.", unit="seconds", ge=1, le=86_400)
    ] = 60
    check_servers: Annotated[
        tuple[str, ...],
        Setting(
            None,
            _SECTION,
            "Servers to ask",
            "Addresses of DNS servers, with an optional :port, that must all show the record before the authority is"
            " asked to look. None: with rfc2136 the server that is updated; with hook nobody is asked.",
            separator=",",
        ),
    ] = ()
    check_seconds: Annotated[
        int,
        Setting(
            None,
            _SECTION,
            "Time to be seen",
            "How long the record may take to be shown by them.",
            unit="seconds",
            ge=1,
            le=3600,
        ),
    ] = 120

    @field_validator("server")
    @classmethod
    def _address(cls, value: str) -> str:
        try:
            return canonical_address(value) if value else value
        except ValueError:
            raise _wrong("is no address", "an IPv4 or IPv6 address") from None

    @field_validator("check_servers")
    @classmethod
    def _addresses(cls, value: tuple[str, ...]) -> Any:
        if len(value) > 16:
            raise _wrong("holds more than 16 servers", "16 at most")
        return tuple(_shown(*split_server(item)) for item in value)

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.kind == HOOK and not self.program:
            raise PydanticCustomError("rule", "", {"name": "program", "why": "a provider of kind hook needs one"})
        if self.kind == UPDATE and not self.server:
            raise PydanticCustomError("rule", "", {"name": "server", "why": "a provider of kind rfc2136 needs one"})
        return self

    def asked(self) -> tuple[tuple[str, int], ...]:
        """The servers that must show a record, as address and port."""
        if self.check_servers:
            return tuple(split_server(item) for item in self.check_servers)
        return ((self.server, self.port),) if self.kind == UPDATE else ()


def _wrong(why: str, allowed: str) -> PydanticCustomError:
    return PydanticCustomError("setting", "{why}", {"why": why, "allowed": allowed})


def split_server(item: str) -> tuple[str, int]:
    """Address and port of "192.0.2.1", "192.0.2.1:5353", "[2001:db8::1]:53" or "2001:db8::1"."""
    host, colon, port = item.rpartition(":")
    if not colon or (":" in host and not host.startswith("[")) or item.endswith("]"):
        host, port = item, "53"
    try:
        address, number = canonical_address(host), int(port)
    except ValueError:
        address, number = "", 0
    if not 1 <= number <= 65535:
        raise _wrong(f"holds {item[:60]!r}", "addresses with an optional port: 192.0.2.1, [2001:db8::1]:53")
    return address, number


def _shown(address: str, port: int) -> str:
    host = f"[{address}]" if ":" in address else address
    return host if port == 53 else f"{host}:{port}"
