"""Whether a request is let in: host and directory by the edge filter, and the length of its body."""

from __future__ import annotations

from steelyard.compile.haproxy.edge import has_own_hosts, judges_directories
from steelyard.compile.haproxy.edge_log import filters
from steelyard.compile.haproxy.lengths import LENGTH_REQUIRED
from steelyard.explain.report import Result
from steelyard.explain.situation import Visit
from steelyard.model.edge_filter import REASONS, directory_patterns, host_patterns, judge


def has_length(visit: Visit) -> Result | None:
    """Whether a POST says how long it is; a result when it has to and does not."""
    service, request = visit.service, visit.request
    asks = service.is_http and not service.is_sub and not visit.situation.context.empty_posts
    if not asks or request.method != "POST" or request.version == "2":
        return None
    # a client that sends a body says how long it is
    if request.body or request.lines("content-length") or request.lines("transfer-encoding"):
        return None
    visit.note("length", "refuses a POST without Content-Length and Transfer-Encoding (Allow Empty POSTs is off)")
    return Result("answered", "a POST has to say how long it is", status=LENGTH_REQUIRED)


def filter_request(visit: Visit) -> Result | None:
    """What the edge filter says; a result when it refuses."""
    service, request = visit.service, visit.request
    if not filters(service):
        return None
    own = has_own_hosts(service, visit.family.parent)
    hosts = host_patterns(service.allowed_hosts) if own else None
    directories = None
    if judges_directories(service):
        directories = directory_patterns(f"{service.allowed_directories} {service.excluded_directories}")
    reason = judge(
        hosts,
        directories,
        target=request.target,
        host_headers=request.lines("host"),
        method=request.method,
        version=request.version,
    )
    details = (
        f"allowed hosts: {service.allowed_hosts or 'none, so every request is refused'}"
        if own
        else "hosts: judged by the parent",
        f"allowed directories: {service.allowed_directories or 'all'}",
    )
    if reason is None:
        visit.note("edge filter", f"lets {request.path} of {request.last_line('host') or 'no host'} in", *details)
        return None
    visit.note("edge filter", f"refuses: {REASONS[reason]}", *details)
    return Result("answered", f"the edge filter refuses it: {REASONS[reason]}", status=403)
