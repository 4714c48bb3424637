"""The router of every module of the native API: who asks is found out before anything else, then the query is read.

The application takes the routes as they are. FastAPI's `include_router` would make each a second time, which for
150 routes takes a quarter of a second of every start.
"""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Depends, Request
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute

from steelyard.api.native.access import identified
from steelyard.api.native.schema_words import ref
from steelyard.api.native.write_options import QUERY_NAMES
from steelyard.api.native.writing import write_options
from steelyard.model.errors import OperatorError

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


def is_write(route: APIRoute) -> bool:
    """Whether the route takes the options of a write."""
    return any(part.call is write_options for part in route.dependant.dependencies)


def _operation_id(route: APIRoute) -> str:
    return route.name


def _query_names(dependant: Dependant) -> frozenset[str]:
    """The query parameters of a route and of all it depends on."""
    own = frozenset(parameter.alias for parameter in dependant.query_params)
    if dependant.call is write_options:
        own |= QUERY_NAMES
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


class NativeRouter(APIRouter):
    """Routes below a prefix, in the document under a tag, each behind the two checks."""

    def __init__(self, *, prefix: str = "", tags: list[str]) -> None:
        super().__init__(
            prefix=prefix,
            tags=[*tags],
            dependencies=[Depends(identified), Depends(_known_query)],
            responses=_ERROR,
            generate_unique_id_function=_operation_id,
        )
