"""Requests to be signed by an authority: `/signing-requests`."""

from __future__ import annotations

from typing import Any

from fastapi.responses import JSONResponse
from starlette.concurrency import run_in_threadpool

from steelyard.api.native.access import Appliance
from steelyard.api.native.bodies import JsonObject, flag, mapping, only, text, texts
from steelyard.api.native.certificate_objects import request_json
from steelyard.api.native.routing import NativeRouter
from steelyard.api.native.schema_words import list_of
from steelyard.api.native.schemas import CHANGED, MADE, answers, body
from steelyard.api.native.writing import Writing, read
from steelyard.appliance.signing import DEFAULT_KEY, SUBJECT, signing_request
from steelyard.model.commands import RemoveSigningRequest
from steelyard.model.configuration import Configuration

router = NativeRouter(prefix="/signing-requests", tags=["certificates"])

MEMBERS = ("name", "subject", "names", "key_type", "show_key")


def _rendered(configuration: Configuration, key: int | str | None) -> Any:
    return request_json(configuration.signing_request(str(key))) if key is not None else None


@router.get("", responses=answers(list_of("SigningRequest")))
async def list_requests(appliance: Appliance) -> JSONResponse:
    """Every signing request that waits for its certificate."""
    snapshot = appliance.snapshot()
    return read(snapshot.revision, [request_json(one) for one in snapshot.configuration.signing_requests.values()])


@router.post("", status_code=201, responses=MADE, openapi_extra=body("NewSigningRequest"))
async def make_request(write: Writing, data: JsonObject) -> JSONResponse:
    """Make a key and a signing request.

    The key is kept here until the certificate is imported. With `show_key` this one answer has it, and no other ever.
    """
    only(data, MEMBERS, "a signing request")
    subject = mapping(data, "subject") if "subject" in data else {}
    only(subject, SUBJECT, "a subject")
    parts = {part: text(subject, part) for part in subject}
    key_type = text(data, "key_type") if "key_type" in data else DEFAULT_KEY
    show = flag(data, "show_key")
    command = await run_in_threadpool(signing_request, text(data, "name"), parts, texts(data, "names"), key_type)

    def shown(configuration: Configuration, key: int | str | None) -> Any:
        found = _rendered(configuration, key)
        return {**found, "key": command.key_pem.decode()} if show and not write.dry_run else found

    return await write.carry_out(command, shown, made="signing-requests")


@router.get("/{name}", responses=answers("SigningRequest"))
async def show_request(appliance: Appliance, name: str) -> JSONResponse:
    """One signing request."""
    snapshot = appliance.snapshot()
    return read(snapshot.revision, _rendered(snapshot.configuration, name))


@router.delete("/{name}", responses=CHANGED)
async def remove_request(write: Writing, name: str) -> JSONResponse:
    """Give a signing request up. The certificate it would bring cannot be imported without its key then."""
    return await write.carry_out(RemoveSigningRequest(name))
