"""Home."""

from __future__ import annotations

from starlette.responses import Response

from steelyard.web.frame import Visit, page
from steelyard.web.live import Topic


async def home(visit: Visit) -> Response:
    """Health at a glance."""
    return visit.render("pages/home.html")


ROUTES = [page("/", home, name="home")]
LIVE: tuple[Topic, ...] = ()
