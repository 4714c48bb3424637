"""What the listener adds to answers, HAProxy's own included: HSTS, and the end of a connection after an error."""

from __future__ import annotations

from steelyard.compile.haproxy.context import ServiceContext
from steelyard.compile.haproxy.part import Family, Part
from steelyard.model.virtual_service import VirtualService
from steelyard.plan.haproxy import Directive, directive

_SUBDOMAINS, _PRELOAD = 2, 4


def answer_headers_part(service: VirtualService, family: Family, context: ServiceContext) -> Part:
    """The rules of one service. A sub-service has no listener: its parent's rules hold for it."""
    if not service.is_http or service.is_sub:
        return Part()
    return Part(frontend=(*_transport_security(service, context), *_close_on_error(context)))


def _transport_security(service: VirtualService, context: ServiceContext) -> tuple[Directive, ...]:
    """One header, in place of a real server's own (RFC 6797, 7.1 wants one alone, and none over plain HTTP)."""
    chosen = service.security_header_options
    if not chosen or not service.ssl_acceleration:
        return ()
    value = f"max-age={context.security_header_age}"
    value += "; includeSubDomains" if chosen & _SUBDOMAINS else ""
    value += "; preload" if chosen & _PRELOAD else ""
    return (directive("http-after-response", "set-header", "Strict-Transport-Security", value),)


def _close_on_error(context: ServiceContext) -> tuple[Directive, ...]:
    """Only answers of real servers meet `http-response` rules, so what met none is HAProxy's own."""
    if not context.close_on_error:
        return ()
    own_error = ("if", "{", "status", "ge", "400", "}", "!{", "var(txn.answered)", "-m", "found", "}")
    return (
        directive("http-response", "set-var(txn.answered)", "bool(true)"),
        directive("http-after-response", "set-header", "Connection", "close", *own_error),
    )
