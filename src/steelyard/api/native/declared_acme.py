"""ACME in the declarative document: everything but keys, registrations and what came of orders."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from steelyard.api.native.bodies import mapping, objects, only, text
from steelyard.api.native.writing import settings_given
from steelyard.model.acme_account import AcmeAccount
from steelyard.model.acme_certificate import AcmeCertificate
from steelyard.model.acme_dns import DnsProvider
from steelyard.model.commands.declared_acme import DeclaredAcme, DeclaredOrder, ServiceIdentity
from steelyard.model.configuration import Configuration
from steelyard.model.errors import OperatorError, located
from steelyard.model.setting import Settings

Document = dict[str, Any]
Differing = Callable[[Settings], Document]

_SERVICES = "challenge_services"
_PEM = "authority_pem"


def acme_document(configuration: Configuration, differing: Differing) -> Document:
    """Accounts, DNS providers and orders; nothing where there are none."""
    parts = {
        "accounts": [_account(one, differing) for one in configuration.acme_accounts.values()],
        "dns_providers": [differing(one) for one in configuration.dns_providers.values()],
        "certificates": [_order(one, configuration, differing) for one in configuration.acme_certificates.values()],
    }
    found = {name: items for name, items in parts.items() if items}
    return {"acme": found} if found else {}


def _account(account: AcmeAccount, differing: Differing) -> Document:
    authority = {_PEM: account.authority_pem} if account.authority_pem else {}
    return {**differing(account), **authority}


def _order(one: AcmeCertificate, configuration: Configuration, differing: Differing) -> Document:
    found = differing(one)
    if one.challenge_services:
        found[_SERVICES] = [_service(configuration, index) for index in one.challenge_services]
    return found


def _service(configuration: Configuration, index: int) -> Document | None:
    service = configuration.services.get(index)
    if service is None:
        return None
    return {"address": service.address, "port": service.port, "protocol": service.protocol}


def declared_acme(
    data: Mapping[str, Any], identity: Callable[[Mapping[str, Any]], ServiceIdentity]
) -> DeclaredAcme | None:
    """What the document says of ACME, None where it says nothing. `identity` reads what a service is called by."""
    if "acme" not in data:
        return None
    acme = mapping(data, "acme")
    with located("acme"):
        only(acme, ("accounts", "dns_providers", "certificates"), "ACME")
        accounts, providers, orders = [], [], []
        for number, item in enumerate(objects(acme, "accounts")):
            with located(f"accounts[{number}]"):
                accounts.append(settings_given(AcmeAccount, item, _PEM))
        for number, item in enumerate(objects(acme, "dns_providers")):
            with located(f"dns_providers[{number}]"):
                providers.append(settings_given(DnsProvider, item))
        for number, item in enumerate(objects(acme, "certificates")):
            with located(f"certificates[{number}]"):
                text(item, "name")
                rest = {name: value for name, value in item.items() if name != _SERVICES}
                orders.append(DeclaredOrder(settings_given(AcmeCertificate, rest), _services(item, identity)))
    return DeclaredAcme(accounts, providers, orders)


def _services(
    item: Mapping[str, Any], identity: Callable[[Mapping[str, Any]], ServiceIdentity]
) -> tuple[ServiceIdentity | None, ...]:
    given = item.get(_SERVICES, [])
    if not isinstance(given, list):
        raise OperatorError(
            f"{_SERVICES!r} is no list",
            field=_SERVICES,
            allowed="services as {address, port, protocol}, null for DNS-01",
        )
    found: list[ServiceIdentity | None] = []
    for number, one in enumerate(given):
        with located(f"{_SERVICES}[{number}]"):
            if one is not None and not isinstance(one, dict):
                raise OperatorError(
                    "It is no service",
                    field=_SERVICES,
                    allowed="{address, port, protocol}, or null for DNS-01",
                    remedy="Name the service that answers the challenge",
                )
            found.append(None if one is None else identity(one))
    return tuple(found)
