"""Virtual services: the list, live, with filter and sort. Rows come in pieces as they are scrolled to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from functools import lru_cache
from typing import Any
from urllib.parse import urlencode

from starlette.responses import Response

from steelyard.observe.status import ServiceState
from steelyard.web.frame import Site, Visit, page
from steelyard.web.live import Topic, Value, Values
from steelyard.web.looking import every_state
from steelyard.web.service_list import FALLING, ORDERS, Row, Rows, Seen, chosen, ordered
from steelyard.web.traffic import Rate, Traffic
from steelyard.web.wording import bits, look

#: rows of a piece: more than fit on a large screen, few enough to be drawn in some hundredths of a second
PIECE = 60
_MOST_ROWS = 2000


class _List:
    """What the list shows, reckoned for everybody who looks."""

    def __init__(self) -> None:
        self._rows = Rows()
        self._traffic = Traffic()
        self._values: dict[int, tuple[Seen, Values]] = {}
        #: how often was looked, and what was seen last
        self.looks = 0
        self.seen: list[Seen] = []

    async def look(self, site: Site) -> list[Seen]:
        """Every row as it is now."""
        await self._traffic.look(site.appliance)
        snapshot, states = await every_state(site.appliance)
        self.seen = [self._seen(row, states) for row in self._rows.all(snapshot.configuration)]
        self.looks += 1
        return self.seen

    def _seen(self, row: Row, states: Mapping[int, ServiceState]) -> Seen:
        return Seen(
            row, states[row.index], self._traffic.of(row.index), tuple(self._seen(sub, states) for sub in row.subs)
        )

    async def values(self, site: Site) -> Values:
        """The values that change by themselves, of every row."""
        seen = await self.look(site)
        counts = Counter(one.status for one in seen)
        found: dict[str, Value] = {
            "revision": str(site.appliance.snapshot().revision),
            "services.list": str(self._rows.signature),
        }
        for status in _STATUSES:
            found[f"count.{status}"] = {"text": f"{counts[status]:,} {status.lower()}", "hidden": not counts[status]}
        values: dict[int, tuple[Seen, Values]] = {}
        for one in (each for row in seen for each in (row, *row.subs)):
            kept = self._values.get(one.row.index)
            if kept is None or not _same(kept[0], one):
                kept = (one, _values(one))
            values[one.row.index] = kept
            found.update(kept[1])
        self._values = values
        return found


_STATES = 4096
_STATUSES = ("Up", "Down", "Sorry", "Redirect", "Fail Message", "Unchecked", "Disabled")


def _same(before: Seen, now: Seen) -> bool:
    """Whether a row says what it said before. States are kept for as long as they hold, so identity tells."""
    return before.row is now.row and before.state is now.state and before.rate == now.rate


def _values(seen: Seen) -> Values:
    """What a row shows, and its real servers."""
    index, state, rate = seen.row.index, seen.state, seen.rate
    found: dict[str, Value] = {
        f"vs{index}": _state(state.status, state.reason),
        f"vs{index}.c": connections(rate),
        f"vs{index}.b": throughput(rate),
    }
    for member in seen.row.members:
        one = seen.member_state(member)
        found[f"vs{index}.{member.index}"] = _server(one.status, one.reason)
    return found


# what many say is one object, which the stream then sends once


@lru_cache(_STATES)
def _state(status: str, reason: str) -> Value:
    return {"text": status, "look": look(status), "title": reason}


@lru_cache(_STATES)
def _server(status: str, reason: str) -> Value:
    return {"status": status, "look": look(status), "reason": reason}


def connections(rate: Rate) -> str:
    """As it stands in a column; a dash for what is not known."""
    return f"{rate.active:,}" if rate.known else "-"


def throughput(rate: Rate) -> str:
    """As it stands in a column: nothing is a dash, for the eye to pass over."""
    return bits(rate.bytes) if rate.bytes else "-"


async def services(visit: Visit) -> Response:
    """The list, a part of it, or its card when a filter changed."""
    text, status = visit.query("q").strip(), visit.query("status")
    by = visit.query("sort") if visit.query("sort") in ORDERS else "address"
    falling = visit.query("order", "down" if by in FALLING else "up") == "down"
    start = _number(visit.query("from"), 0)
    kept: _List = visit.site.kept("services", _List)
    # drawn from the values as they are, named as of the moment before: a change in between is sent once more
    looks = kept.looks
    moment = await visit.site.live.now("services")
    every = kept.seen if kept.looks > looks else await kept.look(visit.site)
    found = ordered(chosen(every, text, status), by, falling=falling)
    length = min(max(PIECE, _number(visit.query("rows"), PIECE)), _MOST_ROWS)
    shown = found[start : start + length]
    choice = {"q": text, "status": status, "sort": by if visit.query("sort") else "", "order": visit.query("order")}
    context = {
        "rows": shown,
        "following": start + len(shown) if start + len(shown) < len(found) else 0,
        "left": len(found) - start - len(shown),
        "total": len(every),
        "matching": len(found),
        "counts": Counter(one.status for one in every),
        "servers": sum(not member.sub for one in every for sub in (one, *one.subs) for member in sub.row.members),
        "text": text,
        "status": status,
        "by": by,
        "falling": falling,
        "expanded": bool(text),
        "address": lambda **changes: _address(visit, {**choice, **changes}),
        "falls_first": FALLING.__contains__,
        "signature": moment.values["services.list"],
        "connections": connections,
        "throughput": throughput,
        "statuses": _STATUSES,
    }
    if visit.by_htmx and start:
        return visit.render("pages/services_rows.html", context)
    if visit.by_htmx:
        return visit.render("pages/services_card.html", context)
    return visit.render("pages/services.html", context, live="services", live_since=moment.mark)


def _number(text: str, otherwise: int) -> int:
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 7 else otherwise


def _address(visit: Visit, choice: dict[str, Any]) -> str:
    said = urlencode({name: value for name, value in choice.items() if value})
    return visit.url("services") + (f"?{said}" if said else "")


ROUTES = [page("/virtual-services", services, name="services")]
LIVE: tuple[Topic, ...] = (Topic("services", lambda site: site.kept("services", _List).values(site)),)
