"""What to check, how and how often, for the checking process."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Literal, cast

from steelyard.model.configuration import Configuration
from steelyard.model.parameters import CheckParameters, Layer7Parameters
from steelyard.model.real_server import RealServer
from steelyard.model.slot import Slot
from steelyard.model.virtual_service import VirtualService
from steelyard.plan.haproxy import ServicePlan
from steelyard.plan.health import Check, CheckKind, HealthPlan, Service, Target

_METHODS: tuple[Literal["HEAD", "GET", "POST", "OPTIONS"], ...] = ("HEAD", "GET", "POST", "OPTIONS")


def compile_check(service: VirtualService, checks: CheckParameters) -> Check:
    """The check of a service; its own timing where it has one, otherwise the global."""
    timeout = service.check_timeout or checks.timeout
    attempts = service.check_retries or checks.retries
    interval = max(service.check_interval or checks.interval, timeout * attempts + 1)
    kind = cast(CheckKind, service.check_type)
    if kind in ("none", "tcp"):
        return Check(kind=kind, interval=interval, timeout=timeout, attempts=attempts)
    method = _METHODS[service.check_method]
    headers = tuple(_split(header) for header in service.check_headers)
    return Check(
        kind=kind,
        interval=interval,
        timeout=timeout,
        attempts=attempts,
        method=method,
        url=service.check_url or "/",
        host=service.check_host or service.host,
        http11=service.check_http11,
        codes=tuple(int(code.partition(".")[0]) for code in service.check_codes),
        headers=headers,
        sni=_server_name(service) if kind == "https" else None,
        pattern=service.check_pattern or None if method != "HEAD" else None,
        body=service.check_post_data or None if method == "POST" else None,
    )


def _server_name(service: VirtualService) -> str | None:
    """The name asked for in a TLS hello. An address is none (RFC 6066, 3)."""
    host = service.check_host
    name = "" if host.startswith("[") else host.partition(":")[0]
    try:
        ip_address(name)
    except ValueError:
        return name or service.reencrypt_sni or None
    return service.reencrypt_sni or None


def _split(header: str) -> tuple[str, str]:
    name, _, value = header.partition(":")
    return name.strip(), value.strip()


def compile_health_service(
    service: VirtualService,
    layer7: Layer7Parameters,
    checks: CheckParameters,
    engine: ServicePlan | None = None,
) -> Service:
    """One service's part of the health plan. `engine` says which backends have which members; None: its own has all."""
    own = (service.engine_name,)
    backends = _backends(engine) if engine is not None else {}

    def places(member: RealServer | Slot) -> tuple[str, ...] | None:
        found = backends.get(member.engine_name, ()) if engine is not None else own
        return None if found == own else found

    targets = [
        Target(
            key=server.engine_name,
            address=server.address,
            port=service.check_port or server.port,
            weight=server.weight,
            enabled=server.enabled,
            backends=places(server),
        )
        for server in service.servers
    ]
    targets += [
        Target(
            key=slot.engine_name,
            weight=slot.weight,
            enabled=slot.enabled,
            backends=places(slot),
            follows=f"vs{slot.service}",
            critical=slot.critical,
        )
        for slot in service.slots
    ]
    return Service(
        key=service.engine_name,
        check=compile_check(service, checks),
        persistent=service.persistence != "none",
        fixed=service.schedule == "fixed",
        drop_on_failure=layer7.drop_on_failure,
        targets=tuple(targets),
        parent=f"vs{service.parent}" if service.is_sub else "",
    )


def _backends(engine: ServicePlan) -> dict[str, tuple[str, ...]]:
    """The backends that have each member, by its name in the engine."""
    found: dict[str, tuple[str, ...]] = {}
    for backend in engine.backends:
        for server in backend.servers:
            found[server.name] = (*found.get(server.name, ()), backend.name)
    return found


def compile_health(configuration: Configuration) -> HealthPlan:
    """The whole health plan of services without groups of real servers."""
    return HealthPlan(
        services={
            service.engine_name: compile_health_service(service, configuration.layer7, configuration.checks)
            for service in configuration.services.values()
        },
        drain_seconds=configuration.layer7.drain_time,
        drop_at_drain_end=configuration.layer7.drop_at_drain_end,
    )
