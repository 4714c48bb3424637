"""The roots this host trusts, as its distribution keeps them: to tell a whole chain from one with a missing link."""

from __future__ import annotations

import logging

from cryptography import x509

from steelyard.engines.authorities import system_authorities
from steelyard.model.certificate_chain import Authorities
from steelyard.model.errors import HostLacks

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
        except HostLacks:
            return None
        if bundle != self._read:
            self._read, self._roots = bundle, _parsed(bundle)
        return self._roots


def _parsed(bundle: str) -> Authorities | None:
    try:
        return Authorities(x509.load_pem_x509_certificates(bundle.encode()))
    except ValueError as failure:
        log.warning("the roots this host trusts cannot be read: %s", failure)
        return None
