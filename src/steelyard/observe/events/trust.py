"""TLS towards subscribers: who is believed."""

from __future__ import annotations

import ssl
from dataclasses import dataclass


@dataclass(frozen=True)
class Trust:
    """Whether a server's certificate is verified, and which authorities are believed besides the system's (PEM)."""

    verify: bool = True
    authorities: str = ""

    def context(self) -> ssl.SSLContext:
        """A context for connections out. TLS 1.2 and newer."""
        found = ssl.create_default_context()
        found.minimum_version = ssl.TLSVersion.TLSv1_2
        if not self.verify:
            found.check_hostname = False
            found.verify_mode = ssl.CERT_NONE
            return found
        if self.authorities:
            found.load_verify_locations(cadata=self.authorities)
            # an intermediate that was put here is believed without the root above it
            found.verify_flags |= ssl.VerifyFlags.VERIFY_X509_PARTIAL_CHAIN
        return found


def why_not(failure: OSError) -> str:
    """What a failed connection says, for people."""
    if isinstance(failure, ssl.SSLCertVerificationError):
        return (
            f"its certificate is not believed: {failure.verify_message}; import its authority as an intermediate"
            " certificate, or switch the verification off"
        )
    if isinstance(failure, TimeoutError):
        return "no answer in time"
    return failure.strerror or str(failure) or type(failure).__name__
