"""LoadMaster's menu paths as addresses, of the seed era too: `/menu/System Configuration/L7 Configuration` resolves."""

from __future__ import annotations

from starlette.exceptions import HTTPException
from starlette.responses import RedirectResponse, Response

from steelyard.web.frame import Visit, page
from steelyard.web.menu import places, plain


async def resolve(visit: Visit) -> Response:
    """The page at a path of the menu; 404 when no page that is built has it."""
    wanted = plain(visit.request.path_params["path"])
    for path, entry in places(visit.site.menu):
        if plain(path) == wanted and entry.page in visit.site.pages:
            return RedirectResponse(visit.url(entry.page))
    raise HTTPException(404)


ROUTES = [page("/menu/{path:path}", resolve, name="menu-path")]
