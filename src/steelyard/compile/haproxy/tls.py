"""TLS on listeners and towards real servers (`reference/behaviour.md`, section 10)."""

from __future__ import annotations

from steelyard.model.errors import InternalError
from steelyard.model.virtual_service import VirtualService
from steelyard.plan.haproxy import BindTls, Directive, ServerTls, directive

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


#: the name a client asked for, kept for servers that stand behind an inner listener
_NAME_ASKED = "sess.sni"


def server_tls(service: VirtualService, parent: VirtualService | None = None) -> ServerTls | None:
    """TLS towards the real servers, with the name to ask for: a fixed one, the client's, or none.

    A sub-service has no TLS settings of its own, its `parent`'s count.
    """
    settings = service if parent is None else parent
    if not settings.reencrypts and not settings.ssl_reverse:
        return None
    if settings.reencrypt_sni:
        return ServerTls(f"str({settings.reencrypt_sni})")
    if passes_name(settings):
        return ServerTls("ssl_fc_sni" if parent is None else f"var({_NAME_ASKED})")
    return ServerTls(None)


def passes_name(service: VirtualService) -> bool:
    """Whether real servers are asked for the name the client asked for."""
    return service.reencrypts and service.pass_sni and not service.reencrypt_sni


def name_asked(service: VirtualService, parent: VirtualService | None) -> tuple[Directive, ...]:
    """The rule that keeps the name a client asked for where sub-services need it.

    Over an inner connection it comes as the authority of the PROXY protocol.
    """
    settings = service if parent is None else parent
    if not passes_name(settings) or not (settings.slots or service.is_sub):
        return ()
    source = "ssl_fc_sni" if parent is None else "fc_pp_authority"
    return (directive("tcp-request", "session", f"set-var({_NAME_ASKED})", source),)
