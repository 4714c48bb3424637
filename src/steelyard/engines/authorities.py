"""The authorities this host's system trusts, as one bundle of PEM."""

from __future__ import annotations

import ssl
from collections.abc import Iterable
from pathlib import Path

from steelyard.model.errors import HostLacks

#: Debian and what descends from it, Red Hat and its, Alpine, SUSE
_BUNDLES = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/cert.pem",
    "/etc/ssl/ca-bundle.pem",
)


def system_authorities(bundles: Iterable[str] = _BUNDLES) -> str:
    """The bundle, read anew each time, since updates of the system change it.

    Raises `HostLacks` when there is none.
    """
    own: str | None = ssl.get_default_verify_paths().cafile
    for place in (*bundles, *([own] if own else [])):
        try:
            return Path(place).read_text("ascii", errors="ignore")
        except OSError:  # another distribution's place
            continue
    raise HostLacks(
        "This host has no bundle of trusted authorities",
        lacks="trusted authorities",
        remedy="Install the package ca-certificates, or name authorities of your own in server_authorities",
    )
