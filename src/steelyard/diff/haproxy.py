"""What turns one HAProxy plan into another.

Runtime operations wherever HAProxy 2.6 has them: weight, state, limit, address, adding and removing real servers,
certificate content. Everything else reloads. Both may be needed; the operations then bring forward what can be had at
once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from steelyard.diff.certificates import certificate_operations, too_long, with_assignments
from steelyard.plan.haproxy import Backend, CertificateFile, HaproxyPlan, Lookup, Server, ServicePlan
from steelyard.plan.operations import (
    AddServer,
    AdminState,
    ChangeLookup,
    DropSessions,
    Operation,
    Release,
    RemoveServer,
    ReplaceLookup,
    ReplaceTrust,
    SetAddress,
    SetHealth,
    SetMaxConnections,
    SetState,
    SetWeight,
)

#: entries that are sent whole, to be in force together; more are sent one change at a time
_SENT_WHOLE = 20_000


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
    operations += certificate_operations(old, new)
    reasons += too_long(old, new)
    _trust(old, new, operations, reasons)
    if old.sections != new.sections:
        reasons.append("tables shared by all services changed")
    _lookups(old.lookups, new.lookups, operations, reasons)
    for key, service in new.services.items():
        was = old.services.get(key)
        if was is service:
            continue
        if was is None:
            reasons.append(f"virtual service {key} is new")
        else:
            was = with_assignments(was, service, old, new)
            _service(was, service, operations, reasons, entries_wait=_entries_wait(was, service, old))
    reasons.extend(f"virtual service {key} is removed" for key in old.services if key not in new.services)
    return Difference(tuple(operations), tuple(reasons))


def _trust(old: HaproxyPlan, new: HaproxyPlan, operations: list[Operation], reasons: list[str]) -> None:
    """New content of files that are loaded; one that comes or goes does so with the listener or server naming it."""
    if old.trust is new.trust:
        return
    for name, file in new.trust.items():
        before = old.trust.get(name)
        if before is None or before is file or before == file:
            continue
        if file.sendable:
            operations.append(ReplaceTrust(file))
        else:
            reasons.append(f"the {'revocation lists' if file.revocations else 'authorities'} of {name} changed")


def _entries_wait(old: ServicePlan, new: ServicePlan, plan: HaproxyPlan) -> bool:
    """Whether new entries of the service's lookups have to wait for the reload, because of what the old process has.

    Entries mean what the rules that read them make of them, and they name backends: put before other rules they would
    lead requests astray, and one that leads to a backend that is not there yet would have them refused.
    """
    return (
        any(key not in plan.services for key in new.needs)
        or (old.frontend, old.sections, old.tables, old.pages) != (new.frontend, new.sections, new.tables, new.pages)
        or {backend.structure() for backend in old.backends} != {backend.structure() for backend in new.backends}
    )


def _service(
    old: ServicePlan, new: ServicePlan, operations: list[Operation], reasons: list[str], *, entries_wait: bool
) -> None:
    if old.frontend != new.frontend:
        what = (
            "is switched off"
            if new.frontend is None
            else "is switched on"
            if old.frontend is None
            else "listens differently"
        )
        reasons.append(f"virtual service {new.key} {what}")
    if (old.sections, old.tables) != (new.sections, new.tables) or old.pages != new.pages:
        reasons.append(f"tables or pages of {new.key} changed")
    _lookups(old.lookups, new.lookups, [] if entries_wait else operations, reasons)
    groups = {backend.name: backend for backend in old.backends}
    if groups.keys() != {backend.name for backend in new.backends}:
        reasons.append(f"the groups of real servers that content rules of {new.key} select changed")
    for backend in new.backends:
        if backend.name in groups:
            _backend(groups[backend.name], backend, operations, reasons)


def _backend(old: Backend, new: Backend, operations: list[Operation], reasons: list[str]) -> None:
    if old.structure() != new.structure():
        reasons.append(f"balancing, persistence or connection handling of {new.name} changed")
    before = {server.name: server for server in old.servers}
    after = {server.name: server for server in new.servers}
    for name, server in after.items():
        was = before.get(name)
        if was is None:
            _added(new, server, operations, reasons)
        elif was is not server and was != server:
            _changed(new, was, server, operations, reasons)
    for name, server in before.items():
        if name not in after:
            if _comes_by_reload(server):
                # it serves until what takes its place is there
                reasons.append(f"server {name} of {new.name} is gone")
            else:
                operations.append(RemoveServer(new.name, name))


def _lookups(old: tuple[Lookup, ...], new: tuple[Lookup, ...], operations: list[Operation], reasons: list[str]) -> None:
    """Entries change at run time; a lookup that comes or goes does so with the rules that use it."""
    if old is new:
        return
    before = {lookup.name: lookup for lookup in old}
    if [(one.name, one.is_map) for one in old] != [(one.name, one.is_map) for one in new]:
        reasons.append("a lookup is new or gone: " + ", ".join(sorted(before.keys() ^ {one.name for one in new})))
    for lookup in new:
        was = before.get(lookup.name)
        if was is not None and was is not lookup and was.is_map == lookup.is_map and was.entries != lookup.entries:
            operations.append(_lookup(was, lookup))


def _lookup(old: Lookup, new: Lookup) -> Operation:
    """One change is told alone, several are put in place together where that does not mean sending very many."""
    first, last = _same_ends(old.entries, new.entries)
    before = dict(old.entries[first : len(old.entries) - last])
    after = dict(new.entries[first : len(new.entries) - last])
    removed = tuple(key for key in before if key not in after)
    added = tuple((key, value) for key, value in after.items() if key not in before)
    changed = tuple((key, value) for key, value in after.items() if key in before and before[key] != value)
    count = len(removed) + len(added) + len(changed)
    size = len(new.entries)
    if new.ordered or count > size or (count > 1 and (size <= _SENT_WHOLE or count > size // 2)):
        return ReplaceLookup(new.name, new.is_map, new.entries)
    return ChangeLookup(new.name, new.is_map, removed, added, changed)


def _same_ends(old: tuple[tuple[str, str], ...], new: tuple[tuple[str, str], ...]) -> tuple[int, int]:
    """How many entries are the same at the beginning, and at the end of what is left.

    Slices are compared, which costs next to nothing where entries are the very same objects: of 100,000 one differs.
    """
    room = min(len(old), len(new))
    first = _same_run(room, lambda start, stop: old[start:stop] == new[start:stop])
    last = _same_run(
        room - first,
        lambda start, stop: old[len(old) - stop : len(old) - start] == new[len(new) - stop : len(new) - start],
    )
    return first, last


def _same_run(room: int, same: Callable[[int, int], bool]) -> int:
    """The length of the longest run from 0 that is the same, up to `room`."""
    done, step = 0, 1024
    while step and done < room:
        if done + step <= room and same(done, done + step):
            done += step
        else:
            step //= 2
    return done


def _comes_by_reload(server: Server) -> bool:
    """Whether a server comes and goes with a reload: what it needs cannot be said to `add server` (2.6 and 2.8).

    An inner one goes with its listener, or because rules choose it directly from then on. Taken out before, it would
    leave its backend without a server until those rules are there.
    """
    return bool(server.inner) or server.standby


def _added(backend: Backend, server: Server, operations: list[Operation], reasons: list[str]) -> None:
    if _comes_by_reload(server):
        reasons.append(f"server {server.name} of {backend.name} is new")
        return
    operations.append(AddServer(backend.name, server))
    if server.enabled:
        operations.append(Release(backend.name, server.name))


def _changed(backend: Backend, old: Server, new: Server, operations: list[Operation], reasons: list[str]) -> None:
    name = backend.name
    if _reconnects(old, new):
        reasons.append(f"the connection to real server {new.name} of {name} changed")
    elif (old.address, old.port) != (new.address, new.port):
        operations.append(SetAddress(name, new.name, new.address, new.port))
        if backend.checked and not new.standby:
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
    return (
        old.tls != new.tls
        or (old.port is None) != (new.port is None)
        or old.id != new.id
        or (old.inner, old.standby, old.options) != (new.inner, new.standby, new.options)
    )


def _reached(old: Backend, new: Backend) -> tuple[Server, ...]:
    """The servers after the operations: those of `new`, connected to as before where only a reload changes that."""
    before = {server.name: server for server in old.servers}
    found: list[Server] = []
    for server in new.servers:
        was = before.pop(server.name, None)
        if was is None and _comes_by_reload(server):
            continue
        if was is not None and _reconnects(was, server):
            found.append(
                replace(
                    was,
                    weight=server.weight,
                    limit=server.limit,
                    enabled=server.enabled,
                    weight_by_health=server.weight_by_health,
                )
            )
        else:
            found.append(server)
    found += (server for server in before.values() if _comes_by_reload(server))
    return tuple(found)


def apply_operations(plan: HaproxyPlan, wanted: HaproxyPlan, only: set[str]) -> HaproxyPlan:
    """What the engine has after the operations of the services in `only` ran: new servers, old structure."""
    services = {
        key: with_assignments(service, wanted.services[key], plan, wanted) if key in wanted.services else service
        for key, service in plan.services.items()
    }
    for key in only:
        old, new = services.get(key), wanted.services.get(key)
        if old is None or new is None:
            continue
        groups = {backend.name: backend for backend in new.backends}
        backend, *others = (_operated(backend, groups.get(backend.name)) for backend in old.backends)
        merged = replace(old, backend=backend, groups=tuple(others))
        services[key] = new if merged == new else merged
    for key, service in services.items():
        new = wanted.services.get(key)
        if new is None or service is new or service.lookups == new.lookups:
            continue
        if not _entries_wait(with_assignments(plan.services[key], new, plan, wanted), new, plan):
            merged = replace(service, lookups=_current(service.lookups, new.lookups))
            services[key] = new if merged == new else merged
    trust = {
        name: found if (found := wanted.trust.get(name, file)).sendable else file for name, file in plan.trust.items()
    }
    return replace(
        plan,
        services=services,
        certificates=_present(plan, wanted, services.values()),
        lookups=_current(plan.lookups, wanted.lookups),
        trust=trust,
    )


def _present(plan: HaproxyPlan, wanted: HaproxyPlan, services: Iterable[ServicePlan]) -> dict[str, CertificateFile]:
    """The certificates in memory: those there were that are wanted or presented still, and those that were added."""
    presented = dict.fromkeys(name for service in services for name in service.certificates())
    found = {
        name: new if (new := wanted.certificates.get(name, file)).sendable else file
        for name, file in plan.certificates.items()
        if name in presented or name in wanted.certificates
    }
    return found | {name: wanted.certificates[name] for name in presented if name not in found}


def _operated(old: Backend, new: Backend | None) -> Backend:
    if new is None:
        return old
    return replace(
        old,
        servers=_reached(old, new),
        drains=new.drains,
        drop_at_once=new.drop_at_once,
        checked=new.checked,
        critical=new.critical,
        parent=new.parent,
        minimum=new.minimum,
        members=new.members,
        resting=new.resting,
    )


def _current(old: tuple[Lookup, ...], new: tuple[Lookup, ...]) -> tuple[Lookup, ...]:
    """The lookups there are, with their new entries."""
    wanted = {lookup.name: lookup for lookup in new}
    return tuple(
        found if (found := wanted.get(lookup.name)) is not None and found.is_map == lookup.is_map else lookup
        for lookup in old
    )
