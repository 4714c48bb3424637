"""What is: the state of services and real servers, as words LoadMaster's users know.

Pure: built from a configuration and the checking process's verdicts.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from steelyard.model.configuration import Configuration
from steelyard.model.real_server import RealServer
from steelyard.model.virtual_service import VirtualService


@dataclass(frozen=True)
class Verdict:
    """What the checks say of one real server. `state` is up, down, unknown (not checked yet) or unchecked."""

    state: str
    reason: str = ""
    since: float | None = None
    checked: float | None = None
    drain_ends: float | None = None


@dataclass(frozen=True)
class ServerState:
    """One real server. `status` is Up, Down, Disabled, Draining or Unchecked; `reason` says why, for people."""

    index: int
    status: str
    reason: str = ""
    since: float | None = None
    drain_ends: float | None = None


@dataclass(frozen=True)
class ServiceState:
    """One virtual service. `status` is Up, Down, Disabled or Unchecked."""

    index: int
    status: str
    reason: str = ""
    servers: Mapping[int, ServerState] = field(default_factory=dict)


def target_key(service: VirtualService, server: RealServer) -> str:
    """The name of a real server in one service, as the checking process knows it."""
    return f"{service.engine_name}/{server.engine_name}"


def service_state(service: VirtualService, verdicts: Mapping[str, Verdict]) -> ServiceState:
    """The state of one service and its real servers."""
    servers = {server.index: _server_state(service, server, verdicts) for server in service.servers}
    if not service.enabled:
        return ServiceState(service.index, "Disabled", "switched off by an administrator", servers)
    live = [state for state in servers.values() if state.status in ("Up", "Unchecked")]
    if not servers:
        return ServiceState(service.index, "Down", "it has no real server", servers)
    if not live:
        reasons = "; ".join(
            f"{server.address}:{server.port}: {servers[server.index].reason or servers[server.index].status}"
            for server in service.servers
        )
        return ServiceState(service.index, "Down", f"no real server is available ({reasons})", servers)
    status = "Unchecked" if service.check_type == "none" else "Up"
    return ServiceState(service.index, status, f"{len(live)} of {len(servers)} real servers available", servers)


def _server_state(service: VirtualService, server: RealServer, verdicts: Mapping[str, Verdict]) -> ServerState:
    verdict = verdicts.get(target_key(service, server), Verdict("unknown", "not checked yet"))
    if not server.enabled:
        if verdict.drain_ends is not None:
            return ServerState(
                server.index,
                "Draining",
                "disabled; clients with a record may still come",
                verdict.since,
                verdict.drain_ends,
            )
        return ServerState(server.index, "Disabled", "disabled by an administrator", verdict.since)
    words = {"up": "Up", "unchecked": "Unchecked"}
    return ServerState(server.index, words.get(verdict.state, "Down"), verdict.reason, verdict.since)


class AllStates(Mapping[int, ServiceState]):
    """The state of every service, worked out when it is looked at."""

    def __init__(self, configuration: Configuration, verdicts: Mapping[str, Verdict]) -> None:
        self._services = configuration.services
        self._verdicts = verdicts

    def __getitem__(self, index: int) -> ServiceState:
        return service_state(self._services[index], self._verdicts)

    def __iter__(self) -> Iterator[int]:
        return iter(self._services)

    def __len__(self) -> int:
        return len(self._services)
