"""Certificates, intermediates and signing requests as plain JSON."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from steelyard.api.native.objects import Json, timestamp
from steelyard.model.certificate import Certificate
from steelyard.model.certificate_chain import Authorities, complete_chain, is_root
from steelyard.model.certificate_diagnosis import Finding, diagnose, weaknesses
from steelyard.model.certificate_expiry import expiry_warnings
from steelyard.model.certificate_names import alternative_names
from steelyard.model.configuration import Configuration
from steelyard.model.intermediate import Intermediate
from steelyard.model.signing_request import SigningRequest


def finding_json(finding: Finding) -> Json:
    """One thing that is wrong."""
    return {"kind": finding.kind, "severity": finding.severity, "text": finding.text, "remedy": finding.remedy}


def findings_json(findings: Iterable[Finding]) -> list[Json]:
    """Things that are wrong, the worst first."""
    return [finding_json(one) for one in findings]


def _said(certificate: x509.Certificate) -> Json:
    """What a certificate says of itself."""
    end = certificate.not_valid_after_utc
    return {
        "subject": certificate.subject.rfc4514_string(),
        "issuer": certificate.issuer.rfc4514_string(),
        "serial": f"{certificate.serial_number:x}",
        "not_before": timestamp(certificate.not_valid_before_utc.timestamp()),
        "not_after": timestamp(end.timestamp()),
        "days_left": (end - datetime.now(UTC)) // timedelta(days=1),
        "sha256": certificate.fingerprint(hashes.SHA256()).hex(),
    }


def _key_bits(certificate: x509.Certificate) -> int | None:
    key = certificate.public_key()
    return key.key_size if isinstance(key, (rsa.RSAPublicKey, ec.EllipticCurvePublicKey)) else None


def certificate_json(
    certificate: Certificate,
    configuration: Configuration,
    findings: Iterable[Finding] | None = None,
    authorities: Authorities | None = None,
) -> Json:
    """A certificate: what its leaf says, the services it is assigned to, what clients are sent, what is wrong with it.

    `findings` are those of a full diagnosis; without them what the configuration alone shows.
    """
    leaf, *own = certificate.chain
    authorities = authorities or Authorities.of(configuration.intermediates)
    chain = complete_chain(leaf, own, authorities)
    if findings is None:
        findings = diagnose(certificate, configuration, datetime.now(UTC), authorities=authorities)
    return {
        "name": certificate.name,
        "temporary": certificate.temporary,
        "key_type": certificate.key_type,
        "key_bits": _key_bits(leaf),
        "names": list(alternative_names(leaf)),
        **_said(leaf),
        "used_by": [s.index for s in configuration.services.values() if certificate.name in s.certificates],
        "chain": [one.subject.rfc4514_string() for one in chain],
        "problems": findings_json(findings),
        "chain_pem": certificate.chain_pem,
    }


def certificates_json(configuration: Configuration) -> list[Json]:
    """Every certificate."""
    authorities = Authorities.of(configuration.intermediates)
    return [certificate_json(one, configuration, None, authorities) for one in configuration.certificates.values()]


def intermediates_json(configuration: Configuration, intermediates: Iterable[Intermediate]) -> list[Json]:
    """Authorities' certificates, each with the certificates whose chains have it."""
    authorities = Authorities.of(configuration.intermediates)
    chains = {
        one.name: complete_chain(one.chain[0], one.chain[1:], authorities)
        for one in configuration.certificates.values()
    }
    return [_intermediate_json(one, configuration, chains) for one in intermediates]


def _intermediate_json(
    intermediate: Intermediate, configuration: Configuration, chains: Mapping[str, tuple[x509.Certificate, ...]]
) -> Json:
    parsed = intermediate.parsed
    return {
        "name": intermediate.name,
        "root": is_root(parsed),
        **_said(parsed),
        "completes": [name for name, chain in chains.items() if parsed in chain[1:]],
        "used_by": [
            s.index
            for s in configuration.services.values()
            if intermediate.name in s.intermediate_certificates or intermediate.name in s.server_authorities
        ],
        "problems": findings_json(weaknesses(parsed, "The certificate")),
        "pem": intermediate.pem,
    }


def request_json(request: SigningRequest) -> Json:
    """A signing request; its key is not shown."""
    parsed = request.parsed
    try:
        names = parsed.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        found: list[str] = []
    else:
        found = [str(name.value) for name in names if isinstance(name, (x509.DNSName, x509.IPAddress))]
    return {
        "name": request.name,
        "subject": parsed.subject.rfc4514_string(),
        "names": found,
        "key_type": request.key_type,
        "pem": request.request_pem,
    }


def expiry_json(configuration: Configuration) -> list[Json]:
    """What ends within 30 days or has ended, soonest first."""
    return [
        {
            "certificate": one.certificate,
            "kind": one.kind,
            "days_left": one.days_left,
            "threshold": one.threshold,
            "not_after": timestamp(one.not_after.timestamp()),
            "text": one.text,
        }
        for one in expiry_warnings(configuration, datetime.now(UTC))
    ]
