"""Certificates, intermediates and keys as one encrypted file: `/certificate-backup`, `/certificate-restore`."""

from __future__ import annotations

import base64

from fastapi.responses import JSONResponse
from starlette.concurrency import run_in_threadpool

from steelyard.api.native.access import Appliance, Caller
from steelyard.api.native.bodies import JsonObject, file_of, only, text
from steelyard.api.native.routing import NativeRouter
from steelyard.api.native.schemas import CHANGED, answers, body
from steelyard.api.native.writing import Writing, read
from steelyard.model.certificate_backup import PARTS, Part, unseal
from steelyard.model.commands import RestoreCertificates
from steelyard.model.errors import OperatorError

router = NativeRouter(tags=["certificates"])


@router.post("/certificate-backup", responses=answers("CertificateBackup"), openapi_extra=body("NewCertificateBackup"))
async def back_up_certificates(appliance: Appliance, caller: Caller, data: JsonObject) -> JSONResponse:
    """Every certificate with its key and every intermediate, in a file encrypted by the password."""
    only(data, ("password",), "a backup of certificates")
    password = text(data, "password", secret=True)
    snapshot = appliance.snapshot()
    file = await appliance.backup_certificates(password, caller)
    return read(snapshot.revision, {"data": base64.b64encode(file).decode()})


def part_named(given: str) -> Part:
    """What is to be restored. Raises `OperatorError`."""
    for part in PARTS:
        if given == part:
            return part
    raise OperatorError(
        f"{given[:40]!r} is no part of a backup of certificates",
        field="type",
        value=given[:40],
        allowed="full, third (intermediates), vs (certificates of virtual services)",
        remedy="Choose one of them, in lower case",
    )


@router.post("/certificate-restore", responses=CHANGED, openapi_extra=body("CertificateRestore"))
async def restore_certificates(write: Writing, data: JsonObject) -> JSONResponse:
    """Bring certificates and intermediates of a backup back, all or none.

    Those of the same names are replaced, others stay.
    """
    only(data, ("data", "password", "type"), "a restoration of certificates")
    part = part_named(text(data, "type")) if "type" in data else "full"
    file = file_of(data)
    backup = await run_in_threadpool(unseal, file, text(data, "password", secret=True))
    return await write.carry_out(RestoreCertificates(backup, part))
