"""Values that change by themselves, as server-sent events.

A page names its topic; the topic says what its places hold now, by key; a browser is sent what differs from what it
was sent before. A value is text, or a mapping of what to set: `text`, `html`, `look` (the class of a status), `title`,
`href`, `hidden`. Places are elements with `data-live="key"`. All browsers of a topic share one reckoning.

    LIVE = (Topic("home", values),)     # async def values(site) -> {"services.up": "23", ...}
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
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
#: a browser marks its values as stale when it has heard nothing for three of these
_MOST_STREAMS = 200


@dataclass(frozen=True)
class Topic:
    """What one kind of page shows live."""

    name: str
    values: Callable[[Site], Awaitable[Values]]


class Live:
    """The topics, and what was found last."""

    def __init__(self, site: Site, topics: tuple[Topic, ...]) -> None:
        self._site = site
        self._topics = {topic.name: topic for topic in topics}
        self._found: dict[str, tuple[float, Values]] = {}
        self._locks = {name: asyncio.Lock() for name in self._topics}
        self.streams = 0

    def __contains__(self, topic: str) -> bool:
        return topic in self._topics

    async def now(self, topic: str) -> Values:
        """The values of a topic, at most a period old. Raises what the engines raise."""
        async with self._locks[topic]:
            at, found = self._found.get(topic, (0.0, {}))
            if time.monotonic() - at >= PERIOD_SECONDS * 0.9:
                found = await self._topics[topic].values(self._site)
                self._found[topic] = (time.monotonic(), found)
            return found


async def stream(visit: Visit) -> Response:
    """The changes of a topic for ever: until the browser goes, or its session ends."""
    live: Live = visit.site.live
    topic = visit.request.path_params["topic"]
    if topic not in live:
        raise HTTPException(404)
    if live.streams >= _MOST_STREAMS:
        raise HTTPException(503, "Too many pages are open")
    return StreamingResponse(
        _events(visit, live, topic), media_type="text/event-stream", headers={"X-Accel-Buffering": "no"}
    )


async def _events(visit: Visit, live: Live, topic: str) -> AsyncIterator[str]:
    live.streams += 1
    sent: dict[str, Value] = {}
    ending = asyncio.Event()
    loop = asyncio.get_running_loop()
    # the bus hangs up when the process is about to end

    def hear(event: Event | None) -> None:
        if event is None:
            loop.call_soon_threadsafe(ending.set)

    stop = visit.appliance.events().listen(hear)
    try:
        while not ending.is_set():
            if find_session(visit.request, touch=False) is None:
                yield "event: ended\ndata: {}\n\n"
                return
            try:
                values = await live.now(topic)
            except SteelyardError as failure:
                _log.debug("nothing live to tell: %s", failure.message)
                yield f"event: trouble\ndata: {json.dumps({'message': failure.message})}\n\n"
            else:
                changed = {key: value for key, value in values.items() if sent.get(key) != value}
                sent.update(changed)
                yield f"data: {json.dumps(changed, separators=(',', ':'))}\n\n"
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
