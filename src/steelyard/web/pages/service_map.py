"""The map: services, sub-services and real servers in one picture, with status and traffic, live."""

from __future__ import annotations

from collections import defaultdict

from starlette.responses import Response

from steelyard.model.virtual_service import VirtualService
from steelyard.observe.statistics import TrafficCounters
from steelyard.observe.status import ServerState
from steelyard.web.drawing import BOX_HEIGHT, BOX_WIDTH, WIDTH, breadth, endpoint, picture
from steelyard.web.frame import Site, Visit, page
from steelyard.web.live import Topic, Value, Values
from steelyard.web.traffic import Traffic
from steelyard.web.wording import bits, look

#: services of one picture: more are found by name
_MOST = 40
_NONE = TrafficCounters()
#: the gravest first: a real server of several services looks like its worst
_GRAVITY = ("Down", "Draining", "Disabled", "Standby", "Unchecked", "Up")


async def _values(site: Site) -> Values:
    traffic = site.kept("map", Traffic)
    await traffic.look(site.appliance)
    sample = await site.appliance.statistics()
    states = site.appliance.states()
    configuration = site.appliance.snapshot().configuration
    found: dict[str, Value] = {"revision": str(site.appliance.snapshot().revision)}
    servers: dict[str, list[ServerState]] = defaultdict(list)
    carried: dict[str, int] = defaultdict(int)
    for service in configuration.services.values():
        state = states[service.index]
        rate = traffic.of(service.index).bytes
        found[f"vs{service.index}"] = {"look": look(state.status)}
        found[f"vs{service.index}.said"] = " · ".join(filter(None, (state.status, bits(rate) if rate else "")))
        for member, one in [*state.servers.items(), *state.slots.items()]:
            counters = sample.servers.get((service.index, member), _NONE)
            found[f"link{service.index}.{member}"] = {"look": look(one.status), "title": one.reason}
            server = service.server(member)
            if server is not None:
                key = f"rs{server.address}:{server.port}"
                servers[key].append(one)
                carried[key] += counters.bytes_per_second
    for key, every in servers.items():
        worst = min(every, key=lambda one: _GRAVITY.index(one.status) if one.status in _GRAVITY else 0)
        found[key] = {"look": look(worst.status)}
        found[f"{key}.said"] = " · ".join(filter(None, (worst.status, bits(carried[key]) if carried[key] else "")))
    return found


async def show_map(visit: Visit) -> Response:
    """The picture of all services, or of those that fit what is looked for."""
    configuration = visit.snapshot.configuration
    words = visit.query("q").strip().lower()
    chosen = [
        service
        for service in configuration.services.values()
        if not service.is_sub and words in _searched(service, visit)
    ]
    moment = await visit.site.live.now("map")
    sample = await visit.appliance.statistics()
    drawn = picture(configuration, chosen, _MOST)
    return visit.render(
        "pages/map.html",
        picture=drawn,
        breadths={
            link.state: breadth(sample.servers.get((link.service, link.member), _NONE).bytes_per_second)
            for link in drawn.links
        },
        words=visit.query("q"),
        values=moment.values,
        measures={"width": WIDTH, "box": BOX_WIDTH, "high": BOX_HEIGHT},
        live="map",
        live_since=moment.mark,
    )


def _searched(service: VirtualService, visit: Visit) -> str:
    """Everything a service is found by: its own names, and those of what is below it."""
    parts = [service.name, endpoint(service.address, service.port)]
    for each in (service, *visit.snapshot.configuration.subs(service)):
        parts += [each.name, *(endpoint(server.address, server.port) for server in each.servers)]
    return " ".join(parts).lower()


LIVE = (Topic("map", _values),)

ROUTES = [page("/map", show_map, name="map")]
