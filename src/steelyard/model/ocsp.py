"""Asking an authority whether a certificate still holds, and judging its answer (OCSP, RFC 6960). Pure.

HAProxy (2.6, 2.8) takes an answer only if it is about one certificate, calls it by SHA-1 digests as the request here
does, says that it is good, and tells when the next answer comes. Whatever it would not take is refused here with words.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID

#: how far the clocks of an authority and of this host may be apart
CLOCK_SKEW = timedelta(minutes=5)
#: how old an answer may be that does not say until when it holds
_LATEST = timedelta(hours=1)


class BadAnswer(Exception):
    """An answer that proves nothing. Its text says why, to follow "the responder's answer"."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A good answer: its bytes, when the authority made it and until when it holds."""

    der: bytes
    made: datetime
    until: datetime

    def due(self, now: datetime, interval: timedelta) -> datetime:
        """When to ask again: after the interval, and before half of its time has passed."""
        return min(now + interval, self.made + (self.until - self.made) / 2)


def responder_of(certificate: x509.Certificate) -> str | None:
    """The address the certificate names for questions; None when it names none that is asked by plain HTTP."""
    try:
        access = certificate.extensions.get_extension_for_class(x509.AuthorityInformationAccess).value
    except (x509.ExtensionNotFound, ValueError):
        return None
    for description in access:
        where = description.access_location
        by_address = isinstance(where, x509.UniformResourceIdentifier)
        if description.access_method != AuthorityInformationAccessOID.OCSP or not by_address:
            continue
        if str(where.value).lower().startswith("http://"):
            return str(where.value)
    return None


def issuer_of(certificate: x509.Certificate, candidates: Iterable[x509.Certificate]) -> x509.Certificate | None:
    """The one that signed it."""
    for candidate in candidates:
        try:
            certificate.verify_directly_issued_by(candidate)
        except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
            continue
        return candidate
    return None


def question(certificate: x509.Certificate, issuer: x509.Certificate) -> bytes:
    """The request about one certificate. Without a nonce: answers are made beforehand and kept (RFC 5019)."""
    builder = ocsp.OCSPRequestBuilder().add_certificate(certificate, issuer, hashes.SHA1())  # noqa: S303 - an identifier
    return builder.build().public_bytes(Encoding.DER)


@dataclass(frozen=True, slots=True)
class Status:
    """What an authority says: good, revoked (`since` when), or unknown; and until when that holds, if it says so."""

    word: Literal["good", "revoked", "unknown"]
    until: datetime | None = None
    since: datetime | None = None

    def __str__(self) -> str:
        when = f" since {self.since:%Y-%m-%d %H:%M} UTC" if self.since is not None else ""
        return f"{self.word}{when}"


def status_of(der: bytes, certificate: x509.Certificate, issuer: x509.Certificate, now: datetime) -> Status:
    """What an answer says about that certificate, once it is proved to be the authority's and of now.

    Raises `BadAnswer`. Other than what is handed on by HAProxy it need not say until when it holds.
    """
    single, response = _read(der)
    try:
        _names(single, certificate, issuer)
        _signed(response, issuer, now)
        if single.next_update_utc is None:
            made, until = single.this_update_utc, None
            if not now - _LATEST < made <= now + CLOCK_SKEW:
                raise BadAnswer(f"is of {made:%Y-%m-%d %H:%M} UTC and does not say until when it holds")
        else:
            _, until = _times(single, now)
        if single.certificate_status == ocsp.OCSPCertStatus.GOOD:
            return Status("good", until)
        if single.certificate_status == ocsp.OCSPCertStatus.REVOKED:
            return Status("revoked", until, single.revocation_time_utc)
        return Status("unknown", until)
    except (ValueError, UnsupportedAlgorithm) as failure:
        raise BadAnswer(f"cannot be read: {failure}") from failure


def judged(der: bytes, certificate: x509.Certificate, issuer: x509.Certificate, now: datetime) -> Answer:
    """A good answer about that certificate that holds now. Raises `BadAnswer`."""
    single, response = _read(der)
    try:
        _names(single, certificate, issuer)
        _is_good(single)
        _signed(response, issuer, now)
        return Answer(der, *_times(single, now))
    except (ValueError, UnsupportedAlgorithm) as failure:
        raise BadAnswer(f"cannot be read: {failure}") from failure


def _read(der: bytes) -> tuple[ocsp.OCSPSingleResponse, ocsp.OCSPResponse]:
    """An answer about one certificate. Raises `BadAnswer`."""
    try:
        response = ocsp.load_der_ocsp_response(der)
    except (ValueError, UnsupportedAlgorithm):
        raise BadAnswer("is no OCSP answer") from None
    if response.response_status != ocsp.OCSPResponseStatus.SUCCESSFUL:
        raise BadAnswer(f"is a refusal: {response.response_status.name.lower().replace('_', ' ')}")
    try:
        found = list(response.responses)
    except (ValueError, UnsupportedAlgorithm) as failure:
        raise BadAnswer(f"cannot be read: {failure}") from failure
    if len(found) != 1:
        raise BadAnswer(f"is about {len(found)} certificates, not about one")
    return found[0], response


def _names(single: ocsp.OCSPSingleResponse, certificate: x509.Certificate, issuer: x509.Certificate) -> None:
    asked = ocsp.load_der_ocsp_request(question(certificate, issuer))
    if not isinstance(single.hash_algorithm, hashes.SHA1):
        raise BadAnswer(f"names the certificate by {single.hash_algorithm.name}, which HAProxy does not find")
    if (single.serial_number, single.issuer_key_hash, single.issuer_name_hash) != (
        asked.serial_number,
        asked.issuer_key_hash,
        asked.issuer_name_hash,
    ):
        raise BadAnswer("is about another certificate")


def _is_good(single: ocsp.OCSPSingleResponse) -> None:
    if single.certificate_status == ocsp.OCSPCertStatus.REVOKED:
        since = single.revocation_time_utc
        when = f" since {since:%Y-%m-%d %H:%M} UTC" if since is not None else ""
        raise BadAnswer(f"says that the certificate is revoked{when}")
    if single.certificate_status != ocsp.OCSPCertStatus.GOOD:
        raise BadAnswer("says that it does not know the certificate")


def _times(single: ocsp.OCSPSingleResponse, now: datetime) -> tuple[datetime, datetime]:
    made, until = single.this_update_utc, single.next_update_utc
    if until is None:
        raise BadAnswer("does not say until when it holds")
    if made > now + CLOCK_SKEW:
        raise BadAnswer(f"is of the future, {made:%Y-%m-%d %H:%M} UTC; is this host's clock right?")
    if until <= now:
        raise BadAnswer(f"has held until {until:%Y-%m-%d %H:%M} UTC and holds no more")
    return made, until


def _signed(response: ocsp.OCSPResponse, issuer: x509.Certificate, now: datetime) -> None:
    """Signed by the issuer, or by somebody whose certificate the issuer made for that (RFC 6960, 4.2.2.2)."""
    for signer in (issuer, *response.certificates):
        if not _is_responder(response, signer) or not _has_signed(response, signer):
            continue
        if signer == issuer:
            return
        if _may_answer_for(signer, issuer, now):
            return
        raise BadAnswer("is signed by somebody whom the certificate's authority has not charged with it")
    raise BadAnswer("is not signed by the certificate's authority")


def _is_responder(response: ocsp.OCSPResponse, signer: x509.Certificate) -> bool:
    if response.responder_name is not None:
        return signer.subject == response.responder_name
    return response.responder_key_hash == _key_hash(signer)


def _key_hash(certificate: x509.Certificate) -> bytes:
    """SHA-1 over the bits of the key."""
    return x509.SubjectKeyIdentifier.from_public_key(certificate.public_key()).digest


def _may_answer_for(signer: x509.Certificate, issuer: x509.Certificate, now: datetime) -> bool:
    try:
        signer.verify_directly_issued_by(issuer)
        usage = signer.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm, x509.ExtensionNotFound):
        return False
    in_time = signer.not_valid_before_utc - CLOCK_SKEW <= now <= signer.not_valid_after_utc
    return in_time and ExtendedKeyUsageOID.OCSP_SIGNING in usage


def _has_signed(response: ocsp.OCSPResponse, signer: x509.Certificate) -> bool:
    key, signature, data = signer.public_key(), response.signature, response.tbs_response_bytes
    digest = response.signature_hash_algorithm
    try:
        if isinstance(key, rsa.RSAPublicKey) and digest is not None:
            key.verify(signature, data, padding.PKCS1v15(), digest)
        elif isinstance(key, ec.EllipticCurvePublicKey) and digest is not None:
            key.verify(signature, data, ec.ECDSA(digest))
        elif isinstance(key, ed25519.Ed25519PublicKey | ed448.Ed448PublicKey):
            key.verify(signature, data)
        else:
            return False
    except InvalidSignature:
        return False
    return True
