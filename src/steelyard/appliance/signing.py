"""Keys and signing requests made here: what needs chance, so that the commands need none."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping, Sequence

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from steelyard.model.certificate import key_digest, key_kind, plain_key_pem
from steelyard.model.commands import AddSigningRequest
from steelyard.model.errors import OperatorError
from steelyard.model.text import HOST_NAME

DEFAULT_KEY = "rsa-2048"
KEY_TYPES = (DEFAULT_KEY, "rsa-4096", "ec-p256", "ec-p384")

#: parts of a subject: what they are called here, their identifier and their greatest length (RFC 5280, appendix A.1)
SUBJECT = {
    "country": (NameOID.COUNTRY_NAME, 2),
    "state": (NameOID.STATE_OR_PROVINCE_NAME, 128),
    "locality": (NameOID.LOCALITY_NAME, 128),
    "organization": (NameOID.ORGANIZATION_NAME, 64),
    "organizational_unit": (NameOID.ORGANIZATIONAL_UNIT_NAME, 64),
    "common_name": (NameOID.COMMON_NAME, 64),
    "email": (NameOID.EMAIL_ADDRESS, 255),
}
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


def signing_request(
    name: str, subject: Mapping[str, str], names: Sequence[str], key_type: str = DEFAULT_KEY
) -> AddSigningRequest:
    """A new key and the command that keeps its request. RSA keys take up to seconds. Raises `OperatorError`.

    `subject` has parts of `SUBJECT`; `names` are host names and addresses, to which the common name is added if it is
    one.
    """
    if key_type not in KEY_TYPES:
        raise OperatorError(
            f"{key_type[:40]!r} is no type of key",
            field="key_type",
            value=key_type[:40],
            allowed=", ".join(KEY_TYPES),
            remedy="Choose one of them",
        )
    distinguished = _subject(subject)
    hosts = list(dict.fromkeys(host.lower().rstrip(".") for host in names))
    common = subject.get("common_name", "")
    if common.lower() not in hosts and re.fullmatch(HOST_NAME, common):
        hosts.insert(0, common.lower())
    if not distinguished and not hosts:
        raise OperatorError(
            "A signing request needs a host name",
            field="names",
            allowed="host names and addresses",
            remedy="Give common_name, names or both",
        )
    alternative = [_general_name(host) for host in hosts]
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name(distinguished))
    if alternative:
        builder = builder.add_extension(x509.SubjectAlternativeName(alternative), critical=False)
    key = _key(key_type)
    request = builder.sign(key, hashes.SHA384() if key_type == "ec-p384" else hashes.SHA256())
    key_pem = plain_key_pem(key)
    return AddSigningRequest(
        name=name,
        request_pem=request.public_bytes(Encoding.PEM).decode(),
        key_pem=key_pem,
        key_id=key_digest(key_pem),
        key_type=key_kind(key.public_key()),
    )


def _subject(given: Mapping[str, str]) -> list[x509.NameAttribute[str]]:
    found = []
    for part in given:
        if part not in SUBJECT:
            raise OperatorError(
                f"{part[:40]!r} is no part of a subject",
                field="subject",
                allowed=", ".join(SUBJECT),
                remedy="Correct its spelling",
            )
    for part, (identifier, longest) in SUBJECT.items():
        value = given.get(part, "")
        if not value:
            continue
        allowed = "two letters" if part == "country" else f"at most {longest} characters, no control characters"
        country = part != "country" or re.fullmatch("[A-Za-z]{2}", value)
        if not country or len(value) > longest or _CONTROL.search(value) or not _sendable(part, value):
            raise OperatorError(
                f"{part} {value[:80]!a} cannot stand in a subject",
                field=part,
                value=value[:80] if not _CONTROL.search(value) else None,
                allowed="ASCII, " + allowed if part == "email" else allowed,
                remedy="Correct it",
            )
        found.append(x509.NameAttribute(identifier, value.upper() if part == "country" else value))
    return found


def _sendable(part: str, value: str) -> bool:
    return part != "email" or value.isascii()


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        pass  # a name
    try:
        found = host if host.isascii() else host.encode("idna").decode()
    except UnicodeError:
        found = ""
    if not re.fullmatch(HOST_NAME, found) or len(found) > 253:
        raise OperatorError(
            f"{host[:80]!a} is neither a host name nor an address",
            field="names",
            value=host[:80] if not _CONTROL.search(host) else None,
            allowed="host names, wildcards like *.example.com, addresses",
            remedy="Correct it",
        )
    return x509.DNSName(found)


def _key(key_type: str) -> rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey:
    match key_type:
        case "ec-p256":
            return ec.generate_private_key(ec.SECP256R1())
        case "ec-p384":
            return ec.generate_private_key(ec.SECP384R1())
        case _:
            return rsa.generate_private_key(public_exponent=65537, key_size=int(key_type.removeprefix("rsa-")))
