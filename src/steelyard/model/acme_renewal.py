"""When a certificate is due at its ACME authority, and when a failed order is tried again. Pure: the time is given.

A certificate is renewed in the renew period before its end; one that holds so short that it would be due at once is
renewed in its last third, which is what authorities advise for those. A failure is tried again after a quarter of an
hour, then twice as long each time up to a day: authorities count failed validations (Let's Encrypt takes five an hour
and name).
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated, ClassVar

from cryptography import x509

from steelyard.model.setting import Setting, Settings

FIRST_RETRY = timedelta(minutes=15)
LONGEST_RETRY = timedelta(days=1)


class AcmeParameters(Settings):
    """ACME for every certificate."""

    noun: ClassVar[str] = "ACME parameter"

    renew_days: Annotated[
        int,
        Setting(
            "renewperiod",
            "acme",
            "Renew Period",
            "How long before their end certificates are renewed.",
            unit="days",
            ge=1,
            le=60,
        ),
    ] = 30


def renewal_at(certificate: x509.Certificate, renew_days: int) -> datetime:
    """When a certificate is to be renewed."""
    life = certificate.not_valid_after_utc - certificate.not_valid_before_utc
    return certificate.not_valid_after_utc - min(timedelta(days=renew_days), life / 3)


def retry_after(failures: int, chance: float) -> timedelta:
    """How long to wait after so many failures in a row. `chance` (0 to 1) spreads it over 80 to 120 per cent."""
    wait = min(FIRST_RETRY * (1 << min(failures - 1, 10)), LONGEST_RETRY)
    return wait * (0.8 + 0.4 * chance)


def names_of(certificate: x509.Certificate) -> frozenset[str]:
    """The host names a certificate is for, in lower case."""
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return frozenset()
    return frozenset(name.lower() for name in found.get_values_for_type(x509.DNSName))
