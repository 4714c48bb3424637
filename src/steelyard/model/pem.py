"""PEM as it really comes: in any order, pasted from a mail, with lines folded away, blocks glued together, comments.

And other forms, told apart so that the complaint can say what they are and how to convert them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import load_der_private_key, pkcs7

from steelyard.model.errors import OperatorError

#: what some editors put before a text
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")
_BEGIN = re.compile(rb"-----BEGIN ([A-Z0-9 ]{1,60})-----")
_WIDTH = 64

#: labels of one certificate; the second is that of old programs
CERTIFICATE_LABELS = frozenset({"CERTIFICATE", "X509 CERTIFICATE"})
_FOREIGN = {
    "OPENSSH PRIVATE KEY": (
        "The key is in OpenSSH's own form",
        "Convert it: ssh-keygen -p -m PEM -f FILE",
    ),
    "PKCS7": (
        "The upload is PKCS#7, which holds certificates and never a key",
        "Convert it: openssl pkcs7 -in FILE -print_certs -out FILE.pem",
    ),
    "TRUSTED CERTIFICATE": (
        "The certificate is in OpenSSL's trusted form, with settings behind it",
        "Convert it: openssl x509 -in FILE -out FILE.pem",
    ),
}


@dataclass(frozen=True)
class Block:
    """One block. `pem` has it as every reader takes it."""

    label: str
    pem: bytes

    def __repr__(self) -> str:
        return f"Block({self.label!r})"

    @property
    def is_key(self) -> bool:
        return self.label.endswith("PRIVATE KEY")

    @property
    def locked(self) -> bool:
        """Whether it is a key that needs a password."""
        return "ENCRYPTED" in self.label or b"Proc-Type: 4,ENCRYPTED" in self.pem


def as_text(data: bytes) -> bytes:
    """The upload without byte order marks; the UTF-16 of a Windows editor becomes UTF-8."""
    if data.startswith(_UTF16_MARKS):
        try:
            return data.decode("utf-16").encode()
        except UnicodeError:
            return data
    return data.removeprefix(_BYTE_ORDER_MARK)


def pem_blocks(data: bytes) -> list[Block]:
    """Every block, in the order of the upload. Raises `OperatorError` for one without an end or in a foreign form."""
    found: list[Block] = []
    place = 0
    while (begin := _BEGIN.search(data, place)) is not None:
        label = begin.group(1)
        end = data.find(b"-----END " + label + b"-----", begin.end())
        if end < 0:
            raise OperatorError(
                f"The PEM block {label.decode()!r} has no end", field="data", remedy="Send the whole file"
            )
        found.append(_block(label.decode(), data[begin.end() : end]))
        place = end + len(label) + 14
    return found


def _block(label: str, body: bytes) -> Block:
    if label in _FOREIGN:
        message, remedy = _FOREIGN[label]
        raise OperatorError(message, field="data", remedy=remedy)
    if b":" in body:  # header lines of a key encrypted the traditional way
        lines = [line.strip() for line in body.strip().splitlines()]
    else:
        text = b"".join(body.split())
        lines = [text[start : start + _WIDTH] for start in range(0, len(text), _WIDTH)]
    name = label.encode()
    return Block(label, b"\n".join((b"-----BEGIN " + name + b"-----", *lines, b"-----END " + name + b"-----", b"")))


def refuse_der(data: bytes) -> None:
    """Raise `OperatorError` for a certificate, key or PKCS#7 in DER, with the command that converts it."""
    found = _der_kind(data)
    if found is not None:
        what, command = found
        raise OperatorError(
            f"The upload is {what} in DER, the binary form; PEM or PKCS#12 is taken",
            field="data",
            allowed="PEM, PKCS#12",
            remedy=f"Convert it: {command}",
        )


def _der_kind(data: bytes) -> tuple[str, str] | None:
    try:
        x509.load_der_x509_certificate(data)
    except (ValueError, UnsupportedAlgorithm):
        pass  # another kind
    else:
        return "a certificate", "openssl x509 -inform DER -in FILE -out FILE.pem"
    try:
        load_der_private_key(data, None)
    except TypeError:  # it wants a password
        return "an encrypted private key", "openssl pkey -inform DER -in FILE -out FILE.pem"
    except (ValueError, UnsupportedAlgorithm):
        pass  # another kind
    else:
        return "a private key", "openssl pkey -inform DER -in FILE -out FILE.pem"
    try:
        pkcs7.load_der_pkcs7_certificates(data)
    except (ValueError, UnsupportedAlgorithm):
        return None
    return "PKCS#7", "openssl pkcs7 -inform DER -in FILE -print_certs -out FILE.pem"
