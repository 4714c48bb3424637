"""Errors as answers: one JSON shape, and the one place that knows which error has which HTTP status.

    {"error": {"kind", "message", "field"?, "value"?, "allowed"?, "remedy"?, "position"?, "words"?}}

503 means that this host lacks something (a binary, a privilege, room on its disk): the request may succeed unchanged
once the host has it. No traceback leaves the process; what was not foreseen is logged.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any, cast

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from steelyard.api.native.access import FirstStartDue, ForeignOrigin, Unauthenticated
from steelyard.api.native.bodies import BodyTooLarge, MalformedBody
from steelyard.appliance.admission import LockedOut
from steelyard.model.errors import (
    ConflictError,
    EngineRefused,
    HostLacks,
    NotFound,
    OperatorError,
    SteelyardError,
)

_log = logging.getLogger(__name__)


class Stale(ConflictError):
    """The revision named in If-Match is not the newest any more."""

    kind = "stale"


#: The first class that fits decides.
_STATUS: tuple[tuple[type[SteelyardError], int], ...] = (
    (Unauthenticated, 401),
    (LockedOut, 429),
    (FirstStartDue, 403),
    (ForeignOrigin, 403),
    (MalformedBody, 400),
    (BodyTooLarge, 413),
    (NotFound, 404),
    (OperatorError, 422),
    (Stale, 412),
    (ConflictError, 409),
    (EngineRefused, 422),
    (HostLacks, 503),
)


def status_of(failure: SteelyardError) -> int:
    """The HTTP status of an error. A missing permission is 403, anything unknown 500."""
    if isinstance(failure, OperatorError) and failure.field == "permission":
        return 403
    return next((status for kind, status in _STATUS if isinstance(failure, kind)), 500)


def _answer(status: int, error: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> JSONResponse:
    return JSONResponse({"error": dict(error)}, status, dict(headers) if headers else None)


def _steelyard_error(_: Request, failure: Exception) -> JSONResponse:
    error = cast(SteelyardError, failure)
    status = status_of(error)
    if status == 500:
        _log.error("A request ended in an internal error", exc_info=failure)
    if status == 401:
        return _answer(status, error.details(), {"WWW-Authenticate": 'Basic realm="Steelyard", charset="UTF-8"'})
    if isinstance(error, LockedOut):
        return _answer(status, error.details(), {"Retry-After": str(error.seconds)})
    return _answer(status, error.details())


def _bad_parameter(_: Request, failure: Exception) -> JSONResponse:
    """A path or query parameter that FastAPI could not read."""
    first = cast(RequestValidationError, failure).errors()[0]
    name = str(first["loc"][-1]) if first["loc"] else "request"
    given = first.get("input")
    error = OperatorError(
        f"{name}: {first['msg']}",
        field=name,
        value=given if isinstance(given, (str, int)) else None,
        remedy="See /api/v1/openapi.json for what it may be",
    )
    return _answer(422, error.details())


def _no_such_route(request: Request, failure: Exception) -> JSONResponse:
    refused = cast(HTTPException, failure)
    if refused.status_code == 404:
        error = {"kind": "not_found", "message": f"There is nothing at {request.url.path[:200]}"}
    elif refused.status_code == 405:
        error = {"kind": "method_not_allowed", "message": f"{request.method} is not possible on {request.url.path}"}
    else:
        error = {"kind": "http", "message": str(refused.detail)}
    return _answer(refused.status_code, {**error, "remedy": "See /api/v1/openapi.json"}, refused.headers)


class LastResort:
    """Outermost: answers what nobody foresaw with a plain 500, logs it, and marks every answer as not to be stored."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = False

        async def marked(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                headers = MutableHeaders(scope=message)
                headers["Cache-Control"] = "no-store"
                headers["X-Content-Type-Options"] = "nosniff"
            await send(message)

        try:
            await self._app(scope, receive, marked)
        except ClientDisconnect:
            # The client is gone; nobody is left to tell, and nothing was changed before the body was whole.
            _log.info("A client went away while it sent its request to %s", scope["path"])
        except Exception:
            _log.exception("Unexpected error in %s %s", scope["method"], scope["path"])
            if started:
                raise
            error = {"kind": "internal", "message": "Steelyard met an error of its own; its log has the details"}
            await _answer(500, error)(scope, receive, marked)


def install(app: FastAPI) -> None:
    """Make `app` answer every error in this shape."""
    app.add_exception_handler(SteelyardError, _steelyard_error)
    app.add_exception_handler(RequestValidationError, _bad_parameter)
    app.add_exception_handler(HTTPException, _no_such_route)
    app.add_middleware(LastResort)
