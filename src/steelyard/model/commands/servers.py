"""Commands on real servers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from steelyard.model.checked_as import without_leaders
from steelyard.model.commands.command import Change
from steelyard.model.commands.services import new_server, with_minimum, with_service
from steelyard.model.configuration import Configuration
from steelyard.model.errors import NotFound, OperatorError
from steelyard.model.real_server import RealServer
from steelyard.model.text import canonical_address
from steelyard.model.virtual_service import VirtualService


def _with_servers(
    configuration: Configuration, service: VirtualService, servers: tuple[RealServer, ...]
) -> Configuration:
    return with_service(configuration, service.changed({"servers": servers}))


def _server(service: VirtualService, index: int) -> RealServer:
    server = service.server(index)
    if server is None:
        raise NotFound("RS", index)
    return server


@dataclass(frozen=True)
class AddServer:
    """Add a real server to a virtual service."""

    service: int
    settings: Mapping[str, Any]
    permission: ClassVar[str] = "real"

    @property
    def summary(self) -> str:
        return f"add real server {self.settings.get('address')}:{self.settings.get('port')} to service {self.service}"

    def apply(self, configuration: Configuration) -> Change:
        service = configuration.service(self.service)
        if service.slots:
            raise OperatorError(
                f"Couldn't create RS: {service.title} has sub-services, and these have the real servers",
                field="servers",
                value=self.service,
                remedy="Add it to one of the sub-services",
            )
        configuration, server = new_server(configuration, self.settings)
        return Change(_with_servers(configuration, service, (*service.servers, server)), server.index)


@dataclass(frozen=True)
class ChangeServer:
    """Change settings of a real server, its address and port too."""

    service: int
    server: int
    changes: Mapping[str, Any]
    permission: ClassVar[str] = "real"

    @property
    def summary(self) -> str:
        if set(self.changes) == {"enabled"}:
            verb = "enable" if self.changes["enabled"] else "disable"
            return f"{verb} real server {self.server} of service {self.service}"
        what = ", ".join(sorted(self.changes)) or "nothing"
        return f"change real server {self.server} of service {self.service}: {what}"

    def apply(self, configuration: Configuration) -> Change:
        service = configuration.service(self.service)
        before = _server(service, self.server)
        if "index" in self.changes:
            raise OperatorError("The index of a real server cannot be changed", field="index")
        after = before.changed(self.changes)
        if after == before:
            return Change(configuration, self.server)
        servers = tuple(after if server is before else server for server in service.servers)
        return Change(_with_servers(configuration, service, servers), self.server)


@dataclass(frozen=True)
class RemoveServer:
    """Remove a real server from a virtual service; its connections are closed."""

    service: int
    server: int
    permission: ClassVar[str] = "real"

    @property
    def summary(self) -> str:
        return f"remove real server {self.server} from service {self.service}"

    def apply(self, configuration: Configuration) -> Change:
        service = configuration.service(self.service)
        gone = _server(service, self.server)
        left = service.changed({"servers": tuple(server for server in service.servers if server is not gone)})
        configuration = without_leaders(with_service(configuration, with_minimum(left)), {gone.index})
        return Change(configuration, self.server)


@dataclass(frozen=True)
class EnableAddress:
    """Enable or disable a real server's address in every virtual service."""

    address: str
    enabled: bool
    permission: ClassVar[str] = "real"

    @property
    def summary(self) -> str:
        return f"{'enable' if self.enabled else 'disable'} real server {self.address} everywhere"

    def apply(self, configuration: Configuration) -> Change:
        found = False
        try:
            address = canonical_address(self.address)
        except ValueError:
            raise NotFound("RS", self.address) from None
        for service in list(configuration.services.values()):
            if any(server.address == address for server in service.servers):
                found = True
                servers = tuple(
                    server.changed({"enabled": self.enabled}) if server.address == address else server
                    for server in service.servers
                )
                if servers != service.servers:
                    configuration = _with_servers(configuration, service, servers)
        if not found:
            raise NotFound("RS", self.address)
        return Change(configuration, address)
