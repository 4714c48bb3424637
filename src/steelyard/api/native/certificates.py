"""Certificates: `/certificates`. Keys go in and never come out."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter
from fastapi.responses import JSONResponse
from starlette.concurrency import run_in_threadpool

from steelyard.api.native.access import Appliance
from steelyard.api.native.bodies import JsonObject, only, optional_text, text
from steelyard.api.native.objects import certificate_json
from steelyard.api.native.schemas import CHANGED, MADE, answers, body, list_of
from steelyard.api.native.writing import Writing, read
from steelyard.model.certificate import Material, read_upload
from steelyard.model.commands import PutCertificate, RemoveCertificate
from steelyard.model.configuration import Configuration
from steelyard.model.errors import NotFound, OperatorError

router = APIRouter(prefix="/certificates", tags=["certificates"])

MATERIAL = ("pem", "data", "password")


def _rendered(configuration: Configuration, key: int | str | None) -> Any:
    return certificate_json(configuration.certificate(str(key)), configuration) if key is not None else None


def material_of(data: Mapping[str, Any]) -> Material:
    """The uploaded key and chain. Takes tens of milliseconds: RSA keys are verified. Raises `OperatorError`."""
    password = optional_text(data, "password", secret=True)
    if ("pem" in data) == ("data" in data):
        raise OperatorError(
            "A certificate comes either as PEM text in 'pem' or as base64 in 'data'",
            field="pem",
            allowed="one of pem, data",
            remedy="Give one of the two",
        )
    if "pem" in data:
        try:
            return read_upload(text(data, "pem", secret=True).encode(), password)
        except OperatorError as failure:
            failure.field = "pem" if failure.field == "data" else failure.field
            raise
    try:
        content = base64.b64decode(text(data, "data", secret=True), validate=True)
    except (binascii.Error, ValueError):
        raise OperatorError("'data' is not base64", field="data", remedy="Encode the file in base64") from None
    return read_upload(content, password)


@router.get("", responses=answers(list_of("Certificate")))
async def list_certificates(appliance: Appliance) -> JSONResponse:
    """Every certificate."""
    snapshot = appliance.snapshot()
    configuration = snapshot.configuration
    return read(snapshot.revision, [certificate_json(c, configuration) for c in configuration.certificates.values()])


@router.post("", status_code=201, responses=MADE, openapi_extra=body("NewCertificate"))
async def add_certificate(write: Writing, data: JsonObject) -> JSONResponse:
    """Import a certificate."""
    only(data, ("name", *MATERIAL), "a certificate")
    command = PutCertificate(text(data, "name"), await run_in_threadpool(material_of, data))
    return await write.carry_out(command, _rendered, made="certificates")


@router.get("/{name}", responses=answers("Certificate"))
async def show_certificate(appliance: Appliance, name: str) -> JSONResponse:
    """One certificate."""
    snapshot = appliance.snapshot()
    return read(snapshot.revision, _rendered(snapshot.configuration, name))


@router.put(
    "/{name}",
    responses=CHANGED,
    openapi_extra=body("CertificateMaterial"),
)
async def replace_certificate(write: Writing, name: str, data: JsonObject) -> JSONResponse:
    """Replace the content of a certificate; its assignments stay."""
    only(data, MATERIAL, "a certificate's content")
    if write.appliance.snapshot().configuration.certificate(name).temporary:
        raise NotFound("certificate", name)
    command = PutCertificate(name, await run_in_threadpool(material_of, data), replace=True)
    return await write.carry_out(command, _rendered)


@router.delete("/{name}", responses=CHANGED)
async def remove_certificate(write: Writing, name: str) -> JSONResponse:
    """Remove a certificate that no service uses."""
    return await write.carry_out(RemoveCertificate(name))
