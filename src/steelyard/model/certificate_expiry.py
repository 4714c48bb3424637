"""When certificates end: a warning 30, 14, 7 and 1 days before, and one when it is too late.

Pure: the moment is an argument. A certificate is in one threshold at a time, the nearest it has passed, so whoever
sends warnings out sends each (certificate, threshold) once.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal

from cryptography import x509

from steelyard.model.configuration import Configuration

#: days before the end at which people are told
THRESHOLDS = (30, 14, 7, 1)
#: the threshold of what has ended
EXPIRED = 0

Kind = Literal["certificate", "intermediate"]


@dataclass(frozen=True, slots=True)
class ExpiryWarning:
    """One certificate that ends soon or has ended.

    `certificate` is its name, `kind` says whether it is one of the operator's or an intermediate, `days_left` counts
    whole days rounded down and is negative once it has ended. `threshold` is 30, 14, 7, 1, or 0 for an ended one.
    `not_after` is when it ends; `chain` says it ends by a certificate of its chain, not by its own.
    """

    certificate: str
    kind: Kind
    days_left: int
    threshold: int
    text: str
    not_after: datetime
    chain: bool = False


def threshold_of(not_after: datetime, now: datetime) -> int | None:
    """The nearest threshold that has been passed; 0 when it has ended, None while there is time."""
    left = not_after - now
    if left < timedelta(0):
        return EXPIRED
    passed = [days for days in THRESHOLDS if left <= timedelta(days=days)]
    return min(passed) if passed else None


def expiry_warnings(configuration: Configuration, now: datetime) -> tuple[ExpiryWarning, ...]:
    """What ends within 30 days or has ended, soonest first.

    `now` needs a time zone. A temporary certificate is left out: nobody but Steelyard has to renew it. A certificate
    is warned of when one of the intermediates it was imported with ends too.
    """
    return tuple(sorted(_found(configuration, now), key=lambda one: (one.not_after, one.kind, one.certificate)))


def _found(configuration: Configuration, now: datetime) -> Iterator[ExpiryWarning]:
    for certificate in configuration.certificates.values():
        if certificate.temporary:
            continue
        leaf, *issuers = certificate.chain
        warning = _warning(certificate.name, "certificate", leaf, now)
        if warning is not None:
            yield warning
        for issuer in issuers:
            warning = _warning(certificate.name, "certificate", issuer, now, of_chain=True)
            if warning is not None:
                yield warning
    for intermediate in configuration.intermediates.values():
        warning = _warning(intermediate.name, "intermediate", intermediate.parsed, now)
        if warning is not None:
            yield warning


def _warning(
    name: str, kind: Kind, certificate: x509.Certificate, now: datetime, *, of_chain: bool = False
) -> ExpiryWarning | None:
    end = certificate.not_valid_after_utc
    threshold = threshold_of(end, now)
    if threshold is None:
        return None
    days = (end - now) // timedelta(days=1)
    what = f"{'Certificate' if kind == 'certificate' else 'Intermediate certificate'} {name}"
    if of_chain:
        what = f"{certificate.subject.rfc4514_string() or 'an intermediate'} in the chain of certificate {name}"
    text = f"{what} {_when(days, threshold)} ({end.astimezone(UTC):%Y-%m-%d %H:%M} UTC)"
    return ExpiryWarning(name, kind, days, threshold, text, end, of_chain)


def _when(days: int, threshold: int) -> str:
    if threshold == EXPIRED:
        return "has expired"
    if days == 0:
        return "expires within a day"
    return f"expires in {days} day{'s' if days != 1 else ''}"
