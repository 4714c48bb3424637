"""Certificates that change, come and go at run time.

HAProxy (2.6 and 2.8, tried) appends to the list of a listener and removes from it, but not its first certificate, which
stands in where no other fits. So a change that keeps the first one and the order of the rest is done at run time.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from steelyard.plan.haproxy import Frontend, HaproxyPlan, ServicePlan
from steelyard.plan.operations import (
    AssignCertificate,
    LoadCertificate,
    Operation,
    ReplaceCertificate,
    UnloadCertificate,
    WithdrawCertificate,
)


def certificate_operations(old: HaproxyPlan, new: HaproxyPlan) -> Iterator[Operation]:
    """What is new comes before what goes, so that no name is without its certificate in between."""
    for name, certificate in new.certificates.items():
        before = old.certificates.get(name)
        if before is not None and before is not certificate and before != certificate:
            yield ReplaceCertificate(name)
    assigned: list[AssignCertificate] = []
    withdrawn: list[WithdrawCertificate] = []
    for key, service in new.services.items():
        was = old.services.get(key)
        if was is not None and was is not service and reassigned(was.frontend, service.frontend):
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


def reassigned(old: Frontend | None, new: Frontend | None) -> bool:
    """Whether two listeners differ in their certificates alone, and in a way that can be had at run time."""
    if old is None or new is None or old.tls is None or new.tls is None or old == new:
        return False
    before, after = old.tls.certificates, new.tls.certificates
    if replace(old, tls=replace(old.tls, certificates=after)) != new:
        return False
    if len(set(before)) != len(before) or len(set(after)) != len(after):
        return False
    stay = tuple(name for name in before if name in after)
    return before[:1] == after[:1] and after[: len(stay)] == stay


def with_assignments(service: ServicePlan, wanted: ServicePlan) -> ServicePlan:
    """The service with the certificates of the wanted one, where they have come at run time."""
    return replace(service, frontend=wanted.frontend) if reassigned(service.frontend, wanted.frontend) else service
