"""Errors as pages, and for requests of htmx as a notice above the content. The one place here with HTTP statuses."""

from __future__ import annotations

import logging
from typing import Any
from urllib.parse import quote

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from steelyard.api.native.faults import status_of
from steelyard.model.errors import InternalError, SteelyardError
from steelyard.web.visit import Visit, find_session, frame_context

_log = logging.getLogger("steelyard.web")

_TITLES = {
    400: "That request makes no sense",
    403: "Not permitted",
    404: "There is nothing here",
    405: "That cannot be done here",
    409: "Somebody was faster",
    413: "Too large",
    422: "That was refused",
    503: "This host lacks something",
}


class SignInAgain(SteelyardError):
    """Nobody is signed in, or not any more."""

    kind = "sign_in"

    def __init__(self) -> None:
        super().__init__("Sign in first")


def failed(request: Request, failure: SteelyardError, visit: Visit | None) -> Response:
    """The answer to a request that raised a failure."""
    if isinstance(failure, SignInAgain):
        return sign_in_again(request)
    return shown(request, status_of(failure), failure.message, failure.details(), visit)


def sign_in_again(request: Request) -> Response:
    """Send the browser to the sign-in page and back afterwards. A write is lost, and that is said there."""
    reading = request.method in ("GET", "HEAD")
    back = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    if request.headers.get("hx-request") == "true" or not reading:
        # the page the person looks at, not the part that was asked for
        back = _path_of(request.headers.get("hx-current-url") or request.headers.get("referer") or "/")
    lost = "" if reading else "&lost=1"
    target = (
        f"{request.app.url_path_for('sign-in')}?next={quote(back)}{lost}"
        if back != "/" or lost
        else (str(request.app.url_path_for("sign-in")))
    )
    if request.headers.get("hx-request") == "true":
        return Response(status_code=401, headers={"HX-Redirect": target})
    return RedirectResponse(target, 303)


def _path_of(address: str) -> str:
    """The path and query of an address; whatever host it names."""
    rest = address.partition("://")[2]
    return "/" + rest.partition("/")[2].partition("#")[0] if rest else "/"


def shown(request: Request, status: int, message: str, details: dict[str, Any], visit: Visit | None) -> Response:
    """An error page, or a notice."""
    templates = request.app.state.site.templates
    context = {
        **frame_context(request, visit),
        "status": status,
        "title": _TITLES.get(status, "That did not work"),
        "message": message,
        "details": details,
    }
    if request.headers.get("hx-request") == "true":
        body = templates.get_template("failure_notice.html").render(context)
        return HTMLResponse(body, status, {"HX-Retarget": "#notices", "HX-Reswap": "innerHTML"})
    name = "failure.html" if visit is not None else "failure_outside.html"
    return HTMLResponse(templates.get_template(name).render(context), status)


async def on_http_exception(request: Request, failure: Exception) -> Response:
    """Paths that do not exist, methods they do not have."""
    if not isinstance(failure, HTTPException):
        raise failure
    found = find_session(request, touch=False)
    if found is None and failure.status_code in (404, 405) and not request.url.path.startswith("/static/"):
        return sign_in_again(request)
    visit = Visit(request, request.app.state.site, *found, "", "") if found is not None else None
    message = "The address is wrong, or what it named was removed." if failure.status_code == 404 else failure.detail
    return shown(request, failure.status_code, message, {}, visit)


async def on_bug(request: Request, failure: Exception) -> Response:
    """What nobody foresaw: the traceback goes to the log."""
    _log.error("%s %s failed", request.method, request.url.path, exc_info=failure)
    return shown(request, 500, InternalError("Something went wrong in Steelyard; its log says more").message, {}, None)
