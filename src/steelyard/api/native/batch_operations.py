"""What an item of a batch may say: the members of each operation, and their schemas."""

from __future__ import annotations

from collections.abc import Mapping

from steelyard.api.native.catalogue import PARAMETERS, Schema

_INDEX: Schema = {"type": "integer", "minimum": 1}
_TEXT: Schema = {"type": "string"}
_ANY: Schema = {"type": "object"}
_MATERIAL = {"name": _TEXT, "pem": _TEXT, "data": _TEXT, "password": _TEXT}
_SERVER = {"service": _INDEX, "server": _INDEX}


def _ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


#: operation -> its members besides `op`; those in `OPTIONAL` may be left out
MEMBERS: Mapping[str, Mapping[str, Schema]] = {
    "add-service": {"settings": _ref("NewVirtualService")},
    "change-service": {"index": _INDEX, "changes": _ref("VirtualServiceChanges")},
    "remove-service": {"index": _INDEX},
    "duplicate-service": {"index": _INDEX, "address": _TEXT, "port": {"type": "integer"}},
    "add-server": {"service": _INDEX, "settings": _ref("NewRealServer")},
    "change-server": {**_SERVER, "changes": _ref("RealServerChanges")},
    "remove-server": _SERVER,
    "enable-server": _SERVER,
    "disable-server": _SERVER,
    "enable-address": {"address": _TEXT},
    "disable-address": {"address": _TEXT},
    "add-certificate": _MATERIAL,
    "replace-certificate": _MATERIAL,
    "remove-certificate": {"name": _TEXT},
    "set-parameters": {"section": {"type": "string", "enum": list(PARAMETERS)}, "changes": _ANY},
}

OPTIONAL: Mapping[str, frozenset[str]] = {
    "duplicate-service": frozenset({"address", "port"}),
    "add-certificate": frozenset({"pem", "data", "password"}),
    "replace-certificate": frozenset({"pem", "data", "password"}),
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
