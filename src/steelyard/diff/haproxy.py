"""What turns one HAProxy plan into another.

Runtime operations wherever HAProxy 2.6 has them: weight, state, limit, address, adding and removing real servers,
certificate content. Everything else reloads. Both may be needed; the operations then bring forward what can be had at
once.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from steelyard.plan.haproxy import Backend, HaproxyPlan, Server, ServicePlan
from steelyard.plan.operations import (
    AddServer,
    AdminState,
    DropSessions,
    Operation,
    Release,
    RemoveServer,
    ReplaceCertificate,
    SetAddress,
    SetHealth,
    SetMaxConnections,
    SetState,
    SetWeight,
)


@dataclass(frozen=True)
class Difference:
    """Operations in the order to run them, and why a reload is needed, if it is."""

    operations: tuple[Operation, ...] = ()
    reload_reasons: tuple[str, ...] = ()

    @property
    def empty(self) -> bool:
        """Whether nothing has to be done."""
        return not self.operations and not self.reload_reasons


def admin_state(backend: Backend, server: Server) -> AdminState:
    """The state a server has by configuration alone; a drain that has ended is known to the checking process."""
    if server.enabled:
        return "ready"
    return "drain" if backend.drains else "maint"


def difference(old: HaproxyPlan, new: HaproxyPlan) -> Difference:
    """What turns `old` into `new`."""
    operations: list[Operation] = []
    reasons: list[str] = []
    if old.settings != new.settings:
        reasons.append("process-wide settings changed")
    for name, certificate in new.certificates.items():
        before = old.certificates.get(name)
        if before is not None and before is not certificate and before != certificate:
            operations.append(ReplaceCertificate(name))
    for key, service in new.services.items():
        was = old.services.get(key)
        if was is service:
            continue
        if was is None:
            reasons.append(f"virtual service {key} is new")
        else:
            _service(was, service, operations, reasons)
    reasons.extend(f"virtual service {key} is removed" for key in old.services if key not in new.services)
    return Difference(tuple(operations), tuple(reasons))


def _service(old: ServicePlan, new: ServicePlan, operations: list[Operation], reasons: list[str]) -> None:
    if old.frontend != new.frontend:
        what = (
            "is switched off"
            if new.frontend is None
            else "is switched on"
            if old.frontend is None
            else "listens differently"
        )
        reasons.append(f"virtual service {new.key} {what}")
    if old.backend.structure() != new.backend.structure():
        reasons.append(f"balancing, persistence or connection handling of {new.key} changed")
    before = {server.name: server for server in old.backend.servers}
    after = {server.name: server for server in new.backend.servers}
    for name, server in after.items():
        was = before.get(name)
        if was is None:
            _added(new.backend, server, operations)
        elif was is not server and was != server:
            _changed(new.backend, was, server, operations, reasons)
    operations.extend(RemoveServer(new.backend.name, name) for name in before if name not in after)


def _added(backend: Backend, server: Server, operations: list[Operation]) -> None:
    operations.append(AddServer(backend.name, server))
    if server.enabled:
        operations.append(Release(backend.name, server.name))


def _changed(backend: Backend, old: Server, new: Server, operations: list[Operation], reasons: list[str]) -> None:
    name = backend.name
    if _reconnects(old, new):
        reasons.append(f"the connection to real server {new.name} of {name} changed")
    elif (old.address, old.port) != (new.address, new.port):
        operations.append(SetAddress(name, new.name, new.address, new.port))
        if backend.checked:
            operations.append(SetHealth(name, new.name, up=False))
    if old.limit != new.limit:
        operations.append(SetMaxConnections(name, new.name, new.limit))
    if not new.weight_by_health and (old.weight_by_health or old.weight != new.weight):
        operations.append(SetWeight(name, new.name, new.weight))
    if new.enabled and not old.enabled:
        operations.append(Release(name, new.name))
    elif old.enabled and not new.enabled:
        operations.append(SetState(name, new.name, admin_state(backend, new)))
        if backend.drop_at_once:
            operations.append(DropSessions(name, new.name))


def _reconnects(old: Server, new: Server) -> bool:
    """Whether a server is connected to in another way, which HAProxy cannot change at run time."""
    return old.tls != new.tls or (old.port is None) != (new.port is None) or old.id != new.id


def _reached(old: Backend, new: Backend) -> tuple[Server, ...]:
    """The servers after the operations: those of `new`, connected to as before where only a reload changes that."""
    before = {server.name: server for server in old.servers}
    found: list[Server] = []
    for server in new.servers:
        was = before.get(server.name)
        if was is not None and _reconnects(was, server):
            found.append(replace(server, id=was.id, address=was.address, port=was.port, tls=was.tls))
        else:
            found.append(server)
    return tuple(found)


def apply_operations(plan: HaproxyPlan, wanted: HaproxyPlan, only: set[str]) -> HaproxyPlan:
    """What the engine has after the operations of the services in `only` ran: new servers, old structure."""
    services = dict(plan.services)
    for key in only:
        old, new = services.get(key), wanted.services.get(key)
        if old is None or new is None:
            continue
        backend = Backend(
            name=old.backend.name,
            mode=old.backend.mode,
            balance=old.backend.balance,
            servers=_reached(old.backend, new.backend),
            idle_seconds=old.backend.idle_seconds,
            table=old.backend.table,
            directives=old.backend.directives,
            drains=new.backend.drains,
            drop_at_once=new.backend.drop_at_once,
            checked=new.backend.checked,
        )
        merged = ServicePlan(key, old.frontend, backend)
        services[key] = new if merged == new else merged
    certificates = {name: wanted.certificates.get(name, file) for name, file in plan.certificates.items()}
    return HaproxyPlan(plan.settings, services, certificates)
