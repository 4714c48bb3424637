"""The appliance's figures in the text format that Prometheus reads.

Names follow Prometheus' conventions: base units, `_total` for what only grows. Counters begin anew when Steelyard is
started, which `rate()` allows for. What a sub-service carried is in its parent's figures too: sums over services leave
those out that have a `parent`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.registry import Collector

from steelyard.model.configuration import Configuration
from steelyard.model.virtual_service import VirtualService
from steelyard.observe.host_figures import HostFigures
from steelyard.observe.statistics import Statistics, TrafficCounters
from steelyard.observe.status import ServiceState

#: statuses under which clients are served as the service is meant to
_WELL = frozenset({"Up", "Unchecked", "Redirect", "Fail Message"})
_SERVICE = ("service", "name", "address", "port", "protocol", "parent")
_SERVER = ("service", "service_name", "server", "address", "port")
_NONE = TrafficCounters()

#: name, help, and which counter
_COUNTERS = (
    ("connections", "Connections that clients opened.", "total_connections"),
    ("requests", "Requests that were answered.", "requests"),
    ("received_bytes", "Bytes from clients.", "bytes_in"),
    ("sent_bytes", "Bytes to clients.", "bytes_out"),
)


@dataclass(frozen=True)
class Appliance:
    """What is told: values of one moment. `problems` are those of the appliance itself."""

    version: str
    haproxy_version: str
    revision: int
    started_at: float
    reload_pending: bool
    problems: Sequence[str]
    configuration: Configuration
    states: Mapping[int, ServiceState]
    statistics: Statistics
    host: HostFigures


def metrics_text(appliance: Appliance) -> bytes:
    """Everything, in version 0.0.4 of the text format."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Collected(appliance))
    return generate_latest(registry)


class _Collected(Collector):
    def __init__(self, appliance: Appliance) -> None:
        self._appliance = appliance

    def collect(self) -> Iterable[Metric]:
        yield from _appliance_metrics(self._appliance)
        yield from _host_metrics(self._appliance.host)
        yield from _service_metrics(self._appliance)
        yield from _server_metrics(self._appliance)
        yield from _certificate_metrics(self._appliance.configuration)


def _appliance_metrics(appliance: Appliance) -> Iterator[Metric]:
    yield InfoMetricFamily(
        "steelyard", "What runs.", {"version": appliance.version, "haproxy_version": appliance.haproxy_version}
    )
    yield GaugeMetricFamily("steelyard_revision", "Number of the newest revision.", appliance.revision)
    yield GaugeMetricFamily("steelyard_start_time_seconds", "When Steelyard was started.", appliance.started_at)
    yield GaugeMetricFamily("steelyard_problems", "Things that are wrong with the appliance.", len(appliance.problems))
    yield GaugeMetricFamily("steelyard_reload_pending", "1 while a reload is put off.", int(appliance.reload_pending))
    yield GaugeMetricFamily(
        "steelyard_tls_handshakes_per_second", "TLS handshakes with clients.", appliance.statistics.tls_per_second
    )


def _host_metrics(host: HostFigures) -> Iterator[Metric]:
    busy = (100 - host.cpu.idle - host.cpu.waiting) / 100
    yield GaugeMetricFamily("steelyard_host_processor_ratio", "Share of all processors that is in use.", busy)
    yield GaugeMetricFamily("steelyard_host_memory_bytes", "Memory of the host.", host.memory.total * 1024)
    yield GaugeMetricFamily("steelyard_host_memory_used_bytes", "Memory in use.", host.memory.used * 1024)
    received = CounterMetricFamily("steelyard_interface_received_bytes", "Bytes received.", labels=("interface",))
    sent = CounterMetricFamily("steelyard_interface_sent_bytes", "Bytes sent.", labels=("interface",))
    for interface in host.interfaces:
        received.add_metric((interface.name,), interface.bytes_in)
        sent.add_metric((interface.name,), interface.bytes_out)
    yield received
    yield sent
    size = GaugeMetricFamily("steelyard_file_system_bytes", "Size of a file system.", labels=("mount_point",))
    used = GaugeMetricFamily("steelyard_file_system_used_bytes", "What is used of it.", labels=("mount_point",))
    for partition in host.partitions:
        size.add_metric((partition.name,), partition.total)
        used.add_metric((partition.name,), partition.used)
    yield size
    yield used


def _service_metrics(appliance: Appliance) -> Iterator[Metric]:
    services = list(appliance.configuration.services.values())
    labels = [_service_labels(service, appliance.configuration) for service in services]
    states = [appliance.states[service.index] for service in services]
    up = GaugeMetricFamily("steelyard_service_up", "1 while a service serves its clients.", labels=_SERVICE)
    status = GaugeMetricFamily(
        "steelyard_service_status", "1 for the status a service has.", labels=(*_SERVICE, "status")
    )
    available = GaugeMetricFamily(
        "steelyard_service_available_members", "Real servers and sub-services that take clients.", labels=_SERVICE
    )
    members = GaugeMetricFamily("steelyard_service_members", "Real servers and sub-services.", labels=_SERVICE)
    for words, state in zip(labels, states, strict=True):
        every = [*state.servers.values(), *state.slots.values()]
        up.add_metric(words, int(state.status in _WELL))
        status.add_metric((*words, state.status), 1)
        available.add_metric(words, sum(one.status in _WELL for one in every))
        members.add_metric(words, len(every))
    yield from (up, status, available, members)
    counters = [appliance.statistics.services.get(service.index, _NONE) for service in services]
    yield from _traffic("service", _SERVICE, labels, counters)
    blocked = CounterMetricFamily(
        "steelyard_service_blocked_connections",
        "Connections that the service's limits refused.",
        labels=_SERVICE,
    )
    for words, counter in zip(labels, counters, strict=True):
        blocked.add_metric(words, counter.connections_blocked + counter.connection_rate_blocked)
    yield blocked


def _server_metrics(appliance: Appliance) -> Iterator[Metric]:
    labels, counters = [], []
    up = GaugeMetricFamily("steelyard_server_up", "1 while a real server takes clients.", labels=_SERVER)
    for service in appliance.configuration.services.values():
        state = appliance.states[service.index]
        for server in service.servers:
            words = (str(service.index), service.name, str(server.index), server.address, str(server.port))
            labels.append(words)
            counters.append(appliance.statistics.servers.get((service.index, server.index), _NONE))
            up.add_metric(words, int(state.servers[server.index].status in _WELL))
    yield up
    yield from _traffic("server", _SERVER, labels, counters)


def _traffic(
    what: str, names: Sequence[str], labels: Sequence[Sequence[str]], counters: Sequence[TrafficCounters]
) -> Iterator[Metric]:
    open_now = GaugeMetricFamily(f"steelyard_{what}_active_connections", "Connections open now.", labels=names)
    for words, counter in zip(labels, counters, strict=True):
        open_now.add_metric(words, counter.active_connections)
    yield open_now
    for name, meaning, attribute in _COUNTERS:
        family = CounterMetricFamily(f"steelyard_{what}_{name}", meaning, labels=names)
        for words, counter in zip(labels, counters, strict=True):
            family.add_metric(words, getattr(counter, attribute))
        yield family


def _certificate_metrics(configuration: Configuration) -> Iterator[Metric]:
    ends = GaugeMetricFamily(
        "steelyard_certificate_expiry_seconds", "When a certificate ends, since the epoch.", labels=("certificate",)
    )
    for name, certificate in configuration.certificates.items():
        ends.add_metric((name,), certificate.leaf().not_valid_after_utc.timestamp())
    yield ends


def _service_labels(service: VirtualService, configuration: Configuration) -> tuple[str, ...]:
    if not service.is_sub:
        return (str(service.index), service.name, service.address, str(service.port), service.protocol, "")
    parent = configuration.services[service.parent]
    return (str(service.index), service.name, parent.address, str(parent.port), parent.protocol, str(parent.index))
