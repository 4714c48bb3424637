"""What is wrong with a certificate, and what to do about each thing.

Pure: the moment, the roots this host trusts and whether the key fits are given. A diagnosis never fails, whatever a
certificate holds.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID

from steelyard.model.certificate import Certificate
from steelyard.model.certificate_chain import Authorities, complete_chain, is_root, issued_by
from steelyard.model.certificate_expiry import EXPIRED, threshold_of
from steelyard.model.certificate_names import alternative_names, common_names, covers
from steelyard.model.configuration import Configuration

#: RSA keys below are refused by TLS libraries of today (NIST SP 800-131A since 2014)
LEAST_RSA_BITS = 2048
_WEAK_HASHES = frozenset({"md5", "sha1"})

Severity = Literal["error", "warning", "note"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong. An `error` fails clients, a `warning` may fail some or will, a `note` fails none."""

    kind: str
    severity: Severity
    text: str
    remedy: str


def weaknesses(certificate: x509.Certificate, what: str) -> Iterator[Finding]:
    """Short keys and signatures by broken hashes."""
    try:
        key = certificate.public_key()
    except (ValueError, UnsupportedAlgorithm):
        key = None
    if isinstance(key, rsa.RSAPublicKey) and key.key_size < LEAST_RSA_BITS:
        yield Finding(
            "weak-key",
            "warning",
            f"{what} has an RSA key of {key.key_size} bits; under {LEAST_RSA_BITS} many clients refuse it, and"
            " HAProxy's TLS library may",
            "Make a new key of 2048 bits or more, or an elliptic-curve one, and have it certified",
        )
    try:
        signed_by = certificate.signature_hash_algorithm
    except UnsupportedAlgorithm:
        return
    if signed_by is not None and signed_by.name in _WEAK_HASHES and not is_root(certificate):
        yield Finding(
            "weak-signature",
            "warning",
            f"{what} is signed with {signed_by.name.upper()}, which clients refuse",
            "Have it issued anew: authorities sign with SHA-256 or better",
        )


def diagnose(
    certificate: Certificate,
    configuration: Configuration,
    now: datetime,
    *,
    host: str | None = None,
    roots: Authorities | None = None,
    key_fits: bool | None = None,
    authorities: Authorities | None = None,
) -> tuple[Finding, ...]:
    """Everything that is wrong with a certificate as clients meet it, the worst first.

    `host` asks whether it is for that host. `roots` are those this host trusts; without them it is not said whether the
    chain leads to one. `key_fits` is False when the kept key is another's. `authorities` are the configuration's
    intermediates, for who has them at hand.
    """
    leaf, *own = certificate.chain
    chain = complete_chain(leaf, own, authorities or Authorities.of(configuration.intermediates))
    found: list[Finding] = []
    if key_fits is False:
        found.append(
            Finding(
                "key-mismatch",
                "error",
                f"The private key kept for {certificate.name} does not belong to it",
                "Import the certificate again together with its key",
            )
        )
    found += _dates(chain, now)
    found += _names(leaf, host)
    if not certificate.temporary:
        found += _issuers(chain, own, configuration, roots)
    found += weaknesses(leaf, "The certificate")
    for issuer in chain[1:]:
        found += weaknesses(issuer, f"The intermediate {_name(issuer.subject)}")
    found += _usage(leaf)
    order = ("error", "warning", "note")
    return tuple(sorted(found, key=lambda one: order.index(one.severity)))


def _name(name: x509.Name) -> str:
    return name.rfc4514_string() or "without a name"


def _moment(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def _dates(chain: Iterable[x509.Certificate], now: datetime) -> Iterator[Finding]:
    for number, one in enumerate(chain):
        what = "The certificate" if number == 0 else f"The intermediate {_name(one.subject)}"
        renew = (
            "Renew it and replace it: steelyard cert replace"
            if number == 0
            else "Get the authority's renewed one: steelyard cert intermediate add"
        )
        if one.not_valid_before_utc > now:
            begin = _moment(one.not_valid_before_utc)
            yield Finding(
                "not-yet-valid",
                "error",
                f"{what} is not valid before {begin}",
                "Wait until then, or set this host's clock if it is wrong",
            )
        threshold = threshold_of(one.not_valid_after_utc, now)
        end = _moment(one.not_valid_after_utc)
        if threshold == EXPIRED:
            yield Finding("expired", "error", f"{what} has expired on {end}", renew)
        elif threshold is not None:
            yield Finding("expires-soon", "warning", f"{what} expires on {end}", renew)


def _names(leaf: x509.Certificate, host: str | None) -> Iterator[Finding]:
    alternative = alternative_names(leaf)
    if not alternative:
        yield Finding(
            "no-names",
            "warning",
            "The certificate has no subject alternative names; browsers look at nothing else",
            "Have it issued with the host names as subject alternative names",
        )
    if host is None:
        return
    names = alternative or common_names(leaf)
    if not any(covers(name, host) for name in names):
        held = ", ".join(names) or "no host at all"
        yield Finding(
            "name-mismatch",
            "error",
            f"The certificate is not for {host}, but for {held}",
            f"Have it issued with {host} among its names, or assign one that has it as well",
        )


def _issuers(
    chain: tuple[x509.Certificate, ...],
    own: list[x509.Certificate],
    configuration: Configuration,
    roots: Authorities | None,
) -> Iterator[Finding]:
    """Whether the chain leads to a root, and what is missing where it does not."""
    last = chain[-1]
    if is_root(last):
        if len(chain) == 1:
            yield Finding(
                "self-signed",
                "warning",
                "The certificate is self-signed: clients trust it only if they were told to",
                "Have it issued by an authority the clients trust",
            )
        return
    store = [one.parsed for one in configuration.intermediates.values()]
    known = [one for one in (*own, *store) if one.subject == last.issuer]
    if any(issued_by(last, one) for one in known):
        return
    if roots is not None and roots.issuers(last):
        return
    what = "the certificate" if len(chain) == 1 else f"the intermediate {_name(last.subject)}"
    issuer = _name(last.issuer)
    if known:
        yield Finding(
            "wrong-issuer",
            "error",
            f"{issuer} is kept here, but its key has not signed {what}: it is another one of the same name",
            f"Add the right one: steelyard cert intermediate add{_where(last)}",
        )
        return
    sure = len(chain) == 1
    yield Finding(
        "missing-issuer",
        "error" if sure else "warning",
        f"The chain ends early: {issuer}, which issued {what}, is neither here nor a root this host trusts",
        f"Add it: steelyard cert intermediate add{_where(last)}. If it is a root of your own, add it as well: clients"
        " are not sent it, but it is known then",
    )


def _where(certificate: x509.Certificate) -> str:
    """Where the certificate says its issuer's is."""
    found = issuer_addresses(certificate)
    return f" (it says it is at {found[0]})" if found else ""


def issuer_addresses(certificate: x509.Certificate) -> tuple[str, ...]:
    """URLs of the issuer's certificate (authority information access, RFC 5280, 4.2.2.1)."""
    try:
        access = certificate.extensions.get_extension_for_class(x509.AuthorityInformationAccess).value
    except (x509.ExtensionNotFound, ValueError):
        return ()
    return tuple(
        one.access_location.value
        for one in access
        if one.access_method == AuthorityInformationAccessOID.CA_ISSUERS
        and isinstance(one.access_location, x509.UniformResourceIdentifier)
    )


def _usage(leaf: x509.Certificate) -> Iterator[Finding]:
    try:
        usage = leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except (x509.ExtensionNotFound, ValueError):
        return
    if ExtendedKeyUsageOID.SERVER_AUTH not in usage and ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE not in usage:
        yield Finding(
            "no-server-usage",
            "error",
            "The certificate may not be used by servers (extended key usage)",
            "Have one issued for servers",
        )
