"""What to check, how and how often, for the checking process."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Literal, cast

from steelyard.model.configuration import Configuration
from steelyard.model.parameters import CheckParameters, Layer7Parameters
from steelyard.model.virtual_service import VirtualService
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


def compile_health_service(service: VirtualService, layer7: Layer7Parameters, checks: CheckParameters) -> Service:
    """One service's part of the health plan."""
    return Service(
        key=service.engine_name,
        check=compile_check(service, checks),
        persistent=service.persistence != "none",
        fixed=service.schedule == "fixed",
        drop_on_failure=layer7.drop_on_failure,
        targets=tuple(
            Target(
                key=server.engine_name,
                address=server.address,
                port=service.check_port or server.port,
                weight=server.weight,
                enabled=server.enabled,
            )
            for server in service.servers
        ),
    )


def compile_health(configuration: Configuration) -> HealthPlan:
    """The whole health plan."""
    return HealthPlan(
        services={
            service.engine_name: compile_health_service(service, configuration.layer7, configuration.checks)
            for service in configuration.services.values()
        },
        drain_seconds=configuration.layer7.drain_time,
        drop_at_drain_end=configuration.layer7.drop_at_drain_end,
    )
