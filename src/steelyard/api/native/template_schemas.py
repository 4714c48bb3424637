"""OpenAPI schemas of application templates."""

from __future__ import annotations

from steelyard.api.native.catalogue import Schema
from steelyard.api.native.schema_words import FLAG, NUMBER, TEXT, TEXTS, object_of

_PLACE = "Which of the template's addresses the service is on; empty where it has one alone."


def template_schemas() -> dict[str, Schema]:
    """Every schema by name."""
    service = {"name": TEXT, "port": NUMBER, "protocol": TEXT, "place": {**TEXT, "description": _PLACE}}
    prerequisite = {
        "setting": {**TEXT, "description": "SECTION.NAME of a global parameter."},
        "is": {"description": "What it should be.", "anyOf": [FLAG, NUMBER, TEXT]},
        "path": {**TEXT, "description": "Where the menu has it."},
        "why": TEXT,
        "met": {**FLAG, "description": "It is so here."},
    }
    template = {
        "name": TEXT,
        "comment": TEXT,
        "shipped": {**FLAG, "description": "It comes with Steelyard."},
        "services": {"type": "array", "items": object_of({**service, "real_servers": FLAG})},
        "places": TEXTS,
        "next": {**TEXTS, "description": "What is to be done after it was used."},
        "prerequisites": {"type": "array", "items": object_of(prerequisite)},
        "warnings": {**TEXTS, "description": "Global settings it counts on that are otherwise here."},
        "text": {**TEXT, "description": "The file, for one template alone."},
    }
    return {
        "Template": object_of(template),
        "TemplateFile": object_of({"text": {**TEXT, "description": "YAML."}}, "text"),
        "TemplateUse": object_of(
            {
                "address": TEXT,
                "port": {**NUMBER, "description": "Of the first service, in place of the template's."},
                "name": {**TEXT, "description": "Of the service; with several it stands before their names."},
                "addresses": {"type": "object", "additionalProperties": TEXT, "description": "By place."},
                "servers": {**TEXTS, "description": "Addresses of real servers, without ports."},
                "certificates": TEXTS,
            }
        ),
    }
