"""POST requests that do not say how long they are (LoadMaster, "Allow Empty POSTs").

A request of HTTP/1 without Content-Length and Transfer-Encoding has no body (RFC 9112, 6.3), which for a POST is a
mistake more often than meant. HTTP/2 says by itself where a request ends.
"""

from __future__ import annotations

from steelyard.compile.haproxy.context import ServiceContext
from steelyard.compile.haproxy.part import Family, Part
from steelyard.model.virtual_service import VirtualService
from steelyard.plan.haproxy import directive

LENGTH_REQUIRED = 411
_PAGE = (
    "<!DOCTYPE html><html><head><title>411 Length Required</title></head>"
    "<body><h1>411 Length Required</h1><p>A POST request has to say how long it is.</p></body></html>"
)


def lengths_part(service: VirtualService, family: Family, context: ServiceContext) -> Part:
    """The rule of one service. What reaches a sub-service has met its parent's."""
    if not service.is_http or service.is_sub or context.empty_posts:
        return Part()
    refusal = directive(
        *("http-request", "return", "status", str(LENGTH_REQUIRED), "content-type", "text/html", "string", _PAGE),
        *("if", "{", "method", "POST", "}", "{", "fc_http_major", "1", "}"),
        *("!{", "req.hdr(content-length)", "-m", "found", "}", "!{", "req.hdr(transfer-encoding)", "-m", "found", "}"),
    )
    return Part(frontend=(refusal,))
