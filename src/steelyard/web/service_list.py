"""The list of virtual services as values: which services, in which order, and what each row says. Pure.

What depends on the configuration alone is kept per service object, which never changes; with a thousand services all
but a few rows are as they were.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from steelyard.model.configuration import Configuration
from steelyard.model.real_server import RealServer
from steelyard.model.virtual_service import VirtualService
from steelyard.observe.status import ServerState, ServiceState
from steelyard.web.traffic import Rate
from steelyard.web.wording import ports

_UNKNOWN = "Unknown"


@dataclass(frozen=True)
class Member:
    """A real server, or the slot of a sub-service, as it is named in a row."""

    index: int
    label: str
    #: with the port in any case
    full: str
    #: of the sub-service; 0 for a real server
    sub: int = 0


@dataclass(frozen=True)
class Row:
    """What a service's row says without its state."""

    service: VirtualService
    address: str
    extra: str
    certificate: str
    more_certificates: int
    members: tuple[Member, ...]
    subs: tuple[Row, ...]
    #: what a filter looks at, in lower case
    words: str
    place: tuple[Any, ...]

    @property
    def index(self) -> int:
        return self.service.index

    @property
    def name(self) -> str:
        return self.service.name


def _servers(servers: tuple[RealServer, ...]) -> Iterator[Member]:
    """Real servers by their addresses alone, as LoadMaster shows them; with ports where one has several."""
    several = len({server.address for server in servers}) < len(servers)
    for server in servers:
        full = f"[{server.address}]:{server.port}" if ":" in server.address else f"{server.address}:{server.port}"
        yield Member(server.index, full if several else server.address, full)


def _slots(service: VirtualService, subs: Mapping[int, VirtualService]) -> Iterator[Member]:
    for slot in service.slots:
        name = subs[slot.service].name or f"SubVS {slot.service}"
        yield Member(slot.index, name, name, slot.service)


class Rows:
    """The rows of the services there are, made when they are first asked for."""

    def __init__(self) -> None:
        self._of: Mapping[int, VirtualService] | None = None
        self._rows: dict[int, Row] = {}
        self._family: dict[int, tuple[VirtualService, ...]] = {}
        self.signature = 0

    def all(self, configuration: Configuration) -> Sequence[Row]:
        """One row for each service that is no sub-service, in the order they were made."""
        if self._of is not configuration.services:
            self._take(configuration)
        return tuple(self._rows.values())

    def _take(self, configuration: Configuration) -> None:
        rows: dict[int, Row] = {}
        families: dict[int, tuple[VirtualService, ...]] = {}
        for service in configuration.services.values():
            if service.is_sub:
                continue
            family = (service, *(configuration.services[slot.service] for slot in service.slots))
            families[service.index] = family
            known = self._family.get(service.index, ())
            same = len(known) == len(family) and all(one is other for one, other in zip(known, family, strict=True))
            rows[service.index] = self._rows[service.index] if same else _row(family)
        if rows != self._rows:
            self.signature += 1
        self._of, self._rows, self._family = configuration.services, rows, families


def _row(family: tuple[VirtualService, ...]) -> Row:
    service, *subs = family
    by_index = {sub.index: sub for sub in subs}
    members = (*_servers(service.servers), *_slots(service, by_index))
    address = "" if service.is_sub else f"{service.host}:{service.port}"
    names = service.certificates if service.ssl_acceleration else ()
    sub_rows = tuple(_row((sub,)) for sub in subs)
    words = " ".join(
        (
            address,
            service.protocol,
            service.name,
            str(service.index),
            *service.extra_ports,
            *names,
            *(member.full for member in members),
            *(sub.words for sub in sub_rows),
        )
    ).lower()
    place = () if service.is_sub else (*_numbers(service.address), service.port, service.protocol)
    return Row(
        service,
        address,
        ports(service.extra_ports),
        names[0] if names else "",
        max(0, len(names) - 1),
        members,
        sub_rows,
        words,
        place,
    )


def _numbers(address: str) -> tuple[int, int]:
    parsed = ipaddress.ip_address(address)
    return parsed.version, int(parsed)


@dataclass(frozen=True)
class Seen:
    """A row as it is seen now."""

    row: Row
    state: ServiceState
    rate: Rate
    subs: tuple[Seen, ...] = ()

    @property
    def status(self) -> str:
        return self.state.status

    @property
    def layer(self) -> str:
        return f"L{self.state.layer.number}"

    def member_state(self, member: Member) -> ServerState:
        """The state of a real server or slot; what was made this moment has none yet."""
        states = self.state.slots if member.sub else self.state.servers
        return states.get(member.index) or ServerState(member.index, _UNKNOWN, "no state is known yet")


#: graver is further up when the list is sorted by status
_GRAVITY = ("Down", "Sorry", "Redirect", "Fail Message", "Draining", "Unchecked", "Up", "Disabled")
ORDERS: Mapping[str, Callable[[Seen], Any]] = {
    "status": lambda seen: _GRAVITY.index(seen.status) if seen.status in _GRAVITY else -1,
    "address": lambda seen: seen.row.place,
    "protocol": lambda seen: seen.row.service.protocol,
    "name": lambda seen: (not seen.row.name, seen.row.name.lower()),
    "layer": lambda seen: seen.layer,
    "certificate": lambda seen: (not seen.row.certificate, seen.row.certificate.lower()),
    "servers": lambda seen: len(seen.row.members),
    "connections": lambda seen: seen.rate.active,
    "throughput": lambda seen: seen.rate.bytes,
}
#: what is more interesting the more there is of it
FALLING = frozenset({"servers", "connections", "throughput"})


def chosen(rows: Iterable[Seen], text: str, status: str) -> list[Seen]:
    """The rows that hold every word of a text, and have a status if one is given."""
    words = text.lower().split()
    return [
        seen for seen in rows if (not status or seen.status == status) and all(word in seen.row.words for word in words)
    ]


def ordered(rows: list[Seen], by: str, *, falling: bool) -> list[Seen]:
    """The rows in an order; equal ones by their address."""
    found = sorted(rows, key=ORDERS["address"])
    return found if by == "address" and not falling else sorted(found, key=ORDERS[by], reverse=falling)
