"""What real servers and services do, as events in LoadMaster's manner. Pure but for what it remembers.

It remembers what was told last of each, so nothing is told twice, and what happened while nobody watched is seen by
comparing. A server nobody has checked yet was never up, so its first good check is no news; its first bad one is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from steelyard.model.configuration import Configuration
from steelyard.model.real_server import RealServer
from steelyard.model.severity import Severity
from steelyard.model.virtual_service import VirtualService
from steelyard.observe.events.event import Event, Kind, one_line
from steelyard.observe.events.flapping import Flapping
from steelyard.observe.status import ServiceState, Verdict, target_key

#: what is remembered of each, under names that begin so
SERVERS, SERVICES = "server ", "service "

_UP, _DOWN, _INSTEAD, _QUIET = "up", "down", "instead", "quiet"
_WORDS: Mapping[str, str] = {
    "Up": _UP,
    "Unchecked": _UP,
    "Standby": _UP,
    "Down": _DOWN,
    "Security Down": _DOWN,
    "WAF Misconfigured": _DOWN,
    "Sorry": _INSTEAD,
    "Redirect": _INSTEAD,
    "Fail Message": _INSTEAD,
}
_STATES: Mapping[str, str] = {"up": _UP, "unchecked": _UP, "down": _DOWN}
_GRAVITY: Mapping[str, Severity] = {_DOWN: Severity.CRITICAL, _INSTEAD: Severity.ERROR}


@dataclass(frozen=True)
class Told:
    """An event with what is to be remembered with it; `event` is None when there is only that."""

    event: Event | None
    notes: Mapping[str, str | None] = field(default_factory=dict)


def member_of(configuration: Configuration, target: str) -> tuple[VirtualService, RealServer] | None:
    """The real server of "vs1/rs2"; None for what is none, or not there any more."""
    service_name, _, server_name = target.partition("/")
    if not (service_name.startswith("vs") and server_name.startswith("rs")):
        return None
    if not (service_name[2:].isdecimal() and server_name[2:].isdecimal()):
        return None
    service = configuration.services.get(int(service_name[2:]))
    server = service.server(int(server_name[2:])) if service is not None else None
    return None if service is None or server is None else (service, server)


class Watching:
    """The memory, filled from the notes of the log."""

    def __init__(self, notes: Mapping[str, str], flapping: Flapping) -> None:
        self._told = dict(notes)
        self.flapping = flapping

    def server(
        self, configuration: Configuration, target: str, state: str, reason: str, at: float, *, late: bool = False
    ) -> Iterator[Told]:
        """A real server is in this state."""
        name = SERVERS + target
        word = _STATES.get(state)
        before = self._told.get(name)
        if word is None or word == before:
            return
        found = member_of(configuration, target)
        if found is None:
            return
        if before is None and word == _UP:
            yield self._noted(name, word)
            return
        service, server = found
        gravity = Severity.CRITICAL if server.critical else Severity.WARN
        where = f"VS {service.title}: RS {endpoint(server)}"
        what = "removed" if word == _DOWN else "re-added"
        kind: Kind = "server_down" if word == _DOWN else "server_up"
        event = Event(
            kind,
            gravity if word == _DOWN else Severity.WARN,
            one_line(f"{where} {what}: {reason}" if reason else f"{where} {what}"),
            at,
            service.index,
            server.index,
            ends=None if word == _DOWN else gravity,
            late=late,
        )
        flaps = replace(event, kind="server_flapping", severity=gravity, ends=None, text=self._flaps(where))
        yield from self._damped(name, word, event, flaps)

    def service(
        self, configuration: Configuration, state: ServiceState, verdicts: Mapping[str, Verdict], at: float
    ) -> Iterator[Told]:
        """A service is in this state."""
        service = configuration.services[state.index]
        name = f"{SERVICES}{service.index}"
        word = _WORDS.get(state.status, _QUIET)
        if not service.members:
            # what an operator has not finished, or made to have no real servers
            word = _QUIET
        before = self._told.get(name, _QUIET)
        if word == before:
            return
        if word in (_DOWN, _INSTEAD) and not _all_known(service, verdicts):
            return
        if _QUIET in (word, before) and word not in (_DOWN, _INSTEAD):
            yield self._noted(name, word)
            return
        what = {_UP: "is up again", _DOWN: "is down", _INSTEAD: f"has no real server ({state.status})"}[word]
        kind: Kind = {_UP: "service_up", _DOWN: "service_down", _INSTEAD: "service_instead"}[word]  # type: ignore[assignment]
        where = f"VS {service.title}"
        ends = _GRAVITY.get(before)
        gravity = _GRAVITY.get(word, Severity.WARN)
        event = Event(kind, gravity, one_line(f"{where} {what}: {state.reason}"), at, service.index, ends=ends)
        flaps = replace(event, kind="service_flapping", severity=Severity.CRITICAL, ends=None, text=self._flaps(where))
        yield from self._damped(name, word, event, flaps)

    def settled(self, configuration: Configuration, now: float) -> Iterator[Told]:
        """What does not flap any more."""
        for name in self.flapping.settled(now):
            word = "up" if self._told.get(name) == _UP else "down"
            if name.startswith(SERVERS):
                found = member_of(configuration, name.removeprefix(SERVERS))
                if found is not None:
                    service, server = found
                    gravity = Severity.CRITICAL if server.critical else Severity.WARN
                    text = one_line(f"VS {service.title}: RS {endpoint(server)} is steady again, and {word}")
                    yield Told(Event("server_steady", gravity, text, now, service.index, server.index))
            else:
                service = configuration.services.get(int(name.removeprefix(SERVICES)))  # type: ignore[assignment]
                if service is not None:
                    text = one_line(f"VS {service.title} is steady again, and {word}")
                    yield Told(Event("service_steady", Severity.CRITICAL, text, now, service.index))

    def forgotten(self, configuration: Configuration, before: Configuration) -> dict[str, str | None]:
        """Forget what is there no more; returns the notes to remove.

        Only what `before` had and this has not is looked for, so that a change of one service of a thousand costs one;
        the first configuration of a run, which follows an empty one, is compared with all that is remembered.
        """
        known = _gone(before, configuration) if before.services else self._told
        gone = [name for name in known if name in self._told and not _is_there(configuration, name)]
        for name in gone:
            del self._told[name]
            self.flapping.forget(name)
        return dict.fromkeys(gone)

    def _noted(self, name: str, word: str) -> Told:
        self._told[name] = word
        return Told(None, {name: word})

    def _flaps(self, where: str) -> str:
        minutes = self.flapping.window / 60
        return one_line(
            f"{where} is flapping: more than {self.flapping.changes} changes in {minutes:g} minutes; until it is steady"
            " further ones are in the log and in syslog alone"
        )

    def _damped(self, name: str, word: str, event: Event, flaps: Event) -> Iterator[Told]:
        noted = self._noted(name, word)
        told = self.flapping.note(name, event.at)
        yield Told(event if told == "change" else replace(event, damped=True), noted.notes)
        if told == "flapping":
            yield Told(flaps)


def endpoint(server: RealServer) -> str:
    """Address and port as they are written."""
    return f"[{server.address}]:{server.port}" if ":" in server.address else f"{server.address}:{server.port}"


def _all_known(service: VirtualService, verdicts: Mapping[str, Verdict]) -> bool:
    """Whether every member was checked; a service whose servers nobody has checked yet is not down."""
    targets = [target_key(service, member) for member in service.members if member.enabled]
    return all(target in verdicts and verdicts[target].state != "unknown" for target in targets)


def _gone(before: Configuration, after: Configuration) -> Iterator[str]:
    """Names that may have gone: those of services that are others now, and of their real servers."""
    for index, service in before.services.items():
        if after.services.get(index) is not service:
            yield f"{SERVICES}{index}"
            for server in service.servers:
                yield SERVERS + target_key(service, server)


def _is_there(configuration: Configuration, name: str) -> bool:
    if name.startswith(SERVERS):
        return member_of(configuration, name.removeprefix(SERVERS)) is not None
    return int(name.removeprefix(SERVICES)) in configuration.services
