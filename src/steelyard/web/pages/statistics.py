"""Statistics: counters and rates of now, and what was recorded over time as graphs."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any
from urllib.parse import urlencode

from starlette.responses import JSONResponse, Response

from steelyard.model.configuration import Configuration
from steelyard.model.errors import SteelyardError
from steelyard.model.virtual_service import VirtualService
from steelyard.observe.recording.series import Steps, key_of, series
from steelyard.observe.recording.tiers import TIERS, Span
from steelyard.observe.statistics import Statistics, TrafficCounters
from steelyard.observe.status import target_key
from steelyard.web.frame import Site, Visit, page
from steelyard.web.live import Topic, Value, Values
from steelyard.web.traffic import NOTHING, Rate, Traffic
from steelyard.web.wording import bits, scaled, thousands

#: lines of one graph: more cannot be told apart
MOST_LINES = 6
_SPANS: tuple[Span, ...] = tuple(tier.span for tier in TIERS)
_NONE = TrafficCounters()
#: rows of the table of now
_MOST_ROWS = 500


@dataclass(frozen=True)
class Line:
    """A row of the table: what carries, and the key of its live values."""

    key: str
    name: str
    where: str
    about: str
    depth: int = 0


class _Now:
    """The counters of this moment, reckoned for everybody who looks."""

    def __init__(self) -> None:
        self._traffic = Traffic()

    async def values(self, site: Site) -> Values:
        await self._traffic.look(site.appliance)
        sample = await site.appliance.statistics()
        configuration = site.appliance.snapshot().configuration
        found: dict[str, Value] = {"revision": str(site.appliance.snapshot().revision)}
        whole = [0.0, 0.0, 0.0, 0.0]
        for service in configuration.services.values():
            counters, rate = sample.services.get(service.index, _NONE), self._traffic.of(service.index)
            found.update(_figures(f"vs{service.index}", counters, rate))
            if not service.is_sub:
                each = (counters.active_connections, rate.connections, rate.requests, rate.bytes)
                whole = [total + value for total, value in zip(whole, each, strict=True)]
        found.update(_server_figures(configuration, sample))
        rate_now, unit = scaled(whole[3] * 8, "bit/s")
        return found | {
            "all.open": thousands(whole[0]),
            "all.connections": thousands(whole[1]),
            "all.requests": thousands(whole[2]),
            "all.throughput": rate_now,
            "all.unit": unit,
            "all.tls": thousands(self._traffic.tls),
        }


def _figures(key: str, counters: TrafficCounters, rate: Rate) -> Iterator[tuple[str, Value]]:
    yield f"{key}.open", f"{counters.active_connections:,}"
    yield f"{key}.connections", f"{counters.total_connections:,}"
    yield f"{key}.cps", thousands(rate.connections) if rate is not NOTHING else "0"
    yield f"{key}.requests", f"{counters.requests:,}"
    yield f"{key}.in", _bytes(counters.bytes_in)
    yield f"{key}.out", _bytes(counters.bytes_out)
    yield f"{key}.rate", bits(rate.bytes) if rate.bytes else "-"


def _server_figures(configuration: Configuration, sample: Statistics) -> Iterator[tuple[str, Value]]:
    """Only of what has carried anything: the others stay as they were drawn."""
    for (index, member), counters in sample.servers.items():
        if counters.total_connections or counters.active_connections:
            rate = Rate(counters.active_connections, counters.connections_per_second, 0.0, counters.bytes_per_second)
            yield from _figures(f"vs{index}.{member}", counters, rate)


def _bytes(count: int) -> str:
    return " ".join(scaled(count, "B"))


async def _values(site: Site) -> Values:
    now: _Now = site.kept("statistics", _Now)
    return await now.values(site)


async def statistics(visit: Visit) -> Response:
    """Services with their counters, and those of the real servers of one that is chosen."""
    configuration = visit.snapshot.configuration
    words = visit.query("q").strip().lower()
    lines = [
        line
        for service in configuration.services.values()
        if not service.is_sub
        for line in _lines(service, configuration)
        if words in f"{line.name} {line.where}".lower()
    ]
    moment = await visit.site.live.now("statistics")
    return visit.render(
        "pages/statistics.html",
        lines=lines[:_MOST_ROWS],
        left_out=max(0, len(lines) - _MOST_ROWS),
        words=visit.query("q"),
        values=moment.values,
        live="statistics",
        live_since=moment.mark,
    )


def _lines(service: VirtualService, configuration: Configuration, depth: int = 0) -> Iterator[Line]:
    name = service.name or (f"Sub-service {service.index}" if service.is_sub else f"Service {service.index}")
    where = "" if service.is_sub else f"{service.protocol}/{_endpoint(service.address, service.port)}"
    yield Line(f"vs{service.index}", name, where, f"service/{service.index}", depth)
    for sub in configuration.subs(service):
        yield from _lines(sub, configuration, depth + 1)
    for server in service.servers:
        about = f"service/{service.index}/{server.index}"
        endpoint = _endpoint(server.address, server.port)
        yield Line(f"vs{service.index}.{server.index}", endpoint, name, about, depth + 1)


def _endpoint(address: str, port: int) -> str:
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


@dataclass(frozen=True)
class Chosen:
    """An object whose graph is shown; `without` is the page without it."""

    about: str
    name: str
    without: str


async def graphs(visit: Visit) -> Response:
    """The page of graphs; a script asks for the figures."""
    configuration = visit.snapshot.configuration
    wanted = _wanted(visit)
    span = _span(visit)
    known, gone = [], []
    for about in wanted:
        try:
            key_of(about, configuration)
            known.append(about)
        except SteelyardError as failure:
            gone.append(failure.message)
    known = known or ["services"]
    chosen = [
        Chosen(about, name_of(about, configuration), _address(visit, [one for one in known if one != about], span))
        for about in known
    ]
    return visit.render(
        "pages/graphs.html",
        chosen=chosen,
        gone=gone,
        span=span,
        spans=[(each, _address(visit, known, each)) for each in _SPANS],
        most=MOST_LINES,
        offers=list(_offers(configuration, known)),
        data=f"{visit.url('graph-data')}?{_query(known, span)}",
    )


async def graph_data(visit: Visit) -> Response:
    """The figures of the graphs, as the page's script wants them."""
    span = _span(visit)
    configuration = visit.snapshot.configuration
    steps = Steps.of(span, time.time())
    objects: list[dict[str, Any]] = []
    for about in _wanted(visit):
        key = key_of(about, configuration)
        found = asdict(series(about, key, await visit.appliance.recorded(key, span), steps))
        objects.append({"name": name_of(about, configuration), **found})
    return JSONResponse(
        {"span": span, "first": steps.first, "step": steps.step, "steps": steps.count, "objects": objects}
    )


def _wanted(visit: Visit) -> list[str]:
    given = visit.request.query_params.getlist("object")
    return list(dict.fromkeys(filter(None, (each.strip() for each in given))))[:MOST_LINES] or ["services"]


def _span(visit: Visit) -> Span:
    given = visit.query("span")
    return next((span for span in _SPANS if span == given), "hour")


def _query(objects: Sequence[str], span: Span) -> str:
    return urlencode([*(("object", about) for about in objects), ("span", span)])


def _address(visit: Visit, objects: Sequence[str], span: Span) -> str:
    return f"{visit.url('graphs')}?{_query(objects, span)}"


def name_of(about: str, configuration: Configuration) -> str:
    """What people call a recorded object. It must be one that is there."""
    if about == "host":
        return "This host"
    if about == "services":
        return "All services"
    _, *numbers = about.split("/")
    service = configuration.service(int(numbers[0]))
    name = service.name or (
        f"Sub-service {service.index}" if service.is_sub else _endpoint(service.address, service.port)
    )
    if len(numbers) == 1:
        return name
    member = next(one for one in service.members if one.index == int(numbers[1]))
    server = service.server(member.index)
    if server is not None:
        return f"{name}: {_endpoint(server.address, server.port)}"
    return f"{name}: {target_key(service, member)}"


def _offers(configuration: Configuration, chosen: Sequence[str]) -> Iterator[tuple[str, str]]:
    """What else there is: services, and the real servers of those that are chosen."""
    yield "services", "All services"
    yield "host", "This host"
    shown = {int(about.split("/")[1]) for about in chosen if "/" in about}
    for service in configuration.services.values():
        yield f"service/{service.index}", name_of(f"service/{service.index}", configuration)
        if service.index in shown:
            for server in service.servers:
                about = f"service/{service.index}/{server.index}"
                yield about, name_of(about, configuration)


LIVE = (Topic("statistics", _values),)

ROUTES = [
    page("/statistics", statistics, name="statistics"),
    page("/statistics/graphs", graphs, name="graphs"),
    page("/statistics/graphs/data", graph_data, name="graph-data", belongs="graphs", touch=False),
]
