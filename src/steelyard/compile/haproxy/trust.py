"""Whose certificates count: those of clients, and those of real servers where these are verified.

A listener believes what it is told and nothing above that: with an intermediate alone, certificates of its siblings
under the same root are refused, and the root need not be here. HAProxy (2.6, 2.8) wants every chain to end in a root
that is there; that this one error is let pass leaves the signatures below checked (`ca-ignore-err 2`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from steelyard.compile.haproxy.context import ServiceContext
from steelyard.model.configuration import Configuration
from steelyard.model.revocation_list import lists_of
from steelyard.model.virtual_service import VirtualService
from steelyard.plan.haproxy import ServicePlan
from steelyard.plan.trust import ClientVerification, TrustFile, TrustNeed

#: A certificate that signs nothing: it ended when it was made, and nobody has its key. HAProxy takes no empty file.
NOBODY = """\
-----BEGIN CERTIFICATE-----
MIIBVzCB/6ADAgECAgEBMAoGCCqGSM49BAMCMC0xKzApBgNVBAMMIlN0ZWVseWFy
ZDogbm8gYXV0aG9yaXR5IGlzIHRydXN0ZWQwHhcNMDAwMTAxMDAwMDAwWhcNMDAw
MTAxMDAwMDAxWjAtMSswKQYDVQQDDCJTdGVlbHlhcmQ6IG5vIGF1dGhvcml0eSBp
cyB0cnVzdGVkMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEnL13Fa3noL5Kr0Fp
ylMLHvyrG8oVeFmyE0qdP8AJIUpqwKwCb+pCDzZUXXyHDnb8HKzbUHqGfTBnpiC4
G4B/kaMQMA4wDAYDVR0TAQH/BAIwADAKBggqhkjOPQQDAgNHADBEAiAhlhSZe85r
WZKZ/b+wbJ6iIqwsT5fBlRGa17Uk6t3yoAIgXflv9gxiGiFIyG6L7YO0K428nQvw
bvsayDDCseL3orE=
-----END CERTIFICATE-----
"""


def client_verification(service: VirtualService, context: ServiceContext) -> ClientVerification | None:
    """How the listener of a service verifies clients; None where it asks them for nothing."""
    if not service.verifies_clients:
        return None
    return ClientVerification(
        client_authorities(service),
        TrustNeed(revocations=True, name="revoked.crl") if context.revocations else None,
        service.client_certificates_optional,
    )


def client_authorities(service: VirtualService) -> TrustNeed:
    """Who may have signed the certificates of a service's clients."""
    return _need(service.intermediate_certificates)


def server_authorities(service: VirtualService, context: ServiceContext) -> TrustNeed | None:
    """Who may have signed the certificates of a service's real servers; None where nobody looks."""
    if not verifies_servers(service, by_default=context.verify_servers):
        return None
    return _need(service.server_authorities, servers=True)


def verifies_servers(service: VirtualService, *, by_default: bool) -> bool:
    """Whether real servers of a service that are spoken to with TLS have to prove who they are."""
    return service.server_verification == "required" or (by_default and service.server_verification == "")


def _need(names: tuple[str, ...], *, servers: bool = False) -> TrustNeed:
    members = tuple(sorted(set(names)))
    name = hashlib.sha256(" ".join(members).encode()).hexdigest()[:16] if members else "all"
    whose = "servers" if servers else "clients"
    return TrustNeed(members, system=servers and not members, servers=servers, name=f"{whose}-{name}.pem")


def trust_needs(service: ServicePlan) -> frozenset[TrustNeed]:
    """The files that a service's listener and servers name."""
    found: set[TrustNeed] = set()
    clients = service.frontend.tls.clients if service.frontend is not None and service.frontend.tls else None
    if clients is not None:
        found |= {need for need in (clients.authorities, clients.revocations) if need is not None}
    found |= {
        server.tls.authorities
        for backend in service.backends
        for server in backend.servers
        if server.tls is not None and server.tls.authorities is not None
    }
    return frozenset(found)


def trust_files(configuration: Configuration, needs: Iterable[TrustNeed]) -> dict[str, TrustFile]:
    """Their content, by name."""
    return {
        need.name: TrustFile(need.name, _content(configuration, need), need.system, need.servers, need.revocations)
        for need in sorted(needs, key=lambda need: need.name)
    }


def _content(configuration: Configuration, need: TrustNeed) -> str:
    if need.revocations:
        return revocations_pem(configuration)
    return authorities_pem(configuration, need.members) or ("" if need.system else NOBODY)


def authorities_pem(configuration: Configuration, members: tuple[str, ...]) -> str:
    """The certificates of those authorities, of all for none."""
    chosen = (configuration.intermediates.get(name) for name in members) if members else ()
    found = chosen if members else configuration.intermediates.values()
    return "".join(sorted({one.pem.strip() + "\n" for one in found if one is not None}))


def revocations_pem(configuration: Configuration) -> str:
    """The newest revocation list of each authority."""
    lists = configuration.revocation_lists.values()
    newest = (lists_of(authority.parsed, lists)[:1] for authority in configuration.intermediates.values())
    return "".join(sorted({one.pem for found in newest for one in found}))
