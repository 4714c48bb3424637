"""Headers that tell the real server who the client is (`reference/behaviour.md`, section 12).

An existing X-Forwarded-For of one line is continued with ", client"; when a client sent several lines another line is
added, which means the same (RFC 9110, 5.3). Legacy operation adds nothing, as observed on current units.
"""

from __future__ import annotations

from steelyard.compile.haproxy.context import ServiceContext
from steelyard.compile.haproxy.part import Family, Part
from steelyard.model.virtual_service import VirtualService
from steelyard.plan.haproxy import Directive, directive

_FORWARDED = frozenset({1, 5})
_CLIENT_SIDE = frozenset({3, 4})
_VIA = frozenset({1, 3, 6})
_PSEUDONYM = "steelyard"


def headers_part(service: VirtualService, family: Family, context: ServiceContext) -> Part:
    """The rules of one service."""
    return Part(frontend=client_headers(service))


def client_headers(service: VirtualService) -> tuple[Directive, ...]:
    """The rules for the setting AddVia; none unless requests are read."""
    if not service.is_http:
        return ()
    rules: list[Directive] = []
    if service.add_via in _FORWARDED:
        one_line = ("{", "req.fhdr_cnt(x-forwarded-for)", "eq", "1", "}")
        rules += [
            directive(
                "http-request", "set-header", "X-Forwarded-For", "%[req.fhdr(x-forwarded-for)], %[src]", "if", *one_line
            ),
            directive("http-request", "add-header", "X-Forwarded-For", "%[src]", "unless", *one_line),
        ]
    if service.add_via in _CLIENT_SIDE:
        rules.append(
            directive("http-request", "set-header", "X-ClientSide", "%[src]:%[src_port] -> %[dst]:%[dst_port]")
        )
    if service.add_via in _VIA:
        rules.append(directive("http-request", "add-header", "Via", f"%[req.ver] {_PSEUDONYM}"))
    return tuple(rules)
