"""Caching of answers in memory (`reference/behaviour.md`, section 12).

HAProxy keeps only what a cache may keep (RFC 9111): 200 answers to GET with a freshness or a validator, nothing that is
private, no-store or no-cache, and nothing of a request that says no-cache. LoadMaster's own exceptions are added: URLs
with a query, some file extensions. So are two of prudence: what was asked with credentials and what sets a cookie
belongs to one client.
"""

from __future__ import annotations

from steelyard.compile.haproxy.context import ServiceContext
from steelyard.compile.haproxy.headers import PSEUDONYM
from steelyard.compile.haproxy.part import Family, Part
from steelyard.compile.haproxy.switching import answered_through
from steelyard.model.virtual_service import VirtualService
from steelyard.plan.haproxy import Directive, Section, directive

#: LoadMaster keeps nothing longer
_LONGEST_SECONDS = 3600
#: the cache answers in HTTP/1.1 whatever the client spoke
_VIA = f"1.1 {PSEUDONYM}"
_LEAST_MEGABYTES = 1
#: an object may take this part of the cache (HAProxy 2.6 manual, `max-object-size`: at most half)
_SHARE_OF_ONE = 8


def caching_part(service: VirtualService, family: Family, context: ServiceContext) -> Part:
    """The cache of one service, and what it may keep. It stands after all that may refuse a request.

    A sub-service without a cache of its own uses its parent's.
    """
    owner = next((one for one in answered_through(service, family, context) if one.cache), None)
    if owner is None or not service.is_http:
        return Part()
    name = f"cache-{owner.engine_name}"
    megabytes = max(_LEAST_MEGABYTES, context.cache_megabytes * (service.cache_percent or 100) // 100)
    largest = megabytes * 1024 * 1024 // _SHARE_OF_ONE
    cache = Section(
        ("cache", name),
        (
            directive("total-max-size", str(megabytes)),
            directive("max-object-size", str(largest)),
            directive("max-age", str(_LONGEST_SECONDS)),
            directive("process-vary", "on"),
        ),
    )
    rules: list[Directive] = [
        directive("filter", "cache", name),
        directive("http-request", "set-var(txn.cacheable)", "bool(true)", "unless", *_private_request(context)),
        directive("http-request", "cache-use", name, "if", "{", "var(txn.cacheable)", "-m", "bool", "}"),
        directive(
            "http-response",
            "cache-store",
            name,
            "if",
            *("{", "var(txn.cacheable)", "-m", "bool", "}"),
            *("!{", "res.hdr(set-cookie)", "-m", "found", "}"),
        ),
    ]
    if context.via_in_cache:
        rules.append(directive("http-after-response", "add-header", "Via", _VIA, "if", "{", "res.cache_hit", "}"))
    return Part(backend=tuple(rules), sections=(cache,) if owner is service else ())


def _private_request(context: ServiceContext) -> tuple[str, ...]:
    """The condition under which an answer is for this client alone."""
    words = ["{", "query", "-m", "found", "}", "or", "{", "req.hdr(authorization)", "-m", "found", "}"]
    if context.not_cached:
        words += ["or", "{", "path", "-m", "end", "-i", *context.not_cached, "}"]
    return tuple(words)
