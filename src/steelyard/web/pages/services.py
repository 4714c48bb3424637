"""Virtual services: the list."""

from __future__ import annotations

from starlette.responses import Response

from steelyard.web.frame import Visit, page
from steelyard.web.live import Topic


async def services(visit: Visit) -> Response:
    """Every virtual service."""
    return visit.render("pages/services.html")


ROUTES = [page("/virtual-services", services, name="services")]
LIVE: tuple[Topic, ...] = ()
