"""Authorities' certificates that complete chains: `/intermediates`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cryptography import x509
from fastapi.responses import JSONResponse
from starlette.concurrency import run_in_threadpool

from steelyard.api.native.access import Appliance
from steelyard.api.native.bodies import JsonObject, only, text, uploaded
from steelyard.api.native.certificate_objects import intermediates_json
from steelyard.api.native.routing import NativeRouter
from steelyard.api.native.schema_words import list_of
from steelyard.api.native.schemas import CHANGED, MADE, answers, body
from steelyard.api.native.writing import Writing, read
from steelyard.model.certificate import read_certificates
from steelyard.model.commands import AddIntermediates, RemoveIntermediate
from steelyard.model.configuration import Configuration
from steelyard.model.errors import OperatorError

router = NativeRouter(prefix="/intermediates", tags=["certificates"])

MATERIAL = ("pem", "data")


def _rendered(configuration: Configuration, key: int | str | None) -> Any:
    if key is None:
        return None
    return intermediates_json(configuration, (configuration.intermediate(str(key)),))[0]


def certificates_of(data: Mapping[str, Any]) -> list[x509.Certificate]:
    """The uploaded certificates. Raises `OperatorError` that names the member."""
    content = uploaded(data, "An intermediate certificate", secret=True)
    try:
        return read_certificates(content)
    except OperatorError as failure:
        if "pem" in data and failure.field == "data":
            failure.field = "pem"
        raise


@router.get("", responses=answers(list_of("Intermediate")))
async def list_intermediates(appliance: Appliance) -> JSONResponse:
    """Every intermediate certificate."""
    snapshot = appliance.snapshot()
    configuration = snapshot.configuration
    found = await run_in_threadpool(intermediates_json, configuration, configuration.intermediates.values())
    return read(snapshot.revision, found)


@router.post("", status_code=201, responses=MADE, openapi_extra=body("NewIntermediate"))
async def add_intermediate(write: Writing, data: JsonObject) -> JSONResponse:
    """Import intermediate certificates.

    Of several in one upload the second is called NAME-2, and so on. Every chain one of them completes is sent to
    clients from then on, without a reload.
    """
    only(data, ("name", *MATERIAL), "an intermediate certificate")
    command = AddIntermediates(text(data, "name"), certificates_of(data))
    return await write.carry_out(command, _rendered, made="intermediates")


@router.get("/{name}", responses=answers("Intermediate"))
async def show_intermediate(appliance: Appliance, name: str) -> JSONResponse:
    """One intermediate certificate."""
    snapshot = appliance.snapshot()
    return read(snapshot.revision, _rendered(snapshot.configuration, name))


@router.put("/{name}", responses=CHANGED, openapi_extra=body("IntermediateMaterial"))
async def replace_intermediate(write: Writing, name: str, data: JsonObject) -> JSONResponse:
    """Put another certificate in the place of one."""
    only(data, MATERIAL, "an intermediate certificate's content")
    return await write.carry_out(AddIntermediates(name, certificates_of(data), replace=True), _rendered)


@router.delete("/{name}", responses=CHANGED)
async def remove_intermediate(write: Writing, name: str) -> JSONResponse:
    """Remove an intermediate certificate. Chains it completed are sent to clients without it from then on."""
    return await write.carry_out(RemoveIntermediate(name))
