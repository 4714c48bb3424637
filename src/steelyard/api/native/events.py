"""Events: `/events`, live at `/events/stream`, and who is told of them at `/events/subscribers`."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Annotated

from fastapi import Header, Query
from fastapi.responses import JSONResponse, StreamingResponse
from starlette.concurrency import run_in_threadpool

from steelyard.api.native.access import Appliance, Caller
from steelyard.api.native.bodies import JsonObject, only, optional_text
from steelyard.api.native.objects import timestamp
from steelyard.api.native.routing import NativeRouter
from steelyard.api.native.schema_words import list_of
from steelyard.api.native.schemas import answers, body
from steelyard.api.native.writing import read
from steelyard.model.errors import HostLacks, OperatorError
from steelyard.model.severity import LEVELS, Severity
from steelyard.observe.events.bus import Bus
from steelyard.observe.events.event import KINDS, Event
from steelyard.observe.events.log import Query as Wanted

router = NativeRouter(prefix="/events", tags=["events"])

_MOST = 10_000
#: events a listener may be behind; one who reads more slowly is cut off, and goes on from the last it had
_MOST_BEHIND = 2000
#: listeners at the same time
_MOST_LISTENERS = 64
#: a comment that keeps what is in between from closing a quiet connection
_PULSE_SECONDS = 15.0

Kinds = Annotated[list[str] | None, Query(description=f"Only these kinds: {', '.join(KINDS)}.")]
Level = Annotated[str | None, Query(description=f"Only events as grave as that or graver: {', '.join(LEVELS)}.")]
Service = Annotated[int | None, Query(ge=1, description="Only events of that virtual service.")]


def _instant(text: str | None) -> float | None:
    """Seconds since the epoch; a time without a zone is UTC. Raises `OperatorError`."""
    if text is None:
        return None
    try:
        at = datetime.fromisoformat(text.strip())
        return (at if at.tzinfo is not None else at.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        raise OperatorError(
            "since is no time",
            field="since",
            value=text[:40],
            allowed="a time such as 2026-01-31T12:00:00Z",
            remedy="Give date and time as ISO 8601, such as 2026-01-31T12:00:00Z",
        ) from None


def _kinds(given: list[str] | None) -> tuple[str, ...]:
    found = tuple(part for text in given or () for part in text.split(",") if part)
    for kind in found:
        if kind not in KINDS:
            raise OperatorError(
                f"{kind[:40]!r} is no kind of event",
                field="kind",
                value=kind[:40],
                allowed=", ".join(KINDS),
                remedy=f"Give one of {', '.join(KINDS)}",
            )
    return found


def _severity(word: str | None) -> Severity | None:
    if word is None:
        return None
    if word.lower() not in LEVELS:
        raise OperatorError(
            f"{word[:40]!r} is no level",
            field="severity",
            value=word[:40],
            allowed=", ".join(LEVELS),
            remedy=f"Give one of {', '.join(LEVELS)}",
        )
    return Severity.of(word)


@router.get("", responses=answers(list_of("Event")))
async def list_events(
    appliance: Appliance,
    since: Annotated[str | None, Query(description="Only events from this time on.")] = None,
    after: Annotated[int | None, Query(ge=0, description="The oldest events after the one of this number.")] = None,
    kind: Kinds = None,
    service: Service = None,
    severity: Level = None,
    limit: Annotated[int, Query(ge=1, le=_MOST, description="How many; without `after` the newest.")] = 100,
) -> JSONResponse:
    """Events, oldest first."""
    wanted = Wanted(limit, _instant(since), _kinds(kind), service, _severity(severity), after)
    found = await run_in_threadpool(appliance.events().log.find, wanted)
    return read(appliance.snapshot().revision, [event.as_json() for event in found])


@router.get("/stream", response_class=StreamingResponse)
async def stream_events(
    appliance: Appliance,
    after: Annotated[int | None, Query(ge=0, description="Begin after the event of this number.")] = None,
    kind: Kinds = None,
    service: Service = None,
    severity: Level = None,
    last_event_id: Annotated[str | None, Header(description="What browsers say when they come again.")] = None,
) -> StreamingResponse:
    """Events as they come, as server-sent events.

    Each has its number as `id`, its kind as `event` and the event as JSON in `data`. Who comes again with the number
    of the last one misses none.
    """
    if after is None and last_event_id is not None and last_event_id.isdecimal():
        after = int(last_event_id[:18])
    bus = appliance.events()
    if bus.listeners >= _MOST_LISTENERS:
        raise HostLacks(
            f"{_MOST_LISTENERS} listen already", lacks="room for another listener", remedy="Close one of the others"
        )
    wanted = Wanted(_MOST, None, _kinds(kind), service, _severity(severity), after)
    return StreamingResponse(
        _stream(bus, wanted),
        media_type="text/event-stream",
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
    )


async def _stream(bus: Bus, wanted: Wanted) -> AsyncIterator[bytes]:
    loop = asyncio.get_running_loop()
    # one more, so that a full queue tells that something was lost
    queue: asyncio.Queue[Event | None] = asyncio.Queue(_MOST_BEHIND + 1)

    def listener(event: Event | None) -> None:
        with contextlib.suppress(RuntimeError):  # the loop may have ended
            loop.call_soon_threadsafe(put, event)

    def put(event: Event | None) -> None:
        if not queue.full():
            queue.put_nowait(event)

    end = bus.listen(listener)
    try:
        yield b": events of Steelyard\n\n"
        last = wanted.after
        if last is not None:
            for event in await run_in_threadpool(bus.log.find, wanted):
                last = event.number
                yield _said(event)
        while not queue.full():
            try:
                async with asyncio.timeout(_PULSE_SECONDS):
                    event_or_end = await queue.get()
            except TimeoutError:
                yield b": still here\n\n"
                continue
            if event_or_end is None:
                return
            if (last is None or event_or_end.number > last) and _is_wanted(event_or_end, wanted):
                yield _said(event_or_end)
    finally:
        end()


def _said(event: Event) -> bytes:
    data = json.dumps(event.as_json(), separators=(",", ":"))
    return f"id: {event.number}\nevent: {event.kind}\ndata: {data}\n\n".encode()


def _is_wanted(event: Event, wanted: Wanted) -> bool:
    return (
        (not wanted.kinds or event.kind in wanted.kinds)
        and wanted.service in (None, event.service)
        and (wanted.severity is None or event.severity <= wanted.severity)
    )


@router.get("/subscribers", responses=answers(list_of("Subscriber")))
async def list_subscribers(appliance: Appliance) -> JSONResponse:
    """Who is told of events: how each is, and what it was told."""
    found = [
        {
            "name": one.key,
            "level": one.level.word,
            "state": one.state,
            "delivered": one.delivered,
            "waiting": one.waiting,
            "lost": one.lost,
            "error": one.error,
            "last_delivered": timestamp(one.last_delivered),
        }
        for one in appliance.events().states()
    ]
    return read(appliance.snapshot().revision, found)


@router.post("/test", responses=answers("Event"), openapi_extra=body("TestEvent"))
async def send_test_event(appliance: Appliance, actor: Caller, data: JsonObject) -> JSONResponse:
    """Tell every subscriber of an event that is only a test, whatever its level."""
    only(data, ("severity", "text"), "a test event")
    severity = _severity(optional_text(data, "severity") or "info") or Severity.INFO
    event = await appliance.test_event(actor, severity, optional_text(data, "text") or "")
    return read(appliance.snapshot().revision, event.as_json())


@router.delete("", responses=answers({"type": "object", "properties": {"removed": {"type": "integer"}}}))
async def clear_events(appliance: Appliance, actor: Caller) -> JSONResponse:
    """Remove every event from the log."""
    removed = await appliance.clear_events(actor)
    return read(appliance.snapshot().revision, {"removed": removed})
