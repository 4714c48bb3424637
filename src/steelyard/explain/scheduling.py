"""Scheduling: who gets a client without a record, as far as it can be known."""

from __future__ import annotations

from collections.abc import Sequence

from steelyard.compile.haproxy.balancing import EQUAL_WEIGHT
from steelyard.explain.consistent_hash import nearest, of_source, of_uri
from steelyard.explain.place import Member, Place
from steelyard.model.adaptive import MOVING
from steelyard.model.virtual_service.standard import SCHEDULES

_UNKNOWABLE = {
    "rr": "whose turn it is, is known to HAProxy alone",
    "wrr": "whose turn it is, is known to HAProxy alone",
    "lc": "it depends on the connections of that moment",
    "wlc": "it depends on the connections of that moment",
    "random": "it is chance",
    **dict.fromkeys(MOVING, "its weights move, and whose turn it is, is known to HAProxy alone"),
}


def scheduled(place: Place) -> tuple[Member, ...]:
    """The members the scheduler may choose: one where it is certain, none where no member is available."""
    visit, service = place.visit, place.visit.service
    live, told = place.live(), tuple(place.told())
    name = SCHEDULES[service.schedule]
    if len(live) < 2:
        if live:
            visit.note("scheduling", f"{name}: {place.title(live[0])} is the only one available", *told)
        return live
    if service.schedule == "fixed":
        # HAProxy is told weights that leave only the best of those available
        best = max(member.weight for member in live)
        found, says = live, f"{name}: the highest weight of those available is {best}"
    elif (hashed := _hashed(place, live)) is not None:
        found, says = (hashed,), f"{name}: {place.title(hashed)} is the nearest on HAProxy's ring"
    else:
        found, says = live, f"{name} among {len(live)}: {_UNKNOWABLE.get(service.schedule, 'it cannot be known')}"
    if len(found) > 1 and service.schedule == "fixed":
        says += f", of which there are {len(found)}; {_UNKNOWABLE['rr']}"
    visit.note("scheduling", says, *told)
    return found


def _hashed(place: Place, live: Sequence[Member]) -> Member | None:
    service, request = place.visit.service, place.visit.request
    if any(member.limit for member in live):
        # a server at its limit is passed over
        return None
    if service.schedule == "sh":
        value = of_source(request.client)
    elif service.schedule == "uhash" and request.version != "2":
        value = of_uri(request.target)
    else:
        return None
    return place.member(nearest(value, [member.index for member in live], EQUAL_WEIGHT))
