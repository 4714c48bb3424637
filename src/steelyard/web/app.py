"""The web interface as an ASGI application, to be mounted at `/` after the interfaces for programs.

A new area of pages is a module of `pages/` with `ROUTES`; it goes into `_PAGES` here, its values that change by
themselves into `_LIVE`, and its place in the menu into `menu`.
"""

from __future__ import annotations

from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.routing import Route

from steelyard.appliance.contract import ApplianceApi
from steelyard.observe.host_figures import HostFigureReader
from steelyard.web import live, menu_paths, search, sign_in
from steelyard.web.failures import on_bug, on_http_exception
from steelyard.web.frame import Site
from steelyard.web.pages import (
    access_lists,
    cipher_sets,
    content_rules,
    events,
    explain,
    history,
    home,
    ldap,
    limits,
    parameters,
    real_servers,
    service,
    services,
    statistics,
    sub_services,
)
from steelyard.web.safety import Safety
from steelyard.web.static_files import StaticFiles
from steelyard.web.templating import environment

_PAGES: tuple[Any, ...] = (
    *(sign_in, home, services, search, menu_paths),
    *(service, real_servers, sub_services, content_rules, parameters, access_lists, limits, cipher_sets, ldap),
    *(statistics, history, events, explain),
)
#: pages with values that change by themselves
_LIVE: tuple[live.Topic, ...] = (*home.LIVE, *services.LIVE, *statistics.LIVE, *events.LIVE)


def build_web_app(appliance: ApplianceApi) -> Starlette:
    """The application."""
    static = StaticFiles()
    routes = [route for pages in _PAGES for route in pages.ROUTES]
    site = Site(appliance, HostFigureReader().host_name, environment(static=static.address), static)
    site.know(frozenset(route.name for route in routes if route.methods is not None and "GET" in route.methods))
    site.live = live.Live(site, _LIVE)
    app = Starlette(
        routes=[
            *routes,
            live.route(),
            Route("/static/{digest}/{name:path}", static.serve, name="static"),
        ],
        middleware=[Middleware(Safety), Middleware(GZipMiddleware, minimum_size=1500, compresslevel=4)],
        exception_handlers={HTTPException: on_http_exception, Exception: on_bug},
    )
    app.router.redirect_slashes = False
    app.state.site = site
    site.application = app
    return app
