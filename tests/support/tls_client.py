"""The client side of TLS in tests: contexts with everything adjustable, and a handshake that only looks.

Verification is off unless a `ca` is given: most tests ask what was shown, not whether it is trusted.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from tests.support.certificates import Certified


def client_context(
    *,
    ca: Certified | None = None,
    alpn: tuple[str, ...] = (),
    lowest: ssl.TLSVersion | None = None,
    highest: ssl.TLSVersion | None = None,
    ciphers: str | None = None,
    tickets: bool = True,
) -> ssl.SSLContext:
    """A TLS client context. Share one between connections to resume sessions; `tickets=False` with TLS 1.2 as the
    highest version makes the server keep sessions by session ID.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if ca is not None:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(cadata=ca.pem.decode())
    if alpn:
        context.set_alpn_protocols(list(alpn))
    if lowest is not None:
        context.minimum_version = lowest
    if highest is not None:
        context.maximum_version = highest
    if ciphers is not None:
        context.set_ciphers(ciphers)
    if not tickets:
        context.options |= ssl.OP_NO_TICKET
    return context


def peer_certificate(tls: ssl.SSLSocket | ssl.SSLObject) -> x509.Certificate | None:
    der = tls.getpeercert(True)
    return None if der is None else x509.load_der_x509_certificate(der)


def say_goodbye(tls: ssl.SSLSocket) -> None:
    """Send close_notify without waiting for the other side's.

    OpenSSL forgets a session whose connection ended without it, on both sides, and it could never be resumed.
    """
    tls.settimeout(0)
    with contextlib.suppress(OSError, ValueError):  # WANT_READ for the other side's, or it is gone already
        tls.unwrap()


def fingerprint(certificate: x509.Certificate) -> str:
    """SHA-256 of the DER form, lower-case hex, as `Certified.fingerprint`."""
    return certificate.fingerprint(hashes.SHA256()).hex()


@dataclass(frozen=True, slots=True)
class Hello:
    """What a server showed in the handshake."""

    certificate: x509.Certificate
    chain: tuple[x509.Certificate, ...]
    """Every certificate sent, the leaf first; empty when the session was resumed, which sends none."""
    version: str
    cipher: str
    alpn: str | None
    session: ssl.SSLSession | None
    resumed: bool

    @property
    def fingerprint(self) -> str:
        return fingerprint(self.certificate)

    @property
    def names(self) -> list[str]:
        """DNS names of the leaf; its common name when it has no alternative names."""
        try:
            extension = self.certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
        except x509.ExtensionNotFound:
            common = self.certificate.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
            return [str(attribute.value) for attribute in common]
        return list(extension.value.get_values_for_type(x509.DNSName))


def tls_hello_fetch(
    address: str,
    port: int,
    *,
    sni: str | None = None,
    alpn: tuple[str, ...] = (),
    source: str | None = None,
    context: ssl.SSLContext | None = None,
    session: ssl.SSLSession | None = None,
    timeout: float = 5.0,
) -> Hello:
    """Do a handshake, send nothing, and say what the server showed.

    Raises:
        ssl.SSLError: the server refused the handshake.
        OSError: no connection.
    """
    context = context or client_context(alpn=alpn)
    bind = (source, 0) if source else None
    with (
        socket.create_connection((address, port), timeout, source_address=bind) as plain,
        context.wrap_socket(plain, server_hostname=sni, session=session) as tls,
    ):
        certificate = peer_certificate(tls)
        cipher = tls.cipher()
        assert certificate is not None
        assert cipher is not None
        hello = Hello(
            certificate=certificate,
            chain=_sent_chain(tls),
            version=str(tls.version()),
            cipher=cipher[0],
            alpn=tls.selected_alpn_protocol(),
            session=tls.session,
            resumed=bool(tls.session_reused),
        )
        say_goodbye(tls)
        return hello


def _sent_chain(tls: ssl.SSLSocket) -> tuple[x509.Certificate, ...]:
    # SSLSocket.get_unverified_chain is public from Python 3.13; before, only the object underneath has it.
    if hasattr(tls, "get_unverified_chain"):
        return tuple(x509.load_der_x509_certificate(der) for der in tls.get_unverified_chain())
    underneath = getattr(tls, "_sslobj")  # noqa: B009 - the attribute is private and untyped
    sent = underneath.get_unverified_chain() or ()
    return tuple(x509.load_pem_x509_certificate(certificate.public_bytes().encode()) for certificate in sent)
