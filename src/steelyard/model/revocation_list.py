"""Certificate revocation lists (RFC 5280, 5): which certificates of an authority hold no more before their time.

A list is kept under a name and counts wherever clients' certificates of its authority are accepted. The authority has
to be here before its list, so that a list nobody signed is refused when it is brought and not in a handshake.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from functools import cached_property, lru_cache
from typing import Annotated, ClassVar

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding

from steelyard.model.errors import OperatorError
from steelyard.model.setting import Setting, Settings
from steelyard.model.text import IDENTIFIER, IDENTIFIER_SAYS

#: what some editors put before a text
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class RevocationList(Settings):
    """One list of one authority."""

    noun: ClassVar[str] = "revocation list"

    name: Annotated[
        str,
        Setting(
            None,
            "revocation list",
            "Revocation list identifier",
            "Name it is shown, replaced and removed by.",
            max_length=127,
            pattern=IDENTIFIER,
            pattern_says=IDENTIFIER_SAYS,
            filled=True,
        ),
    ]
    pem: str

    @cached_property
    def parsed(self) -> x509.CertificateRevocationList:
        """The list itself, read once."""
        return x509.load_pem_x509_crl(self.pem.encode())

    @property
    def next_update(self) -> datetime | None:
        """When its authority promised the next one; it counts no more from then on. None: no promise was made."""
        return self.parsed.next_update_utc

    def is_of(self, authority: x509.Certificate) -> bool:
        """Whether that authority signed it."""
        return _signed(self.pem, authority)


@lru_cache(maxsize=256)
def _signed(pem: str, authority: x509.Certificate) -> bool:
    """A list may have megabytes, and whether it counts is asked whenever somebody looks at the state."""
    found = x509.load_pem_x509_crl(pem.encode())
    if authority.subject != found.issuer:
        return False
    try:
        return found.is_signature_valid(authority.public_key())  # type: ignore[arg-type]  # others: TypeError
    except (TypeError, ValueError, UnsupportedAlgorithm):
        return False


def read_revocation_list(data: bytes) -> str:
    """The one list of an upload, PEM or DER, as PEM. Raises `OperatorError` that says what is wrong."""
    data = data.removeprefix(_BYTE_ORDER_MARK)
    if not data.strip():
        raise OperatorError("The upload is empty", field="data", remedy="Send a revocation list, PEM or DER")
    count = data.count(b"-----BEGIN X509 CRL-----")
    if count > 1:
        raise OperatorError(
            f"The upload holds {count} revocation lists", field="data", remedy="Send each under a name of its own"
        )
    if count == 0 and b"-----BEGIN " in data:
        raise OperatorError(
            "The upload holds no revocation list", field="data", remedy="Send a block that begins BEGIN X509 CRL"
        )
    try:
        found = x509.load_pem_x509_crl(data) if count else x509.load_der_x509_crl(data)
        found.next_update_utc, found.issuer  # noqa: B018 - parts are understood only when they are looked at
    except (ValueError, UnsupportedAlgorithm) as failure:
        raise OperatorError(
            "The upload is no revocation list that can be read",
            field="data",
            remedy="Send the file as the authority publishes it, PEM or DER",
        ) from failure
    return found.public_bytes(Encoding.PEM).decode()


def lists_of(authority: x509.Certificate, lists: Iterable[RevocationList]) -> list[RevocationList]:
    """Those of that authority, the newest first: the first is the one that counts."""
    found = [each for each in lists if each.is_of(authority)]
    return sorted(found, key=lambda each: each.parsed.last_update_utc, reverse=True)
