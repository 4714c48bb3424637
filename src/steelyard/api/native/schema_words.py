"""What schemas are made of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from steelyard.api.native.catalogue import Schema, object_schema

TEXT: Schema = {"type": "string"}


NUMBER: Schema = {"type": "integer"}


FLAG: Schema = {"type": "boolean"}


MOMENT: Schema = {"type": ["string", "null"], "format": "date-time"}


TEXTS: Schema = {"type": "array", "items": TEXT}


USED_BY: Schema = {"type": "array", "items": NUMBER, "description": "Indexes of virtual services."}


INDEX: Schema = {"type": "integer", "minimum": 1, "description": "Given by Steelyard."}


def ref(name: str) -> Schema:
    """A reference to a component."""
    return {"$ref": f"#/components/schemas/{name}"}


def list_of(name: str) -> Schema:
    """A list of a component."""
    return {"type": "array", "items": ref(name)}


def object_of(properties: Mapping[str, Schema], *required: str) -> Schema:
    """An object of these members alone."""
    found: Schema = {"type": "object", "additionalProperties": False, "properties": dict(properties)}
    return {**found, "required": list(required)} if required else found


def named(value: type[Any], name: str) -> Schema:
    """The schema of one setting of the catalogue."""
    found: Schema = object_schema(value)["properties"][name]
    return found
