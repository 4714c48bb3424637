"""The declarative document: the whole configuration as an operator writes it, without secrets, users and indexes.

    {"services": [{"address": ..., "port": ..., ..., "servers": [...]},
                  {"address": ..., "port": ..., "sub_services": [{"name": ..., "servers": [...], "slot": {...}}]}],
     "certificates": [{"name": ...}],
     "rules": [{"name": ..., "pattern": ...}],
     "access_lists": [{"block": ["198.51.100.0/24 # scanners"]}, {"service": {"address": ..., "port": ...}, ...}],
     "parameters": {"checks": {"interval": 5}}}

Reading it back gives the same configuration: what `document` leaves out is exactly what `Declare` fills in.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from steelyard.api.native.bodies import mapping, objects, only, text, texts
from steelyard.api.native.bodies import number as whole_number
from steelyard.api.native.catalogue import PARAMETERS
from steelyard.api.native.certificates import MATERIAL, material_of
from steelyard.api.native.services import new_service
from steelyard.api.native.writing import settings_given
from steelyard.model.access_list import EVERY_SERVICE, LISTS, Entries
from steelyard.model.certificate import Material
from steelyard.model.commands import Declare, DeclaredLists
from steelyard.model.commands.access_lists import lines
from steelyard.model.configuration import Configuration
from steelyard.model.content_rule import ContentRule
from steelyard.model.errors import ConflictError, OperatorError, located
from steelyard.model.setting import Settings
from steelyard.model.slot import Slot
from steelyard.model.text import canonical_address
from steelyard.model.virtual_service import VirtualService

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
_NEEDS_TLS = frozenset({"ssl_reencrypt", "allow_http2", "pass_sni"})


def document(configuration: Configuration) -> Document:
    """The document of a configuration: settings that differ from their defaults."""
    sections = {name: _differing(getattr(configuration, name)) for name in PARAMETERS}
    return {
        "services": [_service(s, configuration) for s in configuration.services.values() if not s.is_sub],
        "certificates": [{"name": c.name} for c in configuration.certificates.values() if not c.temporary],
        **_rules_document(configuration),
        **_access_lists_document(configuration),
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


def _service(service: VirtualService, configuration: Configuration) -> Document:
    default_idle_time = VirtualService.declared()["idle_time"].default
    follows_timeout = configuration.network.connection_timeout != default_idle_time
    found = _differing(service, _FOLLOWS_PORT | ({"idle_time"} if follows_timeout else frozenset()))
    idle = frozenset() if service.reencrypts else frozenset({"pass_sni"})
    for name in idle if service.ssl_acceleration else _NEEDS_TLS:
        found.pop(name, None)
    if service.servers:
        found["servers"] = [_differing(server) for server in service.servers]
    if service.slots:
        found["sub_services"] = [_sub_service(service, slot, configuration) for slot in service.slots]
    return found


def _sub_service(parent: VirtualService, slot: Slot, configuration: Configuration) -> Document:
    """A sub-service: type, check and idle time follow its parent's, what belongs to the parent is left out."""
    sub = configuration.services[slot.service]
    found = {name: value for name, value in _service(sub, configuration).items() if name not in _PARENTS}
    for name in _FOLLOWS_PARENT:
        found.pop(name, None)
        if getattr(sub, name) != getattr(parent, name):
            found[name] = getattr(sub, name)
    settings = _differing(slot)
    return {**found, "slot": settings} if settings else found


def declared(data: Mapping[str, Any]) -> Declare:
    """The command of a document. Raises `OperatorError` with the position of what is wrong. Verifies keys: slow."""
    only(data, ("services", "certificates", "parameters", "access_lists", "rules"), "the configuration")
    services = []
    for number, settings in enumerate(objects(data, "services")):
        with located(f"services[{number}]"):
            services.append(new_service(settings))
    return Declare(services, _certificates(data), _parameters(data), _access_lists(data), _rules(data))


def _rules_document(configuration: Configuration) -> Document:
    found = [_differing(rule) for rule in configuration.rules.values()]
    return {"rules": found} if found else {}


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
    service = mapping(item, "service")
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
