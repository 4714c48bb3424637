"""TLS on listeners and towards real servers (`reference/behaviour.md`, section 10)."""

from __future__ import annotations

from steelyard.compile.haproxy.context import ServiceContext
from steelyard.compile.haproxy.trust import client_verification, server_authorities
from steelyard.model.cipher_set import BUILT_IN, CipherSet
from steelyard.model.ciphers import TLS13_STANDARD, is_weak
from steelyard.model.errors import InternalError
from steelyard.model.session_parameters import SessionParameters
from steelyard.model.virtual_service import VirtualService
from steelyard.plan.haproxy import BindTls, Directive, ServerTls, directive

NEWEST = "TLSv1.3"
#: Protocols whose handshakes are signed with MD5 and SHA-1, which OpenSSL 3 refuses above security level 0 (seen with
#: 3.0: with `ssl-min-ver` alone the handshake fails).
_WEAKLY_SIGNED = frozenset({"TLSv1.0", "TLSv1.1"})
_ANY_STRENGTH = "@SECLEVEL=0"


def listener_tls(service: VirtualService, own: CipherSet | None, context: ServiceContext) -> BindTls | None:
    """TLS of the listener; the temporary certificate stands in while none is assigned. `own` is its own cipher set."""
    if not service.ssl_acceleration:
        return None
    temporary = context.temporary_certificate
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
        ciphers=_ciphers(service, own, context) if offered[0] != NEWEST else None,
        suites=_suites(service) if offered[-1] == NEWEST else None,
        tickets=context.session_tickets and not service.verifies_clients,
        clients=client_verification(service, context),
        require_name=service.require_sni,
    )


def _ciphers(service: VirtualService, own: CipherSet | None, context: ServiceContext) -> str:
    """The set as OpenSSL's list, in its order, which HAProxy prefers to the client's; without what OpenSSL lacks."""
    every = own.ciphers if own is not None else BUILT_IN[service.cipher_set]
    had = tuple(one for one in every if context.ciphers is None or one in context.ciphers) or every
    strength = (
        (_ANY_STRENGTH,) if _WEAKLY_SIGNED.intersection(service.offered_protocols) or any(map(is_weak, had)) else ()
    )
    return ":".join((*had, *strength))


def session_directives(parameters: SessionParameters, *, verifies_clients: bool = False) -> tuple[Directive, ...]:
    """The process's lines on sessions that can be resumed, where they are not HAProxy's own.

    Where a listener verifies clients there is no session cache, and that listener gives no tickets. HAProxy (2.6, 2.8,
    tried) lets a client resume at any listener what it began at another, and a resumed session is not verified: a
    client without a certificate would come in, and one whose certificate was revoked would stay.
    """
    declared = SessionParameters.declared()
    if verifies_clients:
        parameters = parameters.model_copy(update={"session_cache_size": 0})
    lines = {"session_lifetime": "tune.ssl.lifetime", "session_cache_size": "tune.ssl.cachesize"}
    return tuple(
        directive(line, str(getattr(parameters, name)))
        for name, line in lines.items()
        if not declared[name].is_default(getattr(parameters, name))
    )


def _suites(service: VirtualService) -> str | None:
    """The suites of TLS 1.3, if they are not those OpenSSL offers by itself."""
    return None if service.tls13_cipher_set == TLS13_STANDARD else ":".join(service.tls13_cipher_set)


#: the name a client asked for, kept for servers that stand behind an inner listener
_NAME_ASKED = "sess.sni"


def server_tls(service: VirtualService, parent: VirtualService | None, context: ServiceContext) -> ServerTls | None:
    """TLS towards the real servers, with the name to ask for: a fixed one, the client's, or none.

    A sub-service has no TLS settings of its own, its `parent`'s count.
    """
    settings = service if parent is None else parent
    if not settings.reencrypts and not settings.ssl_reverse:
        return None
    authorities = server_authorities(settings, context)
    if settings.reencrypt_sni:
        return ServerTls(f"str({settings.reencrypt_sni})", authorities)
    if passes_name(settings):
        return ServerTls("ssl_fc_sni" if parent is None else f"var({_NAME_ASKED})", authorities)
    return ServerTls(None, authorities)


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
