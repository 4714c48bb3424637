"""The logs of the edge filter: `/logs/edge/{kind}`."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from fastapi import Query
from fastapi.responses import JSONResponse
from starlette.concurrency import run_in_threadpool

from steelyard.api.native.access import Appliance
from steelyard.api.native.routing import NativeRouter
from steelyard.api.native.schemas import answers
from steelyard.api.native.writing import read
from steelyard.model.errors import OperatorError
from steelyard.observe.edge_events import KINDS, moment

router = NativeRouter(tags=["logs"])

_MOST_LINES = 10_000
_SHAPE = {
    "type": "object",
    "properties": {"kind": {"type": "string"}, "lines": {"type": "array", "items": {"type": "string"}}},
}


def _since(text: str | None) -> str:
    """The time as lines have it; without a zone it is UTC. Raises `OperatorError`."""
    if text is None:
        return ""
    try:
        at = datetime.fromisoformat(text.strip())
        return moment((at if at.tzinfo is not None else at.replace(tzinfo=UTC)).timestamp())
    except (ValueError, OverflowError):
        raise OperatorError(
            "since is no time",
            field="since",
            value=text[:40],
            allowed="a time such as 2026-01-31T12:00:00Z",
            remedy="Give date and time as ISO 8601, such as 2026-01-31T12:00:00Z",
        ) from None


@router.get("/logs/edge/{kind}", responses=answers(_SHAPE))
async def read_edge_log(
    appliance: Appliance,
    kind: str,
    tail: Annotated[int, Query(ge=1, le=_MOST_LINES, description="How many of the last lines.")] = 100,
    since: Annotated[str | None, Query(description="Only lines from this time on.")] = None,
) -> JSONResponse:
    """Lines of a log of the edge filter, oldest first.

    The kinds are connection, security and user.
    """
    found = next((one for one in KINDS if one == kind), None)
    if found is None:
        raise OperatorError(
            f"{kind[:40]!r} is no log of the edge filter",
            field="kind",
            value=kind[:40],
            allowed=", ".join(KINDS),
            remedy=f"Give one of {', '.join(KINDS)}",
        )
    lines = await run_in_threadpool(appliance.edge_files().tail, found, tail, _since(since))
    return read(appliance.snapshot().revision, {"kind": found, "lines": list(lines)})
