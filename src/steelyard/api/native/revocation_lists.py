"""Revocation lists, clients that were refused, and how OCSP stapling stands."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from cryptography import x509
from fastapi.responses import JSONResponse

from steelyard.api.native.access import Appliance
from steelyard.api.native.bodies import JsonObject, only, text, uploaded
from steelyard.api.native.objects import Json, timestamp
from steelyard.api.native.routing import NativeRouter
from steelyard.api.native.schema_words import list_of
from steelyard.api.native.schemas import CHANGED, MADE, answers, body
from steelyard.api.native.writing import Writing, read
from steelyard.appliance.stapling import Stapling
from steelyard.model.commands import PutRevocationList, RemoveRevocationList
from steelyard.model.configuration import Configuration
from steelyard.model.errors import OperatorError
from steelyard.model.revocation_list import RevocationList, read_revocation_list

router = NativeRouter(tags=["certificates"])

CONTENT = ("pem", "data")


def content_of(data: Mapping[str, Any]) -> str:
    """The list that was sent, PEM text or base64 of PEM or DER. Raises `OperatorError`, also for one too old."""
    pem = sent_list(data)
    until = x509.load_pem_x509_crl(pem.encode()).next_update_utc
    if until is not None and until <= datetime.now(UTC):
        raise OperatorError(
            f"The revocation list has held until {until:%Y-%m-%d %H:%M} UTC; with it every client of its authority"
            " would be refused",
            field="pem" if "pem" in data else "data",
            remedy="Fetch the newest one from the authority",
        )
    return pem


def sent_list(data: Mapping[str, Any]) -> str:
    """The list as PEM, however old. Raises `OperatorError`."""
    return read_revocation_list(uploaded(data, "A revocation list"))


def revocation_list_json(found: RevocationList, configuration: Configuration) -> Json:
    """A list: whose it is, its times, how many certificates it names."""
    parsed = found.parsed
    return {
        "name": found.name,
        "issuer": parsed.issuer.rfc4514_string(),
        "authorities": [one.name for one in configuration.intermediates.values() if found.is_of(one.parsed)],
        "last_update": timestamp(parsed.last_update_utc.timestamp()),
        "next_update": _moment(found.next_update),
        "revoked": len(parsed),
        "pem": found.pem,
    }


def _moment(at: datetime | None) -> str | None:
    return None if at is None else timestamp(at.timestamp())


def _rendered(configuration: Configuration, key: int | str | None) -> Any:
    return revocation_list_json(configuration.revocation_list(str(key)), configuration) if key is not None else None


@router.get("/revocation-lists", responses=answers(list_of("RevocationList")))
async def list_revocation_lists(appliance: Appliance) -> JSONResponse:
    """Every revocation list."""
    snapshot = appliance.snapshot()
    configuration = snapshot.configuration
    return read(
        snapshot.revision, [revocation_list_json(o, configuration) for o in configuration.revocation_lists.values()]
    )


@router.post("/revocation-lists", status_code=201, responses=MADE, openapi_extra=body("NewRevocationList"))
async def add_revocation_list(write: Writing, data: JsonObject) -> JSONResponse:
    """Import a revocation list: certificates it names are refused from clients."""
    only(data, ("name", *CONTENT), "a revocation list")
    command = PutRevocationList(text(data, "name"), content_of(data))
    return await write.carry_out(command, _rendered, made="revocation-lists")


@router.get("/revocation-lists/{name}", responses=answers("RevocationList"))
async def show_revocation_list(appliance: Appliance, name: str) -> JSONResponse:
    """One revocation list."""
    snapshot = appliance.snapshot()
    return read(snapshot.revision, _rendered(snapshot.configuration, name))


@router.put("/revocation-lists/{name}", responses=CHANGED, openapi_extra=body("RevocationListContent"))
async def replace_revocation_list(write: Writing, name: str, data: JsonObject) -> JSONResponse:
    """Replace a revocation list by a newer one, without a reload; or import it."""
    only(data, CONTENT, "a revocation list's content")
    return await write.carry_out(PutRevocationList(name, content_of(data), replace=True), _rendered)


@router.delete("/revocation-lists/{name}", responses=CHANGED)
async def remove_revocation_list(write: Writing, name: str) -> JSONResponse:
    """Remove a revocation list: certificates it names are accepted again."""
    return await write.carry_out(RemoveRevocationList(name))


@router.get("/virtual-services/{index}/refused-clients", responses=answers(list_of("RefusedClient")))
async def show_refused_clients(appliance: Appliance, index: int) -> JSONResponse:
    """Clients that showed no good certificate to a service since the last reload, newest first."""
    found = await appliance.refused_clients(index)
    return read(
        appliance.snapshot().revision,
        [{"at": timestamp(o.at), "client": o.client, "subject": o.subject, "reason": o.reason} for o in found],
    )


def stapling_json(state: Stapling) -> Json:
    """How stapling stands with one certificate."""
    return {
        "certificate": state.certificate,
        "responder": state.responder,
        "answer_made": _moment(state.answer_made),
        "answer_until": _moment(state.answer_until),
        "asked": _moment(state.asked),
        "next": _moment(state.next),
        "failures": state.failures,
        "trouble": state.trouble,
        "never": state.never,
    }


@router.get("/stapling", responses=answers(list_of("Stapling")))
async def show_stapling(appliance: Appliance) -> JSONResponse:
    """OCSP stapling of each certificate that listeners have; empty while it is off."""
    return read(appliance.snapshot().revision, [stapling_json(state) for state in appliance.stapling()])
