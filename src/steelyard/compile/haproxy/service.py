"""One virtual service as HAProxy objects: a frontend, backends, their servers.

The concerns stand in files of their own; here is the order in which a request meets them. A sub-service has no
frontend, but for one that listens on a socket of this host when its parent balances among sub-services.
"""

from __future__ import annotations

from steelyard.compile.haproxy.access import access_part
from steelyard.compile.haproxy.balancing import balance, hashes, weights
from steelyard.compile.haproxy.caching import caching_part
from steelyard.compile.haproxy.compression import compression_part
from steelyard.compile.haproxy.context import ServiceContext
from steelyard.compile.haproxy.edge import edge_part
from steelyard.compile.haproxy.headers import headers_part
from steelyard.compile.haproxy.limits import limits_part
from steelyard.compile.haproxy.part import Family, Part, at_entry
from steelyard.compile.haproxy.persistence import Persistence, compile_persistence, key_as_received, remembered_server
from steelyard.compile.haproxy.rules import rules_part
from steelyard.compile.haproxy.switching import compile_switching
from steelyard.compile.haproxy.tls import listener_tls, server_tls
from steelyard.compile.haproxy.unavailable import unavailable_part
from steelyard.model.real_server import RealServer
from steelyard.model.slot import Slot
from steelyard.model.virtual_service import VirtualService
from steelyard.plan.haproxy import Backend, Bind, Directive, Frontend, Mode, Server, ServicePlan, directive


def engine_port(service: VirtualService, server: RealServer) -> int | None:
    """The server's port; None (the port the client used) when it equals the base port of a service with extra ports."""
    return None if service.extra_ports and server.port == service.port else server.port


def compile_service(service: VirtualService, family: Family, context: ServiceContext) -> ServicePlan:
    """The plan of one service."""
    switching = compile_switching(service, family, context)
    persistence = compile_persistence(service, always=context.always_check_persistence, can_wait=context.lua)
    # the order is that in which a request meets them
    part = (
        at_entry(service, access_part(service, family, context))
        + at_entry(service, Part(frontend=key_as_received(service)))
        + at_entry(service, limits_part(service, family, context))
        + at_entry(service, edge_part(service, family, context))
        + at_entry(service, switching.part)
        + at_entry(service, rules_part(service, family, context))
        + at_entry(service, headers_part(service, family, context))
        + caching_part(service, family, context)
        + compression_part(service, family, context)
        + unavailable_part(service, family, context)
    )
    groups = ((group.name, group.members) for group in switching.groups)
    backends = tuple(
        _backend(service, family, context, name, members, persistence, part.backend)
        for name, members in ((service.engine_name, switching.own), *groups)
    )
    return ServicePlan(
        service.engine_name,
        _frontend(service, family, context, part.frontend),
        backends[0],
        backends[1:],
        part.lookups,
        part.pages,
        part.sections,
    )


def _mode(service: VirtualService) -> Mode:
    return "http" if service.is_http else "tcp"


def _frontend(
    service: VirtualService, family: Family, context: ServiceContext, directives: tuple[Directive, ...]
) -> Frontend | None:
    if not service.enabled or (service.is_sub and not is_balanced(service, family)):
        return None
    return Frontend(
        name=service.engine_name,
        mode=_mode(service),
        binds=tuple(Bind(service.address, first, last) for first, last in service.port_ranges),
        tls=None if service.is_sub else listener_tls(service, context.temporary_certificate),
        idle_seconds=service.idle_time,
        directives=directives,
        inner=service.is_sub,
    )


def is_balanced(service: VirtualService, family: Family) -> bool:
    """Whether a sub-service is reached as a server of its parent, which balances among several of them."""
    parent = family.parent
    if parent is None:
        return False
    if not parent.switches_content:
        return True
    mine = next((slot for slot in parent.slots if slot.service == service.index), None)
    others = [slot for slot in parent.slots if slot is not mine]
    return mine is not None and any(rule in other.rules for rule in mine.rules for other in others)


def _backend(
    service: VirtualService,
    family: Family,
    context: ServiceContext,
    name: str,
    members: tuple[RealServer | Slot, ...],
    persistence: Persistence,
    directives: tuple[Directive, ...],
) -> Backend:
    return Backend(
        name=name,
        mode=_mode(service),
        balance=balance(service),
        servers=_servers(service, family, members),
        idle_seconds=service.idle_time,
        # the groups share the table of the service: a record names a server by its name, which is the same in each
        table=persistence.table if name == service.engine_name else None,
        directives=(*_connection_rules(service), *directives, *persistence.directives),
        drains=persistence.table is not None and context.drain_seconds > 0,
        drop_at_once=context.drain_seconds == 0,
        checked=service.check_type != "none" or bool(service.slots),
    )


def _connection_rules(service: VirtualService) -> tuple[Directive, ...]:
    """LoadMaster gives each client connection its own server connection and keeps it for the connection's life.

    So nothing is shared between clients (`http-reuse never`, which also keeps NTLM sound) and the last server is
    preferred.
    """
    rules: list[Directive] = []
    if hashes(service):
        rules.append(directive("hash-type", "consistent"))
    if service.is_http and not service.http_reschedule:
        rules += [directive("http-reuse", "never"), directive("option", "prefer-last-server")]
        if service.schedule == "uhash" and service.persistence == "none":
            rules += remembered_server(service)
    return tuple(rules)


def _servers(service: VirtualService, family: Family, members: tuple[RealServer | Slot, ...]) -> tuple[Server, ...]:
    # a sub-service has no TLS settings of its own
    tls = server_tls(family.parent if family.parent is not None else service)
    by_health = service.schedule == "fixed"
    found: list[Server] = []
    for member, weight in zip(members, weights(service.schedule, members), strict=True):
        slot = isinstance(member, Slot)
        found.append(
            Server(
                name=member.engine_name,
                id=member.index,
                address="" if isinstance(member, Slot) else member.address,
                port=None if isinstance(member, Slot) else engine_port(service, member),
                weight=weight,
                limit=member.limit,
                enabled=member.enabled,
                tls=None if slot else tls,
                weight_by_health=by_health,
                inner=f"vs{member.service}" if isinstance(member, Slot) else "",
            )
        )
    return tuple(found)
