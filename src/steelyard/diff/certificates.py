"""Certificates that change, come and go at run time.

HAProxy (2.6 and 2.8, tried) appends to the list of a listener and removes from it, but not its first certificate, which
stands in where no other fits. So a change that keeps the first one and the order of the rest is done at run time.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from steelyard.plan.haproxy import CertificateFile, HaproxyPlan, ServicePlan
from steelyard.plan.operations import (
    AssignCertificate,
    LoadCertificate,
    Operation,
    ReplaceCertificate,
    UnloadCertificate,
    WithdrawCertificate,
)


def too_long(old: HaproxyPlan, new: HaproxyPlan) -> Iterator[str]:
    """Why a reload is needed for new content."""
    for name, certificate in _changed(old, new):
        if not certificate.sendable:
            yield f"certificate {name} is longer with its chain than HAProxy takes at run time"


def _changed(old: HaproxyPlan, new: HaproxyPlan) -> Iterator[tuple[str, CertificateFile]]:
    for name, certificate in new.certificates.items():
        before = old.certificates.get(name)
        if before is not None and before is not certificate and before != certificate:
            yield name, certificate


def certificate_operations(old: HaproxyPlan, new: HaproxyPlan) -> Iterator[Operation]:
    """What is new comes before what goes, so that no name is without its certificate in between."""
    yield from (ReplaceCertificate(name) for name, certificate in _changed(old, new) if certificate.sendable)
    assigned: list[AssignCertificate] = []
    withdrawn: list[WithdrawCertificate] = []
    for key, service in new.services.items():
        was = old.services.get(key)
        if was is not None and _reassigned(was, service, old, new):
            before_it, after_it = was.certificates(), service.certificates()
            assigned += (AssignCertificate(key, name) for name in after_it if name not in before_it)
            withdrawn += (WithdrawCertificate(key, name) for name in before_it if name not in after_it)
    yield from (
        LoadCertificate(name)
        for name in dict.fromkeys(one.certificate for one in assigned)
        if name not in old.certificates
    )
    yield from assigned
    yield from withdrawn
    left = {(one.listener, one.certificate) for one in withdrawn}
    for name in dict.fromkeys(one.certificate for one in withdrawn):
        if name not in new.certificates and all((key, name) in left for key in _users(old, name)):
            yield UnloadCertificate(name)


def _users(plan: HaproxyPlan, name: str) -> Iterator[str]:
    return (key for key, service in plan.services.items() if name in service.certificates())


def _reassigned(was: ServicePlan, service: ServicePlan, old: HaproxyPlan, new: HaproxyPlan) -> bool:
    """Whether two listeners differ in their certificates alone, and in a way that can be had at run time."""
    first, then = was.frontend, service.frontend
    if was is service or first is None or then is None or first.tls is None or then.tls is None or first == then:
        return False
    before, after = first.tls.certificates, then.tls.certificates
    if replace(first, tls=replace(first.tls, certificates=after)) != then:
        return False
    if any(name not in old.certificates and not new.certificates[name].sendable for name in after):
        return False
    if len(set(before)) != len(before) or len(set(after)) != len(after):
        return False
    stay = tuple(name for name in before if name in after)
    return before[:1] == after[:1] and after[: len(stay)] == stay


def with_assignments(service: ServicePlan, wanted: ServicePlan, old: HaproxyPlan, new: HaproxyPlan) -> ServicePlan:
    """A service of the old plan with the certificates of the wanted one, where they come at run time."""
    return replace(service, frontend=wanted.frontend) if _reassigned(service, wanted, old, new) else service
