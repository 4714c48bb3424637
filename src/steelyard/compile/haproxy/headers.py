"""Headers that are added for the real server, and those of its answers that are changed for the client.

Who the client is (`reference/behaviour.md`, section 12): an existing X-Forwarded-For of one line is continued with
", client"; when a client sent several lines another line is added, which means the same (RFC 9110, 5.3). Legacy
operation adds nothing, as observed on current units. What its TLS is, and where redirects lead: section 10.
"""

from __future__ import annotations

from steelyard.compile.haproxy.client_certificates import certificate_headers
from steelyard.compile.haproxy.context import ServiceContext
from steelyard.compile.haproxy.part import Family, Part
from steelyard.model.virtual_service import VirtualService
from steelyard.plan.haproxy import Directive, directive

_FORWARDED = frozenset({1, 5})
_CLIENT_SIDE = frozenset({3, 4})
_VIA = frozenset({1, 3, 6})
PSEUDONYM = "steelyard"

#: header -> sample expression of its value (`ssl_f_serial`: the certificate shown, `ssl_c_serial`: the client's)
_CIPHER_HEADERS = {
    "X-SSL-Cipher": "ssl_fc_cipher",
    "X-SSL-Protocol": "ssl_fc_protocol",
    "X-SSL-Serialid": "ssl_f_serial,hex",
    "X-SSL-ClientSerialid": "ssl_c_serial,hex",
    "X-SSL-SNIHost": "ssl_fc_sni",
}
#: scheme to write -> what is written over: the other scheme, a host, the other scheme's own port, the rest
_LOCATIONS = {
    "https": r"^[Hh][Tt][Tt][Pp]://(\[[^]]*\]|[^]/?#:[]*)(:80)?([/?#].*)?$",
    "http": r"^[Hh][Tt][Tt][Pp][Ss]://(\[[^]]*\]|[^]/?#:[]*)(:443)?([/?#].*)?$",
}
#: the same for a host with another port, which is kept
_LOCATIONS_WITH_PORT = {
    "https": r"^[Hh][Tt][Tt][Pp]://(\[[^]]*\]|[^]/?#:[]*)(:[0-9]+)([/?#].*)?$",
    "http": r"^[Hh][Tt][Tt][Pp][Ss]://(\[[^]]*\]|[^]/?#:[]*)(:[0-9]+)([/?#].*)?$",
}


def headers_part(service: VirtualService, family: Family, context: ServiceContext) -> Part:
    """The rules of one service."""
    if not service.is_http:
        return Part()
    return Part(
        frontend=(
            *client_headers(service),
            *_cipher(service),
            *certificate_headers(service),
            *_copied(service),
            *_added(service),
            *_locations(service),
        )
    )


def client_headers(service: VirtualService) -> tuple[Directive, ...]:
    """The rules for the setting AddVia."""
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
        rules.append(directive("http-request", "add-header", "Via", f"%[req.ver] {PSEUDONYM}"))
    return tuple(rules)


def _cipher(service: VirtualService) -> list[Directive]:
    """A header a client sent is never left: it could claim anything."""
    if not (service.pass_cipher and service.ssl_acceleration):
        return []
    rules: list[Directive] = []
    for name, value in _CIPHER_HEADERS.items():
        rules += [
            directive("http-request", "del-header", name),
            directive("http-request", "set-header", name, f"%[{value}]", "if", "{", value, "-m", "found", "}"),
        ]
    return rules


def _copied(service: VirtualService) -> list[Directive]:
    if not (service.copy_header_from and service.copy_header_to):
        return []
    source = f"req.fhdr({service.copy_header_from})"
    return [
        directive(
            "http-request", "set-header", service.copy_header_to, f"%[{source}]", "if", "{", source, "-m", "found", "}"
        )
    ]


def _added(service: VirtualService) -> list[Directive]:
    if not service.extra_header_name:
        return []
    value = service.extra_header_value.replace("%", "%%")
    return [directive("http-request", "add-header", service.extra_header_name, value)]


def _locations(service: VirtualService) -> list[Directive]:
    """The other scheme's own port goes with it, any other port is kept."""
    scheme = service.ssl_rewrite
    if not (scheme and service.ssl_acceleration):
        return []
    return [
        directive("http-response", "replace-header", "Location", _LOCATIONS[scheme], rf"{scheme}://\1\3"),
        directive("http-response", "replace-header", "Location", _LOCATIONS_WITH_PORT[scheme], rf"{scheme}://\1\2\3"),
    ]
