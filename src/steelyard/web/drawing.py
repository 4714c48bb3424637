"""The picture of services, sub-services and real servers: where each stands and what leads where. Pure.

Three columns, top to bottom in the order of the configuration. A real server stands once, whichever services have it:
so the picture shows what is shared.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from math import log10

from steelyard.model.configuration import Configuration
from steelyard.model.virtual_service import VirtualService

#: measures of the picture, in its own units, which are pixels where it is shown at full size
WIDTH = 980
BOX_WIDTH, BOX_HEIGHT, ROW = 256, 40, 56
COLUMNS = (2, 362, 722)
_LONGEST = 28


@dataclass(frozen=True)
class Box:
    """A service, sub-service or real server. `live` is the key of what changes, `where` is said below the name."""

    key: str
    kind: str
    name: str
    where: str
    x: int
    y: int
    index: int = 0


@dataclass(frozen=True)
class Link:
    """What leads from one box to another, as an SVG path. `state` is the live key of its status."""

    path: str
    state: str
    service: int
    member: int


@dataclass(frozen=True)
class Picture:
    """The whole; `left_out` services did not fit."""

    boxes: tuple[Box, ...] = ()
    links: tuple[Link, ...] = ()
    height: int = ROW
    left_out: int = 0


@dataclass
class _Drawing:
    boxes: list[Box] = field(default_factory=list)
    links: list[Link] = field(default_factory=list)
    #: the lowest free place of each column
    free: list[int] = field(default_factory=lambda: [10, 10, 10])
    servers: dict[tuple[str, int], Box] = field(default_factory=dict)

    def place(self, column: int, at: int, key: str, kind: str, name: str, where: str, index: int = 0) -> Box:
        """Put a box into a column, not above a line."""
        y = max(self.free[column], at)
        self.free[column] = y + ROW
        box = Box(key, kind, clipped(name), clipped(where), COLUMNS[column], y, index)
        self.boxes.append(box)
        return box

    def lead(self, start: Box, end: Box, service: VirtualService, member: int) -> None:
        left, top = start.x + BOX_WIDTH, start.y + BOX_HEIGHT // 2
        right, bottom = end.x, end.y + BOX_HEIGHT // 2
        bend = (right - left) // 2
        path = f"M{left} {top}C{left + bend} {top} {right - bend} {bottom} {right} {bottom}"
        self.links.append(Link(path, f"link{service.index}.{member}", service.index, member))


def picture(configuration: Configuration, chosen: Iterable[VirtualService], most: int) -> Picture:
    """The picture of these services, at most so many."""
    drawing = _Drawing()
    services = list(chosen)
    for service in services[:most]:
        # a service stands beside its first sub-service
        top = max(drawing.free[:2]) if service.slots else drawing.free[0]
        where = f"{service.protocol}/{endpoint(service.address, service.port)}"
        name = service.name or endpoint(service.address, service.port)
        box = drawing.place(0, top, f"vs{service.index}", "service", name, where, service.index)
        _members(drawing, configuration, service, box)
        for slot in service.slots:
            sub = configuration.services[slot.service]
            name = sub.name or f"Sub-service {sub.index}"
            inner = drawing.place(1, box.y, f"vs{sub.index}", "sub", name, _said(slot.rules), sub.index)
            drawing.lead(box, inner, service, slot.index)
            _members(drawing, configuration, sub, inner)
    return Picture(tuple(drawing.boxes), tuple(drawing.links), max(drawing.free) + 4, max(0, len(services) - most))


def _members(drawing: _Drawing, configuration: Configuration, service: VirtualService, box: Box) -> None:
    for server in service.servers:
        place = (server.address, server.port)
        if place not in drawing.servers:
            key = f"rs{server.address}:{server.port}"
            drawing.servers[place] = drawing.place(2, box.y, key, "server", endpoint(*place), "")
        drawing.lead(box, drawing.servers[place], service, server.index)


def _said(rules: Collection[str]) -> str:
    return f"rules: {', '.join(rules)}" if rules else "by scheduling"


def endpoint(address: str, port: int) -> str:
    """An address with its port."""
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def clipped(text: str) -> str:
    """Text that fits into a box: SVG does not wrap."""
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def breadth(bytes_per_second: float) -> int:
    """How broad a link is drawn: 0 without traffic, one more for each tenfold from 100 B/s, at most 6."""
    return 0 if bytes_per_second <= 0 else max(1, min(6, int(log10(max(bytes_per_second, 1.0))) - 1))
