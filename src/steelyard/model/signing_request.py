"""Requests to be signed by an authority (PKCS#10), kept with their key until the certificate comes back.

The key is among the store's secrets, found by its digest as that of a certificate is. The certificate that is imported
without a key later is recognised by its public key.
"""

from __future__ import annotations

from functools import cached_property
from typing import Annotated, ClassVar

from cryptography import x509

from steelyard.model.setting import Setting, Settings
from steelyard.model.text import IDENTIFIER, IDENTIFIER_SAYS


class SigningRequest(Settings):
    """One request that waits for its certificate."""

    noun: ClassVar[str] = "signing request"

    name: Annotated[
        str,
        Setting(
            None,
            "signing request",
            "Name",
            "Name the certificate will have, unless it is imported under another.",
            max_length=127,
            pattern=IDENTIFIER,
            pattern_says=IDENTIFIER_SAYS,
            filled=True,
        ),
    ]
    request_pem: str
    key_id: str
    key_type: str

    @cached_property
    def parsed(self) -> x509.CertificateSigningRequest:
        """The request itself, read once."""
        return x509.load_pem_x509_csr(self.request_pem.encode())
