"""Commands on ACME: accounts, DNS providers, certificates that are ordered and renewed.

Secrets arrive with a place made up at random by the caller. A registration is kept by a command too, once the authority
has agreed to it; the talking is `appliance.acme`'s.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

from steelyard.model.acme_account import AcmeAccount, standing
from steelyard.model.acme_certificate import AcmeCertificate, why_no_challenges
from steelyard.model.acme_dns import UPDATE, DnsProvider
from steelyard.model.certificate import read_certificates
from steelyard.model.commands.command import Change
from steelyard.model.configuration import Configuration
from steelyard.model.errors import ConflictError, NotFound, OperatorError


def state_place(certificate: str) -> str:
    """Where what came of the orders of a certificate is kept, beside the configuration."""
    return f"acme-state/{certificate}"


@dataclass(frozen=True)
class AcmeSecret:
    """A secret and its random name. An empty one takes the kept one away."""

    key: str
    content: bytes = field(repr=False)

    @property
    def place(self) -> str:
        """Its name among the secrets."""
        return f"acme/{self.key}" if self.content else ""

    def kept(self) -> dict[str, bytes]:
        """What is to be kept."""
        return {self.place: self.content} if self.content else {}


def account_named(configuration: Configuration, name: str) -> AcmeAccount:
    """The account of that name, or how it stands before anything was said of it."""
    return configuration.acme_accounts.get(name) or standing(name)


def _with_account(configuration: Configuration, account: AcmeAccount) -> Configuration:
    return replace(configuration, acme_accounts={**configuration.acme_accounts, account.name: account})


_FIXED = ("name", "hmac_place", "key_place", "uri")


def _refuse_fixed(changes: Mapping[str, Any], fixed: tuple[str, ...]) -> None:
    for name in fixed:
        if name in changes:
            raise OperatorError(f"{name!r} cannot be changed here", field=name, remedy="Leave it out")


@dataclass(frozen=True)
class ChangeAcmeAccount:
    """Make an account or change its settings. Another directory makes it unregistered."""

    name: str
    changes: Mapping[str, Any]
    hmac: AcmeSecret | None = None
    permission: ClassVar[str] = "certs"

    @property
    def summary(self) -> str:
        names = sorted(self.changes) + (["hmac"] if self.hmac is not None else [])
        return f"change ACME account {self.name}: {', '.join(names) or 'nothing'}"

    def apply(self, configuration: Configuration) -> Change:
        _refuse_fixed(self.changes, _FIXED)
        before = account_named(configuration, self.name)
        account = before.changed(self.changes)
        if account.authority_pem:
            try:
                read_certificates(account.authority_pem.encode())
            except OperatorError as failure:
                failure.field = "authority_pem"
                raise
        if account.directory_url != before.directory_url:
            account = account.changed({"uri": ""})
        secrets: dict[str, bytes] = {}
        if self.hmac is not None:
            account = account.changed({"hmac_place": self.hmac.place})
            secrets = self.hmac.kept()
        if configuration.acme_accounts.get(self.name) == account:
            return Change(configuration, self.name)
        return Change(_with_account(configuration, account), self.name, secrets)


@dataclass(frozen=True)
class KeepRegistration:
    """Keep what an authority agreed to: the account's address there, and its key."""

    name: str
    directory_url: str
    uri: str
    key: AcmeSecret
    email: str | None = None
    permission: ClassVar[str] = "certs"

    @property
    def summary(self) -> str:
        return f"register ACME account {self.name}"

    def apply(self, configuration: Configuration) -> Change:
        account = account_named(configuration, self.name)
        if account.directory_url != self.directory_url:
            raise ConflictError(
                f"The directory of ACME account {self.name} was changed meanwhile; register it again",
                field="directory_url",
                with_what=account.directory_url,
            )
        changes = {"uri": self.uri, "key_place": self.key.place}
        if self.email is not None:
            changes["email"] = self.email
        return Change(_with_account(configuration, account.changed(changes)), self.name, self.key.kept())


@dataclass(frozen=True)
class RemoveAcmeAccount:
    """Forget an account that no certificate uses. The authority is not told."""

    name: str
    permission: ClassVar[str] = "certs"

    @property
    def summary(self) -> str:
        return f"remove ACME account {self.name}"

    def apply(self, configuration: Configuration) -> Change:
        if self.name not in configuration.acme_accounts:
            raise NotFound("ACME account", self.name)
        for one in configuration.acme_certificates.values():
            if one.account == self.name:
                raise ConflictError(
                    f"ACME account {self.name} is used by certificate {one.name}; remove that first",
                    field="name",
                    with_what=one.name,
                )
        kept = {name: one for name, one in configuration.acme_accounts.items() if name != self.name}
        return Change(replace(configuration, acme_accounts=kept), self.name)


@dataclass(frozen=True)
class PutDnsProvider:
    """Make a DNS provider (`new`), or change what is named of one."""

    name: str
    settings: Mapping[str, Any]
    key: AcmeSecret | None = None
    new: bool = False
    permission: ClassVar[str] = "certs"

    @property
    def summary(self) -> str:
        return f"{'add' if self.new else 'change'} DNS provider {self.name}"

    def apply(self, configuration: Configuration) -> Change:
        _refuse_fixed(self.settings, ("name", "key_place"))
        before = configuration.dns_providers.get(self.name)
        if self.new and before is not None:
            raise ConflictError(f"DNS provider {self.name} already exists", field="name", with_what=self.name)
        if not self.new and before is None:
            raise NotFound("DNS provider", self.name)
        if before is None:
            provider = DnsProvider.make({**self.settings, "name": self.name})
        else:
            provider = before.changed(self.settings)
        secrets: dict[str, bytes] = {}
        if self.key is not None:
            provider = provider.changed({"key_place": self.key.place})
            secrets = self.key.kept()
        if provider.kind == UPDATE and bool(provider.key_name) != bool(provider.key_place):
            raise OperatorError(
                "A TSIG key has a name and a secret",
                field="key" if provider.key_name else "key_name",
                allowed="both, or neither for updates that are not signed",
                remedy="Give the other one too",
            )
        if provider == before:
            return Change(configuration, self.name)
        providers = {**configuration.dns_providers, self.name: provider}
        return Change(replace(configuration, dns_providers=providers), self.name, secrets)


@dataclass(frozen=True)
class RemoveDnsProvider:
    """Remove a DNS provider that no certificate uses."""

    name: str
    permission: ClassVar[str] = "certs"

    @property
    def summary(self) -> str:
        return f"remove DNS provider {self.name}"

    def apply(self, configuration: Configuration) -> Change:
        if self.name not in configuration.dns_providers:
            raise NotFound("DNS provider", self.name)
        for one in configuration.acme_certificates.values():
            if one.dns_provider == self.name:
                raise ConflictError(
                    f"DNS provider {self.name} is used by certificate {one.name}", field="name", with_what=one.name
                )
        kept = {name: one for name, one in configuration.dns_providers.items() if name != self.name}
        return Change(replace(configuration, dns_providers=kept), self.name)


def check_order(configuration: Configuration, certificate: AcmeCertificate) -> None:
    """Raise `OperatorError` when a certificate cannot be ordered as things stand."""
    if not account_named(configuration, certificate.account).registered:
        raise OperatorError(
            f"ACME account {certificate.account} is not registered",
            field="account",
            value=certificate.account,
            allowed=", ".join(n for n, one in configuration.acme_accounts.items() if one.registered) or "none yet",
            remedy="Register it first",
        )
    if certificate.dns_provider and certificate.dns_provider not in configuration.dns_providers:
        raise OperatorError(
            f"{certificate.dns_provider!r} is no DNS provider here",
            field="dns_provider",
            value=certificate.dns_provider,
            allowed=", ".join(configuration.dns_providers) or "none made yet",
            remedy="Make it first",
        )
    for proof in certificate.proofs():
        why = why_no_challenges(configuration.services, proof.service) if proof.service else None
        if why is not None:
            raise OperatorError(
                f"The challenge of {proof.domain} cannot be answered: {why}",
                field="challenge_services",
                value=proof.service,
                allowed="indexes of enabled services of type HTTP/HTTPS, 0 for DNS-01",
            )


@dataclass(frozen=True)
class AddAcmeCertificate:
    """Have a certificate ordered, and renewed from then on."""

    settings: Mapping[str, Any]
    permission: ClassVar[str] = "certs"

    @property
    def summary(self) -> str:
        return f"order certificate {self.settings.get('name')} by ACME"

    def apply(self, configuration: Configuration) -> Change:
        made = AcmeCertificate.make(self.settings)
        if made.name in configuration.acme_certificates or made.name in configuration.certificates:
            raise ConflictError(f"Certificate {made.name} already exists", field="cert", with_what=made.name)
        check_order(configuration, made)
        found = {**configuration.acme_certificates, made.name: made}
        return Change(replace(configuration, acme_certificates=found), made.name)


@dataclass(frozen=True)
class ChangeAcmeCertificate:
    """Change what the next order asks for; other names are ordered at once."""

    name: str
    changes: Mapping[str, Any]
    permission: ClassVar[str] = "certs"

    @property
    def summary(self) -> str:
        return f"change ACME certificate {self.name}: {', '.join(sorted(self.changes)) or 'nothing'}"

    def apply(self, configuration: Configuration) -> Change:
        _refuse_fixed(self.changes, ("name",))
        before = configuration.acme_certificate(self.name)
        made = before.changed(self.changes)
        if made == before:
            return Change(configuration, self.name)
        check_order(configuration, made)
        found = {**configuration.acme_certificates, self.name: made}
        # an order that failed was another one
        return Change(replace(configuration, acme_certificates=found), self.name, forget=(state_place(self.name),))


@dataclass(frozen=True)
class RemoveAcmeCertificate:
    """Renew a certificate no more; it goes too, unless it is to be kept."""

    name: str
    keep: bool = False
    permission: ClassVar[str] = "certs"

    @property
    def summary(self) -> str:
        return f"remove ACME certificate {self.name}" + (", keeping the certificate" if self.keep else "")

    def apply(self, configuration: Configuration) -> Change:
        configuration.acme_certificate(self.name)
        kept = {name: one for name, one in configuration.acme_certificates.items() if name != self.name}
        result = replace(configuration, acme_certificates=kept)
        forget = (state_place(self.name),)
        if self.keep or self.name not in configuration.certificates:
            return Change(result, self.name, forget=forget)
        for service in configuration.services.values():
            if self.name in service.certificates:
                raise ConflictError("Certfile still associated with a VS", field="cert", with_what=service.title)
        certificates = {name: one for name, one in configuration.certificates.items() if name != self.name}
        return Change(replace(result, certificates=certificates), self.name, forget=forget)
