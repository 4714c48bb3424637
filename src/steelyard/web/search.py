"""The search field: any service, real server, rule, certificate, setting or page, by what people remember of it."""

from __future__ import annotations

from starlette.responses import Response

from steelyard.web.frame import Visit, page


async def search(visit: Visit) -> Response:
    """What is found."""
    return visit.render("pages/search.html")


ROUTES = [page("/search", search, name="search")]
