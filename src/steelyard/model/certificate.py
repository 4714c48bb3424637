"""Certificates: reading what an operator uploads.

PEM comes with key, leaf and chain in any order; PKCS#12 with or without a password. The private key never stays in the
configuration: the certificate keeps its digest (`key_id`), the key itself goes to the store's secrets. A certificate
may come without its key when that is here already, with its signing request or the certificate it renews.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
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

from steelyard.model.certificate_chain import Authorities, chain_pem, complete_chain, is_authority, is_root
from steelyard.model.errors import OperatorError
from steelyard.model.pem import CERTIFICATE_LABELS, Block, as_text, pem_blocks, refuse_der
from steelyard.model.setting import Setting, Settings
from steelyard.model.text import IDENTIFIER, IDENTIFIER_SAYS


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

    @cached_property
    def chain(self) -> tuple[x509.Certificate, ...]:
        """What was imported, leaf first; read once."""
        return tuple(x509.load_pem_x509_certificates(self.chain_pem.encode()))

    def leaf(self) -> x509.Certificate:
        """The server's own certificate."""
        return self.chain[0]


@dataclass(frozen=True)
class Material:
    """What was uploaded, understood: the chain in PEM with the leaf first, and the key in PKCS#8 PEM.

    `key_pem` is None for a certificate without a key. `notes` say what was left out of it, and why.
    """

    chain_pem: str
    key_pem: bytes | None
    key_type: str
    notes: tuple[str, ...] = ()

    @property
    def key_id(self) -> str | None:
        """Digest that finds the key among the secrets."""
        return None if self.key_pem is None else key_digest(self.key_pem)

    def __repr__(self) -> str:
        return f"Material(key_type={self.key_type!r})"


def key_digest(key_pem: bytes) -> str:
    """The name of a key among the secrets, behind "key/"."""
    return hashlib.sha256(key_pem).hexdigest()


def plain_key_pem(key: PrivateKeyTypes) -> bytes:
    """A private key as it is kept."""
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def read_upload(data: bytes, password: str | None = None) -> Material:
    """PEM or PKCS#12 bytes as one leaf with its chain, and its key if that is there.

    Raises `OperatorError` that says what is missing or wrong.
    """
    data = as_text(data)
    if not data.strip():
        raise OperatorError("The certificate upload is empty", field="data", remedy="Send PEM or PKCS#12 bytes")
    if b"-----BEGIN " in data:
        key, certificates = _read_pem(data, password)
    else:
        key, certificates = _read_pkcs12(data, password)
    if not certificates:
        raise OperatorError(
            "The upload holds no certificate", field="data", remedy="Put key and certificate into one file"
        )
    try:
        leaf = _leaf(certificates) if key is None else _leaf_of(key, certificates)
        chain = complete_chain(leaf, certificates, Authorities(()))
        left_out = _left_out(chain, certificates)
        key_type = key_kind(leaf.public_key())
    except (ValueError, UnsupportedAlgorithm) as failure:
        # names and keys inside a certificate are understood only when they are looked at
        raise OperatorError(
            "A certificate in the upload cannot be read", field="data", remedy="Send unbroken certificates"
        ) from failure
    return Material(chain_pem(chain), None if key is None else plain_key_pem(key), key_type, left_out)


def _leaf_of(key: PrivateKeyTypes, certificates: list[x509.Certificate]) -> x509.Certificate:
    """The certificate of the key; of several, the newest."""
    public = public_bytes(key.public_key())
    found = [one for one in certificates if public_bytes(one.public_key()) == public]
    if not found:
        raise OperatorError(
            "The private key does not belong to any certificate of the upload",
            field="data",
            remedy="Upload the key the certificate was made with",
        )
    return max(found, key=lambda one: one.not_valid_before_utc)


def _leaf(certificates: list[x509.Certificate]) -> x509.Certificate:
    """The certificate that is no authority and has signed no other."""
    issuers = {one.issuer for one in certificates if not is_root(one)}
    found = [one for one in certificates if one.subject not in issuers]
    found = [one for one in found if not is_authority(one)] or found
    if len(found) != 1:
        raise OperatorError(
            "The upload holds no private key, and several certificates that may be the server's",
            field="data",
            remedy="Send the server's own certificate with its key, or it alone",
        )
    return found[0]


def _left_out(chain: Iterable[x509.Certificate], certificates: Iterable[x509.Certificate]) -> tuple[str, ...]:
    kept = set(chain)
    # a root belongs to the chain, and is not sent
    rest = [one for one in certificates if one not in kept and not (is_root(one) and is_authority(one))]
    names = [one.subject.rfc4514_string() for one in rest]
    return tuple(f"{name or 'a certificate without a name'} is no part of the chain and was left out" for name in names)


def public_bytes(key: PublicKeyTypes) -> bytes:
    """A public key in the form certificates and requests have it, to compare it by."""
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def key_kind(key: PublicKeyTypes) -> str:
    """RSA or ECC. Raises `OperatorError` for another kind."""
    if isinstance(key, rsa.RSAPublicKey):
        return "RSA"
    if isinstance(key, ec.EllipticCurvePublicKey):
        return "ECC"
    raise OperatorError("The key is neither RSA nor elliptic curve", field="data", allowed="RSA, ECC")


def read_certificates(data: bytes) -> list[x509.Certificate]:
    """The certificates of PEM without a key, for an authority's. Raises `OperatorError`."""
    data = as_text(data)
    if not data.strip():
        raise OperatorError("The certificate upload is empty", field="data", remedy="Send PEM")
    if b"-----BEGIN " not in data:
        refuse_der(data)
        raise OperatorError("The upload is no PEM", field="data", allowed="PEM", remedy="Send a certificate in PEM")
    blocks = pem_blocks(data)
    if any(block.is_key for block in blocks):
        raise OperatorError(
            "The upload holds a private key, which an authority's certificate comes without",
            field="data",
            remedy="Leave the key out, or import a certificate with its key as a certificate",
        )
    found = _certificates(blocks)
    if not found:
        raise OperatorError("The upload holds no certificate", field="data", remedy="Send a certificate in PEM")
    return found


def _certificates(blocks: Iterable[Block]) -> list[x509.Certificate]:
    found = []
    for block in blocks:
        if block.label in CERTIFICATE_LABELS:
            try:
                found.append(x509.load_pem_x509_certificate(block.pem))
            except ValueError as failure:
                raise OperatorError(
                    "A certificate in the upload cannot be read", field="data", remedy="Send unbroken PEM certificates"
                ) from failure
    return found


def _read_pem(data: bytes, password: str | None) -> tuple[PrivateKeyTypes | None, list[x509.Certificate]]:
    key: PrivateKeyTypes | None = None
    blocks = pem_blocks(data)
    for block in blocks:
        if not block.is_key:
            continue
        if key is not None:
            raise OperatorError("The upload holds more than one private key", field="data", remedy="Send one key")
        key = _private_key(block, password)
    return key, _certificates(blocks)


def _private_key(block: Block, password: str | None) -> PrivateKeyTypes:
    try:
        return load_pem_private_key(block.pem, password.encode() if password and block.locked else None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as failure:
        if block.locked:
            raise OperatorError(
                "The private key is encrypted and the password does not open it",
                field="password",
                remedy="Give the key's password",
            ) from failure
        raise OperatorError(
            "The private key cannot be read", field="data", remedy="Send an unbroken PEM key"
        ) from failure


#: How PKCS#12 of Windows before 2019 and of Java is encrypted, by the object identifier in the file. OpenSSL 3 has
#: these in its "legacy" provider, which a host may lack; the complaint is then the same as for a wrong password.
_LEGACY_ENCRYPTION = {
    bytes.fromhex("060a2a864886f70d010c0106"): "RC2-40",
    bytes.fromhex("060a2a864886f70d010c0105"): "RC2-128",
    bytes.fromhex("060a2a864886f70d010c0101"): "RC4-128",
    bytes.fromhex("060a2a864886f70d010c0102"): "RC4-40",
    bytes.fromhex("06092a864886f70d010503"): "DES",
    bytes.fromhex("060a2a864886f70d010c0103"): "3DES",
}
LEGACY_REMEDY = (
    "Give the file's pass phrase. If it is right, convert the file and import FILE.pem:"
    " openssl pkcs12 -legacy -nodes -in FILE -out FILE.pem"
)


def _read_pkcs12(data: bytes, password: str | None) -> tuple[PrivateKeyTypes | None, list[x509.Certificate]]:
    refuse_der(data)
    try:
        key, leaf, others = _open_pkcs12(data, password)
    except (ValueError, UnsupportedAlgorithm) as failure:
        if "password" in str(failure).lower() or "mac" in str(failure).lower():
            raise _locked(data) from failure
        raise OperatorError(
            "The upload is neither PEM nor PKCS#12",
            field="data",
            remedy="Send PEM (key, certificate, chain) or PKCS#12",
        ) from failure
    return key, ([leaf] if leaf is not None else []) + list(others)


def _open_pkcs12(
    data: bytes, password: str | None
) -> tuple[PrivateKeyTypes | None, x509.Certificate | None, list[x509.Certificate]]:
    if password:
        return pkcs12.load_key_and_certificates(data, password.encode())
    try:
        return pkcs12.load_key_and_certificates(data, None)
    except ValueError:
        # "without a password" may also mean with an empty one, which is not the same in PKCS#12
        return pkcs12.load_key_and_certificates(data, b"")


def _locked(data: bytes) -> OperatorError:
    legacy = [name for identifier, name in _LEGACY_ENCRYPTION.items() if identifier in data]
    if not legacy:
        return OperatorError(
            "The password does not open the PKCS#12 file", field="password", remedy="Give the file's pass phrase"
        )
    return OperatorError(
        "The password does not open the PKCS#12 file, or this host cannot read its old encryption"
        f" ({', '.join(legacy)})",
        field="password",
        remedy=LEGACY_REMEDY,
    )
