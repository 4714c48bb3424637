"""The native API as an ASGI application, to be mounted at `/api/v1`.

Every request is identified first, then its query is checked against what the route declares: a misspelt `dry_run` must
not become a real change.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from fastapi import APIRouter, FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute
from starlette.routing import BaseRoute

from steelyard import __version__
from steelyard.api.native import (
    access_lists,
    acme,
    api_keys,
    backups,
    certificate_backups,
    certificates,
    cipher_sets,
    configuration,
    events,
    explaining,
    faults,
    further_checks,
    history,
    intermediates,
    ldap_endpoints,
    limits,
    logs,
    metrics,
    network,
    parameters,
    recorded_statistics,
    revocation_lists,
    rules,
    servers,
    services,
    setup,
    signing_requests,
    state,
    sub_services,
    templates,
    unavailable,
    users,
    weights,
)
from steelyard.api.native.routing import NativeRouter, is_write
from steelyard.api.native.schemas import components
from steelyard.api.native.write_options import documented
from steelyard.appliance.contract import ApplianceApi

PREFIX = "/api/v1"

_ROUTERS: tuple[APIRouter, ...] = (
    services.router,
    servers.router,
    further_checks.router,
    weights.router,
    sub_services.router,
    templates.router,
    unavailable.router,
    rules.router,
    certificates.router,
    revocation_lists.router,
    intermediates.router,
    signing_requests.router,
    certificate_backups.router,
    cipher_sets.router,
    acme.router,
    ldap_endpoints.router,
    parameters.router,
    limits.router,
    access_lists.router,
    users.router,
    api_keys.router,
    configuration.router,
    backups.router,
    history.router,
    logs.router,
    events.router,
    network.router,
    setup.router,
    state.router,
    recorded_statistics.router,
    metrics.router,
    explaining.router,
)

_SECURITY: dict[str, dict[str, str]] = {
    "password": {"type": "http", "scheme": "basic"},
    "bearer": {"type": "http", "scheme": "bearer", "description": "An API key."},
    "apiKey": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
}


class NativeApi(FastAPI):
    """FastAPI whose document holds the schemas of the settings catalogue."""

    def openapi(self) -> dict[str, Any]:
        """The OpenAPI document; made once."""
        if self.openapi_schema is None:
            found = get_openapi(
                title="Steelyard",
                version=__version__,
                description="Virtual services, real servers and certificates of this Steelyard.",
                routes=self.routes,
                servers=[{"url": PREFIX}],
            )
            for route in self.routes:
                if isinstance(route, APIRoute) and is_write(route):
                    for method in route.methods or ():
                        operation = found["paths"][route.path_format][method.lower()]
                        operation["parameters"] = [*operation.get("parameters", ()), *documented()]
            for operation in (each for path in found["paths"].values() for each in path.values()):
                first, _, more = operation.pop("description").partition("\n\n")
                operation["summary"] = first.rstrip(".")
                if more:
                    operation["description"] = more.strip()
            parts = found.setdefault("components", {})
            parts["schemas"] = components()
            if not self.state.trusted_local:
                parts["securitySchemes"] = _SECURITY
                found["security"] = [{name: []} for name in _SECURITY]
            self.openapi_schema = found
        return self.openapi_schema


@cache
def _routes() -> tuple[BaseRoute, ...]:
    """Every route. They hold nothing of an appliance, so all applications share them."""
    for router in _ROUTERS:
        if not isinstance(router, NativeRouter):
            raise TypeError(f"{router!r} would let anybody in: routes of the native API are made by NativeRouter")
    return tuple(route for router in _ROUTERS for route in router.routes)


def build_native_app(
    appliance: ApplianceApi, *, trusted_local: bool = False, served_at: tuple[str, int] | None = None
) -> NativeApi:
    """The application. `trusted_local` is for a Unix socket whose peers are the same user already: all act as `bal`.

    `served_at` is where the web interface listens: address and port.
    """
    app = NativeApi(
        routes=list(_routes()), openapi_url="/openapi.json", docs_url=None, redoc_url=None, redirect_slashes=False
    )
    app.state.appliance = appliance
    app.state.trusted_local = trusted_local
    app.state.served_at = served_at
    faults.install(app)
    return app
