"""OpenAPI schemas of backup, restore and factory reset."""

from __future__ import annotations

from steelyard.api.native.catalogue import Schema
from steelyard.api.native.schema_words import FLAG, TEXT, object_of
from steelyard.model.backup import PARTS
from steelyard.model.sealed_file import LEAST_PASS_PHRASE, MOST_PASS_PHRASE


def backup_schemas() -> dict[str, Schema]:
    """Every schema by name."""
    file = {**TEXT, "format": "byte", "description": "The file, in base64."}
    password = {**TEXT, "format": "password", "minLength": LEAST_PASS_PHRASE, "maxLength": MOST_PASS_PHRASE}
    return {
        "NewBackup": object_of(
            {"password": {**password, "description": "Encrypts it; without one it holds no secrets and no users."}}
        ),
        "Backup": object_of({"data": file, "complete": {**FLAG, "description": "It holds secrets and users."}}),
        "RestoreBackup": object_of(
            {
                "data": file,
                "password": {**password, "description": "Of a file that was made with one."},
                "parts": {
                    "type": "array",
                    "items": {"enum": list(PARTS)},
                    "description": "base: everything that is no service; vs: services, their rules and certificates."
                    " Left out: everything.",
                },
                "users": {**FLAG, "default": True, "description": "Bring users, passwords and API keys back, too."},
                "network": {
                    "enum": ["keep", "restore"],
                    "default": "keep",
                    "description": "restore: the host's network becomes the backup's, if it is of this host.",
                },
                "incomplete": {
                    **FLAG,
                    "default": False,
                    "description": "Leave out what lacks its secret, instead of refusing the file.",
                },
            },
            "data",
        ),
        "NewReset": object_of(
            {
                "confirm": {"enum": ["reset"]},
                "password": {**TEXT, "format": "password", "description": "The administrator's from then on."},
                "network": {"enum": ["keep", "forget"], "default": "keep"},
            },
            "confirm",
        ),
        "Reset": object_of(
            {
                "user": TEXT,
                "password": {
                    "type": ["string", "null"],
                    "description": "Made up, good for one sign-in, shown only here; null when one was given.",
                },
            }
        ),
    }
