"""Certificates: reading what an operator uploads.

PEM comes in one file with key, leaf and chain in any order; PKCS#12 with or without a password. The private key never
stays in the configuration: the certificate keeps its digest (`key_id`), the key itself goes to the store's secrets.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Annotated, ClassVar

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes, PublicKeyTypes
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    pkcs12,
)

from steelyard.model.errors import OperatorError
from steelyard.model.setting import Setting, Settings
from steelyard.model.text import IDENTIFIER, IDENTIFIER_SAYS

_MAX_CHAIN = 20
#: what some editors put before a text
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class Certificate(Settings):
    """A certificate an operator imported, or the temporary one a service is given."""

    noun: ClassVar[str] = "certificate"

    name: Annotated[
        str,
        Setting(
            "cert",
            "certificate",
            "Certificate identifier",
            "Name it is assigned by.",
            max_length=127,
            pattern=IDENTIFIER,
            pattern_says=IDENTIFIER_SAYS,
            filled=True,
        ),
    ]
    chain_pem: str
    key_id: str
    key_type: str
    temporary: bool = False

    def leaf(self) -> x509.Certificate:
        """The server's own certificate."""
        return x509.load_pem_x509_certificates(self.chain_pem.encode())[0]


@dataclass(frozen=True)
class Material:
    """What was uploaded, understood: the chain in PEM with the leaf first, and the key in PKCS#8 PEM."""

    chain_pem: str
    key_pem: bytes
    key_type: str

    @property
    def key_id(self) -> str:
        """Digest that finds the key among the secrets."""
        return hashlib.sha256(self.key_pem).hexdigest()

    def __repr__(self) -> str:
        return f"Material(key_type={self.key_type!r})"


def read_upload(data: bytes, password: str | None = None) -> Material:
    """PEM or PKCS#12 bytes as one leaf, its key and its chain.

    Raises `OperatorError` that says what is missing or wrong.
    """
    data = data.removeprefix(_BYTE_ORDER_MARK)
    if not data.strip():
        raise OperatorError("The certificate upload is empty", field="data", remedy="Send PEM or PKCS#12 bytes")
    if b"-----BEGIN " in data:
        key, certificates = _read_pem(data, password)
    else:
        key, certificates = _read_pkcs12(data, password)
    if key is None:
        raise OperatorError(
            "The upload holds no private key", field="data", remedy="Put key, certificate and chain into one file"
        )
    if not certificates:
        raise OperatorError(
            "The upload holds no certificate", field="data", remedy="Put key and certificate into one file"
        )
    try:
        chain = _chain(key, certificates)
    except (ValueError, UnsupportedAlgorithm) as failure:
        # names and keys inside a certificate are understood only when they are looked at
        raise OperatorError(
            "A certificate in the upload cannot be read", field="data", remedy="Send unbroken certificates"
        ) from failure
    pem = b"".join(c.public_bytes(Encoding.PEM) for c in chain).decode()
    return Material(pem, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()), _key_type(key))


def _chain(key: PrivateKeyTypes, certificates: list[x509.Certificate]) -> list[x509.Certificate]:
    """The certificate of the key, then its issuers."""
    public = _spki(key.public_key())
    leaf = next((c for c in certificates if _spki(c.public_key()) == public), None)
    if leaf is None:
        raise OperatorError(
            "The private key does not belong to any certificate of the upload",
            field="data",
            remedy="Upload the key the certificate was made with",
        )
    return _ordered(leaf, certificates)


def _spki(key: PublicKeyTypes) -> bytes:
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _key_type(key: PrivateKeyTypes) -> str:
    if isinstance(key, rsa.RSAPrivateKey):
        return "RSA"
    if isinstance(key, ec.EllipticCurvePrivateKey):
        return "ECC"
    raise OperatorError("The key is neither RSA nor elliptic curve", field="data", allowed="RSA, ECC")


def _ordered(leaf: x509.Certificate, certificates: list[x509.Certificate]) -> list[x509.Certificate]:
    """Leaf, then each issuer found; a self-signed root at the end is kept only when it is the leaf itself."""
    chain = [leaf]
    rest = [c for c in certificates if c != leaf]
    while len(chain) < _MAX_CHAIN:
        issuer = next((c for c in rest if c.subject == chain[-1].issuer and c not in chain), None)
        if issuer is None or issuer.subject == issuer.issuer:
            break
        chain.append(issuer)
    return chain


def _read_pem(data: bytes, password: str | None) -> tuple[PrivateKeyTypes | None, list[x509.Certificate]]:
    key: PrivateKeyTypes | None = None
    blocks = _pem_blocks(data)
    for label, block in blocks:
        if not label.endswith(b"PRIVATE KEY"):
            continue
        if key is not None:
            raise OperatorError("The upload holds more than one private key", field="data", remedy="Send one key")
        locked = b"ENCRYPTED" in label or b"Proc-Type: 4,ENCRYPTED" in block
        try:
            key = load_pem_private_key(block, password.encode() if password and locked else None)
        except (ValueError, TypeError, UnsupportedAlgorithm) as failure:
            if locked:
                raise OperatorError(
                    "The private key is encrypted and the password does not open it",
                    field="password",
                    remedy="Give the key's password",
                ) from failure
            raise OperatorError(
                "The private key cannot be read", field="data", remedy="Send an unbroken PEM key"
            ) from failure
    certificates = []
    for label, block in blocks:
        if label == b"CERTIFICATE":
            try:
                certificates.append(x509.load_pem_x509_certificate(block))
            except ValueError as failure:
                raise OperatorError(
                    "A certificate in the upload cannot be read", field="data", remedy="Send unbroken PEM certificates"
                ) from failure
    return key, certificates


def _pem_blocks(data: bytes) -> list[tuple[bytes, bytes]]:
    blocks: list[tuple[bytes, bytes]] = []
    label: bytes | None = None
    lines: list[bytes] = []
    for line in data.splitlines():
        text = line.strip()
        if text.startswith(b"-----BEGIN ") and text.endswith(b"-----"):
            label, lines = text[11:-5], [text]
        elif label is not None:
            lines.append(text)
            if text == b"-----END " + label + b"-----":
                blocks.append((label, b"\n".join(lines) + b"\n"))
                label = None
    if label is not None:
        raise OperatorError(
            f"The PEM block {label.decode(errors='replace')!r} has no end", field="data", remedy="Send the whole file"
        )
    return blocks


def _read_pkcs12(data: bytes, password: str | None) -> tuple[PrivateKeyTypes | None, list[x509.Certificate]]:
    try:
        key, leaf, others = pkcs12.load_key_and_certificates(data, password.encode() if password else None)
    except (ValueError, UnsupportedAlgorithm) as failure:
        if "password" in str(failure).lower() or "mac" in str(failure).lower():
            raise OperatorError(
                "The password does not open the PKCS#12 file", field="password", remedy="Give the file's pass phrase"
            ) from failure
        raise OperatorError(
            "The upload is neither PEM nor PKCS#12",
            field="data",
            remedy="Send PEM (key, certificate, chain) or PKCS#12",
        ) from failure
    return key, ([leaf] if leaf is not None else []) + list(others)
