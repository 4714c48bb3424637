"""Where events come from: what the checking process says, changes, restarts, troubles, and certificates that end.

Health's events are told as they come. States of services are worked out a moment later and once for many events,
because a thousand servers that go down at once would cost a million looks otherwise.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime

from steelyard.appliance.contract import Actor
from steelyard.health.status import Event as HealthEvent
from steelyard.health.status import TargetStatus
from steelyard.model.certificate_expiry import EXPIRED, expiry_warnings
from steelyard.model.configuration import Configuration
from steelyard.model.errors import OperatorError, SteelyardError
from steelyard.model.severity import Severity
from steelyard.model.user import ADMINISTRATOR, PERMISSIONS
from steelyard.observe.events.bus import Bus
from steelyard.observe.events.event import Event, Kind, one_line
from steelyard.observe.events.flapping import Flapping
from steelyard.observe.events.subscribers import subscribers
from steelyard.observe.events.watching import SERVERS, SERVICES, Told, Watching
from steelyard.observe.status import ServiceState, Verdict

log = logging.getLogger("steelyard.events")

#: what happened longer ago was not seen when it happened
_LATE_SECONDS = 10.0
#: how long a change of a server may wait to be seen in its service
_GATHER_SECONDS = 0.2
_TICK_SECONDS = 5.0
_EXPIRY_SECONDS = 3600.0
_AT_ONCE = 50
_POSITION = "health"
#: members of a configuration that say who is told
_SAYS_WHO = ("syslog", "email", "snmp", "webhook", "intermediates")
#: days before the end -> how grave that is
_EXPIRY: Mapping[int, Severity] = {
    30: Severity.NOTICE,
    14: Severity.WARN,
    7: Severity.ERROR,
    1: Severity.CRITICAL,
    EXPIRED: Severity.CRITICAL,
}

Secret = Callable[[str], bytes]


def require_root(actor: Actor) -> None:
    """Raise `OperatorError` with the field "permission" for who may not change the system."""
    if not actor.user.may("root"):
        raise OperatorError(
            f"User {actor.name} lacks the permission {PERMISSIONS['root']}",
            field="permission",
            value="root",
            remedy=f"Ask {ADMINISTRATOR}",
        )


def _is_late(at: float) -> bool:
    return time.time() - at > _LATE_SECONDS


class Announcer:
    """Makes events of one appliance and puts them on its bus. Methods are for the loop's thread."""

    def __init__(self, bus: Bus, secret: Secret) -> None:
        self.bus = bus
        self._secret = secret
        self._configuration = Configuration()
        self._states: Callable[[], Mapping[int, ServiceState]] = dict
        self._verdicts: Callable[[], Mapping[str, Verdict]] = dict
        notes = {**bus.log.notes(SERVERS), **bus.log.notes(SERVICES)}
        self._watching = Watching(notes, Flapping(0, 60.0))
        run, _, number = bus.log.notes(_POSITION).get(_POSITION, "- 0").partition(" ")
        self._position = (run, int(number or 0))
        self._dirty: set[int] = set()
        self._dirtied = asyncio.Event()
        self._expiry_due = asyncio.Event()
        self._warned = bus.log.notes("certificate ")
        self._tasks: list[asyncio.Task[None]] = []

    async def start(
        self,
        configuration: Configuration,
        states: Callable[[], Mapping[int, ServiceState]],
        verdicts: Callable[[], Mapping[str, Verdict]],
    ) -> None:
        """Begin with that configuration; subscribers are told from now on, and what they missed."""
        self._configuration, self._states, self._verdicts = configuration, states, verdicts
        self._set_limits()
        await self._subscribe()
        self.tell("started", Severity.NOTICE, "Steelyard's control plane has started")
        self._dirty.update(configuration.services)
        self._dirtied.set()
        for work in (self._look_at_services, self._settle, self._watch_certificates):
            self._tasks.append(asyncio.create_task(work()))

    async def close(self) -> None:
        """End; subscribers are told the rest."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.to_thread(self.bus.close)

    def tell(
        self,
        kind: Kind,
        severity: Severity,
        text: str,
        *,
        about: str = "",
        ends: Severity | None = None,
        damped: bool = False,
    ) -> None:
        """Something happened now; what is damped is for the log and for syslog alone."""
        self.bus.publish(Event(kind, severity, one_line(text), time.time(), about=about, ends=ends, damped=damped))

    # --- the configuration

    def changed(self, actor: Actor, summary: str, revision: int) -> None:
        """A change was made."""
        through = f" through {actor.origin}" if actor.origin else ""
        self.tell("configuration_changed", Severity.NOTICE, f"Revision {revision} by {actor.name}{through}: {summary}")

    def refused(self, revisions: Iterable[int], why: str) -> None:
        """Revisions that were committed could not be brought into force."""
        numbers = ", ".join(map(str, revisions))
        if numbers:
            text = f"Revision {numbers} could not be brought into force and was withdrawn: {why}"
            self.tell("configuration_failed", Severity.ERROR, text)

    async def now(self, configuration: Configuration) -> None:
        """That is the configuration from now on."""
        before, self._configuration = self._configuration, configuration
        if any(getattr(before, name) is not getattr(configuration, name) for name in (*_SAYS_WHO, "events")):
            self._set_limits()
            await self._subscribe()
        if before.certificates is not configuration.certificates:
            self._expiry_due.set()
        if before.services is not configuration.services:
            for index, service in configuration.services.items():
                if before.services.get(index) is not service:
                    self._mark(index)
            self.bus.log.note(self._watching.forgotten(configuration, before))

    def _set_limits(self) -> None:
        wanted = self._configuration.events
        self._watching.flapping.set_limits(wanted.flapping_changes, wanted.flapping_minutes * 60.0)
        self.bus.log.kept = wanted.kept

    async def _subscribe(self) -> None:
        await asyncio.to_thread(self.bus.subscribe, subscribers(self._configuration, self._kept_secret))

    def _kept_secret(self, name: str) -> str:
        try:
            return self._secret(name).decode() if name else ""
        except SteelyardError as failure:
            # the subscriber will refuse whoever comes without it, and that is told
            log.error("the secret %s of a subscriber is not there: %s", name, failure.message)
            return ""

    # --- what the checking process says

    def position(self) -> tuple[str, int]:
        """The run of the checking process, and the number of its event that was heard last."""
        return self._position

    def heard(self, event: HealthEvent) -> None:
        """An event of the checking process."""
        if event.number:
            # one of a version before numbers comes without
            if not self._is_next(event):
                return
            self.bus.log.note({_POSITION: f"{event.run} {event.number}"})
        self._mark_target(event.target)
        if event.event == "verdict":
            told = self._watching.server(
                self._configuration, event.target, event.after, event.reason, event.at, late=_is_late(event.at)
            )
            self.publish(told)

    def _is_next(self, event: HealthEvent) -> bool:
        """Whether it was not heard before; what is missing between it and the last one is told."""
        run, number = self._position
        missed = event.number - (number if event.run == run else 0) - 1
        if missed < 0:
            # known from an earlier subscription
            return False
        self._position = (event.run, event.number)
        if missed and run != "-":
            text = f"{missed} changes of real servers happened while nobody watched, and are not known one by one"
            self.tell("events_lost", Severity.WARN, text)
        return True

    def compared(self, statuses: Mapping[str, TargetStatus]) -> None:
        """What is, of every real server: what differs from what was told happened while nobody watched."""
        for target, status in statuses.items():
            late = _is_late(status.since)
            told = self._watching.server(
                self._configuration, target, status.state, status.reason, status.since, late=late
            )
            for one in told:
                self._mark_target(target)
                self.publish((one,))

    def publish(self, told: Iterable[Told]) -> None:
        """Put these on the bus, with what is to be remembered."""
        for one in told:
            if one.event is None:
                self.bus.log.note(one.notes)
            else:
                self.bus.publish(one.event, one.notes)

    def _mark_target(self, target: str) -> None:
        service = target.partition("/")[0]
        if service.startswith("vs") and service[2:].isdecimal():
            self._mark(int(service[2:]))

    def _mark(self, index: int) -> None:
        """Look at a service soon, and at its parent."""
        service = self._configuration.services.get(index)
        if service is not None:
            self._dirty.add(index)
            if service.parent:
                self._dirty.add(service.parent)
            self._dirtied.set()

    async def _look_at_services(self) -> None:
        while True:
            await self._dirtied.wait()
            await asyncio.sleep(_GATHER_SECONDS)
            self._dirtied.clear()
            todo, self._dirty = sorted(self._dirty), set()
            for count, index in enumerate(todo, start=1):
                self._look_at(index)
                if count % _AT_ONCE == 0:
                    await asyncio.sleep(0)

    def _look_at(self, index: int) -> None:
        states = self._states()
        if index in self._configuration.services and index in states:
            self.publish(self._watching.service(self._configuration, states[index], self._verdicts(), time.time()))

    async def _settle(self) -> None:
        while True:
            await asyncio.sleep(_TICK_SECONDS)
            self.publish(list(self._watching.settled(self._configuration, time.time())))

    # --- the rest

    def problem(self, concern: str, words: str | None) -> None:
        """Something of the appliance is wrong, or well again."""
        if words is None:
            self.tell("trouble_over", Severity.NOTICE, f"{concern}: well again", about=concern, ends=Severity.ERROR)
        else:
            self.tell("trouble", Severity.ERROR, words, about=concern)

    def problems(self) -> tuple[str, ...]:
        """What is wrong with the events themselves, in words."""
        return (self.bus.log.trouble,) if self.bus.log.trouble else ()

    def haproxy_restarted(self) -> None:
        """HAProxy had ended by itself."""
        self.tell("haproxy_restarted", Severity.CRITICAL, "HAProxy had ended by itself and was started again")

    def checks_restarted(self) -> None:
        """The checking process had ended by itself."""
        self.tell("checks_restarted", Severity.ERROR, "The checking process had ended by itself and was started again")

    async def _watch_certificates(self) -> None:
        while True:
            self._expiry_due.clear()
            configuration = self._configuration
            # parses every certificate
            found = await asyncio.to_thread(expiry_warnings, configuration, datetime.now(UTC))
            current: set[str] = set()
            for one in found:
                name = f"certificate {one.kind} {one.certificate} {one.not_after.isoformat()}"
                current.add(name)
                if self._warned.get(name) == str(one.threshold):
                    continue
                self._warned[name] = str(one.threshold)
                kind: Kind = "certificate_expired" if one.threshold == EXPIRED else "certificate_expiring"
                event = Event(kind, _EXPIRY[one.threshold], one_line(one.text), time.time(), about=one.certificate)
                self.bus.publish(event, {name: str(one.threshold)})
            gone = [name for name in self._warned if name not in current]
            for name in gone:
                del self._warned[name]
            self.bus.log.note(dict.fromkeys(gone))
            try:
                async with asyncio.timeout(_EXPIRY_SECONDS):
                    await self._expiry_due.wait()
            except TimeoutError:
                # an hour has passed: something may end sooner now
                pass
