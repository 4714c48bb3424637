"""What to check, how and how often, for the checking process."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import ip_address
from types import MappingProxyType
from typing import Any, Literal, cast

from steelyard.compile.weighting import compile_weighting
from steelyard.model.adaptive import AdaptiveParameters
from steelyard.model.configuration import Configuration
from steelyard.model.layer7_parameters import Layer7Parameters
from steelyard.model.ldap_endpoint import LdapEndpoint
from steelyard.model.parameters import CheckParameters
from steelyard.model.real_server import RealServer
from steelyard.model.slot import Slot
from steelyard.model.virtual_service import VirtualService
from steelyard.model.virtual_service import further as further_check
from steelyard.plan.haproxy import ServicePlan
from steelyard.plan.health import Check, CheckKind, Directory, FurtherCheck, HealthPlan, Service, Target

_METHODS: tuple[Literal["HEAD", "GET", "POST", "OPTIONS"], ...] = ("HEAD", "GET", "POST", "OPTIONS")
_SECURITY: tuple[Literal["plain", "starttls", "ldaps"], ...] = ("plain", "starttls", "ldaps")


def compile_check(service: VirtualService, checks: CheckParameters, endpoint: LdapEndpoint | None = None) -> Check:
    """The check of a service; its own timing where it has one, otherwise the global.

    `endpoint` is the one its LDAP check names.
    """
    timeout = service.check_timeout or checks.timeout
    attempts = service.check_retries or checks.retries
    interval = max(service.check_interval or checks.interval, timeout * attempts + 1)
    check = Check(kind=cast(CheckKind, service.check_type), interval=interval, timeout=timeout, attempts=attempts)
    return check.model_copy(update=_details(service, check.kind, endpoint))


def _details(service: VirtualService, kind: CheckKind, endpoint: LdapEndpoint | None) -> dict[str, Any]:
    """What a check of that kind asks, and nothing more: equal checks of one address are asked once."""
    if kind in ("http", "https"):
        method = _METHODS[service.check_method]
        return {
            "method": method,
            "url": service.check_url or "/",
            "host": service.check_host or service.host,
            "http11": service.check_http11,
            "codes": tuple(int(code.partition(".")[0]) for code in service.check_codes),
            "headers": tuple(_split(header) for header in service.check_headers),
            "sni": _server_name(service) if kind == "https" else None,
            "pattern": service.check_pattern or None if method != "HEAD" else None,
            "body": service.check_post_data or None if method == "POST" else None,
        }
    if kind == "bdata":
        return {
            "send": service.check_url.lower(),
            "find": service.check_pattern.lower(),
            "within": service.match_length,
        }
    if kind == "dns":
        return {"name": service.check_host.lower(), "transport": service.protocol}
    if kind == "ldap" and endpoint is not None:
        return {"directory": _directory(endpoint)}
    return {}


def _directory(endpoint: LdapEndpoint) -> Directory:
    return Directory(
        security=_SECURITY[endpoint.security],
        servers=endpoint.places(),
        timeout=endpoint.timeout,
        user=endpoint.user,
        password_key=endpoint.password_key,
        base=endpoint.base,
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
    endpoint: LdapEndpoint | None = None,
    leaders: Mapping[int, str] = MappingProxyType({}),
    adaptive: AdaptiveParameters | None = None,
    *,
    in_kernel: bool = False,
) -> Service:
    """One service's part of the health plan.

    `engine` says which backends have which members; None: its own has all. `endpoint` is that of its LDAP checks.
    `leaders` are whose verdicts its members take, by their index. `adaptive` has the load agent of services without
    one of their own. `in_kernel`: it runs at layer 4.
    """
    further = service.further_checks if service.check_type != "none" and not service.slots else ()
    own = (service.engine_name,)
    backends = _backends(engine) if engine is not None else {}

    def places(member: RealServer | Slot) -> tuple[str, ...] | None:
        found = backends.get(member.engine_name, ()) if engine is not None else own
        return None if found == own else found

    targets = [
        Target(
            key=server.engine_name,
            address=server.address,
            port=server.check_port or service.check_port or server.port,
            weight=server.weight,
            enabled=server.enabled,
            backends=places(server),
            critical=server.critical,
            checked_as=leaders.get(server.index, ""),
            standby_below=server.standby_below,
            further_ports=tuple(one.check_port or server.port for one in further),
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
            checked_as=leaders.get(slot.index, ""),
            standby_below=slot.standby_below,
        )
        for slot in service.slots
    ]
    check = compile_check(service, checks, endpoint)
    return Service(
        key=service.engine_name,
        check=check,
        # what is disabled gets no client at layer 4, whatever its record says
        persistent=service.persistence != "none" and not in_kernel,
        in_kernel=in_kernel,
        fixed=service.schedule == "fixed",
        drop_on_failure=layer7.drop_on_failure,
        targets=tuple(targets),
        parent=f"vs{service.parent}" if service.is_sub else "",
        further=tuple(
            FurtherCheck(name=one.name, check=compile_check(_asking(service, one), checks, endpoint)) for one in further
        ),
        any_check=service.check_mode == "any" and bool(service.further_checks),
        rise=service.check_rise,
        fall=service.check_fall,
        minimum=service.needed_members,
        weighting=compile_weighting(service, adaptive or AdaptiveParameters(), check),
    )


def _asking(service: VirtualService, check: further_check.FurtherCheck) -> VirtualService:
    """The service as it were if a further check was its own."""
    return service.model_copy(update=check.settings())


def verdict_leaders(service: VirtualService, configuration: Configuration) -> dict[int, str]:
    """For each member that takes another's verdict, by index, the other's name for the checking process."""
    wanted = {member.index: member.checked_as for member in service.members if member.checked_as}
    if not wanted or (service.check_type == "none" and not service.slots):
        return {}
    places = {
        member.index: f"{one.engine_name}/{member.engine_name}"
        for one in configuration.services.values()
        for member in one.members
    }
    return {index: places[leader] for index, leader in wanted.items() if leader in places}


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
            service.engine_name: compile_health_service(
                service,
                configuration.layer7,
                configuration.checks,
                endpoint=configuration.ldap_endpoints.get(service.ldap_endpoint),
                leaders=verdict_leaders(service, configuration),
                adaptive=configuration.adaptive,
            )
            for service in configuration.services.values()
        },
        drain_seconds=configuration.layer7.drain_time,
        drop_at_drain_end=configuration.layer7.drop_at_drain_end,
    )
