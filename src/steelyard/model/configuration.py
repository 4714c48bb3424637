"""The configuration: everything the operator said, as one immutable value, and its form as stored documents.

A document holds only what differs from the defaults, so that stored history reads well and a new default needs no
migration.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict

from steelyard.model.access_list import AccessLists, AccessPart, changed_parts, from_parts, keyed_parts
from steelyard.model.acme_account import AcmeAccount
from steelyard.model.acme_certificate import AcmeCertificate
from steelyard.model.acme_dns import DnsProvider
from steelyard.model.acme_renewal import AcmeParameters
from steelyard.model.adaptive import AdaptiveParameters
from steelyard.model.administration_parameters import AdministrationParameters
from steelyard.model.certificate import Certificate
from steelyard.model.cipher_set import CipherSet
from steelyard.model.content_rule import ContentRule
from steelyard.model.errors import NotFound
from steelyard.model.first_start import FirstStart, FirstStep
from steelyard.model.intermediate import Intermediate
from steelyard.model.layer7_parameters import Layer7Parameters
from steelyard.model.ldap_endpoint import LdapEndpoint
from steelyard.model.limits import LimitEntries, LimitParameters
from steelyard.model.network import HostParameters, HostsEntry, Interface, StaticRoute
from steelyard.model.notification import (
    EmailParameters,
    EventParameters,
    SnmpParameters,
    SyslogParameters,
    WebhookParameters,
)
from steelyard.model.parameters import AccessParameters, CheckParameters, NetworkParameters
from steelyard.model.real_server import RealServer
from steelyard.model.revocation_list import RevocationList
from steelyard.model.setting import Settings
from steelyard.model.signing_request import SigningRequest
from steelyard.model.slot import Slot
from steelyard.model.template import Template
from steelyard.model.tls_parameters import TlsParameters
from steelyard.model.user import ADMINISTRATOR, User
from steelyard.model.virtual_service import VirtualService
from steelyard.model.virtual_service.further import FurtherCheck

Document = dict[str, Any]
Documents = Mapping[str, Mapping[str, Document]]


class Counters(BaseModel):
    """Numbers that are never used twice. Real servers and slots of sub-services share one counter."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    next_server: int = 1


@dataclass(frozen=True)
class Configuration:
    """What the operator wants. Unchanged parts are shared between values, so identity tells what changed."""

    services: Mapping[int, VirtualService] = field(default_factory=dict)
    certificates: Mapping[str, Certificate] = field(default_factory=dict)
    intermediates: Mapping[str, Intermediate] = field(default_factory=dict)
    signing_requests: Mapping[str, SigningRequest] = field(default_factory=dict)
    revocation_lists: Mapping[str, RevocationList] = field(default_factory=dict)
    users: Mapping[str, User] = field(default_factory=dict)
    rules: Mapping[str, ContentRule] = field(default_factory=dict)
    ldap_endpoints: Mapping[str, LdapEndpoint] = field(default_factory=dict)
    #: the operator's own, by name
    cipher_sets: Mapping[str, CipherSet] = field(default_factory=dict)
    acme_accounts: Mapping[str, AcmeAccount] = field(default_factory=dict)
    dns_providers: Mapping[str, DnsProvider] = field(default_factory=dict)
    #: by the name of the certificate that is their result
    acme_certificates: Mapping[str, AcmeCertificate] = field(default_factory=dict)
    layer7: Layer7Parameters = field(default_factory=Layer7Parameters)
    network: NetworkParameters = field(default_factory=NetworkParameters)
    checks: CheckParameters = field(default_factory=CheckParameters)
    access: AccessParameters = field(default_factory=AccessParameters)
    limits: LimitParameters = field(default_factory=LimitParameters)
    tls: TlsParameters = field(default_factory=TlsParameters)
    syslog: SyslogParameters = field(default_factory=SyslogParameters)
    email: EmailParameters = field(default_factory=EmailParameters)
    snmp: SnmpParameters = field(default_factory=SnmpParameters)
    webhook: WebhookParameters = field(default_factory=WebhookParameters)
    events: EventParameters = field(default_factory=EventParameters)
    adaptive: AdaptiveParameters = field(default_factory=AdaptiveParameters)
    acme: AcmeParameters = field(default_factory=AcmeParameters)
    administration: AdministrationParameters = field(default_factory=AdministrationParameters)
    host: HostParameters = field(default_factory=HostParameters)
    #: the host's network, where Steelyard manages it: by name, by destination, by address
    interfaces: Mapping[str, Interface] = field(default_factory=dict)
    routes: Mapping[str, StaticRoute] = field(default_factory=dict)
    hosts: Mapping[str, HostsEntry] = field(default_factory=dict)
    templates: Mapping[str, Template] = field(default_factory=dict)
    limit_entries: LimitEntries = field(default_factory=LimitEntries)
    #: by index of the virtual service, `EVERY_SERVICE` for all; scopes without entries are absent
    access_lists: Mapping[int, AccessLists] = field(default_factory=dict)
    counters: Counters = field(default_factory=Counters)
    first_start: FirstStart = field(default_factory=FirstStart)

    @property
    def first_step(self) -> FirstStep:
        """What is to be done before this appliance is used; "" when it is set up."""
        administrator = self.users.get(ADMINISTRATOR)
        return self.first_start.step(one_time_password=administrator is None or administrator.one_time_password)

    def service(self, index: int) -> VirtualService:
        """The service with that index. Raises `NotFound`."""
        try:
            return self.services[index]
        except KeyError:
            raise NotFound("VS", index) from None

    def service_at(self, address: str, port: int, protocol: str) -> VirtualService | None:
        """The service with that key."""
        for service in self.services.values():
            if service.port == port and service.address == address and service.protocol == protocol:
                return service
        return None

    def certificate(self, name: str) -> Certificate:
        """The certificate of that name. Raises `NotFound`."""
        try:
            return self.certificates[name]
        except KeyError:
            raise NotFound("certificate", name) from None

    def intermediate(self, name: str) -> Intermediate:
        """The intermediate certificate of that name. Raises `NotFound`."""
        try:
            return self.intermediates[name]
        except KeyError:
            raise NotFound("certificate", name) from None

    def revocation_list(self, name: str) -> RevocationList:
        """The revocation list of that name. Raises `NotFound`."""
        try:
            return self.revocation_lists[name]
        except KeyError:
            raise NotFound("revocation list", name) from None

    def signing_request(self, name: str) -> SigningRequest:
        """The signing request of that name. Raises `NotFound`."""
        try:
            return self.signing_requests[name]
        except KeyError:
            raise NotFound("signing request", name) from None

    def acme_certificate(self, name: str) -> AcmeCertificate:
        """What is ordered under that name. Raises `NotFound`."""
        try:
            return self.acme_certificates[name]
        except KeyError:
            raise NotFound("ACME certificate", name) from None

    def ldap_endpoint(self, name: str) -> LdapEndpoint:
        """The LDAP endpoint of that name. Raises `NotFound`."""
        try:
            return self.ldap_endpoints[name]
        except KeyError:
            raise NotFound("LDAP endpoint", name) from None

    def user(self, name: str) -> User:
        """The user of that name. Raises `NotFound`."""
        try:
            return self.users[name]
        except KeyError:
            raise NotFound("user", name) from None

    def rule(self, name: str) -> ContentRule:
        """The content rule of that name. Raises `NotFound`."""
        try:
            return self.rules[name]
        except KeyError:
            raise NotFound("rule", name) from None

    def subs(self, service: VirtualService) -> tuple[VirtualService, ...]:
        """The sub-services of a service, in the order of its slots."""
        return tuple(self.services[slot.service] for slot in service.slots)

    def lowest_free_index(self) -> int:
        """The index a new service gets."""
        index = 1
        while index in self.services:
            index += 1
        return index


_SINGLE: Mapping[str, tuple[str, type[BaseModel]]] = {
    "layer7": ("parameters", Layer7Parameters),
    "network": ("parameters", NetworkParameters),
    "checks": ("parameters", CheckParameters),
    "access": ("parameters", AccessParameters),
    "limits": ("parameters", LimitParameters),
    "tls": ("parameters", TlsParameters),
    "syslog": ("parameters", SyslogParameters),
    "email": ("parameters", EmailParameters),
    "snmp": ("parameters", SnmpParameters),
    "webhook": ("parameters", WebhookParameters),
    "events": ("parameters", EventParameters),
    "adaptive": ("parameters", AdaptiveParameters),
    "acme": ("parameters", AcmeParameters),
    "administration": ("parameters", AdministrationParameters),
    "host": ("parameters", HostParameters),
    "limit_entries": ("limits", LimitEntries),
    "counters": ("counters", Counters),
    "first_start": ("first_start", FirstStart),
}
_MANY: Mapping[str, tuple[str, type[Settings]]] = {
    "services": ("service", VirtualService),
    "certificates": ("certificate", Certificate),
    "intermediates": ("intermediate", Intermediate),
    "signing_requests": ("signing_request", SigningRequest),
    "revocation_lists": ("revocation_list", RevocationList),
    "ldap_endpoints": ("ldap_endpoint", LdapEndpoint),
    "users": ("user", User),
    "rules": ("rule", ContentRule),
    "cipher_sets": ("cipher_set", CipherSet),
    "acme_accounts": ("acme_account", AcmeAccount),
    "dns_providers": ("dns_provider", DnsProvider),
    "acme_certificates": ("acme_certificate", AcmeCertificate),
    "interfaces": ("interface", Interface),
    "routes": ("route", StaticRoute),
    "hosts": ("hosts_entry", HostsEntry),
    "templates": ("template", Template),
}

#: the kind of the stored parts of access lists
ACCESS = "access"

_Model = TypeVar("_Model", bound=BaseModel)


def document_of(value: BaseModel) -> Document:
    """One object as its stored document."""
    return value.model_dump(mode="json", exclude_defaults=True)


def _read(model: type[_Model], document: Document) -> _Model:
    if issubclass(model, VirtualService):
        document = dict(document)
        if "servers" in document:
            document["servers"] = tuple(RealServer.make(server) for server in document["servers"])
        if "slots" in document:
            document["slots"] = tuple(Slot.make(slot) for slot in document["slots"])
        if "further_checks" in document:
            document["further_checks"] = tuple(FurtherCheck.make(check) for check in document["further_checks"])
    if issubclass(model, Settings):
        return model.make(document)
    return model.model_validate(document)


def stored_document(kind: str, value: BaseModel | None) -> Document | None:
    """One object as it is stored; parameters at their defaults, like absent objects, are not stored at all."""
    if value is None:
        return None
    document = document_of(value)
    single = all(kind != many for many, _ in _MANY.values())
    return None if single and not document else document


def read_document(kind: str, key: str, document: Document | None) -> BaseModel | None:
    """The opposite of `stored_document`. Raises `OperatorError` when the document is not valid."""
    for name, model in _MANY.values():
        if name == kind:
            return None if document is None else _read(model, document)
    if kind == ACCESS:
        return None if document is None else _read(AccessPart, document)
    return _read(_SINGLE[key][1], document or {})


def objects_of(configuration: Configuration) -> Iterator[tuple[str, str, BaseModel]]:
    """Every object as (kind, key, value)."""
    for attribute, (kind, _) in _MANY.items():
        for key, value in getattr(configuration, attribute).items():
            yield kind, str(key), value
    for key, part in keyed_parts(configuration.access_lists):
        yield ACCESS, key, part
    for attribute, (kind, _) in _SINGLE.items():
        yield kind, attribute, getattr(configuration, attribute)


def changed_objects(
    old: Configuration, new: Configuration
) -> Iterator[tuple[str, str, BaseModel | None, BaseModel | None]]:
    """What differs, as (kind, key, before, after); None means absent. Cost: one identity comparison an object."""
    for attribute, (kind, _) in _MANY.items():
        before, after = getattr(old, attribute), getattr(new, attribute)
        if before is after:
            continue
        for key, value in before.items():
            other = after.get(key)
            if other is not value and other != value:
                yield kind, str(key), value, other
        for key, value in after.items():
            if key not in before:
                yield kind, str(key), None, value
    if old.access_lists is not new.access_lists:
        for key, was, part in changed_parts(old.access_lists, new.access_lists):
            yield ACCESS, key, was, part
    for attribute, (kind, _) in _SINGLE.items():
        value, other = getattr(old, attribute), getattr(new, attribute)
        if value is not other and value != other:
            yield kind, attribute, value, other


def from_documents(documents: Documents) -> Configuration:
    """The configuration of stored documents. Raises `OperatorError` when a document is not valid."""
    parts: dict[str, Any] = {}
    for attribute, (kind, model) in _MANY.items():
        found = {key: _read(model, dict(document)) for key, document in documents.get(kind, {}).items()}
        parts[attribute] = {int(key): value for key, value in found.items()} if kind == "service" else found
    parts["services"] = dict(sorted(parts["services"].items()))
    for attribute, (kind, single) in _SINGLE.items():
        parts[attribute] = _read(single, dict(documents.get(kind, {}).get(attribute, {})))
    access = {key: _read(AccessPart, dict(document)) for key, document in documents.get(ACCESS, {}).items()}
    return Configuration(**parts, access_lists=from_parts(access))
