"""What every page gets: who asks, the configuration, how to answer; and the gate before it.

`page` makes a route of a handler. The gate lets a request through when its session lives, its user still exists and,
for a write, it carries the session's token (field `csrf` or header `X-CSRF-Token`). A handler may raise the errors of
`model.errors`: they become a page, or for requests of htmx a notice above the content.

    async def rename(visit: Visit) -> Response:
        outcome = await visit.execute(ModifyService(...), reason="")
        visit.session.say("Renamed.")
        return visit.go("service", index=3)

    ROUTES = [page("/virtual-services/{index:int}/name", rename, name="rename-service", methods=("POST",))]
"""

from __future__ import annotations

import hmac
import logging
from collections.abc import Awaitable, Callable, Mapping
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from steelyard.model.errors import ConflictError, SteelyardError
from steelyard.model.first_start import CLOSED, FirstStep
from steelyard.model.user import User
from steelyard.web.failures import SignInAgain, failed
from steelyard.web.visit import COOKIE, Site, Visit, find_session, frame_context

log = logging.getLogger("steelyard.web")

Handler = Callable[[Visit], Awaitable[Response]]

CSRF_FIELD, CSRF_HEADER = "csrf", "x-csrf-token"
_READING = frozenset({"GET", "HEAD"})
_MOST_FIELDS = 5000
_LONGEST_FIELD = 10 * 1024 * 1024
#: pages that a user with a one-time password may see
WITHOUT_PASSWORD_CHANGE = frozenset({"change-password", "sign-out"})
#: the page of each step of the first start
FIRST_START: Mapping[FirstStep, str] = {
    "licence": "first-licence",
    "password": "first-password",
    "addresses": "first-addresses",
}


def page(
    path: str,
    handler: Handler,
    *,
    name: str,
    belongs: str = "",
    methods: tuple[str, ...] = ("GET",),
    touch: bool = True,
) -> Route:
    """A route behind the gate.

    `belongs` names the page of the menu it is part of; a page of the menu belongs to itself. `touch` False is for what
    a page asks by itself: it keeps no session alive.
    """

    async def endpoint(request: Request) -> Response:
        try:
            visit = await _admitted(request, name, belongs or name, touch=touch)
            if isinstance(visit, Response):
                return visit
            return await handler(visit)
        except SteelyardError as failure:
            return failed(request, failure, _visit_for_failure(request, name, belongs or name))

    return Route(path, endpoint, name=name, methods=list(methods))


async def _admitted(request: Request, name: str, belongs: str, *, touch: bool) -> Visit | Response:
    found = find_session(request, touch=touch)
    if found is None:
        raise SignInAgain
    session, user = found
    site: Site = request.app.state.site
    step = site.appliance.snapshot().configuration.first_step
    elsewhere = _first_start(step, user, name)
    if elsewhere:
        return RedirectResponse(site.url(elsewhere), 303)
    # at the first start the password has a step of its own
    if user.one_time_password and name not in WITHOUT_PASSWORD_CHANGE and step not in CLOSED:
        return RedirectResponse(f"{request.app.url_path_for('change-password')}?next={quote(request.url.path)}", 303)
    visit = Visit(request, site, session, user, name, belongs)
    if request.method not in _READING:
        visit.form = await request.form(max_fields=_MOST_FIELDS, max_part_size=_LONGEST_FIELD)
        given = request.headers.get(CSRF_HEADER) or visit.field(CSRF_FIELD)
        if not _same(given, session.csrf):
            log.warning("refused a write to %s by %s from %s: no token", request.url.path, user.name, session.address)
            raise WithoutToken
    return visit


def _first_start(step: FirstStep, user: User, name: str) -> str:
    """The page of the first start that comes before this one; "" for none. Addresses come before Home alone."""
    if not step or name == "sign-out" or name in FIRST_START.values():
        return ""
    before = step in CLOSED or (name == "home" and user.may("root"))
    return FIRST_START[step] if before else ""


def _visit_for_failure(request: Request, name: str, belongs: str) -> Visit | None:
    """The visit an error page is shown in; None shows it to somebody who is not signed in."""
    found = find_session(request, touch=False)
    return Visit(request, request.app.state.site, *found, name, belongs) if found is not None else None


def _same(given: str, wanted: str) -> bool:
    return hmac.compare_digest(given.encode(), wanted.encode())


class WithoutToken(ConflictError):
    """A write without the session's token: from another site, or from a page of a session before this one."""

    kind = "without_token"

    def __init__(self) -> None:
        super().__init__("This page is from an earlier session. Load it again and repeat what you did")


__all__ = ["COOKIE", "Handler", "Site", "Visit", "WithoutToken", "find_session", "frame_context", "page"]
