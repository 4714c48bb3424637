"""ACME in a declaration: accounts, DNS providers, and what is ordered. Secrets and registrations are kept by name.

Services that answer challenges are called by address, port and protocol, since a declaration knows no indexes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from steelyard.model.acme_account import AcmeAccount
from steelyard.model.acme_certificate import AcmeCertificate
from steelyard.model.acme_dns import UPDATE, DnsProvider
from steelyard.model.certificate import read_certificates
from steelyard.model.commands.acme import check_order, state_place
from steelyard.model.configuration import Configuration
from steelyard.model.errors import ConflictError, OperatorError, located

#: address, port and protocol of a service; None proves a name by DNS-01
ServiceIdentity = tuple[str, int, str]

_T = TypeVar("_T")
_SERVICES = "challenge_services"
_KEPT_OF_ACCOUNT = ("hmac_place", "key_place", "uri")


@dataclass(frozen=True)
class DeclaredOrder:
    """A certificate that is to be ordered. `settings` come without the services that answer its challenges."""

    settings: Mapping[str, Any]
    services: tuple[ServiceIdentity | None, ...] = ()


@dataclass(frozen=True)
class DeclaredAcme:
    """All of ACME there is to be."""

    accounts: Sequence[Mapping[str, Any]] = field(default=(), repr=False)
    providers: Sequence[Mapping[str, Any]] = ()
    certificates: Sequence[DeclaredOrder] = ()

    def ordered(self) -> frozenset[str]:
        """The names of certificates that are ordered."""
        return frozenset(str(one.settings.get("name")) for one in self.certificates)


def with_declared_acme(
    wanted: Configuration, old: Configuration, declared: DeclaredAcme
) -> tuple[Configuration, tuple[str, ...]]:
    """The configuration with this, its services being there already; and which secrets are needed no more."""
    accounts = _made("accounts", declared.accounts, lambda name, one: _account(one, old.acme_accounts.get(name)))
    providers = _made(
        "dns_providers", declared.providers, lambda name, one: _provider(one, old.dns_providers.get(name))
    )
    wanted = replace(wanted, acme_accounts=accounts, dns_providers=providers, acme_certificates={})
    orders = _made(
        "certificates",
        [{**one.settings, _SERVICES: one.services} for one in declared.certificates],
        lambda name, one: _order(wanted, one, old.acme_certificates.get(name)),
    )
    forgotten = [name for name, one in old.acme_certificates.items() if orders.get(name) != one]
    return replace(wanted, acme_certificates=orders), tuple(state_place(name) for name in forgotten)


def _made(
    where: str, declared: Sequence[Mapping[str, Any]], make: Callable[[str, Mapping[str, Any]], _T]
) -> dict[str, _T]:
    """Each by its name; what goes wrong with it says where it stands."""
    found: dict[str, _T] = {}
    for number, settings in enumerate(declared):
        with located(f"acme.{where}[{number}]"):
            name = settings.get("name")
            if not isinstance(name, str):
                raise OperatorError("It has no name", field="name", remedy="Give it one")
            if name in found:
                raise ConflictError(f"{name!r} is declared twice", field="name", with_what=name)
            found[name] = make(name, settings)
    return found


def _order(wanted: Configuration, settings: Mapping[str, Any], before: AcmeCertificate | None) -> AcmeCertificate:
    indexes = tuple(0 if one is None else _index(wanted, one) for one in settings[_SERVICES])
    made = AcmeCertificate.make({**settings, _SERVICES: indexes})
    if before is not None and made == before:
        return before
    if before is None and made.name in wanted.certificates:
        says = f"Certificate {made.name!r} is here and was not ordered by ACME; choose another name"
        raise ConflictError(says, field="name", with_what=made.name)
    check_order(wanted, made)
    return made


def _account(settings: Mapping[str, Any], before: AcmeAccount | None) -> AcmeAccount:
    kept = {} if before is None else {name: getattr(before, name) for name in _KEPT_OF_ACCOUNT}
    made = AcmeAccount.make({**settings, **kept})
    if made.authority_pem:
        try:
            read_certificates(made.authority_pem.encode())
        except OperatorError as failure:
            failure.field = "authority_pem"
            raise
    if before is not None and made.directory_url != before.directory_url:
        made = made.changed({"uri": ""})
    return before if before is not None and made == before else made


def _provider(settings: Mapping[str, Any], before: DnsProvider | None) -> DnsProvider:
    key = before.key_place if before is not None and settings.get("key_name") else ""
    made = DnsProvider.make({**settings, "key_place": key})
    if made.kind == UPDATE and made.key_name and not made.key_place:
        raise OperatorError(
            f"The secret of the TSIG key {made.key_name} is not here, and a declaration holds no secrets",
            field="key_name",
            value=made.key_name,
            remedy=f"Make the DNS provider {made.name} with its key first, and then declare it",
        )
    return before if before is not None and made == before else made


def _index(configuration: Configuration, wanted: ServiceIdentity) -> int:
    for service in configuration.services.values():
        if not service.is_sub and (service.address, service.port, service.protocol) == wanted:
            return service.index
    address, port, protocol = wanted
    raise OperatorError(
        f"No service {protocol}/{address}:{port} is declared, which is to answer challenges",
        field=_SERVICES,
        value=f"{address}:{port}",
        remedy="Declare it under services, or prove the name by DNS-01",
    )
