"""HAProxy in memory, with HAProxy's own rules: what the real one refuses at run time, this one refuses in its words.

Tried against 2.6 and 2.8 by `tests/unit/engines/haproxy/test_fake_is_faithful.py`:

- An operation on a backend or server that is not there is refused. A second server of the same name or number is
refused.
- A server that is added starts in maintenance; one that leaves maintenance is up, whatever was said of it before; in
  maintenance a verdict is not heard.
- A server is removed only in maintenance and without a session, and a removal that is refused leaves it in maintenance.
- Weights are 0-256. Without a port, a change of address keeps the port there is.
- A certificate that is not loaded cannot be replaced or presented. The first one of a listener cannot be withdrawn, and
  one that a listener presents cannot be unloaded.
- A reload that is refused leaves the worker as it was.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from steelyard.emit.haproxy.configuration import EnginePaths, service_text
from steelyard.emit.haproxy.runtime import certificate_command, commands
from steelyard.emit.haproxy.server_state import ServerState
from steelyard.model.errors import EngineRefused, HostLacks
from steelyard.plan.haproxy import Backend, BindTls, CertificateFile, Frontend, HaproxyPlan, Lookup, Server, ServicePlan
from steelyard.plan.operations import (
    AddServer,
    AdminState,
    AssignCertificate,
    ChangeLookup,
    DropSessions,
    LoadCertificate,
    Operation,
    Release,
    RemoveServer,
    ReplaceCertificate,
    ReplaceLookup,
    ReplaceTrust,
    SetAddress,
    SetHealth,
    SetMaxConnections,
    SetState,
    SetWeight,
    UnloadCertificate,
    WithdrawCertificate,
)
from steelyard.plan.trust import TrustFile

_PID = 4711
_MOST_WEIGHT = 256
_PATHS = EnginePaths(
    base="/fake",
    run="/fake/run",
    certificates="/fake/certificates",
    lists="/fake/lists",
    lua=(),
    state="/fake/state",
    socket="/fake/socket",
    peers="/fake/peers",
)


@dataclass
class RunningServer:
    """One server inside the worker. `lingering` sessions do not end when they are cut."""

    server: Server
    admin: AdminState
    up: bool
    weight: int
    sessions: int = 0
    lingering: int = 0

    @property
    def connected(self) -> int:
        return self.sessions + self.lingering


@dataclass
class _Worker:
    """What a process has loaded: the plan it was started with, and what operations made of it."""

    plan: HaproxyPlan
    backends: dict[str, dict[str, RunningServer]] = field(default_factory=dict)
    certificates: dict[str, CertificateFile] = field(default_factory=dict)
    lookups: dict[str, Lookup] = field(default_factory=dict)
    trust: dict[str, TrustFile] = field(default_factory=dict)


class FakeHaproxy:
    """`HaproxyEngine` without a process.

    Set `refuses_check`, `refuses_reload` or `refuses_start` to HAProxy's words to have that step refused, and
    `refuses_operation` to a function that gives the words for an operation, or None. `lacks_room` is raised by
    `require_room`. A reload takes `reload_seconds`, and waits while `hold` is cleared. What happened is in `checked`,
    `ran`, `starts`, `reloads` and `saved`.
    """

    def __init__(self) -> None:
        self.refuses_check: str | None = None
        self.refuses_reload: str | None = None
        self.refuses_start: str | None = None
        self.refuses_operation: Callable[[Operation], str | None] = lambda _: None
        self.lacks_room: HostLacks | None = None
        self.reload_seconds = 0.0
        self.hold = asyncio.Event()
        self.hold.set()
        self.reloading = False
        self.checked: list[HaproxyPlan] = []
        self.ran: list[Operation] = []
        self.starts: list[HaproxyPlan] = []
        self.reloads: list[HaproxyPlan] = []
        self.saved: list[HaproxyPlan] = []
        #: answers of OCSP responders by certificate
        self.staples: dict[str, bytes] = {}
        self.ticket_key_seconds: list[float] = []
        #: persistence records: (table, key) to (number of the server, milliseconds left)
        self.records: dict[tuple[str, str], tuple[int, int]] = {}
        self._worker: _Worker | None = None
        self._ended = asyncio.Event()
        self._ended.set()

    # --- what tests ask

    @property
    def running(self) -> bool:
        return self._worker is not None

    def server(self, backend: str, name: str) -> RunningServer:
        """One server of the worker. Raises `EngineRefused` as HAProxy does for one that is not there."""
        if self._worker is None:
            raise EngineRefused("HAProxy is not running")
        found = self._worker.backends.get(backend, {}).get(name)
        if found is None:
            raise EngineRefused("HAProxy refuses a change at run time", words="No such server.")
        return found

    @property
    def backends(self) -> tuple[str, ...]:
        """The names of the worker's backends."""
        return tuple(self._worker.backends) if self._worker is not None else ()

    def servers(self, backend: str) -> Mapping[str, RunningServer]:
        """The servers of one backend."""
        return dict(self._worker.backends.get(backend, {})) if self._worker is not None else {}

    def has(self) -> HaproxyPlan:
        """What a worker started now would have to be given to be as this one is; servers by number."""
        if self._worker is None:
            raise EngineRefused("HAProxy is not running")
        services = {
            key: _service_as_it_is(service, self._worker) for key, service in self._worker.plan.services.items()
        }
        return replace(
            self._worker.plan,
            services=services,
            certificates=dict(self._worker.certificates),
            lookups=tuple(self._worker.lookups[one.name] for one in self._worker.plan.lookups),
            trust=dict(self._worker.trust),
        )

    def end(self) -> None:
        """The process ends, as if it were killed."""
        self._worker = None
        self._ended.set()

    # --- the engine

    @property
    def master_pid(self) -> int | None:
        return _PID if self._worker is not None else None

    def owns(self, pid: int) -> bool:
        return self._worker is not None and pid in (_PID, _PID + 1)

    async def check(self, plan: HaproxyPlan) -> None:
        self.checked.append(plan)
        if self.refuses_check is not None:
            raise EngineRefused("HAProxy refuses the configuration", words=self.refuses_check)
        _load(plan, ())

    async def adopt(self, plan: HaproxyPlan) -> bool | None:
        if self._worker is None:
            return None
        return bool(self.saved) and self.saved[-1] == plan

    async def start(self, plan: HaproxyPlan, states: Iterable[ServerState]) -> None:
        if self._worker is not None:
            raise EngineRefused("HAProxy runs already")
        if self.refuses_start is not None:
            raise EngineRefused("HAProxy refuses the configuration", words=self.refuses_start)
        self._worker = _load(plan, states)
        self._ended.clear()
        self.starts.append(plan)
        self.saved.append(plan)

    async def reload(self, plan: HaproxyPlan, states: Callable[[], Iterable[ServerState]]) -> None:
        if self._worker is None:
            raise EngineRefused("HAProxy is not running")
        self.reloading = True
        try:
            await asyncio.sleep(self.reload_seconds)
            await self.hold.wait()
        finally:
            self.reloading = False
        if self.refuses_reload is not None:
            raise EngineRefused("HAProxy refused the reload; it goes on as before", words=self.refuses_reload)
        self._worker = _load(plan, states())
        self.reloads.append(plan)
        self.saved.append(plan)

    async def run(self, operation: Operation, plan: HaproxyPlan) -> None:
        if self._worker is None:
            raise EngineRefused("HAProxy does not answer", words="Connection refused")
        words = self.refuses_operation(operation)
        if words is not None:
            raise EngineRefused("HAProxy refuses a change at run time", words=words)
        self._carry_out(operation, plan, self._worker)
        self.ran.append(operation)

    async def retire(self, removals: Sequence[RemoveServer]) -> None:
        if self._worker is None:
            raise EngineRefused("HAProxy does not answer", words="Connection refused")
        for removal in removals:
            found = self._worker.backends.get(removal.backend, {}).get(removal.server)
            if found is not None:
                _enter(found, "maint")

    async def staple(self, certificate: CertificateFile, issuer_pem: str, answer: bytes) -> None:
        if self._worker is not None and certificate.name not in self._worker.certificates:
            raise _refusal("Certificate is not referenced by the configuration!")
        self.staples[certificate.name] = answer

    def stapled(self, certificate: str) -> bytes | None:
        return self.staples.get(certificate)

    async def prepare(self, plan: HaproxyPlan) -> None:
        """Nothing takes long here."""

    async def save(self, plan: HaproxyPlan) -> None:
        self.saved.append(plan)

    async def rotate_ticket_keys(self, seconds: float) -> bool:
        self.ticket_key_seconds.append(seconds)
        return False

    def require_room(self) -> None:
        if self.lacks_room is not None:
            raise self.lacks_room

    async def wait_for_end(self) -> None:
        await self._ended.wait()

    async def stop(self) -> None:
        self.end()

    async def show(self, *words: str) -> str:
        if self._worker is None:
            raise EngineRefused("HAProxy does not answer", words="Connection refused")
        match words:
            case ("servers", "state", backend):
                return _servers_state(backend, self._worker.backends.get(backend))
            case ("table", table, "key", key):
                return _table(table, key, self.records.get((table, key)))
            case _:
                return f"Unknown command: 'show {' '.join(words)}'"

    def describe(self, operations: Sequence[Operation]) -> tuple[str, ...]:
        lines: list[str] = []
        for operation in operations:
            if isinstance(operation, ReplaceCertificate):
                lines.append(f"set ssl cert {operation.certificate} (new content)")
            elif isinstance(operation, LoadCertificate):
                lines.append(f"new ssl cert {operation.certificate}")
            elif isinstance(operation, AssignCertificate | WithdrawCertificate | UnloadCertificate):
                lines.append(certificate_command(operation, _PATHS))
            elif isinstance(operation, ReplaceTrust):
                lines.append(f"replace {operation.file.name}")
            elif isinstance(operation, ReplaceLookup):
                lines.append(f"replace {operation.lookup}")
            else:
                lines.extend(commands(operation))
        return tuple(lines)

    # --- the rules

    def _carry_out(self, operation: Operation, plan: HaproxyPlan, worker: _Worker) -> None:
        match operation:
            case AddServer(backend, server):
                _add(worker, backend, server)
            case RemoveServer(backend, name):
                self._remove(backend, name, worker)
            case SetState(backend, name, state):
                _enter(self.server(backend, name), state)
            case Release(backend, name):
                _enter(self.server(backend, name), "ready")
            case SetHealth(backend, name, up):
                found = self.server(backend, name)
                if found.admin != "maint":
                    found.up = up
            case SetWeight(backend, name, weight):
                found = self.server(backend, name)
                if not 0 <= weight <= _MOST_WEIGHT:
                    raise _refusal("Absolute weight can only be between 0 and 256 inclusive.")
                found.weight = weight
            case SetAddress(backend, name, address, port):
                _move(self.server(backend, name), address, port)
            case SetMaxConnections(backend, name, limit):
                found = self.server(backend, name)
                found.server = replace(found.server, limit=limit)
            case DropSessions(backend, name):
                self.server(backend, name).sessions = 0
            case ReplaceCertificate(name):
                if name not in worker.certificates:
                    raise _refusal("Can't replace a certificate which is not referenced by the configuration!")
                worker.certificates[name] = plan.certificates[name]
            case LoadCertificate(name):
                worker.certificates[name] = plan.certificates[name]
            case AssignCertificate(listener, name):
                _assign(worker, listener, name)
            case WithdrawCertificate(listener, name):
                _withdraw(worker, listener, name)
            case UnloadCertificate(name):
                if any(name in service.certificates() for service in worker.plan.services.values()):
                    raise _refusal(f"Can't remove the certificate: certificate '{name}' in use")
                if worker.certificates.pop(name, None) is None:
                    raise _refusal(f"certificate '{name}' does not exist!")
            case ReplaceTrust(file):
                if file.name not in worker.trust:
                    kind = "CRL" if file.revocations else "CA"
                    raise _refusal(f"Can't replace a {kind} file which is not referenced by the configuration!")
                worker.trust[file.name] = file
            case ChangeLookup() | ReplaceLookup():
                _change_lookup(worker, operation)

    def _remove(self, backend: str, name: str, worker: _Worker) -> None:
        found = self.server(backend, name)
        _enter(found, "maint")
        found.sessions = 0
        if found.connected:
            raise _refusal("Server still has connections attached to it, cannot remove it.")
        del worker.backends[backend][name]


def _assign(worker: _Worker, listener: str, name: str) -> None:
    frontend, tls = _listener(worker, listener)
    if name not in worker.certificates:
        raise _refusal(f"certificate '{name}' does not exist!")
    _present(worker, listener, frontend, replace(tls, certificates=(*tls.certificates, name)))


def _withdraw(worker: _Worker, listener: str, name: str) -> None:
    frontend, tls = _listener(worker, listener)
    if name not in tls.certificates:
        raise _refusal(f"Can't delete the entry: certificate '{name}' can't be found in the crt-list '{listener}'!")
    if tls.certificates[0] == name:
        raise _refusal(f"Can't delete the entry: certificate '{name}' cannot be deleted, it is used as default")
    _present(
        worker, listener, frontend, replace(tls, certificates=tuple(one for one in tls.certificates if one != name))
    )


def _listener(worker: _Worker, listener: str) -> tuple[Frontend, BindTls]:
    service = worker.plan.services.get(listener)
    if service is None or service.frontend is None or service.frontend.tls is None:
        raise _refusal(f"crt-list '{listener}' does not exist!")
    return service.frontend, service.frontend.tls


def _present(worker: _Worker, listener: str, frontend: Frontend, tls: BindTls) -> None:
    service = replace(worker.plan.services[listener], frontend=replace(frontend, tls=tls))
    worker.plan = replace(worker.plan, services={**worker.plan.services, listener: service})


def _servers_state(backend: str, servers: Mapping[str, RunningServer] | None) -> str:
    if servers is None:
        return "Can't find backend.\n"
    lines = ["1", "# be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state srv_uweight"]
    for name, running in servers.items():
        admin = {"ready": 0, "maint": 1, "drain": 8}[running.admin]
        up = 2 if running.up and running.admin != "maint" else 0
        server = running.server
        lines.append(f"1 {backend} {server.id} {name} {server.address or '-'} {up} {admin} {running.weight}")
    return "\n".join(lines) + "\n"


def _table(table: str, key: str, record: tuple[int, int] | None) -> str:
    if record is None:
        return "\n"
    server, left = record
    head = f"# table: {table}, type: string, size:1000000, used:1\n"
    return f"{head}0x1: key={key} use=0 exp={left} server_id={server} server_key=rs{server}\n"


def _change_lookup(worker: _Worker, operation: ChangeLookup | ReplaceLookup) -> None:
    lookup = worker.lookups.get(operation.lookup)
    if lookup is None or lookup.is_map != operation.is_map:
        raise _refusal(f"Unknown {'map' if operation.is_map else 'ACL'} identifier. Please use #<id> or <name>.")
    if isinstance(operation, ReplaceLookup):
        entries = dict(operation.entries)
    else:
        entries = dict(lookup.entries)
        for key in (*operation.removed, *(key for key, _ in operation.changed)):
            if key not in entries:
                raise _refusal("Key not found.")
        for key in operation.removed:
            del entries[key]
        entries.update(operation.added)
        entries.update(operation.changed)
    worker.lookups[lookup.name] = replace(lookup, entries=tuple(entries.items()))


def _service_as_it_is(service: ServicePlan, worker: _Worker) -> ServicePlan:
    backend, *groups = (_as_it_is(one, worker.backends[one.name]) for one in service.backends)
    lookups = tuple(worker.lookups[one.name] for one in service.lookups)
    return replace(service, backend=backend, groups=tuple(groups), lookups=lookups)


def _refusal(words: str) -> EngineRefused:
    return EngineRefused("HAProxy refuses a change at run time", words=words)


def _enter(server: RunningServer, state: AdminState) -> None:
    if server.admin == "maint" and state != "maint":
        server.up = True
    server.admin = state


def _add(worker: _Worker, backend: str, server: Server) -> None:
    servers = worker.backends.get(backend)
    if servers is None:
        raise _refusal("No such backend.")
    if server.name in servers:
        raise _refusal("Already exists a server with the same name in backend.")
    if any(other.server.id == server.id for other in servers.values()):
        raise _refusal(f"'id' : custom id {server.id} already used")
    if not 0 <= server.weight <= _MOST_WEIGHT:
        raise _refusal("'weight' : weight of server is not within 0 and 256")
    servers[server.name] = RunningServer(server, "maint", up=True, weight=server.weight)


def _move(server: RunningServer, address: str, port: int | None) -> None:
    kept = server.server.port if port is None else port
    server.server = replace(server.server, address=address, port=kept)


def _load(plan: HaproxyPlan, states: Iterable[ServerState]) -> _Worker:
    """Read a plan as HAProxy reads its configuration. Raises `EngineRefused` for what it would refuse."""
    told = {(state.backend, state.server.name): state for state in states}
    worker = _Worker(plan, certificates=dict(plan.certificates), trust=dict(plan.trust))
    listening: dict[tuple[str, int], str] = {}
    for service in plan.services.values():
        # printing raises on anything that could not be printed safely
        service_text(service, _PATHS)
        for bind in service.frontend.binds if service.frontend is not None else ():
            for port in bind.ports:
                other = listening.setdefault((bind.address, port), service.key)
                if other != service.key:
                    raise _fatal(f"cannot bind {bind.address}:{port} of {service.key}: {other} has it")
        for name in service.certificates():
            if name not in plan.certificates:
                raise _fatal(f"unable to load certificate '{name}' of {service.key}")
        for name in _trusted(service):
            if name not in plan.trust:
                raise _fatal(f"unable to load CA or CRL file '{name}' of {service.key}")
        for backend in service.backends:
            worker.backends[backend.name] = _loaded_servers(backend, told)
    for lookup in plan.all_lookups():
        if lookup.name in worker.lookups:
            raise _fatal(f"lookup {lookup.name} is there twice")
        worker.lookups[lookup.name] = lookup
    return worker


def _trusted(service: ServicePlan) -> set[str]:
    """The files of authorities and revocation lists that a service names."""
    tls = service.frontend.tls if service.frontend is not None else None
    clients = tls.clients if tls is not None else None
    needs = [] if clients is None else [clients.authorities, clients.revocations]
    servers = (server for backend in service.backends for server in backend.servers)
    needs += [server.tls.authorities for server in servers if server.tls is not None]
    return {need.name for need in needs if need is not None}


def _loaded_servers(backend: Backend, told: Mapping[tuple[str, str], ServerState]) -> dict[str, RunningServer]:
    found: dict[str, RunningServer] = {}
    numbers: set[int] = set()
    for server in backend.servers:
        if server.name in found or server.id in numbers:
            raise _fatal(f"server {server.name} or its id {server.id} is in {backend.name} twice")
        if not 0 <= server.weight <= _MOST_WEIGHT:
            raise _fatal(f"weight of server {server.name} is not within 0 and 256")
        numbers.add(server.id)
        state = told.get((backend.name, server.name))
        found[server.name] = RunningServer(
            server,
            state.admin if state is not None else "ready",
            up=state.up if state is not None else True,
            weight=state.weight if state is not None else server.weight,
        )
    return found


def _fatal(words: str) -> EngineRefused:
    return EngineRefused("HAProxy refuses the configuration", words=f"[ALERT] {words}")


def _as_it_is(backend: Backend, servers: Mapping[str, RunningServer]) -> Backend:
    present = sorted(servers.values(), key=lambda running: running.server.id)
    return replace(
        backend,
        servers=tuple(replace(s.server, weight=s.weight, enabled=s.admin == "ready") for s in present),
    )


__all__ = ["FakeHaproxy", "RunningServer"]
