"""Layer-4 services carried by IPVS: the driver behind the contract of `engines.layer4`.

IPVS takes one request at a time, so a change is a list of steps. When one is refused, what the kernel has is read anew
and led to where it was; where another program has been at it, the change is first tried once more from there. The new
comes before the old goes, and marks stand between: a packet that is marked finds its virtual server.

What IPVS cannot do, and is refused elsewhere or said here: records cannot be forgotten one and all; those of a real
server whose connections are cut go with them; a weight of 0 voids records as a failed check does.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from steelyard.emit.ipvs.marks import MarkedService
from steelyard.engines.ipvs.connections import Connection, read
from steelyard.engines.ipvs.kernel import IpvsKernel, NetlinkIpvs
from steelyard.engines.ipvs.marks import Marks, NftMarks
from steelyard.engines.ipvs.settings import Settings
from steelyard.engines.ipvs.virtual_server import (
    Endpoint,
    Identity,
    State,
    Step,
    VirtualServer,
    Wanted,
    index_of,
    mark_of,
    our_flags,
    steps,
    wanted,
)
from steelyard.engines.layer4.contract import Record, ServiceTraffic, Traffic
from steelyard.model.errors import EngineRefused, SteelyardError
from steelyard.plan.layer4 import ALL_PORTS, Layer4Service, ServerName, Standing, Standings

LOADED = Path("/proc/thread-self/net/ip_vs")
#: the kernel expires connections of a removed real server a moment later, in the background
_CUT_SECONDS = 0.5


class _TableRefused(EngineRefused):
    """The marks were refused: perhaps another program has removed their table."""


@dataclass(frozen=True)
class _Work:
    """A change, ready to be carried out. `after` is what goes once nothing leads there any more."""

    before: tuple[Step, ...]
    after: tuple[Step, ...]
    states: Mapping[Identity, State | None]
    marked: Mapping[str, MarkedService | None]
    servers: Mapping[str, Wanted | None]


@dataclass
class IpvsDriver:
    """See `engines.layer4.contract.Layer4Driver`."""

    kernel: IpvsKernel = field(default_factory=NetlinkIpvs)
    marks: Marks = field(default_factory=NftMarks)
    settings: Settings = field(default_factory=Settings)
    connections: Callable[[], Iterator[Connection]] = read
    loaded: Callable[[], bool] = LOADED.exists
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep

    def __post_init__(self) -> None:
        self._services: dict[str, Layer4Service] = {}
        self._standings: dict[ServerName, Standing] = {}
        self._states: dict[Identity, State] = {}
        self._wanted: dict[str, Wanted] = {}
        self._marked: dict[str, MarkedService] = {}
        self._table_known = False
        self._absent: dict[str, frozenset[Endpoint]] = {}
        #: what real servers had carried before they were taken out for a moment
        self._carried: dict[tuple[str, Endpoint], Traffic] = {}
        self._tried: set[tuple[str, str]] = set()

    def adopt(self) -> frozenset[str]:
        """See the contract. Where IPVS is not in use it is not loaded either."""
        self._table_known = False
        if not self.loaded():
            return frozenset()
        self._states = self._read()
        return frozenset(virtual.key for virtual, _ in self._states.values())

    def check(self, services: Mapping[str, Layer4Service | None]) -> None:
        """See the contract. Schedulers are tried on a virtual server that no packet can reach."""
        work = self._work(services, self._standings)
        for virtual, _ in (state for state in work.states.values() if state is not None):
            self._try(virtual)
        self._mark(work, trial=True)

    def apply(self, services: Mapping[str, Layer4Service | None], standings: Standings) -> None:
        """See the contract."""
        remembered = {**self._standings, **standings}
        after = {**self._services, **services}
        wants = [service for service in after.values() if service is not None]
        if wants:
            if not self.loaded():
                self.kernel.ours()  # has the kernel load it
            self.settings.need(wants, self.kernel)
        self._carry_out(lambda: self._work(services, remembered))
        self._standings = remembered
        for key, service in services.items():
            self._forget(key, service)
            if service is None:
                self._services.pop(key, None)
                self._absent.pop(key, None)
            else:
                self._services[key] = service

    def tell(self, standings: Standings) -> None:
        """See the contract."""
        known = {
            name: one
            for name, one in standings.items()
            if name[0] in self._services and self._standings.get(name) != one
        }
        if not known:
            return
        remembered = {**self._standings, **known}
        changed = {key: self._services[key] for key in sorted({name[0] for name in known})}
        self._carry_out(lambda: self._work(changed, remembered))
        self._standings = remembered

    def drop(self, servers: Iterable[ServerName]) -> None:
        """See the contract. A server is taken out, which ends its connections, and put back if it takes clients."""
        for key, name in servers:
            want = self._wanted.get(key)
            if want is None:
                continue
            virtual = want.virtual
            for endpoint in [at for at, server in want.servers.items() if server == name]:
                there = self._states[virtual.identity][1].get(endpoint)
                if there is None:
                    continue
                before = self.kernel.one(virtual).servers.get(endpoint, Traffic())
                self._do(Step("remove", virtual, there))
                self._await_cut(want, endpoint)
                self._carried[key, endpoint] = _plus(self._carried.get((key, endpoint), Traffic()), before)
                if there.weight:
                    back = Step("add", virtual, there)
                    self._do(back)
                    self._begin_anew([back])
                else:
                    self._absent[key] = self._absent.get(key, frozenset()) | {endpoint}

    def describe(self, services: Mapping[str, Layer4Service | None]) -> tuple[str, ...]:
        """See the contract."""
        work = self._work(services, self._standings)
        differ = any(self._marked.get(key) != service for key, service in work.marked.items())
        marks = ("nftables: change the marks of IPVS services",) if differ else ()
        return (*map(str, work.before), *marks, *map(str, work.after))

    def look(self) -> None:
        """Its counters come with the services, which `traffic` reads itself."""

    def traffic(self) -> Mapping[str, ServiceTraffic]:
        """See the contract. Bytes and packets that go back directly are not seen here, so they are not counted."""
        counted = {one.state[0].key: one for one in self.kernel.ours().values()} if self._wanted else {}
        found = {}
        for key, want in self._wanted.items():
            one = counted.get(key)
            if one is None:
                continue
            servers: dict[str, Traffic] = {}
            for endpoint, name in want.servers.items():
                now = one.servers.get(endpoint, Traffic())
                if self._services[key].protocol == "udp":
                    now = replace(now, active=now.active + one.inactive.get(endpoint, 0))
                servers[name] = _plus(now, self._carried.get((key, endpoint), Traffic()))
            active = sum(traffic.active for traffic in servers.values())
            found[key] = ServiceTraffic(replace(one.whole, active=active), servers)
        return found

    def records(self, service: str) -> tuple[Record, ...]:
        """See the contract. The client of a SIP record is its Call-ID."""
        want = self._wanted.get(service)
        if want is None:
            return ()
        by_address = {address: key for (address, _), key in want.servers.items()}
        return tuple(
            Record(
                service,
                one.call or one.client,
                want.servers.get((one.server, one.server_port), by_address[one.server]),
                float(one.seconds),
            )
            for one in self.connections()
            if one.record and one.is_of(want.virtual.identity) and one.server in by_address
        )

    def flush_records(self, service: str) -> None:
        """See the contract. IPVS has no such request, so it is refused."""
        want = self._wanted.get(service)
        if want is not None and want.virtual.timeout:
            raise EngineRefused(
                f"IPVS cannot forget the persistence records of {service}; they end by themselves,"
                f" {want.virtual.timeout} s after a client's last connection"
            )

    def clear(self) -> None:
        """See the contract."""
        if self.loaded():
            for one in self.kernel.ours().values():
                self.kernel.do(Step("remove", one.state[0]))
            self.marks.remove()
            self.settings.put_back(self.kernel)
        self.__post_init__()

    # ------------------------------------------------------------------------------------------------- working it out

    def _work(self, services: Mapping[str, Layer4Service | None], standings: Standings) -> _Work:
        before: list[Step] = []
        after: list[Step] = []
        states: dict[Identity, State | None] = {}
        wants: dict[str, Wanted | None] = {}
        marked: dict[str, MarkedService | None] = {}
        for key, service in services.items():
            want = None
            if service is not None:
                want = wanted(service, standings, self._absent.get(key, frozenset()))
                states[want.virtual.identity] = (want.virtual, want.destinations)
            wants[key] = want
            marked[key] = None if service is None or want is None else _marked(service, want)
        replaced = {index_of(key) for key in services}
        for identity, (virtual, _) in self._states.items():
            if virtual.index in replaced and identity not in states:
                states[identity] = None
        for identity, state in states.items():
            for step in steps(self._states.get(identity), state):
                (after if step.action == "remove" else before).append(step)
        return _Work(tuple(before), tuple(after), states, marked, wants)

    def _try(self, virtual: VirtualServer) -> None:
        needs = (virtual.schedule, virtual.engine)
        if needs in self._tried:
            return
        identity = Identity(virtual.identity.ipv6, mark=mark_of(0))
        trial = VirtualServer(identity, 0, *needs[:1], our_flags(0) | virtual.flags & 1, 1, virtual.prefix, needs[1])
        self.kernel.do(Step("add", trial))
        self.kernel.do(Step("remove", trial))
        self._tried.add(needs)

    # ------------------------------------------------------------------------------------------------- carrying it out

    def _carry_out(self, work_out: Callable[[], _Work]) -> None:
        """Do it, or leave all as it was. What others have done to our virtual servers meanwhile is made good."""
        states, marked = dict(self._states), dict(self._marked)
        try:
            self._run(work_out())
        except (SteelyardError, OSError) as refusal:
            left, self._states = self._states, self._read()
            if left == self._states and not isinstance(refusal, _TableRefused):
                self._lead_back(states, marked)
                raise
            self._table_known = False
            try:
                self._run(work_out())
            except (SteelyardError, OSError):
                self._states = self._read()
                self._lead_back(states, marked)
                raise

    def _run(self, work: _Work) -> None:
        there = set(self._states)
        for step in work.before:
            self._do(step)
        self._mark(work)
        for key, service in work.marked.items():
            if service is None:
                self._marked.pop(key, None)
            else:
                self._marked[key] = service
        for step in work.after:
            self._do(step)
        for key, want in work.servers.items():
            if want is None:
                self._wanted.pop(key, None)
            else:
                self._wanted[key] = want
                self._absent[key] = self._absent.get(key, frozenset()) - want.destinations.keys()
        self._begin_anew(step for step in work.before if step.virtual.identity in there)

    def _lead_back(self, states: Mapping[Identity, State], marked: Mapping[str, MarkedService]) -> None:
        for identity in {**self._states, **states}:
            for step in [*steps(self._states.get(identity), states.get(identity))]:
                self._do(step)
        if self._marked != marked or not self._table_known:
            self._marked = dict(marked)
            self.marks.replace(marked.values())
            self._table_known = True

    def _read(self) -> dict[Identity, State]:
        return {identity: one.state for identity, one in self.kernel.ours().items()}

    def _mark(self, work: _Work, *, trial: bool = False) -> None:
        """The part of a change that the table of marks has in it."""
        after = {**self._marked, **work.marked}
        changed = {key: one for key, one in work.marked.items() if self._marked.get(key) != one}
        try:
            if self._table_known:
                old = [self._marked[key] for key in changed if key in self._marked]
                self.marks.change(old, _present(changed), trial=trial)
            elif after:
                self.marks.replace(_present(after), trial=trial)
        except EngineRefused as refusal:
            raise _TableRefused(str(refusal), words=refusal.words) from refusal
        self._table_known = self._table_known or (bool(after) and not trial)

    def _do(self, step: Step) -> None:
        """One step, and what the kernel has after it."""
        self.kernel.do(step)
        identity, destination = step.virtual.identity, step.destination
        if destination is None:
            if step.action == "remove":
                del self._states[identity]
            else:
                self._states[identity] = (step.virtual, self._states[identity][1] if step.action == "set" else {})
            return
        virtual, servers = self._states[identity]
        rest = {at: one for at, one in servers.items() if at != destination.endpoint}
        if step.action != "remove":
            rest[destination.endpoint] = destination
        self._states[identity] = (virtual, rest)

    # ------------------------------------------------------------------------------------------------------- counting

    def _await_cut(self, want: Wanted, endpoint: Endpoint) -> None:
        """Wait until the kernel has ended what it had open to a removed real server: it would go on if it came back."""
        service = self._services[want.virtual.key]
        end = self.clock() + _CUT_SECONDS
        while self.clock() < end and any(
            not one.record and one.virtual == service.address and _reaches(one, endpoint) for one in self.connections()
        ):
            self.sleep(0.005)

    def _begin_anew(self, done: Iterable[Step]) -> None:
        """Note what counters say of real servers that were added: the kernel goes on with those it still has."""
        added: dict[VirtualServer, list[Endpoint]] = {}
        for step in done:
            if step.action == "add" and step.destination is not None:
                added.setdefault(step.virtual, []).append(step.destination.endpoint)
        for virtual, endpoints in added.items():
            now = self.kernel.one(virtual).servers
            for endpoint in endpoints:
                carried = self._carried.get((virtual.key, endpoint), Traffic())
                self._carried[virtual.key, endpoint] = _plus(carried, now.get(endpoint, Traffic()), sign=-1)

    def _forget(self, key: str, service: Layer4Service | None) -> None:
        """What was known of real servers that the service has no more."""
        kept = {one.key for one in service.members()} if service is not None else set()
        before = self._services.get(key)
        for one in before.members() if before is not None else ():
            if one.key not in kept:
                self._standings.pop((key, one.key), None)
        want = self._wanted.get(key) if service is not None else None
        for of, endpoint in [each for each in self._carried if each[0] == key]:
            if want is None or endpoint not in want.servers:
                del self._carried[of, endpoint]
        if key in self._absent:
            self._absent[key] &= frozenset(want.servers) if want is not None else frozenset()


def _reaches(connection: Connection, endpoint: Endpoint) -> bool:
    return connection.server == endpoint[0] and endpoint[1] in (0, connection.server_port)


def _marked(service: Layer4Service, want: Wanted) -> MarkedService:
    return MarkedService(
        mark=mark_of(want.virtual.index),
        protocol=service.protocol,
        address=service.address,
        ports=() if service.ports == (ALL_PORTS,) else tuple((one.first, one.last) for one in service.ports),
        closed=not want.open,
        source=service.source_nat,
        refused=tuple((one.first, one.last) for one in service.refused),
        unheard=service.refuse_silently,
    )


def _present(marked: Mapping[str, MarkedService | None]) -> list[MarkedService]:
    return [one for one in marked.values() if one is not None]


def _plus(one: Traffic, other: Traffic, *, sign: int = 1) -> Traffic:
    """Totals together; what is open now is that of the first alone."""
    return Traffic(
        connections=one.connections + sign * other.connections,
        packets_in=one.packets_in + sign * other.packets_in,
        bytes_in=one.bytes_in + sign * other.bytes_in,
        packets_out=one.packets_out + sign * other.packets_out,
        bytes_out=one.bytes_out + sign * other.bytes_out,
        active=one.active,
        records=one.records,
    )


__all__ = ["IpvsDriver"]
