"""Certificates with their keys in an encrypted file, and back."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import UploadFile
from starlette.responses import Response

from steelyard.model.certificate_backup import PARTS, Part, unseal
from steelyard.model.commands import RestoreCertificates
from steelyard.model.errors import OperatorError, SteelyardError
from steelyard.web.frame import Visit, page

_BOTH = ("GET", "POST")
_PART_WORDS: dict[Part, str] = {
    "full": "Everything",
    "third": "Intermediate certificates only",
    "vs": "Certificates of services only",
}


async def certificate_backup(visit: Visit) -> Response:
    """Certificates with their keys in an encrypted file, and back."""
    failure: SteelyardError | None = None
    if visit.request.method == "POST":
        try:
            return await (_restore(visit) if visit.field("do") == "restore" else _save(visit))
        except SteelyardError as refused:
            if isinstance(refused, OperatorError) and refused.field == "permission":
                raise
            failure = refused
    return visit.render(
        "pages/certificate_backup.html",
        parts=_PART_WORDS,
        failure=failure,
        doing=visit.field("do"),
        may=visit.may("certbackup"),
        status=200 if failure is None else 422,
    )


async def _save(visit: Visit) -> Response:
    pass_phrase = visit.field("password")
    if pass_phrase != visit.field("again"):
        raise OperatorError("The two pass phrases differ", field="again", remedy="Type the same one twice")
    content = await visit.appliance.backup_certificates(pass_phrase, visit.actor)
    name = f"certificates-{datetime.now(UTC):%Y-%m-%d}.steelyard"
    headers = {"Content-Disposition": f"attachment; filename*=UTF-8''{quote(name)}"}
    return Response(content, media_type="application/octet-stream", headers=headers)


async def _restore(visit: Visit) -> Response:
    file: Any = visit.form.get("file")
    if not isinstance(file, UploadFile) or not file.filename:
        raise OperatorError("No file was sent", field="file", remedy="Choose the backup's file")
    part: Part = next((one for one in PARTS if one == visit.field("part")), "full")
    backup = await run_in_threadpool(unseal, await file.read(), visit.field("password"))
    outcome = await visit.execute(RestoreCertificates(backup, part))
    visit.session.say(f"The backup was restored: revision {outcome.revision} is in effect.")
    return visit.go("certificates")


ROUTES = [page("/certificate-backup", certificate_backup, name="certificate-backup", methods=_BOTH)]
