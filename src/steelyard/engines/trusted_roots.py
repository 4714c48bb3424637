"""The roots this host trusts, as its distribution keeps them: to tell a whole chain from one with a missing link."""

from __future__ import annotations

import logging
import warnings

from cryptography import x509
from cryptography.utils import CryptographyDeprecationWarning

from steelyard.engines.authorities import system_authorities
from steelyard.model.certificate_chain import Authorities
from steelyard.model.errors import HostLacks, OperatorError
from steelyard.model.pem import pem_blocks

# Distributions ship a root whose serial number is zero, against RFC 5280; nobody here can do anything about that.
warnings.filterwarnings("ignore", "Parsed a serial number which wasn't positive", CryptographyDeprecationWarning)

log = logging.getLogger("steelyard.host")


class TrustedRoots:
    """Parses the bundle when it is asked for, and again when it has changed: parsing takes ten milliseconds."""

    def __init__(self) -> None:
        self._read: str | None = None
        self._roots: Authorities | None = None

    def roots(self) -> Authorities | None:
        """The roots; None when this host has none that can be read."""
        try:
            bundle = system_authorities()
            if bundle != self._read:
                self._read, self._roots = bundle, _parsed(bundle)
        except (HostLacks, OperatorError) as failure:
            log.info("the roots this host trusts are not known: %s", failure.message)
            return None
        return self._roots


def _parsed(bundle: str) -> Authorities:
    found = []
    for block in pem_blocks(bundle.encode()):
        try:
            found.append(x509.load_pem_x509_certificate(block.pem))
        except ValueError as failure:
            # one odd root must not hide the others
            log.info("a root this host trusts cannot be read: %s", failure)
    return Authorities(found)
