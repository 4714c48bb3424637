"""The form of a virtual service: LoadMaster's sections, what its settings may name, what they say of each other."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from steelyard.model.barred import Bars, bars
from steelyard.model.cipher_set import BUILT_IN
from steelyard.model.ciphers import TLS13_SUITES
from steelyard.model.commands import ChangeService
from steelyard.model.commands.attachments import LISTS
from steelyard.model.configuration import Configuration
from steelyard.model.virtual_service import VirtualService
from steelyard.model.virtual_service.checks import CHECK_TYPES
from steelyard.model.virtual_service.effect import without_effect
from steelyard.model.virtual_service.standard import PERSISTENCE_MODES, SCHEDULES
from steelyard.model.virtual_service.tls import TLS_TYPES, TlsSettings
from steelyard.web.editing import Changes, Editor, Outlook, Part
from steelyard.web.forms.field import Offer
from steelyard.web.wording import duration, plural

#: settings of a service that are no fields: rules have lists of their own; `ciphers` makes a cipher set in passing,
#: which has a page; the protocol stays what it is
_ELSEWHERE = frozenset({*LISTS, "ciphers", "protocol"})
_LIMITS = ("connections_per_second", "requests_per_second", "max_connections", "bandwidth")
#: first what people come for; what is not named follows in the catalogue's order
_FIRST: Mapping[str, tuple[str, ...]] = {
    "basic": ("name", "service_type", "enabled", "address", "port"),
    "ssl": ("ssl_acceleration", "certificates", "tls_type", "cipher_set", "tls13_cipher_set", "ssl_reencrypt"),
    "standard": (
        *("force_l7", "force_l4", "transparent", "subnet_originating", "extra_ports"),
        *("persistence", "persistence_timeout", "cookie", "query_tag", "persistence_mask", "refresh_persistence"),
        *("schedule", "adaptive_interval", "adaptive_url", "adaptive_port", "adaptive_min_percent"),
        *("idle_time", "server_init", "starttls_mode"),
    ),
}
_TITLES: Mapping[str, str] = {
    "basic": "Basic Properties",
    "standard": "Standard Options",
    "ssl": "SSL Properties",
    "advanced": "Advanced Properties",
    "limits": "QoS/Limiting",
    "esp": "ESP Options",
    "waf": "WAF Options",
    "checks": "Real Server Check",
}
_OPEN = frozenset({"basic", "standard", "checks"})


def values_of(service: VirtualService) -> dict[str, Any]:
    """The settings of a service by field name."""
    return {name: getattr(service, name) for name in VirtualService.declared()}


def service_parts(service: VirtualService) -> tuple[Part, ...]:
    """The sections of its form. A sub-service has no address and no TLS of its own; its slot says whether it is on."""
    by_section: dict[str, list[str]] = {key: list(_FIRST.get(key, ())) for key in _TITLES}
    for declared in VirtualService.declared().values():
        key = "limits" if declared.name in _LIMITS else declared.setting.section
        if declared.name not in _ELSEWHERE and key in by_section and declared.name not in by_section[key]:
            by_section[key].append(declared.name)
    absent = {"address", "port", "enabled", "extra_ports", *TlsSettings.declared()} if service.is_sub else set()
    states = _states(service)
    return tuple(
        Part(
            key,
            _TITLES[key],
            tuple(name for name in names if name not in absent),
            key in _OPEN,
            states.get(key, ""),
            _hint(service) if key == "ssl" else "",
        )
        for key, names in by_section.items()
    )


def _hint(service: VirtualService) -> str:
    if service.ssl_acceleration and not service.certificates:
        return "No certificate is assigned: clients are shown a temporary self-signed one."
    return ""


def _states(service: VirtualService) -> dict[str, str]:
    """How things stand in each section, for its title line."""
    persistence = PERSISTENCE_MODES.get(service.persistence, service.persistence)
    standard = SCHEDULES.get(service.schedule, service.schedule)
    if service.persistence != "none":
        standard += f" · {persistence}, {duration(service.persistence_timeout)}"
    ssl = "Off"
    if service.ssl_acceleration:
        again = ["Reencrypt"] if service.ssl_reencrypt else []
        parts = ["Acceleration Enabled", *again, TLS_TYPES[service.tls_type]]
        parts.append(
            plural(len(service.certificates), "certificate") if service.certificates else "temporary certificate"
        )
        ssl = " · ".join(parts)
    elif service.ssl_reverse:
        ssl = "Reversed"
    limits = sum(bool(getattr(service, name)) for name in _LIMITS)
    advanced = [
        words
        for words, on in (
            ("caching", service.cache),
            ("compression", service.compress),
            ("sorry server", service.standby_address),
            ("error handling", service.error_code or service.error_page),
            ("headers", service.add_via or service.copy_header_from or service.extra_header_name),
        )
        if on
    ]
    return {
        "standard": standard,
        "ssl": ssl,
        "advanced": " · ".join(advanced).capitalize(),
        "limits": plural(limits, "limit") if limits else "No limits",
        "esp": "Enabled" if service.esp_enabled else "Off",
        "checks": CHECK_TYPES[service.check_type],
    }


def offers_for(configuration: Configuration, service: VirtualService | None) -> dict[str, Offer]:
    """What the settings of a service may name."""
    certificates = tuple((name, name) for name, one in configuration.certificates.items() if not one.temporary)
    trusted = tuple((name, name) for name in configuration.intermediates)
    sets = tuple((name, name) for name in (*BUILT_IN, *configuration.cipher_sets))
    endpoints = (
        ("", "none: anonymously, at the real server"),
        *((name, name) for name in configuration.ldap_endpoints),
    )
    # only services with the same real servers can be followed
    followed = [other for other in configuration.services.values() if service is not None and _alike(service, other)]
    others = tuple((str(other.index), f"{other.title} (Id:{other.index})") for other in followed)
    return {
        "certificates": Offer(certificates, "certificates", "No certificate has been imported yet."),
        "cipher_set": Offer(sets, "cipher-sets"),
        "tls13_cipher_set": Offer(tuple((name, name) for name in TLS13_SUITES)),
        "intermediate_certificates": Offer(trusted, "intermediates", "No intermediate certificate is here yet."),
        "server_authorities": Offer(trusted, "intermediates", "No intermediate certificate is here yet."),
        "ldap_endpoint": Offer(endpoints, "ldap"),
        "follow_vs": Offer((("0", "off"), *others)),
    }


def _alike(service: VirtualService, other: VirtualService) -> bool:
    if other.index == service.index or other.is_sub or other.slots or other.persistence == "none":
        return False
    return {server.address for server in other.servers} == {server.address for server in service.servers}


def thought(values: Mapping[str, Any], changes: Changes) -> dict[str, Any]:
    """The settings with changes that may not be right yet: what cannot be a value of a setting is left out."""
    declared = VirtualService.declared()
    found = dict(values)
    for name, value in changes.items():
        one = declared.get(name)
        if one is None:
            continue
        choices = one.setting.choices
        if (choices and value in choices) or (not choices and isinstance(value, type(one.default))):
            found[name] = value
    return found


def service_outlook(configuration: Configuration, service: VirtualService, changes: Changes) -> Outlook:
    """What is barred, and what has no effect, if those changes were made."""
    values = thought(values_of(service), changes)
    idle = without_effect({**values, "further_checks": service.further_checks})
    # what has no effect is left out of the form unless somebody has set it
    declared = VirtualService.declared()
    unasked = {name for name in idle if name in declared and declared[name].is_default(values[name])}
    found = bars(configuration, service.index, changes, leave_out=unasked)
    settings = {name: _said_here(service, why) for name, why in found.settings.items() if name not in idle}
    choices = {
        name: {one: _said_here(service, why) for one, why in all_.items()} for name, all_ in found.choices.items()
    }
    return Outlook(Bars(settings, choices), idle)


def _said_here(service: VirtualService, why: str) -> str:
    """A refusal as the page of the service says it, where what is refused is no fact."""
    return why.removeprefix(f"{service.title} passes bytes, and its service type must be http: ")


def service_editor(configuration: Configuration, service: VirtualService, done: str) -> Editor:
    """The editor of one service."""
    return Editor(
        model=VirtualService,
        values=values_of(service),
        parts=service_parts(service),
        command=lambda changes: ChangeService(service.index, changes),
        done=lambda key: done,
        offers=offers_for(configuration, service),
        outlook=lambda changes: service_outlook(configuration, service, changes),
        noun="sub-service" if service.is_sub else "virtual service",
    )


__all__ = ["offers_for", "service_editor", "service_outlook", "service_parts", "thought", "values_of"]
