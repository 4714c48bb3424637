"""TLS on listeners and towards real servers (`reference/behaviour.md`, section 10)."""

from __future__ import annotations

from steelyard.model.errors import InternalError
from steelyard.model.virtual_service import VirtualService
from steelyard.plan.haproxy import BindTls, ServerTls

NEWEST = "TLSv1.3"
#: Protocols whose handshakes are signed with MD5 and SHA-1, which OpenSSL 3 refuses above security level 0 (seen with
#: 3.0: with `ssl-min-ver` alone the handshake fails).
_WEAKLY_SIGNED = frozenset({"TLSv1.0", "TLSv1.1"})
#: OpenSSL's own list and order, strongest first, which HAProxy prefers to the client's: TLS 1.2 gets what it gets
#: elsewhere.
_CIPHERS_WITH_THEM = "DEFAULT:@SECLEVEL=0"


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
    offered = service.offered_protocols
    return BindTls(
        names,
        alpn,
        lowest=offered[0],
        highest=None if offered[-1] == NEWEST else offered[-1],
        ciphers=_CIPHERS_WITH_THEM if _WEAKLY_SIGNED.intersection(offered) else None,
    )


def server_tls(service: VirtualService) -> ServerTls | None:
    """TLS towards the real servers, with the name to ask for: a fixed one, the client's, or none."""
    if not service.reencrypts and not service.ssl_reverse:
        return None
    if service.reencrypt_sni:
        return ServerTls(f"str({service.reencrypt_sni})")
    if service.reencrypts and service.pass_sni:
        return ServerTls("ssl_fc_sni")
    return ServerTls(None)
