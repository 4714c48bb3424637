"""One virtual service as HAProxy objects: a frontend, backends, their servers.

The concerns stand in files of their own; here is the order in which a request meets them. A sub-service has no
frontend, but for one that listens on a socket of this host when its parent balances among sub-services.
"""

from __future__ import annotations

from steelyard.compile.haproxy.access import access_part
from steelyard.compile.haproxy.balancing import balance, hashes, starts_slowly, weights
from steelyard.compile.haproxy.bodies import bodies_part
from steelyard.compile.haproxy.caching import caching_part
from steelyard.compile.haproxy.challenges import with_challenges
from steelyard.compile.haproxy.client_ocsp import client_ocsp_part
from steelyard.compile.haproxy.compression import compression_part
from steelyard.compile.haproxy.context import ServiceContext
from steelyard.compile.haproxy.edge import edge_part
from steelyard.compile.haproxy.edge_log import edge_log_part
from steelyard.compile.haproxy.headers import headers_part
from steelyard.compile.haproxy.lengths import lengths_part
from steelyard.compile.haproxy.limits import limits_part
from steelyard.compile.haproxy.part import Family, Part, at_entry
from steelyard.compile.haproxy.persistence import (
    Persistence,
    compile_persistence,
    key_as_received,
    memory_of,
    remembered_server,
)
from steelyard.compile.haproxy.refused_clients import refused_clients_part
from steelyard.compile.haproxy.rules import rules_part
from steelyard.compile.haproxy.security_headers import answer_headers_part
from steelyard.compile.haproxy.sharing import shared_tables
from steelyard.compile.haproxy.sockets import sockets_part
from steelyard.compile.haproxy.sources import source_words
from steelyard.compile.haproxy.starttls import starttls_part
from steelyard.compile.haproxy.switching import compile_switching, is_balanced, switches
from steelyard.compile.haproxy.tls import listener_tls, name_asked, passes_name, server_tls
from steelyard.compile.haproxy.unavailable import (
    go_to_sorry,
    leave_sorry,
    remembers,
    reset_part,
    sorry_server,
    unavailable_part,
)
from steelyard.model.adaptive import MOVING
from steelyard.model.real_server import RealServer
from steelyard.model.slot import Slot
from steelyard.model.virtual_service import VirtualService
from steelyard.plan.haproxy import (
    Backend,
    Bind,
    Directive,
    Frontend,
    Lookup,
    Mode,
    Server,
    ServicePlan,
    directive,
    lookup_path,
)


def engine_port(service: VirtualService, server: RealServer) -> int | None:
    """The server's port; None (the port the client used) when it equals the base port of a service with extra ports."""
    return None if service.extra_ports and server.port == service.port else server.port


def compile_service(service: VirtualService, family: Family, context: ServiceContext) -> ServicePlan:
    """The plan of one service."""
    switching = compile_switching(service, family, context)
    # the order is that in which a request meets them
    part = (
        sockets_part(service, family, context)
        + edge_log_part(service, family, context)
        + at_entry(service, access_part(service, family, context))
        + client_ocsp_part(service, context.ocsp)
        + at_entry(service, Part(frontend=key_as_received(service)))
        + at_entry(service, limits_part(service, family, context))
        + at_entry(service, edge_part(service, family, context))
        + lengths_part(service, family, context)
        # a sub-service that switches content has a frontend of its own, where backends can be chosen
        + (switching.part if switches(service) else at_entry(service, switching.part))
        + at_entry(service, rules_part(service, family, context))
        + at_entry(service, headers_part(service, family, context))
        + answer_headers_part(service, family, context)
        + bodies_part(service, family, context)
        + caching_part(service, family, context)
        + compression_part(service, family, context)
        + unavailable_part(service, family, context)
        + refused_clients_part(service, logged=bool(edge_log_part(service, family, context).frontend))
        + starttls_part(service, family, context)
    )
    groups = ((group.name, group.members) for group in switching.groups)
    backends = tuple(
        _backend(
            service, family, context, name, members, compile_persistence(service, family, context, name), part.backend
        )
        for name, members in ((service.engine_name, switching.own), *groups)
    )
    reset = reset_part(service, context)
    frontend = _frontend(service, family, context, part.frontend, reset.frontend)
    lookups = part.lookups + reset.lookups + compile_persistence(service, family, context, service.engine_name).lookups
    return ServicePlan(
        service.engine_name,
        frontend,
        backends[0],
        backends[1:],
        # HAProxy knows only those that a rule names, and a service that is off has no rules of a frontend
        lookups if frontend is not None else _named(lookups, backends),
        part.pages,
        part.sections,
        shared_tables(service, family, context),
        tuple(other.engine_name for other in (family.parent, family.leader, *family.subs) if other is not None),
    )


def _named(lookups: tuple[Lookup, ...], backends: tuple[Backend, ...]) -> tuple[Lookup, ...]:
    """The lookups that rules of these backends name."""
    words = {word for backend in backends for line in backend.directives for word in line.words}
    return tuple(lookup for lookup in lookups if any(lookup_path(lookup.name) in word for word in words))


def _mode(service: VirtualService) -> Mode:
    return "http" if service.is_http else "tcp"


def _frontend(
    service: VirtualService,
    family: Family,
    context: ServiceContext,
    directives: tuple[Directive, ...],
    last_of_connection: tuple[Directive, ...],
) -> Frontend | None:
    if not service.enabled or (service.is_sub and not is_balanced(service, family, context)):
        return None
    return Frontend(
        name=service.engine_name,
        mode=_mode(service),
        binds=tuple(Bind(service.address, first, last) for first, last in service.port_ranges),
        tls=None if service.is_sub else listener_tls(service, family.cipher_set, context),
        idle_seconds=service.idle_time,
        directives=with_challenges(
            service,
            family,
            _after_connection_rules(directives, (*last_of_connection, *name_asked(service, family.parent))),
        ),
        inner=service.is_sub,
        plain_first=bool(service.starttls_protocol),
    )


def _after_connection_rules(directives: tuple[Directive, ...], more: tuple[Directive, ...]) -> tuple[Directive, ...]:
    """Rules of a session stand between those of connections and all others."""
    first = sum(one.words[:2] == ("tcp-request", "connection") for one in directives)
    return (*directives[:first], *more, *directives[first:])


def _backend(
    service: VirtualService,
    family: Family,
    context: ServiceContext,
    name: str,
    members: tuple[RealServer | Slot, ...],
    persistence: Persistence,
    directives: tuple[Directive, ...],
) -> Backend:
    sorry = sorry_server(service, family, context)
    before, after = _sorry_rules(service, name) if sorry is not None else ((), ())
    return Backend(
        name=name,
        mode=_mode(service),
        balance=balance(service),
        servers=_servers(service, family, context, members) + ((sorry,) if sorry is not None else ()),
        idle_seconds=service.idle_time,
        table=persistence.table,
        directives=(
            *_connection_rules(service, name, has_sorry=sorry is not None),
            *directives,
            *before,
            *persistence.directives,
            *after,
        ),
        drains=remembers(service, context),
        drop_at_once=context.drain_seconds == 0,
        checked=service.check_type != "none" or bool(service.slots),
        critical=tuple((one.engine_name, one.enabled) for one in service.members if one.critical),
        parent=f"vs{service.parent}" if service.is_sub else "",
        minimum=service.needed_members,
        members=tuple((one.engine_name, one.enabled) for one in service.members) if service.needed_members else (),
        resting=tuple(one.engine_name for one in members if one.standby_below),
    )


def _connection_rules(service: VirtualService, backend: str, *, has_sorry: bool) -> tuple[Directive, ...]:
    """LoadMaster gives each client connection its own server connection and keeps it for the connection's life.

    So nothing is shared between clients (`http-reuse never`, which also keeps NTLM sound) and the last server is
    preferred; the sorry server, which is to be left at once, would be too, so that there a variable takes its place.
    """
    rules: list[Directive] = []
    if hashes(service):
        rules.append(directive("hash-type", "consistent"))
    if service.is_http and not service.http_reschedule:
        rules.append(directive("http-reuse", "never"))
        if not has_sorry:
            rules.append(directive("option", "prefer-last-server"))
        if (has_sorry or service.schedule == "uhash") and service.persistence == "none":
            rules += remembered_server(backend)
    return tuple(rules)


def _sorry_rules(service: VirtualService, backend: str) -> tuple[tuple[Directive, ...], tuple[Directive, ...]]:
    """Rules before those that choose a server, and after those that remember it."""
    if not service.is_http:
        return go_to_sorry(None), ()
    if service.http_reschedule and service.persistence == "none":
        return go_to_sorry(None), ()
    return go_to_sorry(memory_of(backend)), leave_sorry(memory_of(backend))


def _servers(
    service: VirtualService, family: Family, context: ServiceContext, members: tuple[RealServer | Slot, ...]
) -> tuple[Server, ...]:
    tls = server_tls(service, family.parent, context)
    inner_options = ("proxy-v2-options", "authority") if passes_name(service) else ()
    by_health = service.schedule == "fixed" or service.schedule in MOVING
    slow_start = ("slowstart", f"{context.slow_start}s") if starts_slowly(service, context.slow_start) else ()
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
                options=(
                    *(inner_options if slot else ()),
                    *slow_start,
                    *(
                        ()
                        if isinstance(member, Slot)
                        else source_words(service, family.parent, context, member.address)
                    ),
                ),
            )
        )
    return tuple(found)
