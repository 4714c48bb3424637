"""A virtual service as a template: its settings, sub-services and content rules, without what belongs to one place."""

from __future__ import annotations

from typing import Any

from steelyard.api.native.declaration import service_document
from steelyard.model.configuration import Configuration, document_of
from steelyard.model.errors import OperatorError
from steelyard.model.template import Template, template_text
from steelyard.model.virtual_service import VirtualService

#: addresses, servers, certificates and what names other objects of this appliance
_LEFT_OUT = (
    "address",
    "servers",
    "certificates",
    "enabled",
    "follow_vs",
    "intermediate_certificates",
    "server_authorities",
    "ldap_endpoint",
    "cipher_set",
    "default_gateway",
    "standby_address",
    "standby_port",
)


def exported_template(service: VirtualService, configuration: Configuration) -> Template:
    """The template that makes such a service. Raises `OperatorError` for a sub-service."""
    if service.is_sub:
        raise OperatorError(
            "A sub-service is exported with its parent",
            field="vs",
            value=service.index,
            remedy=f"Export virtual service {service.parent}",
        )
    document = _without_place(service_document(service, configuration))
    ports = {server.port for server in service.servers}
    if len(ports) == 1 and ports != {service.port}:
        document["server_port"] = ports.pop()
    names = dict.fromkeys(name for one in (service, *configuration.subs(service)) for name in one.rule_names())
    rules = [document_of(configuration.rules[name]) for name in names if name in configuration.rules]
    name = service.name or f"{service.protocol} {service.port}"
    return template_text(name, f"Exported from virtual service {service.index}", [document], rules)


def _without_place(document: dict[str, Any]) -> dict[str, Any]:
    found = {name: value for name, value in document.items() if name not in _LEFT_OUT}
    if "sub_services" in found:
        found["sub_services"] = [_without_place(sub) for sub in found["sub_services"]]
    return found
