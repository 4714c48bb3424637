"""Chains: from a certificate to its authority, found by name and proven by signature.

A name alone proves nothing: an authority that has renewed its key keeps its name, and two test authorities are both
called "Root CA". A root ends the chain and is not part of what clients are sent: they have it, or do not trust it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding

from steelyard.model.intermediate import Intermediate

#: more than any authority has; ends chains of authorities that sign each other
MAX_CHAIN = 20


def issued_by(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    """Whether the issuer's key signed the certificate. False for a signature of a kind nobody here can verify."""
    try:
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return False
    return True


def is_root(certificate: x509.Certificate) -> bool:
    """Whether it names itself as its issuer."""
    return certificate.subject == certificate.issuer


def is_authority(certificate: x509.Certificate) -> bool:
    """Whether it may sign others. Version 1 certificates, which old roots are, do not say."""
    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except x509.ExtensionNotFound:
        return certificate.version is x509.Version.v1
    except ValueError:  # extensions that cannot be read: then it is used as one at the operator's word
        return True


class Authorities:
    """Certificates of authorities, found by their name."""

    def __init__(self, certificates: Iterable[x509.Certificate]) -> None:
        self._by_name: dict[x509.Name, list[x509.Certificate]] = {}
        for certificate in certificates:
            self._by_name.setdefault(certificate.subject, []).append(certificate)

    @classmethod
    def of(cls, intermediates: Mapping[str, Intermediate]) -> Authorities:
        """Those of the store."""
        return cls(one.parsed for one in intermediates.values())

    def named(self, name: x509.Name) -> tuple[x509.Certificate, ...]:
        """Those of that name."""
        return tuple(self._by_name.get(name, ()))

    def issuers(self, certificate: x509.Certificate) -> tuple[x509.Certificate, ...]:
        """Those that signed it, the best one first: no root if there is another, then the one that is valid longest.

        So an authority's renewed certificate takes the place of the one an operator imported long ago.
        """
        found = [one for one in self.named(certificate.issuer) if one != certificate and issued_by(certificate, one)]
        return tuple(sorted(found, key=lambda one: (is_root(one), -one.not_valid_after_utc.timestamp())))


def complete_chain(
    leaf: x509.Certificate, own: Iterable[x509.Certificate], authorities: Authorities
) -> tuple[x509.Certificate, ...]:
    """The leaf and its issuers in order, without a root: from what came with it and from the authorities.

    Of two that are as good, the one that came with it is taken.
    """
    near = Authorities(own)
    chain = [leaf]
    while len(chain) < MAX_CHAIN and not is_root(chain[-1]):
        found = (*near.issuers(chain[-1]), *authorities.issuers(chain[-1]))
        usable = [one for one in found if one not in chain]
        if not usable:
            break
        issuer = min(usable, key=lambda one: (is_root(one), -one.not_valid_after_utc.timestamp()))
        if is_root(issuer):
            break
        chain.append(issuer)
    return tuple(chain)


def chain_pem(chain: Iterable[x509.Certificate]) -> str:
    """Certificates as PEM, one after the other."""
    return b"".join(one.public_bytes(Encoding.PEM) for one in chain).decode()
