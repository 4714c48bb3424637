"""Layer-4 services by nftables: keeps in memory what is in force, and sends the kernel the difference only.

After a restart of this process the table is still there, with its connections and records. What is in it besides the
chains, the records and the counters is then written anew in one transaction, in which no packet sees a gap; that is
cheaper than reading and comparing it, and cannot be fooled by what somebody has changed by hand.
"""

from __future__ import annotations

import logging
import re
import time
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from ipaddress import ip_address

from steelyard.compile.layer4.program import program, server_mark, service_mark
from steelyard.diff.nft import TOGETHER, transaction
from steelyard.emit.nft.table import clear_text, table_text
from steelyard.emit.nft.transaction import command_text, transaction_text
from steelyard.engines.layer4.contract import Record, ServiceTraffic, Traffic
from steelyard.engines.nft.kernel import Counted, Netfilter
from steelyard.engines.nft.library import Nftables
from steelyard.model.errors import EngineRefused
from steelyard.plan.layer4 import Layer4Service, ServerName, Standing, Standings
from steelyard.plan.nft import (
    COUNTERS,
    NETWORKS,
    NOTHING,
    TABLE,
    AddNetworks,
    DeleteElements,
    DeleteNetworks,
    Element,
    EmptySet,
    IdleTimeouts,
    Mark,
    NftCommand,
    Program,
)

log = logging.getLogger(__name__)

_SERVICE_CHAIN = re.compile(r"vs[1-9][0-9]*")
_PROTOCOL_NUMBERS = {"tcp": 6, "udp": 17}
_REWRITTEN = (
    *(f"{name}{family}" for name in ("services", "any_port", "targets", "addresses", "sources") for family in (4, 6)),
    "slots",
    "takes",
)
_NONE = Counted(0, 0)
_NO_TRAFFIC = Traffic()
#: what is counted is read again when this many times the time it took has passed
_REST = 20.0
#: how often a look that changes disturb is begun again
_LOOKS = 3


@dataclass(frozen=True, slots=True)
class _InForce:
    """One service as the kernel has it. `service` is None for one that was found there and is not known yet."""

    service: Layer4Service | None
    program: Program


@dataclass(frozen=True, slots=True)
class _Counts:
    """What it takes long to count: open connections by mark, records by mark, and when to count again."""

    active: Mapping[int, int]
    records: Mapping[int, int]
    until: float


class NftDriver:
    """The `Layer4Driver` for nftables. Calls block for milliseconds."""

    def __init__(self) -> None:
        self._nftables = Nftables()
        self._netfilter = Netfilter()
        #: of the thread that looks at counters
        self._beside = Netfilter()
        #: changes that took something away, twice; odd while one is under way
        self._changes = 0
        self._services: dict[str, _InForce] = {}
        self._standings: dict[ServerName, Standing] = {}
        self._timeouts: frozenset[IdleTimeouts] = frozenset()
        #: who has each place, an address with a port
        self._places: dict[Element, str] = {}
        #: the names of sets of networks that are there, with how many services use each
        self._networks: Counter[str] = Counter()
        #: what servers that are gone have carried, by service
        self._past: dict[str, Traffic] = {}
        self._counts = _Counts({}, {}, 0.0)
        #: the marks that took clients when the table was found
        self._taking: frozenset[int] = frozenset()
        self._traffic: dict[str, ServiceTraffic] = {}
        self._traffic_until = 0.0
        self._table = False
        self._found = False

    def adopt(self) -> frozenset[str]:
        """Take over the table, if there is one of ours; a table of another make is removed with what it holds."""
        chains = self._netfilter.chains()
        if not chains:
            return frozenset()
        try:
            self._nftables.run(table_text())
        except EngineRefused as refusal:
            log.warning("the table %s is of another make and is made anew: %s", TABLE, refusal.words)
            self.clear()
            return frozenset()
        found = frozenset(chain for chain in chains if _SERVICE_CHAIN.fullmatch(chain))
        counted = [Element(name, (Mark(mark),)) for name in COUNTERS for mark in self._netfilter.counters(name)]
        # which service a counter belongs to is not known; the first change removes those that no service wants
        orphans = Program(elements=dict.fromkeys(counted))
        for key in found:
            self._services[key] = _InForce(None, Program(chains={key: ((),)}))
        self._services[""] = _InForce(None, orphans)
        self._networks = Counter({name: 0 for name in self._netfilter.sets() if name.startswith(NETWORKS)})
        self._taking = self._netfilter.marks("takes")
        self._table = self._found = True
        return found

    def check(self, services: Mapping[str, Layer4Service | None]) -> None:
        # a dry run of the library asks the kernel nothing and takes as long as the real thing, so only what the kernel
        # would refuse is looked for here
        self._refuse_taken_places(services)
        commands, _ = self._planned(services, self._standings)
        transaction_text(commands)

    def apply(self, services: Mapping[str, Layer4Service | None], standings: Standings) -> None:
        kept = {**self._standings, **self._inherited(services), **standings}
        commands, programs = self._planned(services, kept)
        gone = self._gone(services)
        orphans = self._orphans(programs) if self._found else set()
        strangers = list(self._newly_taken(services))
        # what only comes disturbs nobody who counts
        leaving = 1 if gone or None in services.values() else 0
        self._changes += leaving
        try:
            past = self._with_past(services, gone)
            self._nftables.run(self._preamble() + transaction_text(commands))
            self._take(services, programs)
            self._past = past
        finally:
            self._changes += leaving
        if gone:
            self._traffic_until = 0.0
        self._standings = kept
        for name in (*gone, *(one for one in standings if not self._has(one))):
            kept.pop(name, None)
        self._netfilter.cut({server_mark(*name).number for name in gone} | orphans)
        if strangers:
            self._netfilter.forget_strangers(frozenset(strangers))

    def _take(self, services: Mapping[str, Layer4Service | None], programs: Mapping[str, Program]) -> None:
        """The kernel has these now."""
        self._table, self._found = True, False
        self._timeouts |= {one for new in programs.values() for one in new.timeouts}
        self._networks = +self._used_networks(programs)
        for key in programs:
            for element in self._program(key).elements:
                if _is_place(element) and self._places.get(element) == key:
                    del self._places[element]
        for key, made in programs.items():
            self._places.update((element, key) for element in made.elements if _is_place(element))
            service = services.get(key)
            if service is None:
                self._services.pop(key, None)
            else:
                self._services[key] = _InForce(service, made)

    def tell(self, standings: Standings) -> None:
        known = {name: one for name, one in standings.items() if self._has(name)}
        services = {name[0]: self._services[name[0]].service for name in known}
        if services:
            self.apply(services, known)

    def drop(self, servers: Iterable[ServerName]) -> None:
        self._netfilter.cut({server_mark(*name).number for name in servers if self._has(name)})

    def describe(self, services: Mapping[str, Layer4Service | None]) -> tuple[str, ...]:
        commands, _ = self._planned(services, self._standings)
        lines = [command_text(command) for command in commands]
        lines += [f"drop connections of {service}/{server}" for service, server in sorted(self._gone(services))]
        return tuple(lines)

    def traffic(self) -> Mapping[str, ServiceTraffic]:
        now = time.monotonic()
        if self._table and now >= self._traffic_until:
            self._traffic = self._read_traffic(self._netfilter)
            self._traffic_until = time.monotonic() + (time.monotonic() - now) * _REST
        return self._traffic

    def look(self) -> None:
        for _ in range(_LOOKS):
            now, before = time.monotonic(), self._changes
            if not self._table or now < self._traffic_until:
                return
            found = self._read_traffic(self._beside)
            if self._changes == before and not before % 2:
                self._traffic, self._traffic_until = found, time.monotonic() + (time.monotonic() - now) * _REST

    def _read_traffic(self, netfilter: Netfilter) -> dict[str, ServiceTraffic]:
        opened, arriving, leaving = (netfilter.counters(name) for name in COUNTERS)
        counts = self._counted(netfilter)
        busy = {mark for counted in (opened, arriving, leaving) for mark, one in counted.items() if one.packets}
        busy |= counts.records.keys() | counts.active.keys()
        found = {}
        for key, one in self._known():
            servers = {
                member.key: _traffic(mark, opened, arriving, leaving, counts)
                for member in one.members()
                if (mark := server_mark(key, member.key).number) in busy
            }
            past = self._past.get(key)
            if servers or past is not None:
                found[key] = ServiceTraffic(_sum((past or _NO_TRAFFIC, *servers.values())), servers)
        return found

    def records(self, service: str) -> tuple[Record, ...]:
        one = self._services.get(service)
        if not self._table or one is None or one.service is None:
            return ()
        wanted = service_mark(one.service).number
        names = {server_mark(service, member.key).number: member.key for member in one.service.members()}
        return tuple(
            Record(service, record.client, names[record.server], record.seconds)
            for record in self._netfilter.records(_records(one.service))
            if record.service == wanted and record.server in names
        )

    def flush_records(self, service: str) -> None:
        one = self._services.get(service)
        if not self._table or one is None or one.service is None:
            return
        mark, name = service_mark(one.service), _records(one.service)
        clients = [ip_address(one.client) for one in self._netfilter.records(name) if one.service == mark.number]
        for first in range(0, len(clients), TOGETHER):
            keys = tuple((mark, client) for client in clients[first : first + TOGETHER])
            self._nftables.run(transaction_text([DeleteElements(name, keys)]))

    def clear(self) -> None:
        self._changes += 2
        self._nftables.run(clear_text())
        self._services, self._standings, self._past, self._places = {}, {}, {}, {}
        self._timeouts, self._networks = frozenset(), Counter()
        self._table = self._found = False
        self._traffic, self._traffic_until = {}, 0.0
        self._netfilter.cut_all()

    def close(self) -> None:
        """Give back sockets and memory; the kernel keeps what it has."""
        self._nftables.close()
        self._netfilter.close()
        self._beside.close()

    # -- what a change takes

    def _preamble(self) -> str:
        return "" if self._table else table_text()

    def _planned(
        self, services: Mapping[str, Layer4Service | None], standings: Standings
    ) -> tuple[list[NftCommand], dict[str, Program]]:
        programs = {key: program(service, standings) for key, service in services.items()}
        if not self._found:
            changes = [(self._program(key), new) for key, new in programs.items()]
            return self._among_networks(transaction(changes, self._timeouts), programs), programs
        # the first change after a restart: all that is rewritten is emptied first, within the same transaction
        wanted = {element for new in programs.values() for element in new.elements}
        counted = self._services[""].program.elements
        for key in self._services:
            programs.setdefault(key, NOTHING)
        changes = []
        for key, new in programs.items():
            kept = {element: data for element, data in new.elements.items() if element in counted}
            old = (
                Program(chains=self._program(key).chains, elements=kept)
                if key
                else Program(elements=_without(counted, wanted))
            )
            changes.append((old, new))
        emptied = [EmptySet(name) for name in _REWRITTEN]
        return self._among_networks([*emptied, *transaction(changes)], programs), programs

    def _among_networks(self, commands: list[NftCommand], programs: Mapping[str, Program]) -> list[NftCommand]:
        """The commands with those for sets of networks, which several services may share, around them."""
        users = self._used_networks(programs)
        fresh = {one.name: one for new in programs.values() for one in new.networks if one.name not in self._networks}
        added = [AddNetworks(one) for _, one in sorted(fresh.items())]
        return [*added, *commands, *(DeleteNetworks(name) for name in sorted(users) if users[name] <= 0)]

    def _used_networks(self, programs: Mapping[str, Program]) -> Counter[str]:
        """How many services use each set of networks after a change."""
        users = Counter(self._networks)
        for key, new in programs.items():
            users.subtract(one.name for one in self._program(key).networks)
            users.update(one.name for one in new.networks)
        return users

    def _refuse_taken_places(self, services: Mapping[str, Layer4Service | None]) -> None:
        """Raise `EngineRefused` when a place, an address with a port, would belong to two services."""
        taken: dict[Element, str] = {}
        for key, new in services.items():
            if new is None:
                continue
            for element in program(new, {}).elements:
                if _is_place(element) and taken.setdefault(element, key) != key:
                    raise EngineRefused("nftables refused a change", words=f"{key} and {taken[element]} have one place")
        for element, key in taken.items():
            owner = self._places.get(element, key)
            if owner != key and owner not in services:
                raise EngineRefused("nftables refused a change", words=f"{key} wants a place of {owner}")

    def _program(self, key: str) -> Program:
        one = self._services.get(key)
        return NOTHING if one is None else one.program

    def _known(self) -> Iterator[tuple[str, Layer4Service]]:
        # a copy: `look` goes through them while a change may come
        for key, one in list(self._services.items()):
            if one.service is not None:
                yield key, one.service

    def _has(self, name: ServerName) -> bool:
        one = self._services.get(name[0])
        return one is not None and one.service is not None and any(m.key == name[1] for m in one.service.members())

    def _gone(self, services: Mapping[str, Layer4Service | None]) -> set[ServerName]:
        """Servers that a change takes out of their services."""
        gone: set[ServerName] = set()
        for key, new in services.items():
            one = self._services.get(key)
            if one is not None and one.service is not None:
                staying = set() if new is None else {member.key for member in new.members()}
                gone |= {(key, member.key) for member in one.service.members() if member.key not in staying}
        return gone

    def _inherited(self, services: Mapping[str, Layer4Service | None]) -> dict[ServerName, Standing]:
        """At the first change after a restart: what the table says of servers, where nobody has told anything yet."""
        if not self._found:
            return {}
        return {
            (key, member.key): Standing(up=server_mark(key, member.key).number in self._taking)
            for key, service in services.items()
            if service is not None and key in self._services
            for member in service.servers
            if member.enabled
        }

    def _orphans(self, programs: Mapping[str, Program]) -> set[int]:
        """Marks of servers that were found at the start and are in no service any more."""
        wanted = {element for new in programs.values() for element in new.elements}
        left = _without(self._services[""].program.elements, wanted)
        return {mark.number for element in left for mark in element.key if isinstance(mark, Mark)}

    def _with_past(
        self, services: Mapping[str, Layer4Service | None], gone: Collection[ServerName]
    ) -> dict[str, Traffic]:
        """What servers that go have carried, so that their service's totals never shrink."""
        past = {key: one for key, one in self._past.items() if services.get(key, True) is not None}
        staying = [name for name in gone if services[name[0]] is not None]
        if staying:
            opened, arriving, leaving = (self._netfilter.counters(name) for name in COUNTERS)
            for key, server in staying:
                carried = _traffic(server_mark(key, server).number, opened, arriving, leaving, None)
                past[key] = _sum((past.get(key, _NO_TRAFFIC), carried))
        return past

    def _newly_taken(self, services: Mapping[str, Layer4Service | None]) -> Iterator[tuple[str, int, int | None]]:
        """Places of UDP that a change takes for the first time."""
        for key, new in services.items():
            if new is None or new.protocol != "udp" or not new.enabled:
                continue
            one = self._services.get(key)
            old = one.service if one is not None else None
            if old is not None and (old.enabled, old.address, old.ports) == (True, new.address, new.ports):
                continue
            number = _PROTOCOL_NUMBERS[new.protocol]
            if new.wildcard:
                yield new.address, number, None
                continue
            for ports in new.ports:
                for port in range(ports.first, ports.last + 1):
                    yield new.address, number, port

    def _counted(self, netfilter: Netfilter) -> _Counts:
        now = time.monotonic()
        if now >= self._counts.until:
            active = netfilter.active()
            records: Counter[int] = Counter()
            for name in sorted({_records(one) for _, one in self._known() if one.persistence is not None}):
                records.update(record.server for record in netfilter.records(name))
            took = time.monotonic() - now
            self._counts = _Counts(active, records, now + took * _REST)
        return self._counts


def _is_place(element: Element) -> bool:
    return element.where.startswith(("services", "any_port"))


def _records(service: Layer4Service) -> str:
    return "records6" if service.ipv6 else "records4"


def _without(elements: Mapping[Element, object], wanted: Collection[Element]) -> dict[Element, None]:
    return {element: None for element in elements if element not in wanted}


def _traffic(
    mark: int,
    opened: Mapping[int, Counted],
    arriving: Mapping[int, Counted],
    leaving: Mapping[int, Counted],
    counts: _Counts | None,
) -> Traffic:
    incoming, outgoing = arriving.get(mark, _NONE), leaving.get(mark, _NONE)
    return Traffic(
        opened.get(mark, _NONE).packets,
        incoming.packets,
        incoming.bytes,
        outgoing.packets,
        outgoing.bytes,
        0 if counts is None else counts.active.get(mark, 0),
        0 if counts is None else counts.records.get(mark, 0),
    )


def _sum(parts: Iterable[Traffic]) -> Traffic:
    parts = tuple(parts)
    return Traffic(
        sum(one.connections for one in parts),
        sum(one.packets_in for one in parts),
        sum(one.bytes_in for one in parts),
        sum(one.packets_out for one in parts),
        sum(one.bytes_out for one in parts),
        sum(one.active for one in parts),
        sum(one.records for one in parts),
    )


__all__ = ["NftDriver"]
