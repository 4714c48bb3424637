"""Services and real servers that reach their limits, as events. Pure but for what it remembers.

What limits of a service have refused is counted, so none of it is missed. A real server's limit is seen in how many
connections it has at that moment, so a peak between two looks is not seen. What goes on being at its limit is told
once, and once when it has not been for a while.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from steelyard.model.configuration import Configuration
from steelyard.model.limits import LimitParameters
from steelyard.model.severity import Severity
from steelyard.model.virtual_service import VirtualService
from steelyard.observe.events.event import Event, one_line
from steelyard.observe.events.watching import Told, endpoint
from steelyard.observe.statistics import Statistics, TrafficCounters

#: what is remembered, under names that begin so
LIMITS = "limit "
#: seconds without a refusal after which it is over
QUIET_SECONDS = 60.0

#: a counter, the limit it belongs to, and what that is a limit of
_KINDS = (
    ("connections_blocked", "max_connections", "connections at a time"),
    ("connection_rate_blocked", "connections_per_second", "new connections a second"),
    ("request_rate_blocked", "requests_per_second", "requests a second"),
)
_NONE = TrafficCounters()

#: index of the service and of its member or 0, and the limit
_Name = tuple[int, int, str]


@dataclass
class _Reached:
    """A limit that was told of: when it was last seen reached, and what had been refused before; -1 is unknown."""

    last: float
    refused: int


class LimitsReached:
    """The memory; `notes` are those an earlier run left in the log."""

    def __init__(self, notes: Mapping[str, str], now: float) -> None:
        self._reached = {_name(note): _Reached(now, -1) for note in notes}
        self._before: Mapping[int, TrafficCounters] | None = None

    def look(self, configuration: Configuration, sample: Statistics) -> Iterator[Told]:
        """What a sample of the counters says that was not told yet."""
        before, self._before = self._before, sample.services
        before = sample.services if before is None else before
        for name, refused, text in self._now(configuration, before, sample):
            known = self._reached.get(name)
            if known is not None:
                known.last = sample.at
                continue
            self._reached[name] = _Reached(sample.at, refused)
            event = Event("limit_reached", Severity.WARN, one_line(text), sample.at, *name[:2])
            yield Told(event, {_note(name): "reached"})
        for name, known in tuple(self._reached.items()):
            service = configuration.services.get(name[0])
            where = None if service is None else _where(configuration, service, name[1])
            if where is not None and sample.at - known.last < QUIET_SECONDS:
                continue
            del self._reached[name]
            over = None if where is None else self._over(name, known, where, sample)
            yield Told(over, {_note(name): None})

    def _now(
        self, configuration: Configuration, before: Mapping[int, TrafficCounters], sample: Statistics
    ) -> Iterator[tuple[_Name, int, str]]:
        """What is at its limit now, what it had refused before, and the words."""
        for index, service in configuration.services.items():
            was, counters = before.get(index, _NONE), sample.services.get(index, _NONE)
            for counter, limit, words in _KINDS if counters is not was else ():
                if getattr(counters, counter) > getattr(was, counter):
                    which = _which(service, configuration.limits, limit, words)
                    what = "requests" if limit == "requests_per_second" else "connections"
                    text = f"VS {service.title}: {which} is reached, {what} are refused"
                    yield (index, 0, limit), getattr(was, counter), text
            for member in service.members:
                if not member.limit:
                    continue
                if sample.servers.get((index, member.index), _NONE).active_connections >= member.limit:
                    where = _where(configuration, service, member.index)
                    text = f"{where} has reached its limit of {member.limit} connections at a time"
                    yield (index, member.index, "limit"), -1, text

    def _over(self, name: _Name, known: _Reached, where: str, sample: Statistics) -> Event:
        words = next((words for _, limit, words in _KINDS if limit == name[2]), "connections at a time")
        counters = sample.services.get(name[0], _NONE)
        total = next((getattr(counters, counter) for counter, limit, _ in _KINDS if limit == name[2]), -1)
        refused = f"; {total - known.refused} were refused" if total > known.refused >= 0 else ""
        text = f"{where}: its limit of {words} was not reached for {QUIET_SECONDS:.0f} seconds{refused}"
        return Event("limit_over", Severity.NOTICE, one_line(text), sample.at, *name[:2], ends=Severity.WARN)


def _note(name: _Name) -> str:
    return f"{LIMITS}{name[0]} {name[1]} {name[2]}"


def _name(note: str) -> _Name:
    service, server, limit = note.removeprefix(LIMITS).split(" ")
    return int(service), int(server), limit


def _which(service: VirtualService, everything: LimitParameters, limit: str, words: str) -> str:
    """The limit that it must be; refusals by one of the service and by one of everything are counted together."""
    own, of_all = getattr(service, limit), getattr(everything, limit)
    told = [f"its limit of {own} {words}"] if own else []
    told += [f"the limit of {of_all} {words} of everything together"] if of_all else []
    return " or ".join(told) or f"a limit of {words}"


def _where(configuration: Configuration, service: VirtualService, member: int) -> str | None:
    """The service, or its member; None for one that is not there."""
    if not member:
        return f"VS {service.title}"
    server = service.server(member)
    if server is not None:
        return f"VS {service.title}: RS {endpoint(server)}"
    slot = next((one for one in service.slots if one.index == member), None)
    sub = None if slot is None else configuration.services.get(slot.service)
    return None if sub is None else f"VS {service.title}: SubVS {sub.name or sub.index}"
