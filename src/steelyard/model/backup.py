"""Backups: what one holds, its parts, and which secrets belong to it.

A *plain* backup holds what was configured and nothing secret: no private keys, passwords, API keys, and no users,
whose records are secrets. A *complete* one holds all of that, and is only ever made sealed by a pass phrase. Neither
holds what was observed: history, events, statistics, verdicts, persistence records.

The parts are those of LoadMaster's restore (`reference/loadmaster-api/09`, 9.3): bit 1 the base configuration, 2 the
virtual services, 4 global balancing, 8 single sign-on. There is nothing yet that would belong to the last two.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, get_args

from steelyard.model.access_list import EVERY_SERVICE, scope_of
from steelyard.model.configuration import ACCESS, Configuration, objects_of, stored_document
from steelyard.model.errors import InternalError, OperatorError
from steelyard.model.parameters import SECTIONS

Document = dict[str, Any]
#: documents by kind, then key
Documents = dict[str, dict[str, Document]]

Part = Literal["base", "vs"]
PARTS: tuple[Part, ...] = get_args(Part)
#: what people call them
PART_WORDS: Mapping[Part, str] = {"base": "base configuration", "vs": "virtual services"}
BITS: Mapping[Part, int] = {"base": 1, "vs": 2}
#: what LoadMaster has besides, by the name of the part
ABSENT_BITS: Mapping[str, int] = {"geo": 4, "sso": 8}
EVERY_BIT = 15

#: what is stored of the configuration as a whole, by kind
BASE_KINDS = frozenset(
    {
        *("parameters", "limits", "user", "acme_account", "dns_provider", "first_start"),
        *("interface", "route", "hosts_entry"),
    }
)
SERVICE_KINDS = frozenset(
    {
        *("service", "rule", "template", "cipher_set", "ldap_endpoint", "counters"),
        *("certificate", "intermediate", "signing_request", "revocation_list", "acme_certificate"),
    }
)

#: what a configuration is made of, by part. Access lists are shared out by their scope.
ATTRIBUTES: Mapping[Part, tuple[str, ...]] = {
    "base": (*SECTIONS, "limit_entries", "acme_accounts", "dns_providers", "first_start"),
    "vs": (
        *("services", "rules", "templates", "cipher_sets", "ldap_endpoints"),
        *("certificates", "intermediates", "signing_requests", "acme_certificates"),
    ),
}
#: the host's own network, which belongs to one host
NETWORK = ("host", "interfaces", "routes", "hosts")


@dataclass(frozen=True)
class Saved:
    """What a backup holds. `product` is the version that made it, `revision` the one it was made of.

    Secrets are by name, as the store keeps them. The configuration holds nothing of the parts that are absent.
    """

    configuration: Configuration = field(repr=False)
    parts: frozenset[Part] = frozenset(PARTS)
    complete: bool = False
    secrets: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    revision: int = 0
    product: str = ""


@dataclass(frozen=True)
class Need:
    """A secret that an object of the configuration refers to, and in whose words it is missed."""

    name: str
    part: Part
    what: str


def part_of(kind: str, key: str) -> Part | None:
    """Where a stored object belongs; None for a kind nobody knows."""
    if kind == ACCESS:
        return "base" if scope_of(key) == EVERY_SERVICE else "vs"
    if kind in BASE_KINDS:
        return "base"
    return "vs" if kind in SERVICE_KINDS else None


def documents_of(configuration: Configuration, *, complete: bool) -> dict[Part, Documents]:
    """Everything to be saved, as stored documents by part, sorted."""
    if not complete:
        configuration = without_private(configuration)
    found: dict[Part, Documents] = {part: {} for part in PARTS}
    for kind, key, value in objects_of(configuration):
        document = stored_document(kind, value)
        part = part_of(kind, key)
        if part is None:
            raise InternalError(f"A backup has no place for {kind} {key}")
        if document is not None:
            found[part].setdefault(kind, {})[key] = document
    return {
        part: {kind: dict(sorted(of.items())) for kind, of in sorted(kinds.items())} for part, kinds in found.items()
    }


def without_private(configuration: Configuration) -> Configuration:
    """The configuration as a plain backup has it: no users, and not the certificate every appliance makes itself."""
    certificates = {name: one for name, one in configuration.certificates.items() if not one.temporary}
    return replace(configuration, users={}, certificates=certificates)


def needed_secrets(configuration: Configuration) -> Iterator[Need]:
    """The secrets the configuration refers to. One may be named twice."""
    for certificate in configuration.certificates.values():
        yield Need(f"key/{certificate.key_id}", "vs", f"the private key of certificate {certificate.name}")
    for request in configuration.signing_requests.values():
        yield Need(f"key/{request.key_id}", "vs", f"the private key of signing request {request.name}")
    for endpoint in configuration.ldap_endpoints.values():
        if endpoint.password_key:
            yield Need(endpoint.password_key, "vs", f"the password of LDAP endpoint {endpoint.name}")
    for account in configuration.acme_accounts.values():
        if account.key_place:
            yield Need(account.key_place, "base", f"the key of ACME account {account.name}")
        if account.hmac_place:
            yield Need(account.hmac_place, "base", f"the external binding of ACME account {account.name}")
    for provider in configuration.dns_providers.values():
        if provider.key_place:
            yield Need(provider.key_place, "base", f"the key of DNS provider {provider.name}")
    for section, model in SECTIONS.items():
        for name, declared in model.declared().items():
            place = getattr(getattr(configuration, section), name)
            if declared.setting.secret and place:
                yield Need(str(place), "base", f"{declared.setting.label} ({model.wire_name(name)}) of {section}")


def kept_beside(configuration: Configuration) -> Iterator[tuple[str, Part]]:
    """Secrets that may be there and are not missed when they are not: API keys to show, how ACME orders went."""
    for user in configuration.users.values():
        yield from ((f"apikey/{digest}", "base") for digest in user.api_keys)
    yield from ((f"acme-state/{name}", "vs") for name in configuration.acme_certificates)


def parts_of_bits(bits: int) -> frozenset[Part]:
    """The parts that LoadMaster's number names. Raises `OperatorError` for a number that names none of ours."""
    if not 1 <= bits <= EVERY_BIT:
        raise OperatorError(
            f"type {bits} is out of range",
            field="type",
            value=bits,
            allowed="1 to 15: the sum of 1 (base configuration), 2 (virtual services), 4 (GEO), 8 (SSO)",
            remedy="Give 15 for everything",
        )
    found = frozenset(part for part, bit in BITS.items() if bits & bit)
    if not found:
        raise OperatorError(
            f"type {bits} names only parts that Steelyard has nothing for: global balancing (4) and SSO (8)",
            field="type",
            value=bits,
            allowed="1 (base configuration), 2 (virtual services), 3 and 15 (both)",
            remedy="Add 1 or 2",
        )
    return found


def parts_named(names: Iterable[str]) -> frozenset[Part]:
    """The parts of these names. Raises `OperatorError`."""
    found: set[Part] = set()
    for name in names:
        part = next((one for one in PARTS if one == name), None)
        if part is None:
            raise OperatorError(
                f"{name[:40]!r} is no part of a backup",
                field="parts",
                value=name[:40],
                allowed=", ".join(f"{one} ({PART_WORDS[one]})" for one in PARTS),
                remedy="Give one of them, or leave it out for everything",
            )
        found.add(part)
    return frozenset(found) or frozenset(PARTS)


def said_parts(parts: frozenset[Part]) -> str:
    """The parts in words."""
    return " and ".join(PART_WORDS[part] for part in PARTS if part in parts)
