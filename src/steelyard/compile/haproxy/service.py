"""One virtual service as HAProxy objects: a frontend, a backend, its servers."""

from __future__ import annotations

from dataclasses import dataclass

from steelyard.compile.haproxy.balancing import balance, hashes, weights
from steelyard.compile.haproxy.headers import client_headers
from steelyard.compile.haproxy.persistence import compile_persistence, key_as_received, remembered_server
from steelyard.compile.haproxy.tls import listener_tls, server_tls
from steelyard.model.real_server import RealServer
from steelyard.model.virtual_service import VirtualService
from steelyard.plan.haproxy import Backend, Bind, Directive, Frontend, Mode, Server, ServicePlan, directive


@dataclass(frozen=True)
class ServiceContext:
    """What a service's plan depends on besides the service. Small and comparable, so that plans can be cached by it."""

    always_check_persistence: int
    drain_seconds: int
    temporary_certificate: str | None
    lua: bool


def engine_port(service: VirtualService, server: RealServer) -> int | None:
    """The server's port; None (the port the client used) when it equals the base port of a service with extra ports."""
    return None if service.extra_ports and server.port == service.port else server.port


def compile_service(service: VirtualService, context: ServiceContext) -> ServicePlan:
    """The plan of one service."""
    mode: Mode = "http" if service.is_http else "tcp"
    name = service.engine_name
    persistence = compile_persistence(service, always=context.always_check_persistence, can_wait=context.lua)
    backend = Backend(
        name=name,
        mode=mode,
        balance=balance(service),
        servers=_servers(service),
        idle_seconds=service.idle_time,
        table=persistence.table,
        directives=(*_connection_rules(service), *persistence.directives),
        drains=persistence.table is not None and context.drain_seconds > 0,
        drop_at_once=context.drain_seconds == 0,
        checked=service.check_type != "none",
    )
    frontend = None
    if service.enabled:
        frontend = Frontend(
            name=name,
            mode=mode,
            binds=tuple(Bind(service.address, first, last) for first, last in service.port_ranges),
            tls=listener_tls(service, context.temporary_certificate),
            idle_seconds=service.idle_time,
            directives=(*key_as_received(service), *client_headers(service)),
        )
    return ServicePlan(name, frontend, backend)


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


def _servers(service: VirtualService) -> tuple[Server, ...]:
    tls = server_tls(service)
    by_health = service.schedule == "fixed"
    return tuple(
        Server(
            name=server.engine_name,
            id=server.index,
            address=server.address,
            port=engine_port(service, server),
            weight=weight,
            limit=server.limit,
            enabled=server.enabled,
            tls=tls,
            weight_by_health=by_health,
        )
        for server, weight in zip(service.servers, weights(service), strict=True)
    )
