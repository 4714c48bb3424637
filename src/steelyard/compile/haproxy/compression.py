"""Compression of answers (`reference/behaviour.md`, section 12).

HAProxy compresses what is text and not compressed yet, for clients that take gzip. LoadMaster's list of file extensions
is kept by taking Accept-Encoding out of such requests, so that the real server does not compress them either.
"""

from __future__ import annotations

from steelyard.compile.haproxy.context import ServiceContext
from steelyard.compile.haproxy.part import Family, Part
from steelyard.compile.haproxy.switching import answered_through
from steelyard.model.virtual_service import VirtualService
from steelyard.plan.haproxy import Directive, directive

#: HAProxy compares them with the beginning of the answer's type (2.6 and 2.8, tried)
COMPRESSED_TYPES = (
    "text/",
    "application/javascript",
    "application/x-javascript",
    "application/json",
    "application/xml",
    "application/xhtml+xml",
    "application/rss+xml",
    "application/atom+xml",
    "application/soap+xml",
    "application/manifest+json",
    "image/svg+xml",
)


def compression_part(service: VirtualService, family: Family, context: ServiceContext) -> Part:
    """The compression of one service. Bodies that rules change must reach them uncompressed: it takes all work over."""
    through = answered_through(service, family, context)
    if not service.is_http or not any(one.compress for one in through):
        return Part()
    rules: list[Directive] = [
        directive("filter", "compression"),
        directive("compression", "algo", "gzip"),
        directive("compression", "type", *COMPRESSED_TYPES),
    ]
    if any(one.body_rules for one in through):
        rules.append(directive("compression", "offload"))
    if context.not_compressed:
        ends = ("{", "path", "-m", "end", "-i", *context.not_compressed, "}")
        rules.append(directive("http-request", "del-header", "Accept-Encoding", "if", *ends))
    return Part(backend=tuple(rules))
