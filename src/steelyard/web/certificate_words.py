"""Certificates as pages show them: names, dates and how they stand, in words. Pure but for the clock."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from cryptography import x509

from steelyard.model.certificate_expiry import EXPIRED, threshold_of
from steelyard.model.certificate_names import alternative_names, common_names
from steelyard.model.virtual_service import VirtualService


@dataclass(frozen=True)
class Shown:
    """One certificate of a list or a chain, in words."""

    name: str
    subject: str
    names: tuple[str, ...]
    issuer: str
    ends: datetime
    days: int
    #: class of a status and its word
    look: str
    state: str
    services: tuple[VirtualService, ...] = ()
    key: str = ""
    note: str = ""


def said(
    certificate: x509.Certificate,
    name: str = "",
    *,
    key: str = "",
    services: Sequence[VirtualService] = (),
    note: str = "",
) -> Shown:
    """A certificate in words; it is valid, ends soon, has ended or has not begun."""
    now = datetime.now(UTC)
    ends = certificate.not_valid_after_utc
    threshold = threshold_of(ends, now)
    look, state = ("up", "Valid") if threshold is None else ("drain", "Ends soon")
    if threshold == EXPIRED:
        look, state = "down", "Expired"
    elif certificate.not_valid_before_utc > now:
        look, state = "drain", "Not valid yet"
    common = common_names(certificate)
    subject = common[0] if common else certificate.subject.rfc4514_string()
    issuer = certificate.issuer.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
    return Shown(
        name,
        subject,
        alternative_names(certificate),
        str(issuer[0].value) if issuer else certificate.issuer.rfc4514_string(),
        ends,
        (ends - now).days,
        look,
        state,
        tuple(services),
        key,
        note,
    )
