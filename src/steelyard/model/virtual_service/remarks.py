"""What an operator should be told of a virtual service that works as it is set, but hardly as it is meant. Pure.

Nothing here is refused: a service is often made step by step, and what is meant is the operator's business.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from steelyard.model.virtual_service import VirtualService
from steelyard.model.virtual_service.effect import without_effect

#: Settings that a service may well have before what they belong to is switched on, or that follow others by themselves
_NO_NEWS = frozenset({"starttls_mode", "check_url", "check_method"})


@dataclass(frozen=True, slots=True)
class Remark:
    """About one setting: what is odd, and what to do about it."""

    field: str
    says: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.says}. Remedy: {self.remedy}"


def remarks(service: VirtualService) -> Iterator[Remark]:
    """Each once, the gravest first."""
    if service.ssl_acceleration and not service.certificates and not service.is_sub:
        says = "No certificate is assigned: clients are shown a temporary, self-signed one"
        yield Remark("certificates", says, "certificates=NAME")
    if service.esp_enabled and not service.allowed_hosts:
        says = "The edge filter has no allowed hosts, so it refuses every request"
        yield Remark("allowed_hosts", says, "allowed_hosts=NAMES")
    if _speaks_plain(service) and service.check_type == "https" and not service.check_port and service.servers:
        says = "Checks speak TLS to the real servers, but clients' requests reach them without it"
        remedy = "ssl_reencrypt=yes, or check_type=http and the servers' port for HTTP"
        yield Remark("check_type", says, remedy)
    if service.ocsp_verify and service.verifies_clients and service.client_certificates_optional:
        says = "Clients without a certificate are let in, and nobody is asked about them by OCSP"
        yield Remark("ocsp_verify", says, "client_certificates_optional=no, if every client has one")
    yield from _idle(service)


def _speaks_plain(service: VirtualService) -> bool:
    """Whether it reads what clients send and passes it on without TLS. A sub-service goes by its parent's TLS."""
    reads = service.ssl_acceleration or service.is_http
    return reads and not (service.ssl_reencrypt or service.ssl_reverse) and not service.is_sub


def _idle(service: VirtualService) -> Iterator[Remark]:
    """Settings that somebody has set and that change nothing."""
    declared = VirtualService.declared()
    values = {name: getattr(service, name) for name in (*declared, "further_checks")}
    for name, why in without_effect(values).items():
        if name in _NO_NEWS or name not in declared or declared[name].is_default(values[name]):
            continue
        yield Remark(name, f"{declared[name].setting.label} has no effect: {why}", f"leave {name} out, or change that")
