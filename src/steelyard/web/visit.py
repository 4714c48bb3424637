"""One request of somebody who is signed in, and what the pages of one appliance share.

Pages meet these through `steelyard.web.frame`, which adds the gate.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeVar

from jinja2 import Environment
from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from steelyard.appliance.contract import Actor, ApplianceApi, Outcome, Preview, Snapshot
from steelyard.model.commands import Command
from steelyard.model.user import User
from steelyard.web.menu import Entry, built
from steelyard.web.sessions import Session, Sessions, made_with
from steelyard.web.static_files import StaticFiles

#: "__Host-" has browsers refuse it unless it is secure, for this host alone and for every path
COOKIE = "__Host-steelyard"
THEME_COOKIE = "steelyard-theme"
ORIGIN = "web"

_Kept = TypeVar("_Kept")


@dataclass
class Site:
    """What the pages of one appliance share."""

    appliance: ApplianceApi
    host_name: Callable[[], str]
    templates: Environment
    static: StaticFiles
    sessions: Sessions = field(default_factory=Sessions)
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
        """Send the browser to a path of this site, or to the address this site is about to have."""
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
    if user is None or not made_with(session, user):
        site.sessions.end(token)
        return None
    return session, user
