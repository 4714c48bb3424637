"""Whom the checks of a service believe: an https check verifies a real server as HAProxy does for clients."""

from __future__ import annotations

from collections.abc import Mapping

from steelyard.compile.haproxy.context import ServiceContext
from steelyard.compile.haproxy.trust import server_authorities
from steelyard.model.virtual_service import VirtualService
from steelyard.plan.health import Check, Service, Trust


def check_trust(
    service: VirtualService, parent: VirtualService | None, context: ServiceContext, authorities: Mapping[str, str]
) -> Trust | None:
    """Whom checks of a service believe, None where nobody looks. `authorities` are certificates in PEM by name."""
    settings = service if parent is None else parent
    need = server_authorities(settings, context)
    if need is None or not (settings.reencrypts or settings.ssl_reverse):
        return None
    names = need.members or tuple(authorities)
    return Trust(pem="".join(authorities[name] for name in names if name in authorities), system=need.system)


def with_trust(service: Service, trust: Trust) -> Service:
    """The same plan with https checks that verify."""
    return service.model_copy(
        update={
            "check": _with_trust(service.check, trust),
            "further": tuple(
                one.model_copy(update={"check": _with_trust(one.check, trust)}) for one in service.further
            ),
        }
    )


def _with_trust(check: Check, trust: Trust) -> Check:
    return check.model_copy(update={"trust": trust}) if check.kind == "https" else check
