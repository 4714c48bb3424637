"""TLS: whether the client speaks it as the service does, and which certificate it is shown."""

from __future__ import annotations

from collections.abc import Iterator

from cryptography import x509
from cryptography.x509.oid import NameOID

from steelyard.explain.report import Result
from steelyard.explain.situation import Visit
from steelyard.model.certificate import Certificate


def greet(visit: Visit) -> Result | None:
    """The TLS of a connection; a result when it fails."""
    service, request = visit.service, visit.request
    if service.starttls_protocol:
        visit.note("STARTTLS", "the client is greeted in plain text and has to begin TLS")
    asked = service.ssl_acceleration if request.tls is None else request.tls
    if asked and service.ssl_acceleration:
        name = request.server_name.lower().rstrip(".")
        found, why = _certificate(visit, name)
        if found is None:
            visit.note("TLS", "the service requires a server name that it has a certificate for", why)
            return Result("closed", "the TLS handshake fails: the name is not recognised")
        visit.note("TLS", f"the certificate {found} is shown", why)
        if service.verifies_clients:
            accepted = ", ".join(service.intermediate_certificates) or "any authority that is here"
            shows = "may show" if service.client_certificates_optional else "has to show"
            visit.note("client certificate", f"the client {shows} one of {accepted}", "it is taken as good")
        return None
    if not asked and not service.ssl_acceleration:
        return None
    if asked and not service.is_http:
        visit.note("TLS", "passes through: the service decrypts nothing")
        return None
    if asked:
        visit.note("TLS", "the service speaks no TLS", "a TLS hello is no request")
        return Result("answered", "a TLS hello is no HTTP request", status=400)
    visit.note("TLS", "the service speaks TLS only", "a request in the clear is no TLS hello")
    return Result("closed", "the TLS handshake fails and the connection is closed")


def _certificate(visit: Visit, name: str) -> tuple[str | None, str]:
    """The certificate for a server name: one with that name, one with a wildcard for it, else the first.

    None where a name is required and none is for it.
    """
    service, known = visit.service, visit.situation.configuration.certificates
    if not service.certificates and not service.require_sni:
        return visit.situation.context.temporary_certificate or "", "none is assigned, the temporary one stands in"
    if name:
        for wanted in (name, f"*.{name.partition('.')[2]}"):
            fitting = [known[one] for one in service.certificates if wanted in _names(known[one])]
            if fitting:
                return _of_kinds(fitting, f"it is for {wanted}, and the client asks for {name}")
    asked = f"no certificate is for {name}" if name else "the client names no server"
    if service.require_sni:
        return None, asked
    return service.certificates[0], f"{asked}, so the first one is"


def _of_kinds(fitting: list[Certificate], why: str) -> tuple[str, str]:
    """Of certificates for a name: the first, or the elliptic-curve one that today's clients are shown."""
    kinds = {one.key_type: one.name for one in reversed(fitting)}
    if len(kinds) == 1:
        return fitting[0].name, why
    return kinds["ECC"], f"{why}; clients that know RSA alone are shown {kinds['RSA']}"


def _names(certificate: Certificate) -> Iterator[str]:
    leaf = certificate.leaf()
    for attribute in leaf.subject.get_attributes_for_oid(NameOID.COMMON_NAME):
        yield str(attribute.value).lower()
    try:
        names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        # then the subject's name is all there is
        return
    for name in names.get_values_for_type(x509.DNSName):
        yield name.lower()
