"""The compiler with its cache: changing one of a thousand services compiles one.

A service's plan depends on the service and on a small context. Both are immutable, so a plan is kept as long as the
very same service object is in the configuration and the context is equal.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from steelyard.compile.check_trust import check_trust, with_trust
from steelyard.compile.haproxy.access import SharedAccess, refusal
from steelyard.compile.haproxy.challenges import challenge_lookups
from steelyard.compile.haproxy.context import ServiceContext
from steelyard.compile.haproxy.limit_rules import limit_lookups, limit_plan, limit_sections
from steelyard.compile.haproxy.ocsp_plan import ocsp_plan
from steelyard.compile.haproxy.part import Family
from steelyard.compile.haproxy.service import compile_service
from steelyard.compile.haproxy.tls import session_directives
from steelyard.compile.haproxy.trust import trust_files, trust_needs, verifies_servers
from steelyard.compile.health import compile_health_service, verdict_leaders
from steelyard.compile.layer4.access import KernelAccess
from steelyard.compile.layer4.service import compile_layer4, with_forwarding, with_spared
from steelyard.compile.network.gateways import with_gateways
from steelyard.compile.network.host import NetworkCompiler
from steelyard.compile.network.packet_rules import PacketRuleCompiler
from steelyard.compile.network.sources import Carried, with_sources
from steelyard.model.acme_certificate import AcmeCertificate, challenge_services
from steelyard.model.adaptive import AdaptiveParameters
from steelyard.model.certificate import Certificate
from steelyard.model.certificate_chain import Authorities, chain_pem, complete_chain
from steelyard.model.configuration import Configuration
from steelyard.model.content_rule import ContentRule
from steelyard.model.intermediate import Intermediate
from steelyard.model.layer import layer_of
from steelyard.model.layer7_parameters import Layer7Parameters
from steelyard.model.parameters import CheckParameters
from steelyard.model.sources import source_settings
from steelyard.model.virtual_service import VirtualService
from steelyard.plan.haproxy import CertificateFile, Globals, HaproxyPlan, ServicePlan
from steelyard.plan.health import HealthPlan, Service
from steelyard.plan.kernel import KernelPlan
from steelyard.plan.layer4 import Layer4Service
from steelyard.plan.limits import counted_listeners, max_connections
from steelyard.plan.trust import TrustFile, TrustNeed


@dataclass(frozen=True)
class Plan:
    """What every engine must have."""

    haproxy: HaproxyPlan
    health: HealthPlan
    kernel: KernelPlan = field(default_factory=KernelPlan)
    #: how long a change of the host's network that may cut an administrator off waits to be confirmed; 0: not at all
    confirm_seconds: int = 0


@dataclass(frozen=True)
class EngineFacts:
    """What the compiler knows of the host. `open_files` is the hard limit of descriptors HAProxy will have."""

    threads: int
    lua: bool
    open_files: int
    #: the names of ciphers that HAProxy's TLS library has, None when nobody has asked it
    ciphers: frozenset[str] | None = None
    #: whether the kernel has IPVS
    ipvs: bool = False


@dataclass(frozen=True, slots=True)
class _Context:
    """What every service's plans depend on besides the service."""

    engine: ServiceContext
    layer7: Layer7Parameters
    checks: CheckParameters
    adaptive: AdaptiveParameters
    #: authorities in PEM by name; none while real servers are verified nowhere
    authorities: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class _Compiled:
    """One service with its plans and what the whole plan sums up over services.

    Either HAProxy (`engine`) or the kernel (`layer4`) carries it.
    """

    service: VirtualService
    family: Family
    context: _Context
    engine: ServicePlan | None
    layer4: Layer4Service | None
    health: Service
    listeners: int
    certificates: tuple[str, ...]
    trust: frozenset[TrustNeed]


class Compiler:
    """Compiles configurations; the same one twice gives equal plans, whatever was compiled between."""

    def __init__(self, facts: EngineFacts) -> None:
        self.facts = facts
        self._last_settings = Globals(0, 0)
        self._last_kernel = KernelPlan()
        self._network = NetworkCompiler()
        self._packet_rules = PacketRuleCompiler()
        self._last_context: _Context | None = None
        self._services: dict[int, _Compiled] = {}
        self._files: dict[str, tuple[Certificate, Authorities, CertificateFile]] = {}
        self._intermediates: Mapping[str, Intermediate] = {}
        self._authorities = Authorities(())
        self._rules: Mapping[str, ContentRule] = {}
        self._surroundings: tuple[object, ...] = ()
        self._access = SharedAccess()
        self._kernel_access = KernelAccess()
        self._trusted: tuple[tuple[object, ...], dict[str, TrustFile]] = ((), {})
        self._ordered: Mapping[str, AcmeCertificate] = {}
        self._challenge_services: frozenset[int] = frozenset()
        #: what ACME authorities are to find now, path to answer: a fact of the moment, in no configuration
        self.challenges: Mapping[str, str] = {}

    def compile(self, configuration: Configuration) -> Plan:
        """The plan of a configuration. Never fails on a valid one."""
        context = self._context(configuration)
        self._note_challenge_services(configuration)
        calm = self._calm(configuration)
        compiled = [self._service(service, configuration, context, calm) for service in configuration.services.values()]
        self._rules = configuration.rules
        self._services = {one.service.index: one for one in compiled}
        carried = self._carried(configuration, compiled)
        return Plan(
            HaproxyPlan(
                self._settings(sum(one.listeners for one in compiled), configuration),
                {one.engine.key: one.engine for one in compiled if one.engine is not None},
                self._certificates(configuration, {name for one in compiled for name in one.certificates}),
                lookups=(
                    *self._access.lookups(configuration, carried.services),
                    *limit_lookups(carried),
                    *challenge_lookups(configuration, self._challenge_services, self.challenges),
                ),
                sections=limit_sections(carried),
                ticket_key_seconds=configuration.tls.ticket_key_hours * 3600,
                trust=self._trust(configuration, frozenset(need for one in compiled for need in one.trust)),
            ),
            HealthPlan.model_construct(
                services={one.health.key: one.health for one in compiled},
                drain_seconds=configuration.layer7.drain_time,
                drop_at_drain_end=configuration.layer7.drop_at_drain_end,
            ),
            self._kernel(configuration, carried, compiled),
            configuration.host.confirm_seconds,
        )

    def _carried(self, configuration: Configuration, compiled: Sequence[_Compiled]) -> Configuration:
        """The configuration with those services alone that HAProxy carries."""
        if all(one.engine is not None for one in compiled):
            return configuration
        return replace(
            configuration, services={one.service.index: one.service for one in compiled if one.engine is not None}
        )

    def _kernel(
        self, configuration: Configuration, carried: Configuration, compiled: Sequence[_Compiled]
    ) -> KernelPlan:
        """What the kernel must have. What came out the same stays the same object."""
        before = self._last_kernel
        in_kernel = [(one.service.index, one.layer4) for one in compiled if one.layer4 is not None]
        wildcards = {one.service.engine_name for one in compiled if one.layer4 is not None and one.service.wildcard}
        by_ipvs = [one.service for one in compiled if one.layer4 is not None and one.layer4.driver == "ipvs"]
        layer4: dict[str, Layer4Service] = {}
        for service in self._kernel_access.applied(in_kernel, configuration):
            made = service
            if service.key in wildcards:
                made = with_spared(service, (*carried.services.values(), *by_ipvs))
            known = before.layer4.get(made.key)
            layer4[made.key] = known if known is not None and (known is made or known == made) else made
        network = with_gateways(
            with_forwarding(self._network.compile(configuration), layer4.values()),
            ((one.service, 7 if one.layer4 is None else 4) for one in compiled),
            default_only=configuration.network.default_route_only,
        )
        network = self._packet_rules.applied(network, configuration)
        network = with_sources(
            network,
            (Carried(one.service, one.family.parent, 7 if one.layer4 is None else 4) for one in compiled),
            configuration,
            self._packet_rules.networks,
        )
        if before.network == network:
            network = before.network
        same = len(layer4) == len(before.layer4) and all(before.layer4.get(key) is one for key, one in layer4.items())
        if network is not before.network or not same:
            self._last_kernel = KernelPlan.model_construct(layer4=before.layer4 if same else layer4, network=network)
        return self._last_kernel

    def _note_challenge_services(self, configuration: Configuration) -> None:
        if configuration.acme_certificates is not self._ordered:
            self._ordered = configuration.acme_certificates
            self._challenge_services = challenge_services(self._ordered)

    def service_context(self, configuration: Configuration) -> ServiceContext:
        """What every service's plan depends on besides the service and its family."""
        return self._context(configuration).engine

    def family(self, service: VirtualService, configuration: Configuration) -> Family:
        """What belongs to a service."""
        self._note_challenge_services(configuration)
        return self._family(service, configuration, None)

    def _context(self, configuration: Configuration) -> _Context:
        """The context; an equal one is the very same object, so that services need only compare identities."""
        context = _Context(
            ServiceContext(
                always_check_persistence=configuration.layer7.always_check_persistence,
                drain_seconds=configuration.layer7.drain_time,
                temporary_certificate=next((n for n, c in configuration.certificates.items() if c.temporary), None),
                lua=self.facts.lua,
                cache_megabytes=configuration.layer7.cache_size,
                via_in_cache=configuration.layer7.add_via_in_cache,
                empty_posts=configuration.layer7.allow_empty_posts,
                not_cached=configuration.layer7.not_cached,
                not_compressed=configuration.layer7.not_compressed,
                keepalive=configuration.network.keepalive,
                reset_on_close=configuration.network.reset_on_close,
                add_cookie_port=configuration.layer7.add_cookie_port,
                security_header_age=configuration.layer7.security_header_age,
                close_on_error=configuration.layer7.close_on_error,
                share_persistence=configuration.layer7.share_subvs_persistence,
                refusal=refusal(configuration.access),
                limits=limit_plan(configuration),
                log_user_agent=configuration.layer7.log_user_agent,
                slow_start=configuration.layer7.slow_start,
                ciphers=self.facts.ciphers,
                session_tickets=configuration.tls.session_tickets,
                verify_servers=configuration.network.verify_servers,
                sources=source_settings(configuration),
                revocations=bool(configuration.revocation_lists),
                ocsp=ocsp_plan(configuration.tls),
            ),
            configuration.layer7,
            configuration.checks,
            configuration.adaptive,
            _server_authorities(configuration),
        )
        if self._last_context is None or self._last_context != context:
            self._last_context = context
        return self._last_context

    def _settings(self, listeners: int, configuration: Configuration) -> Globals:
        settings = Globals(
            max_connections(self.facts.open_files, counted_listeners(listeners)),
            self.facts.threads,
            stapling=configuration.tls.stapling,
            directives=session_directives(
                configuration.tls,
                verifies_clients=any(service.verifies_clients for service in configuration.services.values()),
            ),
        )
        if self._last_settings != settings:
            self._last_settings = settings
        return self._last_settings

    def _family(self, service: VirtualService, configuration: Configuration, cached: _Compiled | None) -> Family:
        """What belongs to a service. Its rules need no second look while neither it nor any rule has changed."""
        rules: Mapping[str, ContentRule]
        parent = configuration.services[service.parent] if service.is_sub else None
        if (
            cached is not None
            and cached.service is service
            and cached.family.parent is parent
            and configuration.rules is self._rules
        ):
            rules = cached.family.rules
        else:
            names = (*service.rule_names(), *(parent.body_rules if parent is not None else ()))
            rules = {name: configuration.rules[name] for name in names if name in configuration.rules}
        shares = parent is not None and configuration.layer7.share_subvs_persistence
        return Family(
            parent,
            configuration.subs(service),
            rules,
            configuration.services.get(service.follow_vs) if service.follow_vs else None,
            configuration.subs(parent) if parent is not None and shares else (),
            configuration.access_lists.get(service.index),
            configuration.cipher_sets.get(service.cipher_set),
            configuration.ldap_endpoints.get(service.ldap_endpoint),
            service.index in self._challenge_services,
        )

    def _calm(self, configuration: Configuration) -> bool:
        """Whether all that families are made of, beside services, is what it was at the last compilation."""
        now = (
            configuration.rules,
            configuration.access_lists,
            configuration.cipher_sets,
            configuration.ldap_endpoints,
            self._challenge_services,
        )
        before, self._surroundings = self._surroundings, now
        return len(before) == len(now) and all(one is other for one, other in zip(before, now, strict=True))

    def _service(
        self, service: VirtualService, configuration: Configuration, context: _Context, calm: bool
    ) -> _Compiled:
        cached = self._services.get(service.index)
        if (
            calm
            and cached is not None
            and cached.service is service
            and cached.context is context
            and not (service.parent or service.slots or service.follow_vs)
        ):
            # of a thousand services all but a few: nothing of theirs needs a look
            return cached
        family = self._family(service, configuration, cached)
        if (
            cached is not None
            and cached.service is service
            and cached.context is context
            and cached.family.same(family)
        ):
            return cached
        layer = layer_of(service, ipvs=self.facts.ipvs)
        engine = compile_service(service, family, context.engine) if layer.number == 7 else None
        layer4 = compile_layer4(service, layer) if layer.number == 4 else None
        leaders = verdict_leaders(service, configuration)
        health = compile_health_service(
            service,
            context.layer7,
            context.checks,
            engine,
            family.ldap_endpoint,
            leaders,
            context.adaptive,
            in_kernel=engine is None,
        )
        trust = check_trust(service, family.parent, context.engine, context.authorities)
        if trust is not None:
            health = with_trust(health, trust)
        if cached is not None:
            # what came out the same stays the same object: diff and the emitter look at identity first
            engine = cached.engine if cached.engine == engine else engine
            layer4 = cached.layer4 if cached.layer4 == layer4 else layer4
            health = cached.health if cached.health == health else health
        binds = engine.frontend.binds if engine is not None and engine.frontend is not None else ()
        return _Compiled(
            service,
            family,
            context,
            engine,
            layer4,
            health,
            sum(len(bind.ports) for bind in binds),
            engine.certificates() if engine is not None else (),
            trust_needs(engine) if engine is not None else frozenset(),
        )

    def _trust(self, configuration: Configuration, needs: frozenset[TrustNeed]) -> dict[str, TrustFile]:
        """The files of whom to believe. Signatures of revocation lists are checked for it, so it is done once."""
        source = (configuration.intermediates, configuration.revocation_lists, needs)
        before, files = self._trusted
        if not before or before[0] is not source[0] or before[1] is not source[1] or before[2] != needs:
            fresh = trust_files(configuration, needs)
            # what came out the same stays the same object
            files = {name: files[name] if files.get(name) == one else one for name, one in fresh.items()}
            self._trusted = (source, files)
        return files

    def _certificates(self, configuration: Configuration, used: set[str]) -> dict[str, CertificateFile]:
        """Only certificates that a listener presents: an unused one costs the engine nothing."""
        if configuration.intermediates is not self._intermediates:
            self._intermediates = configuration.intermediates
            self._authorities = Authorities.of(configuration.intermediates)
        files: dict[str, CertificateFile] = {}
        for name in sorted(used):
            certificate = configuration.certificates[name]
            cached = self._files.get(name)
            if cached is None or cached[0] is not certificate or cached[1] is not self._authorities:
                made = CertificateFile(name, self._chain(certificate), certificate.key_id)
                if cached is not None and cached[2] == made:
                    made = cached[2]
                cached = self._files[name] = (certificate, self._authorities, made)
            files[name] = cached[2]
        return files

    def _chain(self, certificate: Certificate) -> str:
        """What clients are sent: the imported chain, completed from the store of intermediates."""
        leaf, *own = certificate.chain
        return chain_pem(complete_chain(leaf, own, self._authorities))


def _server_authorities(configuration: Configuration) -> dict[str, str]:
    """Those that checks may need, by name."""
    by_default = configuration.network.verify_servers
    if not any(verifies_servers(service, by_default=by_default) for service in configuration.services.values()):
        return {}
    return {name: one.pem for name, one in configuration.intermediates.items()}


__all__ = ["Compiler", "EngineFacts", "Plan"]
