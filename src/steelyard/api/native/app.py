"""The native API as an ASGI application, to be mounted at `/api/v1`.

Every request is identified first, then its query is checked against what the route declares: a misspelt `dry_run` must
not become a real change.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from fastapi import APIRouter, Depends, FastAPI, Request
from fastapi.dependencies.models import Dependant
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute
from starlette.routing import BaseRoute

from steelyard import __version__
from steelyard.api.native import (
    access_lists,
    acme,
    api_keys,
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
    signing_requests,
    state,
    sub_services,
    unavailable,
    users,
    weights,
)
from steelyard.api.native.access import identified
from steelyard.api.native.schema_words import ref
from steelyard.api.native.schemas import components
from steelyard.appliance.contract import ApplianceApi
from steelyard.model.errors import OperatorError

PREFIX = "/api/v1"

_ROUTERS: tuple[APIRouter, ...] = (
    services.router,
    servers.router,
    further_checks.router,
    weights.router,
    sub_services.router,
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
    history.router,
    logs.router,
    events.router,
    network.router,
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

_ERROR: dict[int | str, dict[str, Any]] = {
    "default": {
        "description": (
            "400 broken JSON, 401 who are you, 403 not permitted, 404 no such object, 409 duplicate or in use,"
            " 412 If-Match is stale, 413 body over 10 MB, 422 bad value or refused by the engine, 500 a bug,"
            " 503 this host lacks something"
        ),
        "content": {"application/json": {"schema": ref("Error")}},
    }
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


def _operation_id(route: APIRoute) -> str:
    return route.name


def _query_names(dependant: Dependant) -> frozenset[str]:
    """The query parameters of a route and of all it depends on."""
    own = frozenset(parameter.alias for parameter in dependant.query_params)
    return own.union(*(_query_names(part) for part in dependant.dependencies))


async def _known_query(request: Request) -> None:
    """Raises `OperatorError` for a query parameter the route does not have."""
    if not request.query_params:
        return
    route: APIRoute = request.scope["route"]
    known = _query_names(route.dependant)
    for name in request.query_params:
        if name not in known:
            raise OperatorError(
                f"{name!r} is no query parameter of this request",
                field=name,
                allowed=", ".join(sorted(known)) or "none",
                remedy="Remove it or correct its spelling",
            )


@cache
def _routes() -> tuple[BaseRoute, ...]:
    """Every route, each behind the two checks. They hold nothing of an appliance, so all applications share them.

    FastAPI looks at the signatures behind a route when it is first asked for; 150 routes take it a quarter of a second.
    """
    every = APIRouter(
        responses=_ERROR,
        dependencies=[Depends(identified), Depends(_known_query)],
        generate_unique_id_function=_operation_id,
    )
    for router in _ROUTERS:
        every.include_router(router)
    return tuple(every.routes)


def build_native_app(appliance: ApplianceApi, *, trusted_local: bool = False) -> NativeApi:
    """The application. `trusted_local` is for a Unix socket whose peers are the same user already: all act as `bal`."""
    app = NativeApi(
        routes=list(_routes()), openapi_url="/openapi.json", docs_url=None, redoc_url=None, redirect_slashes=False
    )
    app.state.appliance = appliance
    app.state.trusted_local = trusted_local
    faults.install(app)
    return app
