"""What is asked of an ACME authority again and again: a certificate for certain names, each proved in a certain way."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Final, Literal, Self

from pydantic import field_validator, model_validator
from pydantic_core import PydanticCustomError

from steelyard.model.acme_account import LETS_ENCRYPT
from steelyard.model.setting import Setting, Settings
from steelyard.model.text import HOST_NAME, IDENTIFIER, IDENTIFIER_SAYS
from steelyard.model.virtual_service import VirtualService

_SECTION = "acme certificate"
#: Let's Encrypt takes 100 names an order
MOST_NAMES = 100
HTTP: Final = "http-01"
DNS: Final = "dns-01"
KEY_TYPES = {
    "rsa-2048": "RSA, 2048 bits",
    "rsa-4096": "RSA, 4096 bits",
    "ec-p256": "elliptic curve P-256",
    "ec-p384": "elliptic curve P-384",
}
_NAMES_SAY = "host names, *.example.com among them"


def _part(wire: str, label: str, longest: int) -> Setting:
    return Setting(
        wire,
        _SECTION,
        label,
        "Part of the subject that is asked for; many authorities leave it out of the certificate.",
        max_length=longest,
    )


class AcmeCertificate(Settings):
    """A certificate that is ordered and renewed; the certificate of the same name is its result."""

    noun: ClassVar[str] = "ACME certificate"

    name: Annotated[
        str,
        Setting(
            "cert",
            _SECTION,
            "Certificate identifier",
            "Name of the certificate, by which services are assigned it.",
            max_length=127,
            pattern=IDENTIFIER,
            pattern_says=IDENTIFIER_SAYS,
            filled=True,
        ),
    ]
    account: Annotated[
        str,
        Setting(
            None, _SECTION, "Account", "Name of the ACME account.", max_length=127, pattern=IDENTIFIER, filled=True
        ),
    ] = LETS_ENCRYPT
    domains: Annotated[
        tuple[str, ...],
        Setting(
            None,
            _SECTION,
            "Names",
            f"Host names, the common name first; {MOST_NAMES} at most.",
            separator=",",
            pattern_says=_NAMES_SAY,
        ),
    ]
    challenge_services: Annotated[
        tuple[int, ...],
        Setting(
            None,
            _SECTION,
            "Challenge services",
            "Index of the virtual service that answers the HTTP-01 challenge of each name, in the order of the names;"
            " 0 proves the name by DNS-01. One alone is for all names, none is DNS-01 for all.",
        ),
    ] = ()
    dns_provider: Annotated[
        str,
        Setting(
            "dnsapi",
            _SECTION,
            "DNS provider",
            "Name of the provider that makes the records of DNS-01 challenges.",
            max_length=127,
            pattern=IDENTIFIER,
        ),
    ] = ""
    key_type: Annotated[
        str, Setting(None, _SECTION, "Key", "Type of the key, which is new each time.", choices=KEY_TYPES)
    ] = "rsa-2048"
    automatic: Annotated[
        bool,
        Setting(
            None,
            _SECTION,
            "By itself",
            "Ordered and renewed by itself; off: only when it is asked for, such as to try things out first.",
        ),
    ] = True
    country: Annotated[str, _part("country", "Country", 2)] = ""
    state: Annotated[str, _part("state", "State or Province", 128)] = ""
    city: Annotated[str, _part("city", "City", 128)] = ""
    company: Annotated[str, _part("company", "Company", 64)] = ""
    organization: Annotated[str, _part("organization", "Organization", 64)] = ""
    email: Annotated[str, _part("email", "Email Address", 255)] = ""

    @field_validator("domains")
    @classmethod
    def _host_names(cls, value: tuple[str, ...]) -> Any:
        if not 1 <= len(value) <= MOST_NAMES:
            raise _wrong(f"holds {len(value)} names", f"1 to {MOST_NAMES} names")
        found = tuple(name.lower().rstrip(".") for name in value)
        for name in found:
            if not re.fullmatch(HOST_NAME, name) or "_" in name or "." not in name or len(name) > 253:
                raise _wrong(f"holds {name[:80]!r}", _NAMES_SAY)
            if re.fullmatch(r"[0-9.]+", name):
                raise _wrong(f"holds the address {name}", _NAMES_SAY)
            if found.count(name) > 1:
                raise _wrong(f"holds {name} twice", "each name once")
        return found

    @model_validator(mode="after")
    def _provable(self) -> Self:
        services = self.challenge_services
        if len(services) not in (0, 1, len(self.domains)) or any(index < 0 for index in services):
            why = f"give none, one for all, or one for each of the {len(self.domains)} names"
            raise PydanticCustomError("rule", "", {"name": "challenge_services", "why": why})
        for one in self.proofs():
            if one.kind == HTTP and one.domain.startswith("*."):
                why = (
                    f"{one.domain} is a wildcard, which no authority takes HTTP-01 for; give it the service 0"
                    " and name a DNS provider"
                )
                raise PydanticCustomError("rule", "", {"name": "challenge_services", "why": why})
            if one.kind == DNS and not self.dns_provider:
                why = f"{one.domain} has no challenge service, so it needs a DNS provider"
                raise PydanticCustomError("rule", "", {"name": "dns_provider", "why": why})
        return self

    def proofs(self) -> tuple[Proof, ...]:
        """How each name is proved."""
        services = self.challenge_services or (0,)
        if len(services) == 1:
            services *= len(self.domains)
        pairs = zip(self.domains, services, strict=True)
        return tuple(Proof(domain, HTTP if index else DNS, index) for domain, index in pairs)

    def subject(self) -> dict[str, str]:
        """The parts of the subject by the names that signing requests have for them."""
        found = {
            "country": self.country,
            "state": self.state,
            "locality": self.city,
            "organization": self.company,
            "organizational_unit": self.organization,
            "email": self.email,
        }
        return {part: value for part, value in found.items() if value}


@dataclass(frozen=True, slots=True)
class Proof:
    """How a name is proved: by which challenge, for HTTP-01 on which service."""

    domain: str
    kind: Literal["http-01", "dns-01"]
    service: int


def _wrong(why: str, allowed: str) -> PydanticCustomError:
    return PydanticCustomError("setting", "{why}", {"why": why, "allowed": allowed})


def challenge_services(certificates: Mapping[str, AcmeCertificate]) -> frozenset[int]:
    """The services that answer challenges."""
    return frozenset(index for one in certificates.values() for index in one.challenge_services if index)


def why_no_challenges(services: Mapping[int, VirtualService], index: int) -> str | None:
    """Why a service cannot answer challenges, and what to do about it; None when it can."""
    service = services.get(index)
    if service is None:
        return f"there is no virtual service {index}; name one that exists"
    if service.is_sub:
        return f"{service.title} has no address of its own; name its parent, {service.parent}"
    if not service.is_http:
        return f"{service.title} does not read requests; name a service of type HTTP/HTTPS"
    if not service.enabled:
        return f"{service.title} is disabled; enable it"
    return None
