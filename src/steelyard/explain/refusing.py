"""What a client gets when no real server is available."""

from __future__ import annotations

import re

from steelyard.compile.haproxy.unavailable import draining, handler, remembers, resets
from steelyard.explain.place import Place
from steelyard.explain.report import Result
from steelyard.explain.situation import Visit
from steelyard.model.virtual_service.refusals import REDIRECTS

_HOST = r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9_]([A-Za-z0-9._-]*[A-Za-z0-9_])?)(:[0-9]*)?"


def unavailable(place: Place) -> Result:
    """The sorry server, a redirect, a page, or HAProxy's own 503."""
    visit, service = place.visit, place.visit.service
    told = tuple(place.told()) or ("it has no real server",)
    sorry = place.sorry()
    if sorry is not None:
        visit.note("no real server", f"none is available: {sorry} takes the client", *told)
        return Result("server", "no real server is available, and there is a sorry server", (sorry,))
    if not service.is_http:
        recorded = remembers(service, visit.situation.context) and draining(service)
        reset = resets(service) and not recorded
        visit.note("no real server", f"none is available: the connection is {'reset' if reset else 'closed'}", *told)
        return Result("closed", "no real server is available")
    source = handler(service, visit.family)
    status = source.error_code or 503
    if status in REDIRECTS:
        location = _location(visit, source.error_url)
        visit.note("no real server", f"none is available: {status} to {location}", *told)
        return Result("answered", "no real server is available, and clients are sent elsewhere", (), status, location)
    plain = "a page of Steelyard's own" if source.error_code else "HAProxy's own page"
    page = "the page of the service" if source.error_page else plain
    visit.note("no real server", f"none is available: {status} with {page}", *told)
    return Result("answered", "no real server is available", status=status)


def _location(visit: Visit, url: str) -> str:
    """The redirect with what it repeats of the request; what is unusable is not repeated."""
    request = visit.request
    listener = visit.family.parent or visit.service
    host = request.last_line("host") or ""
    # HAProxy's `host_only` writes it in small letters
    host = listener.host if re.fullmatch(_HOST, host) is None else re.sub(":[0-9]*$", "", host).lower()
    target = "/"
    if request.path_and_query.startswith("/"):
        target = re.sub("[^!-~]", "", request.path_and_query)
    return url.replace("%h", host).replace("%s", target)
