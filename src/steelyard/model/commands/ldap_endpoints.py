"""Commands on LDAP endpoints.

A password arrives with a key made up by the caller, under which it is kept among the secrets. The key is random: a
digest of a password that people choose could be guessed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

from steelyard.model.commands.command import Change
from steelyard.model.configuration import Configuration
from steelyard.model.errors import ConflictError, OperatorError, located
from steelyard.model.ldap_endpoint import LdapEndpoint
from steelyard.model.virtual_service import VirtualService


@dataclass(frozen=True)
class Password:
    """A password and the name of its place. An empty one takes the account's password away."""

    key: str
    text: str = field(repr=False)

    @property
    def place(self) -> str:
        """Its name among the secrets."""
        return f"ldap/{self.key}" if self.text else ""


def _kept(endpoint: LdapEndpoint, password: Password | None) -> tuple[LdapEndpoint, dict[str, bytes]]:
    if password is None:
        return endpoint, {}
    place = password.place
    return endpoint.changed({"password_key": place}), {place: password.text.encode()} if place else {}


def _refuse_half_an_account(endpoint: LdapEndpoint) -> None:
    """Directories take a name without a password as no name at all, and say yes (RFC 4513, 5.1.2)."""
    if endpoint.user and not endpoint.password_key:
        raise OperatorError(
            "adminuser needs adminpass: a directory would let a user without a password in as nobody",
            field="password",
            remedy="Give adminpass too, or leave adminuser out",
        )
    if endpoint.password_key and not endpoint.user:
        raise OperatorError(
            "adminpass is the password of a user, and adminuser is empty",
            field="user",
            remedy="Give adminuser too, or take the password away",
        )


def _with(configuration: Configuration, endpoint: LdapEndpoint) -> Configuration:
    _refuse_half_an_account(endpoint)
    return replace(configuration, ldap_endpoints={**configuration.ldap_endpoints, endpoint.name: endpoint})


@dataclass(frozen=True)
class AddLdapEndpoint:
    """Make an endpoint."""

    settings: Mapping[str, Any]
    password: Password | None = None
    permission: ClassVar[str] = "root"

    @property
    def summary(self) -> str:
        return f"add LDAP endpoint {self.settings.get('name')}"

    def apply(self, configuration: Configuration) -> Change:
        endpoint = LdapEndpoint.make(self.settings)
        if endpoint.name in configuration.ldap_endpoints:
            raise ConflictError(f"LDAP endpoint {endpoint.name} already exists", field="name", with_what=endpoint.name)
        endpoint, secrets = _kept(endpoint, self.password)
        return Change(_with(configuration, endpoint), endpoint.name, secrets)


@dataclass(frozen=True)
class ChangeLdapEndpoint:
    """Change settings of an endpoint; what is not named keeps its value, the password too."""

    name: str
    changes: Mapping[str, Any]
    password: Password | None = None
    permission: ClassVar[str] = "root"

    @property
    def summary(self) -> str:
        names = sorted(self.changes) + (["password"] if self.password is not None else [])
        return f"change LDAP endpoint {self.name}: {', '.join(names) or 'nothing'}"

    def apply(self, configuration: Configuration) -> Change:
        before = configuration.ldap_endpoint(self.name)
        for fixed in ("name", "password_key"):
            if fixed in self.changes:
                raise OperatorError(f"{fixed!r} cannot be changed here", field=fixed, remedy="Leave it out")
        endpoint, secrets = _kept(before.changed(self.changes), self.password)
        if endpoint == before:
            return Change(configuration, self.name)
        return Change(_with(configuration, endpoint), self.name, secrets)


@dataclass(frozen=True)
class RemoveLdapEndpoint:
    """Remove an endpoint that no service uses. Its password stays among the secrets: a rollback finds it there."""

    name: str
    permission: ClassVar[str] = "root"

    @property
    def summary(self) -> str:
        return f"remove LDAP endpoint {self.name}"

    def apply(self, configuration: Configuration) -> Change:
        configuration.ldap_endpoint(self.name)
        for service in configuration.services.values():
            if service.ldap_endpoint == self.name:
                raise ConflictError(
                    f"LDAP endpoint {self.name} is used by virtual service {service.title}",
                    field="name",
                    with_what=service.title,
                )
        kept = {name: one for name, one in configuration.ldap_endpoints.items() if name != self.name}
        return Change(replace(configuration, ldap_endpoints=kept), self.name)


@dataclass(frozen=True)
class DeclaredEndpoint:
    """An endpoint of a declaration. Without a password it keeps the one it has."""

    settings: Mapping[str, Any]
    password: Password | None = None


def declared_endpoints(
    configuration: Configuration, declared: Sequence[DeclaredEndpoint]
) -> tuple[dict[str, LdapEndpoint], dict[str, bytes]]:
    """The endpoints of a declaration, which are all there are, and their secrets."""
    found: dict[str, LdapEndpoint] = {}
    secrets: dict[str, bytes] = {}
    for number, one in enumerate(declared):
        with located(f"ldap_endpoints[{number}]"):
            endpoint = LdapEndpoint.make(one.settings)
            if endpoint.name in found:
                raise ConflictError(
                    f"LDAP endpoint {endpoint.name} is declared twice", field="name", with_what=endpoint.name
                )
            before = configuration.ldap_endpoints.get(endpoint.name)
            if one.password is None and before is not None and endpoint.user:
                endpoint = endpoint.changed({"password_key": before.password_key})
            endpoint, more = _kept(endpoint, one.password)
            _refuse_half_an_account(endpoint)
        found[endpoint.name] = before if before == endpoint else endpoint
        secrets.update(more)
    return found, secrets


def check_endpoint(configuration: Configuration, service: VirtualService) -> None:
    """Raise `OperatorError` when a service names an endpoint there is none of."""
    name = service.ldap_endpoint
    if name and name not in configuration.ldap_endpoints:
        raise OperatorError(
            f"LdapEndpoint names {name!r}, which is no LDAP endpoint here",
            field="ldap_endpoint",
            value=name,
            allowed=", ".join(configuration.ldap_endpoints) or "none made yet",
            remedy="Make it first",
        )
