"""Home: health at a glance. Every number leads to its page."""

from __future__ import annotations

import asyncio
import platform
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby
from typing import Any

from starlette.responses import Response

from steelyard import __version__
from steelyard.model.certificate_expiry import expiry_warnings
from steelyard.model.configuration import Configuration
from steelyard.model.virtual_service import VirtualService
from steelyard.observe.events.log import Query
from steelyard.observe.recording.readings import EVERYTHING, HOST, Reading
from steelyard.observe.recording.tiers import FINEST
from steelyard.observe.status import ServerState, ServiceState
from steelyard.web.frame import Site, Visit, page
from steelyard.web.live import Topic, Value, Values
from steelyard.web.looking import every_state
from steelyard.web.traffic import Traffic, together
from steelyard.web.wording import duration, kilobytes, look, plural, scaled, thousands

#: more than these are counted, not listed
_MOST_ATTENTION = 12
_CHANGES, _EVENTS = 6, 8
_WELL = frozenset({"Up", "Unchecked", "Standby"})
#: answers by themselves, as the operator wanted; nothing to look at
_AS_WANTED = frozenset({*_WELL, "Disabled", "Redirect", "Fail Message"})
#: points of a small graph; each is the average of several steps
_POINTS = 60


@dataclass(frozen=True)
class Attention:
    """One thing somebody should look at: a status, what it is about, why, and where to look."""

    status: str
    title: str
    why: str
    href: str = ""
    action: str = "Open"
    #: the look where `status` is not a status but, say, "9 days"
    look: str = ""


async def home(visit: Visit) -> Response:
    """Health at a glance."""
    moment = await visit.site.live.now("home")
    return visit.render(
        "pages/home.html",
        live="home",
        live_since=moment.mark,
        values=moment.values,
        version=__version__,
        host_platform=f"{platform.system()} {platform.machine()}",
    )


class _Home:
    """What Home shows, reckoned for everybody who looks."""

    def __init__(self) -> None:
        self._traffic = Traffic()
        self._graphs: Values = {}
        self._graphs_until = 0.0

    async def values(self, site: Site) -> Values:
        await self._traffic.look(site.appliance)
        snapshot, states = await every_state(site.appliance)
        configuration = snapshot.configuration
        top = [service for service in configuration.services.values() if not service.is_sub]
        rate = together([self._traffic.of(service.index) for service in top])
        figures = await site.appliance.host_figures()
        events = await asyncio.to_thread(site.appliance.events().log.find, Query(limit=_EVENTS))
        bits, unit = scaled(rate.bytes * 8, "bit/s")
        memory = figures.memory
        found: dict[str, Value] = {
            "revision": str(snapshot.revision),
            "rate.requests": thousands(rate.requests) if rate.known else "-",
            "rate.connections": thousands(rate.connections) if rate.known else "-",
            "rate.active": f"{rate.active:,} open now" if rate.known else "not known now",
            "rate.bits": bits if rate.known else "-",
            "rate.unit": unit if rate.known else "",
            "rate.tls": f"{thousands(self._traffic.tls)} TLS handshakes/s",
            "host.cpu": f"{100 - figures.cpu.idle - figures.cpu.waiting}%",
            "host.memory": f"· {100 * memory.used // memory.total if memory.total else 0}%",
            "host.memory.of": f"{kilobytes(memory.used)} of {kilobytes(memory.total)}",
            **await self._last_hour(site),
        }
        found |= _counts(configuration, states)
        attention = tuple(_attention(site, configuration, states))
        found["overall"] = _overall(top, states, attention)
        shown, more = attention[:_MOST_ATTENTION], max(0, len(attention) - _MOST_ATTENTION)
        found["attention"] = {"html": _drawn(site, "attention", attention=shown, more=more)}
        found["changes"] = {"html": _drawn(site, "changes", changes=site.appliance.history(_CHANGES))}
        found["events"] = {
            "html": _drawn(site, "events", events=tuple(reversed(events)), services=configuration.services)
        }
        return found

    async def _last_hour(self, site: Site) -> Values:
        """The small graphs. What they are drawn from has a new step every ten seconds, so they are drawn as seldom."""
        if time.monotonic() >= self._graphs_until:
            carried = await site.appliance.recorded(EVERYTHING, "hour")
            of_host = await site.appliance.recorded(HOST, "hour")
            self._graphs = {
                "graph.connections": _graph(carried, 0),
                "graph.requests": _graph(carried, 1),
                "graph.bits": _graph(carried, 2, 3),
                "graph.cpu": _graph(of_host, 0, most=100),
            }
            self._graphs_until = time.monotonic() + FINEST.step
        return self._graphs


def _counts(configuration: Configuration, states: Mapping[int, ServiceState]) -> dict[str, Value]:
    services: Counter[str] = Counter()
    servers: Counter[str] = Counter()
    for service in configuration.services.values():
        state = states[service.index]
        if not service.is_sub:
            services[state.status] += 1
        servers.update(one.status for one in state.servers.values())
    return {
        "services.up": f"{services['Up'] + services['Unchecked']:,}",
        "services.of": _rest(services, ("Up", "Unchecked")),
        "services.share": {"html": _share(services)},
        "servers.share": {"html": _share(servers)},
        "servers.up": f"{servers['Up'] + servers['Unchecked'] + servers['Standby']:,}",
        "servers.of": _rest(servers, ("Up", "Unchecked", "Standby")),
    }


def _rest(counts: Counter[str], well: tuple[str, ...]) -> str:
    """Beside how many are up: of how many, and what the others are."""
    others = [
        f"{count:,} {status.lower()}" for status, count in sorted(counts.items(), key=_grave) if status not in well
    ]
    return " · ".join((f"of {counts.total():,}", *others))


def _grave(counted: tuple[str, int]) -> tuple[bool, str]:
    return counted[0] != "Down", counted[0]


def _share(counts: Counter[str]) -> str:
    """A bar that shows how many of all are up, in trouble, down and switched off."""
    widths: Counter[str] = Counter()
    for status, count in counts.items():
        kind = look(status)
        widths[{"unchecked": "up", "standby": "up", "instead": "drain"}.get(kind, kind)] += count
    parts, at = [], 0.0
    for kind in ("up", "drain", "down", "off"):
        wide = 100 * widths[kind] / (widths.total() or 1)
        if wide:
            parts.append(f'<rect class="{kind}" x="{at:.2f}" y="0" width="{wide:.2f}" height="6"/>')
        at += wide
    if not parts:
        parts.append('<rect class="off" x="0" y="0" width="100" height="6"/>')
    return (
        f'<svg class="share" viewBox="0 0 100 6" preserveAspectRatio="none" aria-hidden="true">{"".join(parts)}</svg>'
    )


def _overall(
    top: Sequence[VirtualService], states: Mapping[int, ServiceState], attention: Sequence[Attention]
) -> Value:
    down = sum(states[service.index].status == "Down" for service in top)
    if not top:
        return {"look": "off", "text": "No services yet"}
    if down:
        return {"look": "down", "text": f"{plural(down, 'service')} down"}
    if attention:
        return {"look": "drain", "text": "Needs attention"}
    return {"look": "up", "text": "All services up"}


def _attention(site: Site, configuration: Configuration, states: Mapping[int, ServiceState]) -> Iterator[Attention]:
    """Gravest first: problems of Steelyard itself, services, real servers, certificates."""
    for problem in site.appliance.health().problems:
        yield Attention("Problem", "Steelyard", problem, look="down")
    services = [
        service for service in configuration.services.values() if states[service.index].status not in _AS_WANTED
    ]
    for service in sorted(services, key=lambda one: states[one.index].status != "Down"):
        state = states[service.index]
        yield Attention(state.status, _name(service), state.reason, site.link("service", index=service.index), "Why?")
    now = time.time()
    for service in configuration.services.values():
        for server in service.servers:
            one = states[service.index].servers[server.index]
            if one.status in _AS_WANTED or states[service.index].status == "Down":
                continue
            where = f"{server.address}:{server.port} in {_name(service)}"
            yield Attention(one.status, where, _why(one, now), site.link("service", index=service.index), "Why?")
    for warning in expiry_warnings(configuration, datetime.now(UTC)):
        left = "Expired" if warning.days_left < 0 else plural(warning.days_left, "day")
        grave = "down" if warning.days_left < 7 else "drain"
        page_name = "certificates" if warning.kind == "certificate" else "intermediates"
        yield Attention(left, warning.certificate, warning.text, site.link(page_name), look=grave)


def _why(state: ServerState, now: float) -> str:
    since = f" for {duration(now - state.since)}" if state.since is not None else ""
    ends = f"; ends in {duration(state.drain_ends - now)}" if state.drain_ends is not None else ""
    return f"{state.reason or state.status}{since if state.status == 'Down' else ''}{ends}"


def _name(service: VirtualService) -> str:
    return service.name or service.title


def _drawn(site: Site, part: str, **context: Any) -> str:
    return site.templates.get_template(f"pages/home_{part}.html").render({"link": site.link, **context})


def _graph(readings: Mapping[int, Reading], *places: int, most: float = 0.0) -> Value:
    """The last hour in a box of 100 x 28: a line and the area below it, open where nobody recorded anything."""
    newest = max(readings, default=0)
    each = FINEST.steps // _POINTS
    values: list[float | None] = []
    for number in range(_POINTS, 0, -1):
        steps = [readings.get(newest - FINEST.step * (number * each - part - 1)) for part in range(each)]
        known = [sum(one.mean[place] for place in places) for one in steps if one is not None]
        values.append(sum(known) / len(known) if known else None)
    top = most or max((value for value in values if value is not None), default=0.0) or 1.0
    lines, areas = [], []
    for is_gap, run in groupby(enumerate(values), key=lambda pair: pair[1] is None):
        if is_gap:
            continue
        points = [(100 * at / (_POINTS - 1), 26.5 - 24 * min((value or 0.0) / top, 1.0)) for at, value in run]
        drawn = "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
        lines.append(f"M{drawn}")
        areas.append(f"M{points[0][0]:.1f} 28L{drawn}L{points[-1][0]:.1f} 28Z")
    return {"line": "".join(lines), "area": "".join(areas)}


ROUTES = [page("/", home, name="home")]
LIVE: tuple[Topic, ...] = (Topic("home", lambda site: site.kept("home", _Home).values(site)),)
