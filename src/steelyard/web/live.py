"""Values that change by themselves, as server-sent events.

A page names its topic; the topic says what its places hold now, by key; a browser is sent what has changed since. A
value is text, or a mapping of what to set: `text`, `html`, `look` (the class of a status), `title`, `href`, `hidden`,
`line` and `area` (of a small graph), `status` and `reason` (of a real server, from which the browser makes title
and label). Places are elements with `data-live="key"`.

    LIVE = (Topic("home", values),)              # async def values(site) -> {"services.up": "23", ...}
    moment = await visit.site.live.now("home")   # in the handler; moment.values draws the page
    return visit.render("pages/home.html", live="home", live_since=moment.mark, now_values=moment.values)

Each value is sent once, with the keys of all places that have it: of ten thousand real servers many say the same.
All browsers of a topic share one reckoning, and only while somebody looks. Each change has a number, so a browser that
comes back is sent what it missed and no more; a number of an earlier process counts as none.
"""

from __future__ import annotations

import asyncio
import json
import logging
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from starlette.exceptions import HTTPException
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from steelyard.model.errors import SteelyardError
from steelyard.observe.events.event import Event
from steelyard.web.frame import Site, Visit, find_session, page

_log = logging.getLogger("steelyard.web")

Value = str | Mapping[str, Any]
Values = Mapping[str, Value]

#: how often values are looked at; counters are at most a second old
PERIOD_SECONDS = 2.0
_MOST_STREAMS = 200


@dataclass(frozen=True)
class Topic:
    """What one kind of page shows live."""

    name: str
    values: Callable[[Site], Awaitable[Values]]


@dataclass(frozen=True)
class Moment:
    """The values of a topic at one moment; `mark` names it, for the browser to say what it knows."""

    mark: str
    values: Values


@dataclass
class _Known:
    """What is known of a topic: its values, and the number of the change that made each what it is."""

    topic: Topic
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    values: Values = field(default_factory=dict)
    changed: dict[str, int] = field(default_factory=dict)
    number: int = 0
    at: float = 0.0

    def take(self, values: Values) -> None:
        before = self.values
        # most are the very same as before, and to compare mappings takes time
        new = [key for key, value in values.items() if (old := before.get(key)) is not value and old != value]
        if new:
            self.number += 1
            self.changed.update(dict.fromkeys(new, self.number))
        if len(self.changed) > len(values):
            self.changed = {key: number for key, number in self.changed.items() if key in values}
        self.values = values
        self.at = time.monotonic()

    def since(self, number: int) -> Values:
        return {key: self.values[key] for key, changed in self.changed.items() if changed > number}


class Live:
    """The topics, and what was found last."""

    def __init__(self, site: Site, topics: tuple[Topic, ...]) -> None:
        self._site = site
        self._known = {topic.name: _Known(topic) for topic in topics}
        self._process = secrets.token_hex(4)
        self.streams = 0

    def __contains__(self, topic: str) -> bool:
        return topic in self._known

    async def now(self, topic: str) -> Moment:
        """The values of a topic, at most a period old."""
        known = await self._looked(topic)
        return Moment(f"{self._process}-{known.number}", known.values)

    async def after(self, topic: str, mark: str) -> Moment:
        """What has changed since a mark: everything, if the mark is not one of this process."""
        known = await self._looked(topic)
        process, _, number = mark.partition("-")
        since = int(number) if process == self._process and number.isdecimal() else 0
        return Moment(f"{self._process}-{known.number}", known.since(since))

    async def _looked(self, topic: str) -> _Known:
        known = self._known[topic]
        async with known.lock:
            if time.monotonic() - known.at >= PERIOD_SECONDS * 0.9:
                known.take(await known.topic.values(self._site))
        return known


def grouped(values: Values) -> list[list[Value]]:
    """Each value with the keys that have it: [[value, key, key, ...], ...]. Mappings are told apart by identity."""
    groups: dict[str | int, list[Value]] = {}
    for key, value in values.items():
        groups.setdefault(value if isinstance(value, str) else id(value), [value]).append(key)
    return list(groups.values())


async def stream(visit: Visit) -> Response:
    """The changes of a topic for ever: until the browser goes, or its session ends."""
    live: Live = visit.site.live
    topic = visit.request.path_params["topic"]
    if topic not in live:
        raise HTTPException(404)
    if live.streams >= _MOST_STREAMS:
        raise HTTPException(503, "Too many pages are open")
    if visit.request.method == "HEAD":
        return Response(media_type="text/event-stream")
    return StreamingResponse(
        _events(visit, live, topic), media_type="text/event-stream", headers={"X-Accel-Buffering": "no"}
    )


async def _events(visit: Visit, live: Live, topic: str) -> AsyncIterator[str]:
    live.streams += 1
    mark = visit.request.headers.get("last-event-id") or visit.query("since")
    ending = asyncio.Event()
    loop = asyncio.get_running_loop()

    def hear(event: Event | None) -> None:
        # the bus hangs up when the process is about to end
        if event is None:
            loop.call_soon_threadsafe(ending.set)

    stop = visit.appliance.events().listen(hear)
    try:
        while not ending.is_set():
            if find_session(visit.request, touch=False) is None:
                yield "event: ended\ndata: {}\n\n"
                return
            try:
                moment = await live.after(topic, mark)
            except SteelyardError as failure:
                _log.debug("nothing live to tell: %s", failure.message)
                yield f"event: trouble\ndata: {json.dumps({'message': failure.message})}\n\n"
            else:
                mark = moment.mark
                yield f"id: {mark}\ndata: {json.dumps(grouped(moment.values), separators=(',', ':'))}\n\n"
            try:
                await asyncio.wait_for(ending.wait(), PERIOD_SECONDS)
            except TimeoutError:
                continue
    finally:
        stop()
        live.streams -= 1


def route() -> Route:
    """The route of the stream."""
    return page("/live/{topic}", stream, name="live", touch=False)
