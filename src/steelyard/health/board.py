"""The board: every probe, every target and what is known of it. Pure: the time is an argument, in seconds of the epoch.

- Equal (check, address, port) of different services is one probe; its verdict is fanned out to every target.
- A target with a new address is unknown until it is checked. One whose check changed keeps its verdict until the new
  check has spoken: a change of configuration never takes a live server away.
- What a killed process knew (`remembered`) is taken up again by targets whose address is the same.
- A slot has no probe: its state is made from the targets of the sub-service it follows, whenever one of these changes.
- A service whose critical target is not available is shut: HAProxy is told that all its servers are down, and those of
  its sub-services, while their verdicts stay what they are.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from steelyard.health.effects import (
    Place,
    Standing,
    Wanted,
    drain_ends,
    drops_sessions,
    is_shut,
    standing_at,
    wanted,
)
from steelyard.health.probe import Prepared, prepared
from steelyard.health.status import Event, TargetStatus
from steelyard.health.transcript import Transcript
from steelyard.health.verdict import State, carries, verdict
from steelyard.model.errors import OperatorError
from steelyard.plan.health import Check, HealthPlan, Service, Target

#: Transcripts kept of each probe.
KEPT = 20

#: What HAProxy takes as a name (2.6 manual, section 2); it keeps "service/server" and the commands unambiguous, too.
_NAME = re.compile(r"[A-Za-z0-9_.:-]+")

TargetName = tuple[str, str]
ProbeKey = tuple[Check, str, int]


@dataclass(slots=True, eq=False)
class Probe:
    """What is asked once. `fresh` is False until a cycle of this process has given a verdict."""

    key: ProbeKey
    asker: Prepared
    targets: set[TargetName] = field(default_factory=set)
    transcripts: deque[Transcript] = field(default_factory=lambda: deque(maxlen=KEPT))
    state: State = "unknown"
    fresh: bool = False

    @property
    def last(self) -> Transcript | None:
        return self.transcripts[-1] if self.transcripts else None


@dataclass(slots=True, eq=False)
class Known:
    """What is known of one target. `probe` is None for a slot and when checks are off.

    `told` has what it must be in each backend, `wanted` the first of these.
    """

    target: Target
    probe: Probe | None
    state: State
    since: float
    standing: Standing
    wanted: Wanted | None = None
    told: Mapping[Place, Wanted] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Memory:
    """What a target's durable record says."""

    address: str
    state: State
    since: float
    disabled_at: float | None
    drained: bool
    transcript: Transcript | None


@dataclass(slots=True)
class Changes:
    """What a step of the board brought about. `wanted` and `drops` name servers as HAProxy does."""

    events: list[Event] = field(default_factory=list)
    wanted: dict[Place, Wanted | None] = field(default_factory=dict)
    drops: list[Place] = field(default_factory=list)
    touched: set[TargetName] = field(default_factory=set)
    added: list[Probe] = field(default_factory=list)
    removed: set[Probe] = field(default_factory=set)


class Board:
    """All services, targets and probes."""

    def __init__(self, remembered: Mapping[TargetName, Memory] | None = None) -> None:
        self.services: dict[str, Service] = {}
        self.drain_seconds = HealthPlan().drain_seconds
        self.drop_at_drain_end = HealthPlan().drop_at_drain_end
        self._known: dict[str, dict[str, Known]] = {}
        self._probes: dict[ProbeKey, Probe] = {}
        self._remembered = dict(remembered or {})
        self._draining: set[TargetName] = set()
        #: service -> the slots that follow it
        self._followers: dict[str, set[TargetName]] = {}
        #: services a critical target of their own shuts
        self._shut: set[str] = set()

    def replace(self, plan: HealthPlan, now: float) -> Changes:
        """Take a whole plan. Raises `OperatorError` for a check that cannot be sent; nothing changes then."""
        services: dict[str, Service | None] = dict.fromkeys(self.services)
        services.update(plan.services)
        changes = self.update(services, now, plan.drain_seconds, plan.drop_at_drain_end)
        self._remembered.clear()
        return changes

    def update(
        self,
        services: Mapping[str, Service | None],
        now: float,
        drain_seconds: int | None = None,
        drop_at_drain_end: bool | None = None,
    ) -> Changes:
        """Take new versions of some services; None removes one. Raises `OperatorError`; nothing changes then."""
        askers = self._prepare(service for service in services.values() if service is not None)
        timing = (self.drain_seconds, self.drop_at_drain_end)
        if drain_seconds is not None:
            self.drain_seconds = drain_seconds
        if drop_at_drain_end is not None:
            self.drop_at_drain_end = drop_at_drain_end
        changes = Changes()
        # what others follow comes first and goes last: so a slot never sees a sub-service missing that is there
        for key, service in sorted(services.items(), key=lambda item: _turn(item[1])):
            self._take(key, service, askers, changes, now)
        changes.removed = {probe for probe in changes.removed if not probe.targets}
        for probe in changes.removed:
            self._probes.pop(probe.key, None)
        changes.added = [probe for probe in changes.added if probe.targets]
        if (self.drain_seconds, self.drop_at_drain_end) != timing:
            self._settle_all({key for key, _ in self._draining}.difference(services), changes, now)
        return changes

    def record(self, probe: Probe, said: Iterable[Transcript], now: float) -> Changes:
        """Take the transcripts of one cycle, oldest first; the last decides."""
        probe.transcripts.extend(said)
        changes = Changes()
        last = probe.last
        new = None if last is None else verdict(last.outcome)
        if last is None or new is None:
            return changes
        probe.state, probe.fresh = new, True
        touched: set[str] = set()
        for name in sorted(probe.targets):
            known = self._known[name[0]][name[1]]
            if known.state != new:
                changes.events.append(Event("verdict", "/".join(name), known.state, new, last.summary(), now))
                known.state, known.since = new, now
                touched.add(name[0])
        self._settle_all(touched, changes, now)
        return changes

    def end_drains(self, now: float) -> Changes:
        """End the drains whose time has come."""
        changes = Changes()
        due = {service for service, at in self._drain_times() if at <= now}
        self._settle_all(due, changes, now)
        return changes

    def next_drain_end(self) -> float | None:
        """When the next drain ends, None when none runs."""
        return min((at for _, at in self._drain_times()), default=None)

    def targets(self, services: Iterable[str] | None = None) -> Iterator[tuple[TargetName, Known]]:
        """Every target of these services, or of all."""
        for service in self._known if services is None else services:
            for key, known in self._known.get(service, {}).items():
                yield (service, key), known

    def find(self, name: TargetName) -> Known | None:
        """What is known of one target."""
        return self._known.get(name[0], {}).get(name[1])

    def with_followers(self, services: Iterable[str]) -> list[str]:
        """These services and those with slots that follow them."""
        named = dict.fromkeys(services)
        for service in tuple(named):
            named.update(dict.fromkeys(follower for follower, _ in self._followers.get(service, ())))
        return list(named)

    def status(self, known: Known) -> TargetStatus:
        """One target as others see it."""
        last = known.probe.last if known.probe is not None else None
        return TargetStatus(
            state=known.state,
            since=known.since,
            reason=self._why(known),
            checked=None if last is None else last.started,
            duration_ms=None if last is None else last.duration_ms,
            drain_ends=drain_ends(known.standing, self.drain_seconds),
            admin="ready" if known.wanted is None else known.wanted.admin,
            weight=None if known.wanted is None else known.wanted.weight,
        )

    def _prepare(self, services: Iterable[Service]) -> dict[ProbeKey, Prepared]:
        """Every check that is not asked yet; fails before anything has changed."""
        askers: dict[ProbeKey, Prepared] = {}
        for service in services:
            backends = {backend for target in service.targets for backend in target.places(service.key)}
            for name in (service.key, *backends, *(target.key for target in service.targets)):
                if not _NAME.fullmatch(name):
                    raise OperatorError(
                        "This is no name for HAProxy", field="key", value=name, allowed="A-Z a-z 0-9 _ . : -"
                    )
            if service.check.kind == "none":
                continue
            for target in service.targets:
                key = (service.check, target.address, target.port)
                if target.follows:
                    continue
                if key not in self._probes and key not in askers:
                    askers[key] = prepared(*key)
        return askers

    def _take(
        self, key: str, service: Service | None, askers: Mapping[ProbeKey, Prepared], changes: Changes, now: float
    ) -> None:
        before = self._known.pop(key, {})
        self.services.pop(key, None)
        for name, known in before.items():
            if known.probe is not None:
                known.probe.targets.discard((key, name))
            self._followers.get(known.target.follows, set()).discard((key, name))
        if service is not None:
            self.services[key] = service
            known_now: dict[str, Known] = {}
            self._known[key] = known_now
            for target in service.targets:
                known_now[target.key] = self._enter(service, target, before.get(target.key), askers, changes, now)
        else:
            self._shut.discard(key)
        for name, known in before.items():
            if known.probe is not None and not known.probe.targets:
                changes.removed.add(known.probe)
            if name not in self._known.get(key, {}):
                self._draining.discard((key, name))
                changes.touched.add((key, name))
                changes.wanted.update(dict.fromkeys(known.told))
                if service is not None:
                    # the control plane cuts them in the worker of now; workers from before a reload have some too
                    changes.drops += known.told
            else:
                places = self._known[key][name].target.places(key)
                changes.wanted.update({place: None for place in known.told if place[0] not in places})
        if service is None:
            self._follow(key, changes, now)
        else:
            self._settle(service, changes, now)
            for name, known in self._known[key].items():
                changes.touched.add((key, name))
                changes.wanted.update(known.told)

    def _enter(
        self,
        service: Service,
        target: Target,
        old: Known | None,
        askers: Mapping[ProbeKey, Prepared],
        changes: Changes,
        now: float,
    ) -> Known:
        name = (service.key, target.key)
        memory = None
        if old is None:
            memory = self._remembered.pop(name, None)
            if memory is not None and memory.address != target.address:
                memory = None
        probe = self._probe(service, target, askers, changes)
        if target.follows:
            self._followers.setdefault(target.follows, set()).add(name)
        if probe is not None:
            probe.targets.add(name)
            if memory is not None and memory.transcript is not None and probe.last is None:
                probe.transcripts.append(memory.transcript)
        moved = old is not None and old.target.address != target.address
        state: State = "unknown"
        since = now
        standing = Standing(False)
        if old is not None:
            standing = Standing(False, old.standing.disabled_at, old.standing.drained) if moved else old.standing
        if old is not None and not moved:
            state, since = old.state, old.since
        elif memory is not None:
            state, since = memory.state, memory.since
            standing = Standing(False, memory.disabled_at, memory.drained)
        told = self._followed_state(target.follows) if target.follows else self._told(probe, state)
        if told != state:
            state, since = told, now
        if old is not None and old.state != state:
            why = self._why_followed(target.follows) if target.follows else _reason(probe)
            changes.events.append(Event("verdict", "/".join(name), old.state, state, why, now))
        if old is None:
            return Known(target, probe, state, since, standing)
        return Known(target, probe, state, since, standing, old.wanted)

    @staticmethod
    def _told(probe: Probe | None, state: State) -> State:
        """The state a target starts from, given the one it had: a live server stays live until its check speaks."""
        if probe is None:
            return "unchecked"
        if probe.fresh:
            return probe.state
        return "up" if state == "unchecked" else state

    def _probe(
        self, service: Service, target: Target, askers: Mapping[ProbeKey, Prepared], changes: Changes
    ) -> Probe | None:
        if service.check.kind == "none" or target.follows:
            return None
        key = (service.check, target.address, target.port)
        probe = self._probes.get(key)
        if probe is None:
            probe = self._probes[key] = Probe(key, askers[key])
            changes.added.append(probe)
        return probe

    def _drain_times(self) -> Iterator[tuple[str, float]]:
        for service, key in self._draining:
            at = drain_ends(self._known[service][key].standing, self.drain_seconds)
            if at is not None:
                yield service, at

    def _settle_all(self, services: Iterable[str], changes: Changes, now: float) -> None:
        for key in sorted(services):
            self._settle(self.services[key], changes, now)

    def _settle(self, service: Service, changes: Changes, now: float) -> None:
        """Bring standings and wanted states of one service up to date, and note what changed."""
        known = self._known[service.key]
        for key, one in known.items():
            before = one.standing
            up = Standing(carries(one.state), before.disabled_at, before.drained)
            after = standing_at(up, enabled=one.target.enabled, drain_seconds=self.drain_seconds, now=now)
            one.standing = after
            name = (service.key, key)
            if drops_sessions(
                before,
                after,
                drop_on_failure=service.drop_on_failure,
                drain_seconds=self.drain_seconds,
                drop_at_drain_end=self.drop_at_drain_end,
            ):
                changes.drops += [(backend, key) for backend in one.target.places(service.key)]
            if drain_ends(after, self.drain_seconds) is None:
                self._draining.discard(name)
            else:
                self._draining.add(name)
        standings = {key: one.standing for key, one in known.items()}
        shut = is_shut(service, standings)
        opened = shut != (service.key in self._shut)
        (self._shut.add if shut else self._shut.discard)(service.key)
        told: dict[str, dict[Place, Wanted]] = {key: {} for key in known}
        for place, want in wanted(service, standings, shut=shut or service.parent in self._shut).items():
            told[place[1]][place] = want
        for key, one in known.items():
            self._tell((service.key, key), one, told[key], changes, now)
        if opened:
            self._settle_all({t.follows for t in service.targets} & self.services.keys(), changes, now)
        self._follow(service.key, changes, now)

    def _tell(self, name: TargetName, known: Known, told: Mapping[Place, Wanted], changes: Changes, now: float) -> None:
        """Note what one target must be in each of its backends."""
        want = next(iter(told.values()), None)
        if known.wanted is not None and want is not None and known.wanted.admin != want.admin:
            reason = _admin_reason(known, want)
            changes.events.append(Event("admin", "/".join(name), known.wanted.admin, want.admin, reason, now))
        differing = {place: each for place, each in told.items() if known.told.get(place) != each}
        if differing:
            changes.touched.add(name)
            changes.wanted.update(differing)
        known.wanted, known.told = want, told

    def _follow(self, service: str, changes: Changes, now: float) -> None:
        """Bring the slots that follow a service up to date."""
        state = self._followed_state(service)
        for name in sorted(self._followers.get(service, ())):
            known = self.find(name)
            if known is None or known.state == state:
                continue
            why = self._why_followed(service)
            changes.events.append(Event("verdict", "/".join(name), known.state, state, why, now))
            changes.touched.add(name)
            known.state, known.since = state, now
            self._settle(self.services[name[0]], changes, now)

    def _followed_state(self, service: str) -> State:
        """The state of a slot: that of the best target of its sub-service that may have new clients."""
        states = {one.state for one in self._known.get(service, {}).values() if one.target.enabled}
        order: tuple[State, ...] = ("up", "unchecked", "unknown")
        return next((state for state in order if state in states), "down")

    def _why_followed(self, service: str) -> str:
        known = self._known.get(service, {}).values()
        if not known:
            return "the sub-service has no real server"
        live = sum(one.target.enabled and carries(one.state) for one in known)
        return f"{live or 'none'} of {len(known)} real servers of the sub-service available"

    def _why(self, known: Known) -> str:
        return self._why_followed(known.target.follows) if known.target.follows else _reason(known.probe)


def _turn(service: Service | None) -> int:
    """Where a service stands among those that are taken together."""
    if service is None:
        return 2
    return int(any(target.follows for target in service.targets))


def _reason(probe: Probe | None) -> str:
    if probe is None:
        return "checks are off"
    return "not checked yet" if probe.last is None else probe.last.summary()


def _admin_reason(known: Known, want: Wanted) -> str:
    if want.admin == "ready":
        return "enabled"
    return "drain time is over" if want.admin == "maint" and known.standing.drained else "disabled"
