"""The way of a request through the appliance, in the order in which `compile.haproxy.service` puts the rules."""

from __future__ import annotations

from dataclasses import replace

from steelyard.compile.haproxy.switching import switches
from steelyard.explain.arriving import arrive
from steelyard.explain.caching import cached
from steelyard.explain.changing import change
from steelyard.explain.filtering import filter_request, has_length
from steelyard.explain.forwarding import forwarded
from steelyard.explain.limiting import limited
from steelyard.explain.persisting import persisted
from steelyard.explain.place import Place
from steelyard.explain.proving import proved
from steelyard.explain.refusing import unavailable
from steelyard.explain.report import Explanation, Result, Step
from steelyard.explain.request import Request
from steelyard.explain.scheduling import scheduled
from steelyard.explain.selecting import before_all, select
from steelyard.explain.situation import Asking, Situation, Visit, ask_servers
from steelyard.explain.sourcing import sourced
from steelyard.model.real_server import RealServer
from steelyard.model.rule_matching import Flags
from steelyard.model.slot import Slot
from steelyard.model.virtual_service import VirtualService


def explain(situation: Situation, service: VirtualService, request: Request) -> Asking[Explanation]:
    """What would happen to a request that arrives at a service."""
    steps: list[Step] = []
    visit = Visit(situation, service, request, steps)
    state = situation.states.get(service.index)
    if state is not None and state.layer.number == 4:
        ended = yield from forwarded(visit, state.layer)
        return Explanation(tuple(steps), ended)
    result = arrive(visit) or proved(visit)
    if result is None:
        result = yield from _inside(visit)
    return Explanation((*steps, *sourced(situation, result)), result)


def _inside(visit: Visit, flags: Flags = frozenset()) -> Asking[Result]:
    """At a service: its filters, its choice, its rules, its servers. `flags` are those a parent's rules have set."""
    received = visit.request
    if not _switches_first(visit.service):
        refused = (yield from limited(visit)) or filter_request(visit) or has_length(visit)
        if refused is not None:
            return refused
    flags, refused = before_all(visit, flags)
    if refused is not None:
        return refused
    selected = select(visit, flags)
    if isinstance(selected, Result):
        return selected
    found, flags = selected
    if _switches_first(visit.service):
        refused = (yield from limited(visit)) or filter_request(visit) or has_length(visit)
        if refused is not None:
            return refused
    outcome = change(visit, flags)
    if isinstance(outcome, Result):
        return outcome
    changed, flags = outcome
    cached(changed)
    if isinstance(found, VirtualService):
        return (yield from _inside(replace(changed, service=found), flags))
    if visit.service.persistence == "header":
        # this key is taken before any rule changes the header
        changed = replace(changed, request=_with_lines(changed.request, received, visit.service.cookie))
    return (yield from _at(replace(found, visit=changed)))


def _switches_first(service: VirtualService) -> bool:
    """A sub-service that chooses among real servers does so in its own listener, and filters behind it."""
    return service.is_sub and switches(service)


def _with_lines(request: Request, received: Request, name: str) -> Request:
    others = tuple(pair for pair in request.headers if pair[0].lower() != name.lower())
    return replace(request, headers=(*others, *((name, value) for value in received.lines(name))))


def _at(place: Place) -> Asking[Result]:
    """In a backend: the record, else the scheduler, else what there is instead."""
    if place.members:
        place = replace(place, servers=(yield from ask_servers(place.backend)))
    member = yield from persisted(place)
    candidates = (member,) if member is not None else scheduled(place)
    if not candidates:
        return unavailable(place)
    why = "a persistence record leads there" if member is not None else "the scheduler chooses it"
    if len(candidates) == 1:
        (one,) = candidates
        if isinstance(one, Slot):
            return (yield from _below(place, one))
        return Result("server", why, (place.chosen(one),))
    results: list[Result] = []
    for candidate in candidates:
        if isinstance(candidate, RealServer):
            results.append(Result("server", why, (place.chosen(candidate),)))
        else:
            results.append((yield from _below(place, candidate)))
    return _one_of(results)


def _below(place: Place, slot: Slot) -> Asking[Result]:
    """What comes of the request at a sub-service that the parent reaches as a server.

    When that one closes the connection, it is a server that gave no answer (2.6 and 2.8: 502).
    """
    sub = place.visit.situation.configuration.service(slot.service)
    result = yield from _inside(replace(place.visit, service=sub))
    if result.kind == "closed" and place.visit.service.is_http:
        return Result("answered", f"{result.why}, and its parent answers for it", status=502)
    return result


def _one_of(results: list[Result]) -> Result:
    """Several possible results as one."""
    if all(result == results[0] for result in results):
        return results[0]
    servers = tuple(dict.fromkeys(server for result in results for server in result.servers))
    ends = (other for result in results for other in (*result.others, result) if other.kind in ("answered", "closed"))
    others = tuple(dict.fromkeys(ends))
    instead = f"; or {'; or '.join(other.why for other in others)}" if others else ""
    return Result("candidates", f"the scheduler chooses one of them at that moment{instead}", servers, others=others)
