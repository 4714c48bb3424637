"""Certificates: `/certificates`. Keys go in and never come out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Annotated, Any

from fastapi import Query
from fastapi.responses import JSONResponse
from starlette.concurrency import run_in_threadpool

from steelyard.api.native.access import Appliance
from steelyard.api.native.bodies import JsonObject, file_of, only, optional_text, text
from steelyard.api.native.certificate_objects import certificate_json, certificates_json
from steelyard.api.native.routing import NativeRouter
from steelyard.api.native.schema_words import list_of
from steelyard.api.native.schemas import CHANGED, MADE, answers, body
from steelyard.api.native.writing import Render, Writing, read
from steelyard.model.certificate import Material, read_upload
from steelyard.model.commands import PutCertificate, RemoveCertificate
from steelyard.model.configuration import Configuration
from steelyard.model.errors import NotFound, OperatorError

router = NativeRouter(prefix="/certificates", tags=["certificates"])

MATERIAL = ("pem", "data", "password")


def _rendered(configuration: Configuration, key: int | str | None) -> Any:
    return certificate_json(configuration.certificate(str(key)), configuration) if key is not None else None


def _told(material: Material) -> Render:
    """The certificate with what was left out of the upload."""

    def shown(configuration: Configuration, key: int | str | None) -> Any:
        found = _rendered(configuration, key)
        return {**found, "notes": list(material.notes)} if found is not None else None

    return shown


@contextmanager
def _as_given(data: Mapping[str, Any]) -> Iterator[None]:
    """Complaints about the upload name the member it came in."""
    try:
        yield
    except OperatorError as failure:
        if failure.field == "data" and "pem" in data:
            failure.field = "pem"
        raise


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
    return read_upload(file_of(data), password)


@router.get("", responses=answers(list_of("Certificate")))
async def list_certificates(appliance: Appliance) -> JSONResponse:
    """Every certificate."""
    snapshot = appliance.snapshot()
    configuration = snapshot.configuration
    # each chain is put together and its signatures verified
    return read(snapshot.revision, await run_in_threadpool(certificates_json, configuration))


@router.post("", status_code=201, responses=MADE, openapi_extra=body("NewCertificate"))
async def add_certificate(write: Writing, data: JsonObject) -> JSONResponse:
    """Import a certificate.

    Without a key in the upload, it takes that of the signing request it answers. The answer's object says in `notes`
    what was left out of the upload.
    """
    only(data, ("name", *MATERIAL), "a certificate")
    name, material = text(data, "name"), await run_in_threadpool(material_of, data)
    with _as_given(data):
        return await write.carry_out(PutCertificate(name, material), _told(material), made="certificates")


@router.get("/{name}", responses=answers("Certificate"))
async def show_certificate(
    appliance: Appliance,
    name: str,
    host: Annotated[str | None, Query(description="Say whether it is for this host.", max_length=253)] = None,
) -> JSONResponse:
    """One certificate, and in `problems` everything that is wrong with it, each with its remedy."""
    snapshot = appliance.snapshot()
    certificate = snapshot.configuration.certificate(name)
    findings = await appliance.diagnose(name, host or None)
    return read(snapshot.revision, certificate_json(certificate, snapshot.configuration, findings))


@router.put(
    "/{name}",
    responses=CHANGED,
    openapi_extra=body("CertificateMaterial"),
)
async def replace_certificate(write: Writing, name: str, data: JsonObject) -> JSONResponse:
    """Replace the content of a certificate; its assignments stay.

    One that renews it with the same key may come without the key.
    """
    only(data, MATERIAL, "a certificate's content")
    if write.appliance.snapshot().configuration.certificate(name).temporary:
        raise NotFound("certificate", name)
    material = await run_in_threadpool(material_of, data)
    with _as_given(data):
        return await write.carry_out(PutCertificate(name, material, replace=True), _told(material))


@router.delete("/{name}", responses=CHANGED)
async def remove_certificate(write: Writing, name: str) -> JSONResponse:
    """Remove a certificate that no service uses."""
    return await write.carry_out(RemoveCertificate(name))
