"""The web interface as an ASGI application, to be mounted at `/` after the interfaces for programs.

A new area of pages is a module of `pages/` with `ROUTES`; it goes into `_PAGES` here, its values that change by
themselves into `_LIVE`, and its place in the menu into `menu`.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from jinja2 import Environment
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
    acme,
    acme_accounts,
    backup,
    certificate_backup,
    certificates,
    cipher_sets,
    content_rules,
    edge_logs,
    events,
    explain,
    factory_reset,
    first_start,
    further_checks,
    history,
    home,
    intermediates,
    ldap,
    limits,
    network,
    notification,
    ocsp,
    parameters,
    real_servers,
    service,
    service_map,
    services,
    signing_requests,
    statistics,
    sub_services,
    templates,
    users,
)
from steelyard.web.safety import Safety
from steelyard.web.sessions import Sessions
from steelyard.web.static_files import StaticFiles
from steelyard.web.templating import environment

_PAGES: tuple[Any, ...] = (
    *(sign_in, first_start, home, services, search, menu_paths),
    *(service, real_servers, sub_services, further_checks, content_rules),
    *(parameters, access_lists, limits, cipher_sets, ldap),
    *(statistics, history, events, explain, service_map),
    *(certificates, intermediates, signing_requests, certificate_backup, users, backup, templates),
    factory_reset,
    *(acme, acme_accounts, ocsp, network, notification, edge_logs),
)
#: pages with values that change by themselves
_LIVE: tuple[live.Topic, ...] = (
    *home.LIVE,
    *services.LIVE,
    *statistics.LIVE,
    *events.LIVE,
    *service_map.LIVE,
    *acme.LIVE,
)


@cache
def _unchanging() -> tuple[StaticFiles, Environment]:
    """The static files and the templates: the same for every application of a process."""
    static = StaticFiles()
    return static, environment(static=static.address)


def build_web_app(appliance: ApplianceApi, sessions: Sessions | None = None) -> Starlette:
    """The application. Without `sessions` that are kept in a file they end with the process."""
    static, templates = _unchanging()
    routes = [route for pages in _PAGES for route in pages.ROUTES]
    site = Site(
        appliance, HostFigureReader().host_name, templates, static, Sessions() if sessions is None else sessions
    )
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
