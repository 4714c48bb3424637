"""What parents and their sub-services demand of each other (`reference/behaviour.md`, sections 1, 15 and 20)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from steelyard.model.errors import OperatorError
from steelyard.model.real_server import RealServer
from steelyard.model.virtual_service import VirtualService
from steelyard.model.virtual_service.tls import TlsSettings

Services = Mapping[int, VirtualService]

_PLACE = ("address", "port", "extra_ports", "protocol")
_ACTIVE_COOKIE = frozenset({"active-cookie", "active-cook-src"})


def check_family(services: Services, service: VirtualService) -> None:
    """Raise `OperatorError` when a service and its parent, or its sub-services, do not go together."""
    parent = services.get(service.parent) if service.is_sub else service
    if parent is None:
        return
    subs = [services[slot.service] for slot in parent.slots if slot.service in services]
    if service.is_sub and service not in subs:
        subs.append(service)
    for sub in subs:
        _check_pair(parent, sub)


def _check_pair(parent: VirtualService, sub: VirtualService) -> None:
    if parent.switches_content and parent.is_http != sub.is_http:
        raise OperatorError(
            f"{sub.title} is of type {sub.service_type} and its parent, which selects by content, of type"
            f" {parent.service_type}: what reads requests cannot hand them to what does not",
            field="service_type",
            value=sub.service_type,
            allowed=parent.service_type,
            remedy="Give both the same type, or take the content rules off the sub-service slots",
        )
    if {parent.persistence, sub.persistence} <= _ACTIVE_COOKIE and parent.active_cookie == sub.active_cookie:
        raise OperatorError(
            f"{sub.title} and its parent both issue the cookie {sub.active_cookie!r}, so that each would overwrite"
            " the other's",
            field="cookie",
            value=sub.active_cookie,
            remedy="Give one of them another name in Cookie",
        )


def refuse_parents_settings(changes: Mapping[str, Any], before: VirtualService | None) -> None:
    """Raise `OperatorError` for a setting a sub-service does not have; the value it has anyway is no change."""
    declared = VirtualService.declared()
    for name, value in changes.items():
        if name == "enabled":
            raise OperatorError(
                "Enable of a sub-service is set through its slot in the parent",
                field="enabled",
                value=value,
                remedy="Change the slot: modrs with vs=PARENT and rs=!RSINDEX, or `steelyard slot`",
            )
        if name not in _PLACE and name not in TlsSettings.declared():
            continue
        same = (
            getattr(before, name)
            if before is not None
            else {"address": "", "port": 0}.get(name, declared[name].default)
        )
        if value in (same, str(same)) or (isinstance(same, tuple) and tuple(value) == same):
            continue
        what = "an address and ports" if name in _PLACE else "SSL settings"
        raise OperatorError(
            f"{VirtualService.wire_name(name)}: a sub-service has none of its own, {what} belong to the parent",
            field=name,
            value=value if isinstance(value, (str, int)) else str(value),
            remedy="Change the parent",
        )


def servers_behind(services: Services, service: VirtualService) -> tuple[RealServer, ...]:
    """The real servers connections to a service may reach: its own, those of its sub-services, their sorry servers."""
    members = (service, *(services[slot.service] for slot in service.slots if slot.service in services))
    found = [server for member in members for server in member.servers]
    for member in members:
        if member.standby_address:
            where = {"address": member.standby_address, "port": member.standby_port or service.port}
            found.append(RealServer.make({"index": 1, **where}))
    return tuple(found)


__all__ = ["check_family", "refuse_parents_settings", "servers_behind"]
