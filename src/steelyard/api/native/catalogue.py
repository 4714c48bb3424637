"""The settings catalogue as JSON schema and as plain data, so that no schema is written by hand.

A setting that is not built keeps its default: its schema allows that one value. Choices that are not built are left
out.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from steelyard.model.acme_account import AcmeAccount
from steelyard.model.acme_certificate import AcmeCertificate
from steelyard.model.acme_dns import DnsProvider
from steelyard.model.certificate import Certificate
from steelyard.model.cipher_set import CipherSet
from steelyard.model.content_rule import ContentRule
from steelyard.model.ldap_endpoint import LdapEndpoint
from steelyard.model.parameters import SECTIONS
from steelyard.model.real_server import RealServer
from steelyard.model.setting import Declared, Settings
from steelyard.model.slot import Slot
from steelyard.model.user import User
from steelyard.model.virtual_service import VirtualService
from steelyard.model.virtual_service.further import FurtherCheck

Schema = dict[str, Any]

#: name in this API -> the model whose settings it has
MODELS: Mapping[str, type[Settings]] = {
    "virtual-service": VirtualService,
    "real-server": RealServer,
    "slot": Slot,
    "rule": ContentRule,
    "further-check": FurtherCheck,
    "certificate": Certificate,
    "cipher-set": CipherSet,
    "ldap-endpoint": LdapEndpoint,
    "acme-account": AcmeAccount,
    "acme-certificate": AcmeCertificate,
    "dns-provider": DnsProvider,
    "user": User,
    **SECTIONS,
}

#: the sections of /parameters
PARAMETERS: Mapping[str, type[Settings]] = SECTIONS

_TYPES = {"boolean": "boolean", "integer": "integer", "text": "string", "list": "array"}


def plain_default(declared: Declared) -> Any:
    """The default as JSON; None when the setting must be given."""
    if isinstance(declared.default, tuple):
        return list(declared.default)
    return declared.default if isinstance(declared.default, (str, int)) else None


def is_required(declared: Declared) -> bool:
    """Whether the setting has no default."""
    return not isinstance(declared.default, (str, int, tuple))


def _text_schema(declared: Declared) -> Schema:
    setting = declared.setting
    found: Schema = {"type": "string"}
    if setting.max_length is not None:
        found["maxLength"] = setting.max_length
    if setting.pattern is not None:
        empty = "" if is_required(declared) or declared.kind == "list" else "|^$"
        found["pattern"] = f"^(?:{setting.pattern})${empty}"
    return found


def _value_schema(declared: Declared) -> Schema:
    setting = declared.setting
    if declared.kind == "list":
        return {"type": "array", "items": _text_schema(declared)}
    if declared.kind == "text":
        return _text_schema(declared)
    found: Schema = {"type": _TYPES[declared.kind]}
    if declared.kind == "integer" and not setting.choices:
        limits = {
            name: limit for name, limit in (("minimum", setting.ge), ("maximum", setting.le)) if limit is not None
        }
        if setting.or_zero and limits:
            return {"anyOf": [{"type": "integer", "const": 0}, {"type": "integer", **limits}]}
        found.update(limits)
    return found


def _description(declared: Declared) -> str:
    setting = declared.setting
    parts = [setting.help]
    if setting.unit:
        parts.append(f"In {setting.unit}.")
    if setting.choices:
        meant = "; ".join(
            f"{value if value != '' else 'empty'}: {meaning}" if meaning else str(value)
            for value, meaning in setting.choices.items()
            if value not in setting.unbuilt
        )
        parts.append(f"Choices: {meant}.")
    if setting.pattern_says:
        parts.append(f"Allowed: {setting.pattern_says}.")
    if not setting.built:
        parts.append("Not built yet: only its default is accepted.")
    elif setting.unbuilt:
        parts.append(f"Not built yet: {', '.join(sorted(map(str, setting.unbuilt)))}.")
    return " ".join(part for part in parts if part)


def setting_schema(declared: Declared) -> Schema:
    """The JSON schema of one setting."""
    setting = declared.setting
    if not setting.built:
        found: Schema = {"type": _TYPES[declared.kind], "const": plain_default(declared)}
    elif setting.choices and declared.kind != "boolean":
        found = {"type": _TYPES[declared.kind], "enum": [c for c in setting.choices if c not in setting.unbuilt]}
    else:
        found = _value_schema(declared)
    found |= {"title": setting.label, "description": _description(declared)}
    if not is_required(declared):
        found["default"] = plain_default(declared)
    return found


def object_schema(model: type[Settings], *, changes: bool = False, extra: Mapping[str, Schema] | None = None) -> Schema:
    """The schema of an object that is made (required settings required), or of changes to one (none required)."""
    declared = [d for d in model.declared().values() if not d.setting.secret]
    properties = {d.name: setting_schema(d) for d in declared}
    if changes:
        for schema in properties.values():
            schema.pop("default", None)
    found: Schema = {"type": "object", "additionalProperties": False, "properties": {**properties, **(extra or {})}}
    required = [] if changes else [d.name for d in declared if is_required(d)]
    return {**found, "required": required} if required else found


def secret_schemas(model: type[Settings]) -> dict[str, Schema]:
    """The schemas of its secrets, which go in and never come out."""
    return {
        d.name: {"type": "string", "format": "password", "writeOnly": True, "description": d.setting.help}
        for d in model.declared().values()
        if d.setting.secret
    }


def setting_data(declared: Declared) -> dict[str, Any]:
    """One setting as data, for programs that build forms or check what they send."""
    setting = declared.setting
    return {
        "name": declared.name,
        "wire": setting.wire,
        "section": setting.section,
        "label": setting.label,
        "help": setting.help,
        "type": declared.kind,
        "unit": setting.unit,
        "required": is_required(declared),
        "default": plain_default(declared),
        "allowed": setting.allowed(),
        "minimum": setting.ge,
        "maximum": setting.le,
        "max_length": setting.max_length,
        "choices": [{"value": value, "meaning": meaning} for value, meaning in setting.choices.items()],
        "built": setting.built,
        "unbuilt_choices": sorted(setting.unbuilt, key=str),
        "secret": setting.secret,
    }


def settings_data() -> dict[str, list[dict[str, Any]]]:
    """The whole catalogue as data."""
    return {name: [setting_data(d) for d in model.declared().values()] for name, model in MODELS.items()}
