"""Events: what happened, live, searched and filtered by level, kind and service."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from starlette.responses import Response

from steelyard.model.severity import LEVELS, Severity
from steelyard.observe.events.event import KINDS, Event
from steelyard.observe.events.log import Query
from steelyard.web.frame import Site, Visit, page
from steelyard.web.live import Topic, Values

#: events of one page; a search looks at the newest so many
_PAGE = 100
_SEARCHED = 5000


async def events(visit: Visit) -> Response:
    """The newest events that fit, or the part of the page that holds them."""
    words = visit.query("q").strip()
    level = visit.query("severity") if visit.query("severity") in LEVELS else ""
    kind = visit.query("kind") if visit.query("kind") in KINDS else ""
    number = visit.query("service")
    service = int(number) if number.isdecimal() and len(number) < 10 else None
    query = Query(
        limit=_SEARCHED if words else _PAGE,
        kinds=(kind,) if kind else (),
        service=service,
        severity=Severity.of(level) if level else None,
    )
    found = await asyncio.to_thread(visit.appliance.events().log.find, query)
    shown = _fitting(found, words)
    moment = await visit.site.live.now("events")
    context = {
        "events": shown[:_PAGE],
        "more": len(shown) > _PAGE,
        "services": visit.snapshot.configuration.services,
        "searching": bool(words or level or kind or service),
    }
    if visit.by_htmx:
        return visit.render("pages/events_list.html", context)
    context |= {
        "words": words,
        "level": level,
        "kind": kind,
        "service": service,
        "levels": LEVELS,
        "kinds": KINDS,
        "live": "events",
        "live_since": moment.mark,
        "newest": moment.values["events.newest"],
    }
    return visit.render("pages/events.html", context)


def _fitting(found: Sequence[Event], words: str) -> list[Event]:
    """Newest first, those that hold every word."""
    wanted = words.lower().split()
    return [one for one in reversed(found) if all(word in f"{one.text} {one.about}".lower() for word in wanted)]


async def _values(site: Site) -> Values:
    return {
        "revision": str(site.appliance.snapshot().revision),
        "events.newest": str(site.appliance.events().log.number),
    }


LIVE = (Topic("events", _values),)

ROUTES = [page("/events", events, name="events")]
