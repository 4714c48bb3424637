"""The compiler with its cache: changing one of a thousand services compiles one.

A service's plan depends on the service and on a small context. Both are immutable, so a plan is kept as long as the
very same service object is in the configuration and the context is equal.
"""

from __future__ import annotations

from dataclasses import dataclass

from steelyard.compile.haproxy.service import ServiceContext, compile_service
from steelyard.compile.health import compile_health_service
from steelyard.model.certificate import Certificate
from steelyard.model.configuration import Configuration
from steelyard.model.parameters import CheckParameters, Layer7Parameters
from steelyard.model.virtual_service import VirtualService
from steelyard.plan.haproxy import CertificateFile, Globals, HaproxyPlan, ServicePlan
from steelyard.plan.health import HealthPlan, Service
from steelyard.plan.limits import counted_listeners, max_connections


@dataclass(frozen=True)
class Plan:
    """What every engine must have."""

    haproxy: HaproxyPlan
    health: HealthPlan


@dataclass(frozen=True)
class EngineFacts:
    """What the compiler knows of the host. `open_files` is the hard limit of descriptors HAProxy will have."""

    threads: int
    lua: bool
    open_files: int


class Compiler:
    """Compiles configurations; the same one twice gives equal plans, whatever was compiled between."""

    def __init__(self, facts: EngineFacts) -> None:
        self._facts = facts
        self._last_settings = Globals(0, 0)
        self._services: dict[int, tuple[VirtualService, ServiceContext, ServicePlan]] = {}
        self._checks: dict[int, tuple[VirtualService, Layer7Parameters, CheckParameters, Service]] = {}
        self._files: dict[str, tuple[Certificate, CertificateFile]] = {}

    def compile(self, configuration: Configuration) -> Plan:
        """The plan of a configuration. Never fails on a valid one."""
        temporary = next((name for name, c in configuration.certificates.items() if c.temporary), None)
        context = ServiceContext(
            always_check_persistence=configuration.layer7.always_check_persistence,
            drain_seconds=configuration.layer7.drain_time,
            temporary_certificate=temporary,
            lua=self._facts.lua,
        )
        services: dict[str, ServicePlan] = {}
        watched: dict[str, Service] = {}
        for service in configuration.services.values():
            plan = self._service(service, context)
            services[plan.key] = plan
            check = self._check(service, configuration.layer7, configuration.checks)
            watched[check.key] = check
        return Plan(
            HaproxyPlan(self._settings(services), services, self._certificates(configuration, services)),
            HealthPlan.model_construct(
                services=watched,
                drain_seconds=configuration.layer7.drain_time,
                drop_at_drain_end=configuration.layer7.drop_at_drain_end,
            ),
        )

    def _settings(self, services: dict[str, ServicePlan]) -> Globals:
        listeners = sum(
            len(bind.ports) for plan in services.values() if plan.frontend is not None for bind in plan.frontend.binds
        )
        settings = Globals(max_connections(self._facts.open_files, counted_listeners(listeners)), self._facts.threads)
        if self._last_settings != settings:
            self._last_settings = settings
        return self._last_settings

    def _service(self, service: VirtualService, context: ServiceContext) -> ServicePlan:
        cached = self._services.get(service.index)
        if cached is not None and cached[0] is service and cached[1] == context:
            return cached[2]
        plan = compile_service(service, context)
        if cached is not None and cached[2] == plan:
            plan = cached[2]
        self._services[service.index] = (service, context, plan)
        return plan

    def _check(self, service: VirtualService, layer7: Layer7Parameters, checks: CheckParameters) -> Service:
        cached = self._checks.get(service.index)
        if cached is not None and cached[0] is service and cached[1] is layer7 and cached[2] is checks:
            return cached[3]
        plan = compile_health_service(service, layer7, checks)
        if cached is not None and cached[3] == plan:
            plan = cached[3]
        self._checks[service.index] = (service, layer7, checks, plan)
        return plan

    def _certificates(
        self, configuration: Configuration, services: dict[str, ServicePlan]
    ) -> dict[str, CertificateFile]:
        """Only certificates that a listener presents: an unused one costs the engine nothing."""
        used = {name for plan in services.values() for name in plan.certificates()}
        files: dict[str, CertificateFile] = {}
        for name in sorted(used):
            certificate = configuration.certificates[name]
            cached = self._files.get(name)
            if cached is None or cached[0] is not certificate:
                made = CertificateFile(name, certificate.chain_pem, certificate.key_id)
                cached = self._files[name] = (certificate, made)
            files[name] = cached[1]
        return files


__all__ = ["Compiler", "EngineFacts", "Plan"]
