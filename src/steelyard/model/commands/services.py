"""Commands on virtual services."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from steelyard.model.commands.command import Change
from steelyard.model.configuration import Configuration
from steelyard.model.errors import ConflictError, OperatorError, located
from steelyard.model.real_server import RealServer
from steelyard.model.virtual_service import DEFAULT_PERSISTENCE_TIMEOUT, HTTP_PERSISTENCE, VirtualService

#: longer numbers are out of every range; the model says so
_NUMBER = re.compile(r"\s*[0-9]{1,9}\s*")
_NEEDS_TLS = ("ssl_reencrypt", "allow_http2")


def with_service(configuration: Configuration, service: VirtualService) -> Configuration:
    """The configuration with that service put in place of the one of its index, checked against the others."""
    _check_sockets(configuration, service)
    _check_circles(configuration, service)
    for name in service.certificates:
        if name not in configuration.certificates:
            raise OperatorError(
                f"CertFile names {name!r}, which is no certificate here",
                field="certificates",
                value=name,
                allowed=", ".join(n for n, c in configuration.certificates.items() if not c.temporary)
                or "none imported yet",
                remedy="Import it first",
            )
    services = dict(configuration.services)
    fresh = service.index not in services
    services[service.index] = service
    if fresh:
        services = dict(sorted(services.items()))
    return replace(configuration, services=services)


def _check_sockets(configuration: Configuration, service: VirtualService) -> None:
    ranges = service.port_ranges
    if service.is_sub:
        return
    for other in configuration.services.values():
        if other.index == service.index or other.address != service.address or other.protocol != service.protocol:
            continue
        if other.port == service.port:
            raise ConflictError(
                f"VS {service.protocol}/{service.host}:{service.port} already exists",
                field="port",
                with_what=other.title,
            )
        for first, last in other.port_ranges:
            for mine_first, mine_last in ranges:
                if first <= mine_last and mine_first <= last:
                    port = max(first, mine_first)
                    raise ConflictError(
                        f"Port {port} on {service.address} belongs to virtual service {other.title} already",
                        field="extra_ports" if port != service.port else "port",
                        with_what=other.title,
                    )


def _check_circles(configuration: Configuration, service: VirtualService) -> None:
    """A real server may be another virtual service here, but none that leads back to this one.

    One connection would go round until the engine has none left for any service.
    """
    listening: dict[str, list[VirtualService]] = {}
    for other in {**configuration.services, service.index: service}.values():
        listening.setdefault(other.address, []).append(other)
    seen: set[int] = set()
    waiting = [(server, server) for server in service.servers]
    while waiting:
        first, server = waiting.pop()
        loopback = server.address == "::1" or server.address.startswith("127.")
        for address in (server.address, "0.0.0.0", "::") if loopback else (server.address,):
            for other in listening.get(address, ()):
                if other.index in seen or not any(low <= server.port <= high for low, high in other.port_ranges):
                    continue
                if other.index == service.index:
                    raise OperatorError(
                        f"Real server {first.address} port {first.port} leads back to the virtual service itself,"
                        " so that a connection would go round without end",
                        field="servers",
                        value=first.address,
                        remedy="Give another address or port",
                    )
                seen.add(other.index)
                waiting.extend((first, further) for further in other.servers)


def _settled(changes: Mapping[str, Any], before: VirtualService | None) -> dict[str, Any]:
    """The changes with what LoadMaster adds: persistence and time-out follow each other, a new type resets."""
    settled = dict(changes)
    mode_before = before.persistence if before is not None else "none"
    timeout_before = before.persistence_timeout if before is not None else 0
    if "service_type" in settled and before is not None and settled["service_type"] != before.service_type:
        settled.setdefault("add_via", 0)
        if settled["service_type"] != "http":
            if mode_before in HTTP_PERSISTENCE:
                settled.setdefault("persistence", "none")
            if before.schedule == "uhash":
                settled.setdefault("schedule", "rr")
    timeout = settled.get("persistence_timeout")
    if isinstance(timeout, str) and _NUMBER.fullmatch(timeout):
        timeout = settled["persistence_timeout"] = int(timeout)
    mode = settled.get("persistence", mode_before)
    if isinstance(timeout, int) and 0 <= timeout < 60:
        settled["persistence_timeout"] = 0
        if "persistence" not in settled:
            settled["persistence"] = "none"
        elif mode != "none":
            settled["persistence_timeout"] = DEFAULT_PERSISTENCE_TIMEOUT
    elif isinstance(timeout, int) and timeout >= 60 and mode == "none" and settled.get("persistence") is None:
        settled["persistence"] = "src"
    elif timeout is None and settled.get("persistence", "none") != "none" and not timeout_before:
        settled["persistence_timeout"] = DEFAULT_PERSISTENCE_TIMEOUT
    if settled.get("persistence") == "none":
        settled["persistence_timeout"] = 0
    if before is not None and before.ssl_acceleration and settled.get("ssl_acceleration") is False:
        settled["certificates"] = ()
    return settled


def _check_needs(changes: Mapping[str, Any], service: VirtualService) -> None:
    for name in _NEEDS_TLS:
        if changes.get(name) is True and not service.ssl_acceleration:
            raise OperatorError(
                f"{VirtualService.wire_name(name)} needs SSLAcceleration",
                field=name,
                value=True,
                remedy="Switch SSL acceleration on in the same change",
            )
    if changes.get("pass_sni") is True and not service.reencrypts:
        raise OperatorError(
            "PassSNI needs SSLReencrypt", field="pass_sni", value=True, remedy="Switch re-encryption on too"
        )


def new_server(configuration: Configuration, settings: Mapping[str, Any]) -> tuple[Configuration, RealServer]:
    """A real server from plain data, with the next number of the appliance's counter."""
    number = configuration.counters.next_server
    server = RealServer.make({**settings, "index": number})
    counters = configuration.counters.model_copy(update={"next_server": number + 1})
    return replace(configuration, counters=counters), server


def new_servers(
    configuration: Configuration, settings: Sequence[Mapping[str, Any]]
) -> tuple[Configuration, tuple[RealServer, ...]]:
    """Several of them. An error says which: its position is "servers[2]"."""
    made = []
    for number, data in enumerate(settings):
        with located(f"servers[{number}]"):
            configuration, server = new_server(configuration, data)
        made.append(server)
    return configuration, tuple(made)


@dataclass(frozen=True)
class AddService:
    """Make a virtual service. Type and check follow the port as LoadMaster does: 80 is http, others generic and tcp."""

    settings: Mapping[str, Any]
    permission: ClassVar[str] = "vs"

    @property
    def summary(self) -> str:
        return f"add virtual service {self.settings.get('address')}:{self.settings.get('port')}"

    def apply(self, configuration: Configuration) -> Change:
        data = _settled(self.settings, None)
        web = str(data.get("port")) == "80"
        data.setdefault("service_type", "http" if web else "gen")
        data.setdefault("check_type", "http" if web else "tcp")
        data.setdefault("idle_time", configuration.network.connection_timeout)
        if data["idle_time"] in (0, "0"):
            data["idle_time"] = configuration.network.connection_timeout
        data["index"] = configuration.lowest_free_index()
        servers = list(data.pop("servers", ()))
        configuration, data["servers"] = new_servers(configuration, servers)
        service = VirtualService.make(data)
        _check_needs(self.settings, service)
        return Change(with_service(configuration, service), service.index)


@dataclass(frozen=True)
class ChangeService:
    """Change settings of a virtual service; what is not named keeps its value."""

    index: int
    changes: Mapping[str, Any]
    permission: ClassVar[str] = "vs"

    @property
    def summary(self) -> str:
        if set(self.changes) == {"enabled"}:
            return f"{'enable' if self.changes['enabled'] else 'disable'} virtual service {self.index}"
        return f"change virtual service {self.index}: {', '.join(sorted(self.changes)) or 'nothing'}"

    def apply(self, configuration: Configuration) -> Change:
        before = configuration.service(self.index)
        for fixed in ("index", "servers", "slots", "parent"):
            if fixed in self.changes:
                raise OperatorError(f"{fixed!r} cannot be changed here", field=fixed, remedy="Use the commands for it")
        changes = _settled(self.changes, before)
        if changes.get("idle_time") in (0, "0"):
            changes["idle_time"] = configuration.network.connection_timeout
        service = before.changed(changes)
        _check_needs(self.changes, service)
        if service == before:
            return Change(configuration, self.index)
        return Change(with_service(configuration, service), self.index)


@dataclass(frozen=True)
class RemoveService:
    """Remove a virtual service with its real servers."""

    index: int
    permission: ClassVar[str] = "vs"

    @property
    def summary(self) -> str:
        return f"remove virtual service {self.index}"

    def apply(self, configuration: Configuration) -> Change:
        configuration.service(self.index)
        services = {key: value for key, value in configuration.services.items() if key != self.index}
        return Change(replace(configuration, services=services), self.index)


@dataclass(frozen=True)
class DuplicateService:
    """Copy a virtual service with its real servers to another address or port."""

    index: int
    address: str | None = None
    port: int | None = None
    permission: ClassVar[str] = "vs"

    @property
    def summary(self) -> str:
        return (
            f"duplicate virtual service {self.index} to {self.address or 'the same address'}:{self.port or 'same port'}"
        )

    def apply(self, configuration: Configuration) -> Change:
        source = configuration.service(self.index)
        keep = set(RealServer.model_fields) - {"index"}
        configuration, servers = new_servers(
            configuration, [{name: getattr(server, name) for name in keep} for server in source.servers]
        )
        service = source.changed(
            {
                "index": configuration.lowest_free_index(),
                "address": self.address if self.address is not None else source.address,
                "port": self.port if self.port is not None else source.port,
                "servers": servers,
            }
        )
        return Change(with_service(configuration, service), service.index)


__all__ = ["AddService", "ChangeService", "DuplicateService", "RemoveService", "with_service"]
