"""Edge filtering: which hosts and directories are let in (`reference/behaviour.md`, section 14).

The rules say of each request why it is refused, if it is, and one rule answers the refused. Hosts and directories are
in lookups, so that they change without a reload. `model.edge_filter` has the expressions, and judges as these rules do.
"""

from __future__ import annotations

import hashlib

from steelyard.compile.haproxy.context import ServiceContext
from steelyard.compile.haproxy.edge_log import CONNECTION, REFUSED_VARIABLE, USER, edge_log_rules, filters
from steelyard.compile.haproxy.part import Family, Part
from steelyard.model.edge_filter import (
    CONTROL,
    HOST_HEADER,
    LONGEST_HOST,
    OTHER_PATHS,
    UNCLEAR,
    UNCLEAR_ENCODED,
    VERSIONS,
    Patterns,
    directory_patterns,
    host_patterns,
)
from steelyard.model.virtual_service import VirtualService
from steelyard.plan.haproxy import Directive, Lookup, Page, directive, lookup_path, page_path

_NAME = "txn.edge_name"
_PATH = "txn.edge_path"

_DENIED = b"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
<title>Access denied</title>
<style>
body { font: 1rem/1.5 system-ui, sans-serif; color: #222; background: #fff; max-width: 36rem; margin: 15vh auto; \
padding: 0 1.5rem; }
h1 { font-size: 1.5rem; }
@media (prefers-color-scheme: dark) { body { color: #ddd; background: #181818; } }
</style>
</head>
<body>
<main>
<h1>Access denied</h1>
<p>This address is not available from here.</p>
<p>Check that it is spelled correctly. If you think you should have access, tell whoever runs this site which address
you asked for and when.</p>
</main>
</body>
</html>
"""
ACCESS_DENIED = Page(f"access-denied-{hashlib.sha256(_DENIED).hexdigest()[:12]}.html", _DENIED)


def edge_part(service: VirtualService, family: Family, context: ServiceContext) -> Part:
    """The rules of one service."""
    if not filters(service):
        return Part()
    return edge_log_rules(service, context) + _judging(service, family) + _answering(service)


def has_own_hosts(service: VirtualService, parent: VirtualService | None) -> bool:
    """Whether a service judges hosts itself; a sub-service without hosts leaves that to a parent that filters."""
    return bool(service.allowed_hosts) or parent is None or not filters(parent)


def judges_directories(service: VirtualService) -> bool:
    """Whether directories are judged at all: while none is named as allowed, every one is let in."""
    return bool(service.allowed_directories)


def _judging(service: VirtualService, family: Family) -> Part:
    """Every fault is looked for and the last one found is told, so the gravest comes last."""
    part = Part()
    if judges_directories(service):
        patterns = directory_patterns(f"{service.allowed_directories} {service.excluded_directories}")
        part += Part((_set(_PATH, "path,lower"),))
        part += _unless_matched("directory", _PATH, patterns, f"{service.engine_name}-edge-directories")
    # cut, since comparing may take long; what is longer is refused below
    part += Part((_set(_NAME, f"req.fhdr(host),bytes(0,{LONGEST_HOST}),host_only"),))
    if has_own_hosts(service, family.parent):
        part += _unless_matched(
            "host", _NAME, host_patterns(service.allowed_hosts), f"{service.engine_name}-edge-hosts"
        )
    one_host = ("{", "req.fhdr_cnt(host)", "eq", "1", "}", "{", "req.fhdr(host),length", "le", str(LONGEST_HOST), "}")
    sound_host = ("{", "req.fhdr(host)", "-m", "reg", "-i", HOST_HEADER, "}")
    encoded = ("{", "path", "-m", "sub", "%", "}", "{", "path", "-m", "reg", "-i", UNCLEAR_ENCODED, "}")
    # HTTP/2 has no target of its own: HAProxy shows one that begins with the scheme. Its version is that of the wire,
    # because a line may name any other
    version_1 = ("{", "fc_http_major", "eq", "1", "}")
    return part + Part(
        (
            _refuse("header", "if", "{", "req.hdrs", "-m", "reg", CONTROL, "}"),
            _refuse("name", "unless", *one_host, *sound_host),
            _refuse("path", "if", "{", "path", "-m", "reg", UNCLEAR, "}", "or", *encoded),
            # CONNECT has no path, and would open a tunnel past the filter
            _refuse("target", "unless", "{", "path", "-m", "beg", "/", "}", "!{", "method", "CONNECT", "}"),
            _refuse("target", "if", *version_1, "!{", "url", "-m", "beg", "/", "}"),
            _refuse("version", "if", *version_1, "!{", "req.ver", "-m", "str", *VERSIONS, "}"),
        )
    )


def _set(variable: str, *value: str) -> Directive:
    return directive("http-request", f"set-var({variable})", *value)


def _refuse(reason: str, *condition: str) -> Directive:
    return _set(REFUSED_VARIABLE, f"str({reason})", *condition)


def _unless_matched(reason: str, variable: str, patterns: Patterns, prefix: str) -> Part:
    """A refusal unless a variable matches. Every lookup is there even when it is empty, to take entries at run time."""
    kinds = (
        ("str", "", patterns.whole),
        ("beg", "-beginnings", patterns.beginnings),
        ("end", "-ends", patterns.ends),
        ("reg", "-patterns", patterns.expressions),
    )
    unused = "end" if variable == _PATH else "beg"
    words: list[str] = []
    lookups: list[Lookup] = []
    for match, suffix, entries in kinds:
        if match != unused:
            name = prefix + suffix
            lookups.append(Lookup(name, tuple((entry, "") for entry in entries), is_map=False))
            words += ["or"] if words else []
            words += ["{", f"var({variable})", "-m", match, "-f", lookup_path(name), "}"]
    return Part((_refuse(reason, "unless", *words),), lookups=tuple(lookups))


def _answering(service: VirtualService) -> Part:
    refused = ("if", "{", f"var({REFUSED_VARIABLE})", "-m", "found", "}")
    page = ("content-type", "text/html; charset=utf-8", "file", page_path(ACCESS_DENIED.name))
    rules = [
        directive("http-request", "return", "status", "403", *page, "hdr", "Cache-Control", "no-store", *refused),
        # a server that takes the path from elsewhere, or goes over to another protocol, would be outside the filter
        *(directive("http-request", "del-header", name) for name in OTHER_PATHS),
        directive(
            "http-request", "del-header", "Upgrade", "if", "{", "req.hdr(upgrade)", "-m", "sub", "-i", "h2c", "}"
        ),
        directive("http-request", "del-header", "HTTP2-Settings"),
    ]
    if service.esp_logs and not service.esp_logs & (CONNECTION | USER):
        rules.append(directive("http-request", "set-log-level", "silent"))
    return Part(tuple(rules), pages=(ACCESS_DENIED,))
