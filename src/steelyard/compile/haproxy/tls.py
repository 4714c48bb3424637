"""TLS on listeners and towards real servers (`reference/behaviour.md`, section 10)."""

from __future__ import annotations

from steelyard.model.errors import InternalError
from steelyard.model.virtual_service import VirtualService
from steelyard.model.virtual_service.tls import PROTOCOL_BITS
from steelyard.plan.haproxy import BindTls, ServerTls


def listener_tls(service: VirtualService, temporary: str | None) -> BindTls | None:
    """TLS of the listener; the temporary certificate stands in while none is assigned."""
    if not service.ssl_acceleration:
        return None
    names = service.certificates or ((temporary,) if temporary is not None else ())
    if not names:
        raise InternalError("SSL acceleration without any certificate, the temporary one is missing too")
    alpn: tuple[str, ...] = ()
    if service.is_http:
        alpn = ("h2", "http/1.1") if service.allow_http2 else ("http/1.1",)
    refused = tuple(name for bit, name in PROTOCOL_BITS.items() if service.tls_type & bit)
    return BindTls(names, alpn, refused)


def server_tls(service: VirtualService) -> ServerTls | None:
    """TLS towards the real servers, with the name to ask for: a fixed one, the client's, or none."""
    if not service.reencrypts and not service.ssl_reverse:
        return None
    if service.reencrypt_sni:
        return ServerTls(f"str({service.reencrypt_sni})")
    if service.reencrypts and service.pass_sni:
        return ServerTls("ssl_fc_sni")
    return ServerTls(None)
