"""What was changed, by whom and why, and the way back: `/history`, `/diff`, `/rollback`."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query
from fastapi.responses import JSONResponse

from steelyard.api.native.access import Appliance, Caller
from steelyard.api.native.bodies import JsonObject, flag, number, only, optional_text
from steelyard.api.native.faults import Stale
from steelyard.api.native.objects import Json, timestamp
from steelyard.api.native.routing import NativeRouter
from steelyard.api.native.schema_words import list_of
from steelyard.api.native.schemas import CHANGED, answers, body
from steelyard.api.native.writing import BasedOn, answer, checked_reason, difference_json, read
from steelyard.appliance.contract import ApplianceApi, HistoryEntry

router = NativeRouter(tags=["history"])

_LONGEST_PAGE = 1000
_NAMED = 3


def entry_json(entry: HistoryEntry) -> Json:
    """One revision without its differences."""
    return {
        "number": entry.number,
        "at": timestamp(entry.at),
        "author": entry.author,
        "origin": entry.origin,
        "reason": entry.reason,
        "summary": entry.summary,
        "status": entry.status,
        "detail": entry.detail,
        "rollback_of": entry.rollback_of,
    }


@router.get("/history", responses=answers(list_of("Revision")))
async def list_history(
    appliance: Appliance,
    limit: Annotated[int, Query(ge=1, le=_LONGEST_PAGE)] = 50,
    before: Annotated[int | None, Query(ge=1, description="Only revisions older than this one.")] = None,
) -> JSONResponse:
    """Revisions, newest first."""
    return read(appliance.snapshot().revision, [entry_json(entry) for entry in appliance.history(limit, before)])


@router.get("/history/{number}", responses=answers("Revision"))
async def show_revision(appliance: Appliance, number: int) -> JSONResponse:
    """One revision with what it changed."""
    entry = appliance.revision(number)
    found = {**entry_json(entry), "differences": [difference_json(d) for d in entry.differences]}
    return read(appliance.snapshot().revision, found)


_DIFFERENCES = {
    "type": "object",
    "properties": {
        "old": {"type": "integer"},
        "new": {"type": ["integer", "null"]},
        "differences": list_of("Difference"),
    },
}


@router.get("/diff", responses=answers(_DIFFERENCES))
async def show_difference(
    appliance: Appliance,
    old: Annotated[int, Query(ge=0, le=2**62, description="The earlier revision; 0 is the empty configuration.")],
    new: Annotated[int | None, Query(ge=0, le=2**62, description="The later revision; without it, now.")] = None,
) -> JSONResponse:
    """What differs between two revisions."""
    differences = [difference_json(difference) for difference in appliance.difference(old, new)]
    return read(appliance.snapshot().revision, {"old": old, "new": new, "differences": differences})


@router.post(
    "/rollback",
    responses=CHANGED,
    openapi_extra=body("Rollback"),
)
async def roll_back(
    appliance: Appliance,
    actor: Caller,
    based_on: BasedOn,
    data: JsonObject,
    dry_run: Annotated[bool, Query(description="Only say what would happen.")] = False,
    reason: Annotated[str, Query(description="Why, for the history.")] = "",
) -> JSONResponse:
    """Make the configuration of an earlier revision the newest one.

    Users and API keys stay as they are.
    """
    only(data, ("revision", "reason", "dry_run"), "a rollback")
    wanted = number(data, "revision")
    why = checked_reason(optional_text(data, "reason") or reason)
    _require_newest(appliance, based_on)
    return answer(await appliance.rollback(wanted, actor, reason=why, dry_run=flag(data, "dry_run") or dry_run))


def _require_newest(appliance: ApplianceApi, based_on: int | None) -> None:
    """Raises `Stale`, saying who changed what since, unless `based_on` is the newest revision."""
    newest = appliance.snapshot().revision
    if based_on is None or based_on == newest:
        return
    since = [entry for entry in appliance.history(_NAMED) if entry.number > based_on]
    said = "; ".join(f"revision {entry.number} by {entry.author}: {entry.summary}" for entry in since)
    raise Stale(
        f"The configuration changed since revision {based_on}: {said}"
        if since
        else f"The rollback is based on revision {based_on}, but the newest revision here is {newest}",
        field="If-Match",
        with_what=f"revision {newest}",
    )
