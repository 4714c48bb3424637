"""Explain: the path of a request, drawn step by step, without sending it."""

from __future__ import annotations

from starlette.responses import Response

from steelyard.explain.asked import asked
from steelyard.explain.report import Explanation
from steelyard.model.errors import OperatorError, SteelyardError
from steelyard.model.text import canonical_address
from steelyard.model.virtual_service import VirtualService
from steelyard.web.frame import Visit, page

_METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH")
_VERSIONS = ("1.0", "1.1", "2")
_FIELDS = ("url", "service", "client", "method", "headers", "body", "server_name", "version")


async def explain(visit: Visit) -> Response:
    """The form, and what came of it. It changes nothing, so its address can be kept and sent to others."""
    given = {name: visit.query(name).strip() for name in _FIELDS}
    found, failure = None, None
    if given["url"]:
        try:
            found = await _explained(visit, given)
        except SteelyardError as refused:
            failure = refused
    services = [one for one in visit.snapshot.configuration.services.values() if not one.is_sub]
    context = {
        "given": {**given, "client": given["client"] or _client(visit)},
        "found": found,
        "failure": failure,
        "services": services,
        "suggested": _suggested(services),
        "names": {one.index: one for one in visit.snapshot.configuration.services.values()},
        "methods": _METHODS,
        "versions": _VERSIONS,
    }
    return visit.render("pages/explain_path.html" if visit.by_htmx else "pages/explain.html", context)


async def _explained(visit: Visit, given: dict[str, str]) -> Explanation:
    number = given["service"]
    wanted = asked(
        given["url"],
        client=given["client"] or _client(visit),
        service=int(number) if number.isdecimal() and len(number) < 10 else 0,
        method=given["method"] or "GET",
        headers=tuple(_headers(given["headers"])),
        body=given["body"],
        server_name=given["server_name"],
        version=given["version"] or "1.1",
    )
    return await visit.appliance.explain(wanted.request, wanted.host)


def _headers(text: str) -> list[tuple[str, str]]:
    """One header a line, as in a request."""
    found = []
    for line in filter(None, map(str.strip, text.splitlines())):
        name, colon, value = line.partition(":")
        if not colon:
            raise OperatorError(
                f"{line!r} is no header", field="headers", value=line, allowed="Name: value, one a line"
            )
        found.append((name.strip(), value.strip()))
    return found


def _client(visit: Visit) -> str:
    """Who asks, as an example of a client."""
    peer = visit.request.client
    try:
        return canonical_address(peer.host) if peer is not None else "127.0.0.1"
    except ValueError:
        return "127.0.0.1"


def _suggested(services: list[VirtualService]) -> str:
    """An example that leads somewhere."""
    http = next((one for one in services if one.service_type == "http"), None)
    if http is None:
        return "http://192.0.2.1/"
    host = f"[{http.address}]" if ":" in http.address else http.address
    return f"{'https' if http.ssl_acceleration else 'http'}://{host}:{http.port}/"


ROUTES = [page("/explain", explain, name="explain")]
