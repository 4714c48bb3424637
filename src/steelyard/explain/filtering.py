"""The edge filter: whether host and directory are let in."""

from __future__ import annotations

from steelyard.compile.haproxy.edge import has_own_hosts, judges_directories
from steelyard.compile.haproxy.edge_log import filters
from steelyard.explain.report import Result
from steelyard.explain.situation import Visit
from steelyard.model.edge_filter import REASONS, directory_patterns, host_patterns, judge


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
