"""The cache: whether an answer may come from it, in place of a real server."""

from __future__ import annotations

from steelyard.explain.situation import Visit


def cached(visit: Visit) -> None:
    """Say whether the cache is asked. What it holds only HAProxy knows."""
    service, request = visit.service, visit.request
    if not service.cache or not service.is_http:
        return
    why = None
    if request.method not in ("GET", "HEAD"):
        why = f"it keeps no answers to {request.method}"
    elif "?" in request.path_and_query:
        why = "the URL has a query"
    elif request.lines("authorization"):
        why = "the request has credentials"
    else:
        ending = next((e for e in visit.situation.context.not_cached if request.path.lower().endswith(e.lower())), None)
        why = f"{ending} is never cached" if ending is not None else None
    if why is None:
        visit.note("cache", "an answer that is kept there is given at once, without a real server")
    else:
        visit.note("cache", "is not asked", why)
