"""A saved configuration without the objects, or the settings, whose secrets nobody has."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from typing import Any

from steelyard.model.acme_account import AcmeAccount
from steelyard.model.configuration import Configuration
from steelyard.model.errors import OperatorError
from steelyard.model.ldap_endpoint import LdapEndpoint
from steelyard.model.parameters import SECTIONS
from steelyard.model.setting import Settings
from steelyard.model.virtual_service import VirtualService


def without_secrets(saved: Configuration, names: Collection[str]) -> Configuration:
    """The configuration as it can be without the secrets of these names.

    Certificates, signing requests and DNS providers go; a service that presented such a certificate presents the
    temporary one. LDAP endpoints ask without an account, ACME accounts are unregistered, parameters lose the password.
    """
    certificates = {name: one for name, one in saved.certificates.items() if f"key/{one.key_id}" not in names}
    requests = {name: one for name, one in saved.signing_requests.items() if f"key/{one.key_id}" not in names}
    sections: dict[str, Any] = {section: _section(getattr(saved, section), names) for section in SECTIONS}
    return replace(
        saved,
        certificates=certificates,
        signing_requests=requests,
        services={index: _presenting(one, certificates) for index, one in saved.services.items()},
        ldap_endpoints={name: _asking(one, names) for name, one in saved.ldap_endpoints.items()},
        acme_accounts={name: _account(one, names) for name, one in saved.acme_accounts.items()},
        dns_providers={name: one for name, one in saved.dns_providers.items() if one.key_place not in names},
        **sections,
    )


def _presenting(service: VirtualService, certificates: Collection[str]) -> VirtualService:
    left = tuple(name for name in service.certificates if name in certificates)
    return service if left == service.certificates else service.changed({"certificates": left})


def _asking(endpoint: LdapEndpoint, names: Collection[str]) -> LdapEndpoint:
    return endpoint.changed({"user": "", "password_key": ""}) if endpoint.password_key in names else endpoint


def _account(account: AcmeAccount, names: Collection[str]) -> AcmeAccount:
    changes = {field: "" for field in ("key_place", "hmac_place") if getattr(account, field) in names}
    if not changes:
        return account
    return account.changed(changes | ({"uri": ""} if "key_place" in changes else {"kid": ""}))


def _section(section: Settings, names: Collection[str]) -> Settings:
    """Parameters without the secrets of these names; all at their defaults where they cannot be without."""
    lost = {
        name: ""
        for name, declared in type(section).declared().items()
        if declared.setting.secret and getattr(section, name) in names
    }
    if not lost:
        return section
    try:
        return section.changed(lost)
    except OperatorError:
        return type(section)()
