"""Global parameters: `/parameters/{section}`. Secrets go in and never come out."""

from __future__ import annotations

import secrets
from typing import Any

from fastapi.responses import JSONResponse

from steelyard.api.native.access import Appliance
from steelyard.api.native.bodies import JsonObject
from steelyard.api.native.catalogue import PARAMETERS
from steelyard.api.native.objects import settings_json
from steelyard.api.native.routing import NativeRouter
from steelyard.api.native.schema_words import ref
from steelyard.api.native.schemas import CHANGED, answers
from steelyard.api.native.writing import Writing, read, settings_given
from steelyard.model.commands import SetParameters
from steelyard.model.commands.parameters import Section
from steelyard.model.configuration import Configuration

router = NativeRouter(prefix="/parameters", tags=["parameters"])

_ANY = {"anyOf": [ref(f"{name.capitalize()}Parameters") for name in PARAMETERS]}
_CHANGES = {"anyOf": [ref(f"{name.capitalize()}ParameterChanges") for name in PARAMETERS]}


def _rendered(configuration: Configuration, key: int | str | None) -> Any:
    return settings_json(getattr(configuration, str(key))) if key in PARAMETERS else None


@router.get("/{section}", responses=answers(_ANY))
async def show_parameters(appliance: Appliance, section: Section) -> JSONResponse:
    """The parameters of a section."""
    snapshot = appliance.snapshot()
    return read(snapshot.revision, _rendered(snapshot.configuration, section))


@router.patch(
    "/{section}",
    responses=CHANGED,
    openapi_extra={"requestBody": {"required": True, "content": {"application/json": {"schema": _CHANGES}}}},
)
async def change_parameters(write: Writing, section: Section, data: JsonObject) -> JSONResponse:
    """Change parameters of a section."""
    changes = settings_given(PARAMETERS[section], data)
    return await write.carry_out(SetParameters(section, changes, secrets.token_hex(16)), _rendered)
