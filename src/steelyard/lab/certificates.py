"""A certificate authority for a lab: made at its start, trusted by its clients alone, gone with it.

Keys are P-256, which are made at once; RSA with 2048 bits takes a tenth of a second each.
"""

from __future__ import annotations

import datetime
import ipaddress
import ssl
import tempfile
from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_DAYS = 30


@dataclass(frozen=True)
class ServerCertificate:
    """Private key, certificate and intermediates in one PEM text."""

    pem: bytes

    def context(self) -> ssl.SSLContext:
        """A context for a server that presents it.

        Raises:
            ssl.SSLError: it is no key with its certificate.
        """
        made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        with tempfile.NamedTemporaryFile(prefix="steelyard-lab-", suffix=".pem") as file:
            file.write(self.pem)
            file.flush()
            made.load_cert_chain(file.name)
        return made


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _general_name(text: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(text))
    except ValueError:
        return x509.DNSName(text)


class Authority:
    """Signs certificates for the names of a lab."""

    def __init__(self, name: str = "Steelyard Lab Root") -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _name(name)
        public = self._key.public_key()
        self._certificate = self._sign(
            self._name, public, x509.BasicConstraints(ca=True, path_length=None), _usage(authority=True)
        )

    @property
    def pem(self) -> bytes:
        """The root certificate."""
        return self._certificate.public_bytes(serialization.Encoding.PEM)

    @property
    def der(self) -> bytes:
        """The root certificate as phones download it."""
        return self._certificate.public_bytes(serialization.Encoding.DER)

    def issue(self, *names: str) -> ServerCertificate:
        """A certificate for servers; the first name is its common name, all are alternative names."""
        key = ec.generate_private_key(ec.SECP256R1())
        made = self._sign(
            _name(names[0]),
            key.public_key(),
            x509.BasicConstraints(ca=False, path_length=None),
            _usage(authority=False),
            x509.SubjectAlternativeName([_general_name(one) for one in names]),
            x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]),
        )
        secret = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        return ServerCertificate(secret + made.public_bytes(serialization.Encoding.PEM))

    def _sign(
        self, subject: x509.Name, key: ec.EllipticCurvePublicKey, *extensions: x509.ExtensionType
    ) -> x509.Certificate:
        now = datetime.datetime.now(datetime.UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(hours=1))
            .not_valid_after(now + datetime.timedelta(days=_DAYS))
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
        )
        for one in extensions:
            critical = isinstance(one, x509.BasicConstraints | x509.KeyUsage)
            builder = builder.add_extension(one, critical=critical)
        return builder.sign(self._key, hashes.SHA256())


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
