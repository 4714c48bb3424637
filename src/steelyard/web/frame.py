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
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeVar
from urllib.parse import quote

from jinja2 import Environment
from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from steelyard.appliance.contract import Actor, ApplianceApi, Outcome, Preview, Snapshot
from steelyard.model.commands import Command
from steelyard.model.errors import ConflictError, SteelyardError
from steelyard.model.user import User
from steelyard.web.failures import SignInAgain, failed
from steelyard.web.guessing import Guessing
from steelyard.web.menu import Entry, built
from steelyard.web.sessions import Session, Sessions
from steelyard.web.static_files import StaticFiles

log = logging.getLogger("steelyard.web")

#: "__Host-" has browsers refuse it unless it is secure, for this host alone and for every path
COOKIE = "__Host-steelyard"
THEME_COOKIE = "steelyard-theme"
CSRF_FIELD, CSRF_HEADER = "csrf", "x-csrf-token"
ORIGIN = "web"

_Kept = TypeVar("_Kept")
_READING = frozenset({"GET", "HEAD"})
_MOST_FIELDS = 5000
_LONGEST_FIELD = 10 * 1024 * 1024
#: pages that a user with a one-time password may see
WITHOUT_PASSWORD_CHANGE = frozenset({"change-password", "sign-out"})


@dataclass
class Site:
    """What the pages of one appliance share."""

    appliance: ApplianceApi
    host_name: Callable[[], str]
    templates: Environment
    static: StaticFiles
    sessions: Sessions = field(default_factory=Sessions)
    guessing: Guessing = field(default_factory=Guessing)
    menu: tuple[Entry, ...] = ()
    pages: frozenset[str] = frozenset()
    #: of values that pages show live; set by `app`, like the application itself
    live: Any = None
    application: Any = None
    _kept: dict[str, Any] = field(default_factory=dict)

    def kept(self, name: str, make: Callable[[], _Kept]) -> _Kept:
        """What an area keeps for as long as the process runs; made when it is first asked for."""
        if name not in self._kept:
            self._kept[name] = make()
        found: _Kept = self._kept[name]
        return found

    def url(self, page: str, **parts: Any) -> str:
        """The path of a page."""
        return str(self.application.url_path_for(page, **parts))

    def link(self, page: str, **parts: Any) -> str:
        """The path of a page; empty when it is not built."""
        return self.url(page, **parts) if page in self.pages else ""

    def know(self, pages: frozenset[str]) -> None:
        """These pages exist."""
        self.pages = pages
        self.menu = built(pages)


@dataclass
class Visit:
    """One request of somebody who is signed in."""

    request: Request
    site: Site
    session: Session
    user: User
    #: the name of the page's route, and of the menu's page it belongs to
    name: str
    belongs: str
    form: FormData = field(default_factory=FormData)

    @cached_property
    def snapshot(self) -> Snapshot:
        """The configuration as it was when this was first asked for."""
        return self.appliance.snapshot()

    @property
    def appliance(self) -> ApplianceApi:
        return self.site.appliance

    @property
    def actor(self) -> Actor:
        return Actor(self.user, ORIGIN)

    @property
    def by_htmx(self) -> bool:
        """Whether a part of a page is asked for, not a page."""
        return self.request.headers.get("hx-request") == "true" and "hx-history-restore-request" not in (
            self.request.headers
        )

    def may(self, permission: str) -> bool:
        """Whether the user may do what needs that permission; for showing, the road itself decides."""
        return permission == "read" or self.user.may(permission)

    def field(self, name: str, default: str = "") -> str:
        """A text field of the form; a file is no text."""
        value = self.form.get(name, default)
        return value if isinstance(value, str) else default

    def query(self, name: str, default: str = "") -> str:
        """A parameter of the query."""
        return self.request.query_params.get(name, default)

    def url(self, page: str, **parts: Any) -> str:
        """The path of a page."""
        return self.site.url(page, **parts)

    def render(
        self, template: str, context: Mapping[str, Any] | None = None, *, status: int = 200, **more: Any
    ) -> HTMLResponse:
        """A page or a part of one, from `templates/`."""
        given = {**frame_context(self.request, self), **(context or {}), **more}
        return HTMLResponse(self.site.templates.get_template(template).render(given), status)

    def go(self, page: str, **parts: Any) -> Response:
        """Send the browser to a page, after a write."""
        return self.go_to(self.url(page, **parts))

    def go_to(self, path: str) -> Response:
        """Send the browser to a path of this site."""
        if self.by_htmx:
            return Response(status_code=204, headers={"HX-Redirect": path})
        return RedirectResponse(path, 303)

    async def execute(
        self, command: Command, *, reason: str = "", based_on: int | None = None, wait: bool | None = None
    ) -> Outcome:
        """Carry out a command as this user. `based_on` is the revision the form was made from."""
        return await self.appliance.execute(command, self.actor, reason=reason, based_on=based_on, wait=wait)

    async def preview(self, command: Command, *, based_on: int | None = None) -> Preview:
        """Say what a command would do."""
        return await self.appliance.preview(command, self.actor, based_on=based_on)


Handler = Callable[[Visit], Awaitable[Response]]


def frame_context(request: Request, visit: Visit | None) -> dict[str, Any]:
    """The names every template knows besides the globals: of the visit, or of a page for those not signed in."""
    site: Site = request.app.state.site
    theme = request.cookies.get(THEME_COOKIE, "")
    return {
        "site": site,
        "request": request,
        "visit": visit,
        "theme": theme if theme in ("dark", "light") else "",
        "url": site.url,
        "link": site.link,
        "is_built": site.pages.__contains__,
        "host_name": site.host_name(),
        "now": time.time(),
    }


def time_outs(appliance: ApplianceApi) -> dict[str, float]:
    """When sessions end: `idle` and `longest` in seconds."""
    parameters = appliance.snapshot().configuration.administration
    return {"idle": float(parameters.idle_seconds), "longest": float(parameters.longest_seconds)}


def find_session(request: Request, *, touch: bool) -> tuple[Session, User] | None:
    """The session of a request's cookie with its user as configured now; None when it has ended."""
    site: Site = request.app.state.site
    token = request.cookies.get(COOKIE, "")
    session = site.sessions.find(token, time.time(), **time_outs(site.appliance), touch=touch) if token else None
    if session is None:
        return None
    user = site.appliance.snapshot().configuration.users.get(session.user)
    if user is None or user.password_hash != session.password_hash:
        site.sessions.end(token)
        return None
    return session, user


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
    if user.one_time_password and name not in WITHOUT_PASSWORD_CHANGE:
        return RedirectResponse(f"{request.app.url_path_for('change-password')}?next={quote(request.url.path)}", 303)
    visit = Visit(request, request.app.state.site, session, user, name, belongs)
    if request.method not in _READING:
        visit.form = await request.form(max_fields=_MOST_FIELDS, max_part_size=_LONGEST_FIELD)
        given = request.headers.get(CSRF_HEADER) or visit.field(CSRF_FIELD)
        if not _same(given, session.csrf):
            log.warning("refused a write to %s by %s from %s: no token", request.url.path, user.name, session.address)
            raise WithoutToken
    return visit


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
