"""Whether a configuration holds together: what commands make sure of one change at a time, asked of all of it at once.

A file may have been put together by hand, or a part of it restored without the part it refers to. What does not hold
together is refused by name, before anything is compiled from it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cryptography.exceptions import UnsupportedAlgorithm

from steelyard.model.access_list import EVERY_SERVICE
from steelyard.model.checked_as import check_verdicts
from steelyard.model.commands.cipher_sets import check_admin_cipher_set
from steelyard.model.commands.services import with_service
from steelyard.model.configuration import Configuration
from steelyard.model.errors import OperatorError, located
from steelyard.model.user import ADMINISTRATOR
from steelyard.model.virtual_service import VirtualService

_REMEDY = "Restore both parts, or a backup that Steelyard has made"


def refuse_broken(configuration: Configuration) -> None:
    """Raise `OperatorError` or `ConflictError` for a configuration that no sequence of commands would have led to."""
    _names(configuration)
    _families(configuration.services)
    _circles(configuration.services)
    for service in configuration.services.values():
        with located(f"services[{service.index}]"):
            with_service(configuration, service)
            check_verdicts(configuration.services, service, None)
    for scope in configuration.access_lists:
        if scope != EVERY_SERVICE and (scope not in configuration.services or configuration.services[scope].is_sub):
            raise _broken(f"Access lists belong to virtual service {scope}, which is not there")
    check_admin_cipher_set(configuration)
    _readable(configuration)
    if configuration.users and ADMINISTRATOR not in configuration.users:
        raise _broken(f"There is no user {ADMINISTRATOR}")


def _broken(why: str) -> OperatorError:
    return OperatorError(f"The configuration does not hold together: {why}", field="data", remedy=_REMEDY)


def _names(configuration: Configuration) -> None:
    """Each object is stored under the name it has itself."""
    named: dict[str, Mapping[str, Any]] = {
        "certificate": configuration.certificates,
        "intermediate certificate": configuration.intermediates,
        "signing request": configuration.signing_requests,
        "revocation list": configuration.revocation_lists,
        "LDAP endpoint": configuration.ldap_endpoints,
        "user": configuration.users,
        "rule": configuration.rules,
        "cipher set": configuration.cipher_sets,
        "ACME account": configuration.acme_accounts,
        "DNS provider": configuration.dns_providers,
        "ACME certificate": configuration.acme_certificates,
        "interface": configuration.interfaces,
        "template": configuration.templates,
    }
    for what, objects in named.items():
        for key, value in objects.items():
            if value.name != key:
                raise _broken(f"{what} {value.name} is stored as {key[:40]}")
    for destination, route in configuration.routes.items():
        if route.destination != destination:
            raise _broken(f"the route to {route.destination} is stored as {destination[:40]}")
    for address, entry in configuration.hosts.items():
        if entry.address != address:
            raise _broken(f"the hosts entry {entry.address} is stored as {address[:40]}")


def _families(services: Mapping[int, VirtualService]) -> None:
    """Indexes are used once, and parents and sub-services know each other."""
    members: set[int] = set()
    placed: set[int] = set()
    for index, service in services.items():
        if service.index != index or index < 1:
            raise _broken(f"virtual service {service.index} is stored as {index}")
        for member in service.members:
            if member.index in members:
                raise _broken(f"two members have the index {member.index}")
            members.add(member.index)
        for slot in service.slots:
            sub = services.get(slot.service)
            if sub is None or sub.parent != index or slot.service in placed:
                raise _broken(f"slot {slot.index} of {service.title} leads to no sub-service of it")
            placed.add(slot.service)
    for service in services.values():
        if service.is_sub and service.index not in placed:
            raise _broken(f"{service.title} has no place in its parent")


def _circles(services: Mapping[int, VirtualService]) -> None:
    """No service follows itself by way of others."""
    for service in services.values():
        seen, now = {service.index}, service.follow_vs
        while now in services and now not in seen:
            seen.add(now)
            now = services[now].follow_vs
        if now in seen:
            raise _broken(f"{service.title} follows itself")


def _readable(configuration: Configuration) -> None:
    """What is kept as text and understood later can be understood."""
    for certificate in configuration.certificates.values():
        try:
            readable = bool(certificate.chain)
        except (ValueError, UnsupportedAlgorithm):
            readable = False
        if not readable:
            raise _broken(f"certificate {certificate.name} cannot be read")
    for what, texts in (
        ("intermediate certificate", configuration.intermediates),
        ("revocation list", configuration.revocation_lists),
        ("signing request", configuration.signing_requests),
    ):
        for name, one in texts.items():
            try:
                one.parsed  # noqa: B018 - it is understood when it is looked at
            except (ValueError, UnsupportedAlgorithm):
                raise _broken(f"{what} {name} cannot be read") from None
