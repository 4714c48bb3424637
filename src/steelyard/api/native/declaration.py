"""The declarative document: the whole configuration as an operator writes it, without secrets, users and indexes.

    {"services": [{"address": ..., "port": ..., ..., "servers": [...]},
                  {"address": ..., "port": ..., "sub_services": [{"name": ..., "servers": [...], "slot": {...}}]}],
     "certificates": [{"name": ...}], "intermediates": [{"name": ..., "pem": ...}],
     "rules": [{"name": ..., "pattern": ...}],
     "access_lists": [{"block": ["198.51.100.0/24 # scanners"]}, {"service": {"address": ..., "port": ...}, ...}],
     "client_limits": [...], "limit_rules": [...],
     "revocation_lists": [{"name": ..., "pem": ...}],
     "acme": {"accounts": [...], "dns_providers": [...], "certificates": [...]},
     "network": {"interfaces": [...], "routes": [...], "hosts": [...]},
     "parameters": {"checks": {"interval": 5}}}

Reading it back gives the same configuration: what `document` leaves out is exactly what `Declare` fills in.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Any

from cryptography import x509
from starlette.concurrency import run_in_threadpool

from steelyard.api.native.bodies import mapping, objects, only, text, texts
from steelyard.api.native.bodies import number as whole_number
from steelyard.api.native.catalogue import PARAMETERS
from steelyard.api.native.certificates import MATERIAL, material_of
from steelyard.api.native.declared_acme import acme_document, declared_acme
from steelyard.api.native.declared_limits import (
    client_limits_document,
    declared_client_limits,
    declared_limit_rules,
)
from steelyard.api.native.declared_network import NETWORK, declared_network, declares_interfaces, network_document
from steelyard.api.native.intermediates import MATERIAL as INTERMEDIATE_MATERIAL
from steelyard.api.native.intermediates import certificates_of
from steelyard.api.native.ldap_endpoints import declared_endpoint
from steelyard.api.native.revocation_lists import CONTENT as LIST_CONTENT
from steelyard.api.native.revocation_lists import sent_list
from steelyard.api.native.services import new_service
from steelyard.api.native.writing import settings_given
from steelyard.appliance.contract import ApplianceApi
from steelyard.model.access_list import EVERY_SERVICE, LISTS, Entries
from steelyard.model.certificate import Material
from steelyard.model.cipher_set import CipherSet
from steelyard.model.commands import Declare, DeclaredEndpoint, DeclaredLists
from steelyard.model.commands.access_lists import lines
from steelyard.model.configuration import Configuration
from steelyard.model.content_rule import ContentRule
from steelyard.model.errors import ConflictError, OperatorError, located
from steelyard.model.network import Interface
from steelyard.model.setting import Settings
from steelyard.model.slot import Slot
from steelyard.model.text import canonical_address
from steelyard.model.virtual_service import VirtualService
from steelyard.observe.known_interfaces import unknown_ports

Document = dict[str, Any]

#: what a service is recognised by
_IDENTITY = ("address", "port", "protocol")

#: Their default depends on the port of a new service, so they are always written out.
_FOLLOWS_PORT = frozenset({"service_type", "check_type"})
#: Taken from the parent of a new sub-service, so written out where they differ from the parent's.
_FOLLOWS_PARENT = ("service_type", "check_type", "idle_time")
#: What a sub-service has not.
_PARENTS = ("address", "port")
#: Have no effect without `ssl_acceleration`, and may not be declared without it.
_NEEDS_TLS = frozenset({"ssl_reencrypt", "allow_http2", "pass_sni", "client_certificates"})


def document(configuration: Configuration, *, network: bool = True) -> Document:
    """The document of a configuration: settings that differ from their defaults.

    The host's own network is left out where another tool owns it, and where `network` is False: it belongs to one
    host, and a declaration may go to another.
    """
    with_network = network and configuration.host.managed
    sections = {name: _differing(getattr(configuration, name)) for name in PARAMETERS if name != "host" or with_network}
    return {
        "services": [service_document(s, configuration) for s in configuration.services.values() if not s.is_sub],
        "certificates": [{"name": c.name} for c in configuration.certificates.values() if not c.temporary],
        **_rules_document(configuration),
        **_intermediates_document(configuration),
        **_cipher_sets_document(configuration),
        **_access_lists_document(configuration),
        **_limits_document(configuration),
        **_endpoints_document(configuration),
        **_revocation_lists_document(configuration),
        **acme_document(configuration, _differing),
        **(network_document(configuration, _differing) if with_network else {}),
        "parameters": {name: settings for name, settings in sections.items() if settings},
    }


def _differing(value: Settings, always: frozenset[str] = frozenset()) -> Document:
    found = value.model_dump(mode="json")
    return {
        setting.name: found[setting.name]
        for setting in type(value).declared().values()
        if not setting.setting.secret
        and (setting.name in always or not setting.is_default(getattr(value, setting.name)))
    }


def service_document(service: VirtualService, configuration: Configuration) -> Document:
    """One service as it is declared."""
    default_idle_time = VirtualService.declared()["idle_time"].default
    follows_timeout = configuration.network.connection_timeout != default_idle_time
    found = _differing(service, _FOLLOWS_PORT | ({"idle_time"} if follows_timeout else frozenset()))
    idle = frozenset() if service.reencrypts else frozenset({"pass_sni"})
    for name in idle if service.ssl_acceleration else _NEEDS_TLS:
        found.pop(name, None)
    if service.further_checks:
        found["further_checks"] = [_differing(check) for check in service.further_checks]
    if service.servers:
        found["servers"] = [_differing(server) for server in service.servers]
    if service.slots:
        found["sub_services"] = [_sub_service(service, slot, configuration) for slot in service.slots]
    return found


def _sub_service(parent: VirtualService, slot: Slot, configuration: Configuration) -> Document:
    """A sub-service: type, check and idle time follow its parent's, what belongs to the parent is left out."""
    sub = configuration.services[slot.service]
    found = {name: value for name, value in service_document(sub, configuration).items() if name not in _PARENTS}
    for name in _FOLLOWS_PARENT:
        found.pop(name, None)
        if getattr(sub, name) != getattr(parent, name):
            found[name] = getattr(sub, name)
    settings = _differing(slot)
    return {**found, "slot": settings} if settings else found


async def declaring(appliance: ApplianceApi, data: Mapping[str, Any]) -> Declare:
    """The command of a document for this host. Raises `OperatorError` with the position of what is wrong."""
    found: Mapping[str, Interface] = {}
    if declares_interfaces(data):
        found = unknown_ports(await appliance.network(), appliance.snapshot().configuration)
    return await run_in_threadpool(declared, data, found)


def declared(data: Mapping[str, Any], found: Mapping[str, Interface] | None = None) -> Declare:
    """The command of a document. Raises `OperatorError` with the position of what is wrong. Verifies keys: slow.

    `found` are the ports that the host has and its configuration does not know.
    """
    only(
        data,
        (
            "services",
            "certificates",
            "parameters",
            "access_lists",
            "rules",
            "cipher_sets",
            "client_limits",
            "limit_rules",
            "ldap_endpoints",
            "intermediates",
            "revocation_lists",
            "acme",
            NETWORK,
        ),
        "the configuration",
    )
    services = []
    for number, settings in enumerate(objects(data, "services")):
        with located(f"services[{number}]"):
            services.append(new_service(settings))
    return Declare(
        services,
        _certificates(data),
        _parameters(data),
        _access_lists(data),
        _rules(data),
        _cipher_sets(data),
        declared_client_limits(data),
        declared_limit_rules(data),
        ldap_endpoints=_endpoints(data),
        intermediates=_intermediates(data),
        revocation_lists=_revocation_lists(data),
        acme=declared_acme(data, _service_identity),
        network=declared_network(data, found or {}),
        place=secrets.token_hex(16),
    )


def _endpoints_document(configuration: Configuration) -> Document:
    """LDAP endpoints without their passwords, which one that is declared again keeps; nothing where there are none."""
    found = [_differing(endpoint) for endpoint in configuration.ldap_endpoints.values()]
    return {"ldap_endpoints": found} if found else {}


def _endpoints(data: Mapping[str, Any]) -> list[DeclaredEndpoint]:
    found = []
    for number, settings in enumerate(objects(data, "ldap_endpoints")):
        with located(f"ldap_endpoints[{number}]"):
            found.append(declared_endpoint(settings))
    return found


def _limits_document(configuration: Configuration) -> Document:
    """Limits of clients and limiting rules; nothing where there are none."""
    entries = configuration.limit_entries
    found = {
        "client_limits": client_limits_document(entries),
        "limit_rules": [_differing(rule) for rule in entries.rules],
    }
    return {name: value for name, value in found.items() if value}


def _rules_document(configuration: Configuration) -> Document:
    found = [_differing(rule) for rule in configuration.rules.values()]
    return {"rules": found} if found else {}


def _intermediates_document(configuration: Configuration) -> Document:
    """Authorities' certificates, which are no secret; nothing where there are none."""
    found = [{"name": one.name, "pem": one.pem} for one in configuration.intermediates.values()]
    return {"intermediates": found} if found else {}


def _intermediates(data: Mapping[str, Any]) -> dict[str, x509.Certificate]:
    found: dict[str, x509.Certificate] = {}
    for number, item in enumerate(objects(data, "intermediates")):
        with located(f"intermediates[{number}]"):
            only(item, ("name", *INTERMEDIATE_MATERIAL), "an intermediate certificate")
            name, certificates = text(item, "name"), certificates_of(item)
            if name in found:
                says = f"Intermediate certificate {name!r} is declared twice"
                raise ConflictError(says, field="name", with_what=name)
            if len(certificates) != 1:
                raise OperatorError(
                    "One name declares one intermediate certificate",
                    field="pem",
                    allowed="one certificate",
                    remedy="Declare each by a name of its own",
                )
            found[name] = certificates[0]
    return found


def _revocation_lists_document(configuration: Configuration) -> Document:
    found = [{"name": one.name, "pem": one.pem} for one in configuration.revocation_lists.values()]
    return {"revocation_lists": found} if found else {}


def _revocation_lists(data: Mapping[str, Any]) -> dict[str, str] | None:
    """Lists by name; None where the document does not speak of them, which leaves them as they are."""
    if "revocation_lists" not in data:
        return None
    found: dict[str, str] = {}
    for number, item in enumerate(objects(data, "revocation_lists")):
        with located(f"revocation_lists[{number}]"):
            only(item, ("name", *LIST_CONTENT), "a revocation list")
            name = text(item, "name")
            if name in found:
                raise ConflictError(f"Revocation list {name!r} is declared twice", field="name", with_what=name)
            found[name] = sent_list(item)
    return found


def _cipher_sets_document(configuration: Configuration) -> Document:
    """The operator's own cipher sets; nothing where there are none."""
    found = [_differing(one) for one in configuration.cipher_sets.values()]
    return {"cipher_sets": found} if found else {}


def _cipher_sets(data: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for number, item in enumerate(objects(data, "cipher_sets")):
        with located(f"cipher_sets[{number}]"):
            only(item, ("name", "ciphers"), "a cipher set")
            name = text(item, "name")
            if name in found:
                raise ConflictError(f"Cipher set {name!r} is declared twice", field="name", with_what=name)
            found[name] = texts(item, "ciphers")
            CipherSet.make({"name": name, "ciphers": found[name]})
    return found


def _rules(data: Mapping[str, Any]) -> list[dict[str, Any]]:
    found = []
    for number, settings in enumerate(objects(data, "rules")):
        with located(f"rules[{number}]"):
            found.append(settings_given(ContentRule, settings))
    return found


def _access_lists_document(configuration: Configuration) -> Document:
    """The access lists, entries as lines; nothing where there are none."""
    found: list[Document] = []
    for scope, lists in configuration.access_lists.items():
        service = None if scope == EVERY_SERVICE else configuration.service(scope)
        reference = {} if service is None else {"service": {name: getattr(service, name) for name in _IDENTITY}}
        found.append({**reference, **{str(which): held for which, held in lines(lists).items()}})
    return {"access_lists": found} if found else {}


def _access_lists(data: Mapping[str, Any]) -> list[DeclaredLists]:
    found = []
    for number, item in enumerate(objects(data, "access_lists")):
        with located(f"access_lists[{number}]"):
            only(item, ("service", *LISTS), "access lists")
            block, allow = (Entries.of_lines(texts(item, which)) for which in LISTS)
            found.append(DeclaredLists(_identity(item), block, allow))
    return found


def _identity(item: Mapping[str, Any]) -> tuple[str, int, str] | None:
    if "service" not in item:
        return None
    return _service_identity(mapping(item, "service"))


def _service_identity(service: Mapping[str, Any]) -> tuple[str, int, str]:
    only(service, _IDENTITY, "the reference to a service")
    protocol = text(service, "protocol") if "protocol" in service else "tcp"
    given = text(service, "address")
    try:
        return canonical_address(given), whole_number(service, "port"), protocol
    except ValueError:
        raise OperatorError(
            f"{given[:80]!r} is not an address", field="address", value=given[:80], allowed="an IPv4 or IPv6 address"
        ) from None


def _certificates(data: Mapping[str, Any]) -> dict[str, Material | None]:
    found: dict[str, Material | None] = {}
    for number, item in enumerate(objects(data, "certificates")):
        with located(f"certificates[{number}]"):
            only(item, ("name", *MATERIAL), "a certificate")
            name = text(item, "name")
            if name in found:
                raise ConflictError(f"Certificate {name!r} is declared twice", field="name", with_what=name)
            found[name] = material_of(item) if set(item) - {"name"} else None
    return found


def _parameters(data: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    sections = mapping(data, "parameters") if "parameters" in data else {}
    found = {}
    for name in sections:
        if name not in PARAMETERS:
            raise OperatorError(
                f"{name!r} is no section of parameters",
                field=name,
                allowed=", ".join(PARAMETERS),
                remedy="Correct its spelling",
            )
        with located(f"parameters.{name}"):
            found[name] = settings_given(PARAMETERS[name], mapping(sections, name))
    return found
