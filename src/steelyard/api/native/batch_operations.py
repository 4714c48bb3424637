"""What an item of a batch may say: the members of each operation, and their schemas."""

from __future__ import annotations

from collections.abc import Mapping

from steelyard.api.native.catalogue import PARAMETERS, Schema
from steelyard.model.access_list import LISTS

_INDEX: Schema = {"type": "integer", "minimum": 1}
_TEXT: Schema = {"type": "string"}
_ANY: Schema = {"type": "object"}
_TEXTS: Schema = {"type": "array", "items": _TEXT}
_MATERIAL = {"name": _TEXT, "pem": _TEXT, "data": _TEXT, "password": _TEXT}
_AUTHORITY = {"name": _TEXT, "pem": _TEXT, "data": _TEXT}
_SERVER = {"service": _INDEX, "server": _INDEX}
#: the ways to say entries
_SAID: Mapping[str, Schema] = {
    "address": _TEXT,
    "comment": _TEXT,
    "entries": {"type": "array", "items": {"$ref": "#/components/schemas/Entry"}},
    "text": _TEXT,
}
_ENTRIES: Mapping[str, Schema] = {"scope": _TEXT, "list": {"enum": list(LISTS)}, **_SAID}


def _ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


_ATTACHED: Mapping[str, Schema] = {
    "service": _INDEX,
    "list": {"enum": ["pre", "request", "response", "body"]},
    "member": _INDEX,
    "rule": _TEXT,
}

RULE_OPERATIONS: Mapping[str, Mapping[str, Schema]] = {
    "add-rule": {"settings": _ref("NewContentRule")},
    "change-rule": {"name": _TEXT, "changes": _ref("ContentRuleChanges")},
    "remove-rule": {"name": _TEXT, "detach": {"type": "boolean"}},
    "attach-rule": {**_ATTACHED, "position": _INDEX},
    "move-rule": {**_ATTACHED, "position": _INDEX},
    "detach-rule": _ATTACHED,
}

#: operation -> its members besides `op`; those in `OPTIONAL` may be left out
MEMBERS: Mapping[str, Mapping[str, Schema]] = {
    "add-service": {"settings": _ref("NewVirtualService")},
    "change-service": {"index": _INDEX, "changes": _ref("VirtualServiceChanges")},
    "remove-service": {"index": _INDEX},
    "duplicate-service": {"index": _INDEX, "address": _TEXT, "port": {"type": "integer"}},
    "add-sub-service": {"parent": _INDEX, "settings": _ref("NewSubService")},
    "change-slot": {"service": _INDEX, "slot": _INDEX, "changes": _ref("SlotChanges")},
    "add-server-to-all": {"service": _INDEX, "settings": _ref("NewRealServer")},
    "add-server": {"service": _INDEX, "settings": _ref("NewRealServer")},
    "change-server": {**_SERVER, "changes": _ref("RealServerChanges")},
    "remove-server": _SERVER,
    "add-further-check": {"service": _INDEX, "settings": _ref("FurtherCheck")},
    "change-further-check": {"service": _INDEX, "name": _TEXT, "changes": _ref("FurtherCheckChanges")},
    "remove-further-check": {"service": _INDEX, "name": _TEXT},
    "enable-server": _SERVER,
    "disable-server": _SERVER,
    "enable-address": {"address": _TEXT},
    "disable-address": {"address": _TEXT},
    "add-certificate": _MATERIAL,
    "replace-certificate": _MATERIAL,
    "remove-certificate": {"name": _TEXT},
    "add-cipher-set": {"name": _TEXT, "ciphers": _TEXTS},
    "change-cipher-set": {"name": _TEXT, "ciphers": _TEXTS},
    "remove-cipher-set": {"name": _TEXT},
    "add-intermediate": _AUTHORITY,
    "replace-intermediate": _AUTHORITY,
    "remove-intermediate": {"name": _TEXT},
    "add-ldap-endpoint": {"settings": _ref("NewLdapEndpoint")},
    "change-ldap-endpoint": {"name": _TEXT, "changes": _ref("LdapEndpointChanges")},
    "remove-ldap-endpoint": {"name": _TEXT},
    **RULE_OPERATIONS,
    "add-entries": _ENTRIES,
    "remove-entries": _ENTRIES,
    "replace-access-list": _ENTRIES,
    "set-parameters": {"section": {"type": "string", "enum": list(PARAMETERS)}, "changes": _ANY},
}

OPTIONAL: Mapping[str, frozenset[str]] = {
    "remove-rule": frozenset({"detach"}),
    "attach-rule": frozenset({"list", "member", "position"}),
    "move-rule": frozenset({"list", "member"}),
    "detach-rule": frozenset({"list", "member"}),
    **dict.fromkeys(("add-entries", "remove-entries", "replace-access-list"), frozenset(_SAID)),
    "duplicate-service": frozenset({"address", "port"}),
    "add-sub-service": frozenset({"settings"}),
    "add-certificate": frozenset({"pem", "data", "password"}),
    "replace-certificate": frozenset({"pem", "data", "password"}),
    **dict.fromkeys(("add-intermediate", "replace-intermediate"), frozenset({"pem", "data"})),
}


def operation_schemas() -> list[Schema]:
    """One schema an operation, told apart by `op`."""
    return [
        {
            "type": "object",
            "title": name,
            "additionalProperties": False,
            "properties": {"op": {"const": name}, **members},
            "required": ["op", *(member for member in members if member not in OPTIONAL.get(name, frozenset()))],
        }
        for name, members in MEMBERS.items()
    ]
