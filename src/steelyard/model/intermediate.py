"""Certificates of authorities, kept as objects of their own: they complete chains and are trusted for clients.

LoadMaster calls them intermediates; a root may be among them, for instance to trust the clients' certificates it
signed. A root never goes into a served chain: clients have it, or do not trust it.
"""

from __future__ import annotations

from functools import cached_property
from typing import Annotated, ClassVar

from cryptography import x509

from steelyard.model.setting import Setting, Settings
from steelyard.model.text import IDENTIFIER, IDENTIFIER_SAYS


class Intermediate(Settings):
    """One certificate of an authority."""

    noun: ClassVar[str] = "intermediate certificate"

    name: Annotated[
        str,
        Setting(
            "cert",
            "intermediate",
            "Intermediate identifier",
            "Name it is shown and removed by.",
            max_length=127,
            pattern=IDENTIFIER,
            pattern_says=IDENTIFIER_SAYS,
            filled=True,
        ),
    ]
    pem: str

    @cached_property
    def parsed(self) -> x509.Certificate:
        """The certificate itself, read once."""
        return x509.load_pem_x509_certificate(self.pem.encode())
