"""Certificates for tests: roots, intermediates, leaves, bundles in any order, PKCS#12.

    root = authority("Test Root")
    middle = authority("Test Middle", issuer=root)
    shop = leaf("shop.example", "*.shop.example", issuer=middle)
    shop.bundle("key leaf chain")          # PEM bytes, parts in the order asked for
    shop.pkcs12(b"secret")
    Origin("one", tls=shop.server_context())
    fetch(url, ca=root)

`authority` and `leaf` remember what they made: the same arguments give the same certificate for the whole session,
since an RSA key takes a tenth of a second to make.
"""

from __future__ import annotations

import datetime
import functools
import ipaddress
import ssl
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import pkcs12
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID, NameOID

KeyKind = Literal["rsa", "ec"]
_Key = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey
_PEM = serialization.Encoding.PEM


def _new_key(kind: KeyKind) -> _Key:
    if kind == "ec":
        return ec.generate_private_key(ec.SECP256R1())
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@dataclass(frozen=True, eq=False)
class Certified:
    """A certificate with its private key and the authority that signed it (None: itself)."""

    certificate: x509.Certificate
    key: _Key
    issuer: Certified | None

    @property
    def pem(self) -> bytes:
        """The certificate alone."""
        return self.certificate.public_bytes(_PEM)

    @property
    def der(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.DER)

    @property
    def key_pem(self) -> bytes:
        """The key, unencrypted PKCS#8."""
        return self.key.private_bytes(_PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())

    def encrypted_key_pem(self, password: bytes) -> bytes:
        return self.key.private_bytes(
            _PEM, serialization.PrivateFormat.PKCS8, serialization.BestAvailableEncryption(password)
        )

    def traditional_key_pem(self) -> bytes:
        """The key as `BEGIN RSA PRIVATE KEY` or `BEGIN EC PRIVATE KEY`."""
        return self.key.private_bytes(
            _PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
        )

    @property
    def intermediates(self) -> list[Certified]:
        """The authorities between this certificate and the root, nearest first, without the root."""
        found = []
        signer = self.issuer
        while signer is not None and signer.issuer is not None:
            found.append(signer)
            signer = signer.issuer
        return found

    @property
    def root(self) -> Certified:
        return self if self.issuer is None else self.issuer.root

    @property
    def chain_pem(self) -> bytes:
        """The intermediates, nearest first."""
        return b"".join(signer.pem for signer in self.intermediates)

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the DER form, lower-case hex."""
        return self.certificate.fingerprint(hashes.SHA256()).hex()

    @property
    def serial(self) -> int:
        return self.certificate.serial_number

    def bundle(self, order: str = "key leaf chain") -> bytes:
        """PEM with the named parts in that order: key, leaf, chain, reversed-chain, root."""
        parts = {
            "key": self.key_pem,
            "leaf": self.pem,
            "chain": self.chain_pem,
            "reversed-chain": b"".join(signer.pem for signer in reversed(self.intermediates)),
            "root": self.root.pem,
        }
        return b"".join(parts[name] for name in order.split())

    def pkcs12(self, password: bytes | None = None, *, friendly_name: str = "test", chain: bool = True) -> bytes:
        encryption: serialization.KeySerializationEncryption = serialization.NoEncryption()
        if password is not None:
            encryption = serialization.BestAvailableEncryption(password)
        signers = [signer.certificate for signer in self.intermediates] if chain else None
        return pkcs12.serialize_key_and_certificates(
            friendly_name.encode(), self.key, self.certificate, signers, encryption
        )

    def write(self, directory: Path, name: str) -> Path:
        """Write key, leaf and chain to `directory/name.pem` (mode 0600) and say where."""
        path = directory / f"{name}.pem"
        path.touch(mode=0o600)
        path.write_bytes(self.bundle())
        return path

    def server_context(self, *, alpn: tuple[str, ...] = ()) -> ssl.SSLContext:
        """A TLS server context that shows this certificate and its chain."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        with tempfile.TemporaryDirectory() as directory:
            context.load_cert_chain(self.write(Path(directory), "server"))
        if alpn:
            context.set_alpn_protocols(list(alpn))
        return context


def _sign(
    subject: str,
    key: _Key,
    issuer: Certified | None,
    extensions: list[tuple[x509.ExtensionType, bool]],
    days: tuple[int, int],
    authority_key: x509.AuthorityKeyIdentifier | None = None,
) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)])
    now = datetime.datetime.now(datetime.UTC)
    signing_key = key if issuer is None else issuer.key
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name if issuer is None else issuer.certificate.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + datetime.timedelta(days=days[0], hours=-1))
        .not_valid_after(now + datetime.timedelta(days=days[1]))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            authority_key or x509.AuthorityKeyIdentifier.from_issuer_public_key(signing_key.public_key()),
            critical=False,
        )
    )
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical=critical)
    return builder.sign(signing_key, hashes.SHA256())


def _usage(*, authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=not authority,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=authority,
        crl_sign=authority,
        encipher_only=False,
        decipher_only=False,
    )


@functools.cache
def authority(name: str = "Steelyard Test Root", *, issuer: Certified | None = None, kind: KeyKind = "ec") -> Certified:
    """A certificate authority: a root, or an intermediate of `issuer`."""
    key = _new_key(kind)
    extensions: list[tuple[x509.ExtensionType, bool]] = [
        (x509.BasicConstraints(ca=True, path_length=None), True),
        (_usage(authority=True), True),
    ]
    return Certified(_sign(name, key, issuer, extensions, (-30, 3650)), key, issuer)


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


@functools.cache
def leaf(
    *names: str,
    issuer: Certified | None = None,
    kind: KeyKind = "rsa",
    days: tuple[int, int] = (-1, 365),
    generation: int = 1,
    responder: str | None = None,
    answers_ocsp: bool = False,
) -> Certified:
    """A certificate for servers and clients.

    Args:
        names: subject alternative names, DNS names or IP addresses; the first is the common name too.
        issuer: who signs it; None makes it self-signed.
        days: first and last day of validity from today, so `(-30, -1)` has expired.
        generation: another number gives another key and certificate for the same names, for renewals.
        responder: address of the OCSP responder it names.
        answers_ocsp: it may sign OCSP answers in place of its issuer.
    """
    if not names:
        raise ValueError("a leaf needs at least one name")
    key = _new_key(kind)
    usual = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
    purposes = [ExtendedKeyUsageOID.OCSP_SIGNING] if answers_ocsp else usual
    extensions: list[tuple[x509.ExtensionType, bool]] = [
        (x509.BasicConstraints(ca=False, path_length=None), True),
        (_usage(authority=False), True),
        (x509.ExtendedKeyUsage(purposes), False),
        (x509.SubjectAlternativeName([_general_name(name) for name in names]), False),
    ]
    if responder is not None:
        access = x509.AccessDescription(AuthorityInformationAccessOID.OCSP, x509.UniformResourceIdentifier(responder))
        extensions.append((x509.AuthorityInformationAccess([access]), False))
    return Certified(_sign(names[0], key, issuer, extensions, days), key, issuer)


def forged(name: str, *, as_issuer: Certified) -> Certified:
    """A certificate that says it is of that authority and is signed with another key."""
    key = _new_key("ec")
    impostor = Certified(as_issuer.certificate, _new_key("ec"), as_issuer.issuer)
    extensions: list[tuple[x509.ExtensionType, bool]] = [
        (x509.BasicConstraints(ca=False, path_length=None), True),
        (_usage(authority=False), True),
        (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), False),
    ]
    genuine = x509.AuthorityKeyIdentifier.from_issuer_public_key(as_issuer.key.public_key())
    return Certified(_sign(name, key, impostor, extensions, (-1, 365), authority_key=genuine), key, as_issuer)


def revocation_list(issuer: Certified, *revoked: Certified, days: tuple[float, float] = (-1, 7)) -> bytes:
    """A revocation list of an authority in PEM. `days`: made and to be renewed, from now."""
    now = datetime.datetime.now(datetime.UTC)
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(issuer.certificate.subject)
        .last_update(now + datetime.timedelta(days=days[0]))
        .next_update(now + datetime.timedelta(days=days[1]))
    )
    for one in revoked:
        entry = x509.RevokedCertificateBuilder().serial_number(one.serial).revocation_date(now)
        builder = builder.add_revoked_certificate(entry.build())
    return builder.sign(issuer.key, hashes.SHA256()).public_bytes(_PEM)
