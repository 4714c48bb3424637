"""The board: every probe, every target and what is known of it. Pure: the time is an argument, in seconds of the epoch.

- Equal (check, address, port) of different services is one probe; its verdict is fanned out to every target.
- A target with a new address is unknown until it is checked. One whose check changed keeps its verdict until the new
  check has spoken: a change of configuration never takes a live server away.
- What a killed process knew (`remembered`) is taken up again by targets whose address is the same.
- A slot has no probe: its state is made from the targets of the sub-service it follows, whenever one of these changes.
  Nor has a target that is `checked_as` another: its state is the other's.
- A service that is shut has HAProxy told that all its servers are down, and those of its sub-services, while their
  verdicts stay what they are.
- What changes is settled alone, unless the targets of the service decide together: a thousand servers of one service
  that go down at once would cost a million steps otherwise.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace

from steelyard.health.effects import (
    Joint,
    Place,
    Standing,
    Together,
    Wanted,
    decides_together,
    drain_ends,
    drops_sessions,
    standing_at,
    takes_clients,
    wanted_of,
)
from steelyard.health.known import KEPT, Changes, Known, Memory, Probe, ProbeKey, TargetName, probe_keys, probe_name
from steelyard.health.probe import Prepared, prepared
from steelyard.health.reasons import admin_reason, check_names, shut_reason
from steelyard.health.relations import ALONE, Relations
from steelyard.health.status import Event, TargetStatus
from steelyard.health.transcript import Transcript
from steelyard.health.verdict import State, carries, verdict
from steelyard.model.errors import OperatorError
from steelyard.plan.health import HealthPlan, Service, Target

#: What HAProxy takes as a name (2.6 manual, section 2); it keeps "service/server" and the commands unambiguous, too.
_NAME = re.compile(r"[A-Za-z0-9_.:-]+")


class Board:
    """All services, targets and probes."""

    def __init__(
        self,
        remembered: Mapping[TargetName, Memory] | None = None,
        weigh: Callable[[Service, Target], int | None] = lambda service, target: None,
    ) -> None:
        self.services: dict[str, Service] = {}
        self._weigh = weigh
        self.drain_seconds = HealthPlan().drain_seconds
        self.drop_at_drain_end = HealthPlan().drop_at_drain_end
        self._known: dict[str, dict[str, Known]] = {}
        self._probes: dict[ProbeKey, Probe] = {}
        self._remembered = dict(remembered or {})
        self._draining: set[TargetName] = set()
        #: services whose targets decide something together, and what that is where it is not nothing
        self._joint: dict[str, Joint] = {}
        self._together: dict[str, Together] = {}
        self._relations = Relations(self._known, self._together)

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
        for key, service in sorted(services.items(), key=lambda item: _order(item[1])):
            self._take(key, service, askers, changes, now)
        changes.removed = {probe for probe in changes.removed if not probe.targets}
        for probe in changes.removed:
            self._probes.pop(probe.key, None)
        changes.added = [probe for probe in changes.added if probe.targets]
        if (self.drain_seconds, self.drop_at_drain_end) != timing:
            for key in sorted({key for key, _ in self._draining}.difference(services)):
                self._settle(self.services[key], changes, now)
        return changes

    def record(self, probe: Probe, said: Iterable[Transcript], now: float) -> Changes:
        """Take the transcripts of one cycle, oldest first; the last decides."""
        probe.transcripts.extend(said)
        changes = Changes()
        last = probe.last
        new = None if last is None else verdict(last.outcome)
        if new is None:
            return changes
        probe.judged(new)
        touched: dict[str, list[str]] = {}
        for name in sorted(probe.targets):
            known = self._known[name[0]][name[1]]
            known.vote()
            if self._turn(known, changes, now):
                touched.setdefault(name[0], []).append(name[1])
        for service, keys in touched.items():
            self._settle(self.services[service], changes, now, keys)
        return changes

    def end_drains(self, now: float) -> Changes:
        """End the drains whose time has come."""
        changes = Changes()
        due: dict[str, list[str]] = {}
        for (service, key), at in self._drain_times():
            if at <= now:
                due.setdefault(service, []).append(key)
        for service, keys in sorted(due.items()):
            self._settle(self.services[service], changes, now, keys)
        return changes

    def reweigh(self, services: Mapping[str, Iterable[str] | None], now: float) -> Changes:
        """Weights of these targets, or of all of a service, have moved."""
        changes = Changes()
        for key, targets in services.items():
            if key in self.services:
                known = None if targets is None else [name for name in targets if name in self._known[key]]
                self._settle(self.services[key], changes, now, known)
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
        return self._relations.find(name)

    def with_followers(self, services: Iterable[str]) -> list[str]:
        """These services and those with targets whose state is made from theirs."""
        return self._relations.with_followers(services)

    def status(self, known: Known) -> TargetStatus:
        """One target as others see it."""
        last = known.last
        return TargetStatus(
            state=known.state,
            since=known.since,
            reason=self._relations.why(known),
            checked=None if last is None else last.started,
            duration_ms=None if last is None else last.duration_ms,
            drain_ends=drain_ends(known.standing, self.drain_seconds),
            admin="ready" if known.wanted is None else known.wanted.admin,
            weight=None if known.wanted is None else known.wanted.weight,
        )

    def probe_names(self) -> list[str]:
        """The names of all probes."""
        return [probe.name for probe in self._probes.values()]

    def deciding(self, known: Known) -> Known:
        """The target whose checks decide this one's state."""
        return self._relations.decider(known) or known

    def transcripts(self, known: Known) -> list[Transcript]:
        """The last transcripts of what decides a target, newest first; of several checks each names its own."""
        known = self.deciding(known)
        names = check_names(known.service)
        several = len(known.probes) > 1
        said = [
            replace(one, check=names[at]) if several else one
            for at, probe in enumerate(known.probes)
            for one in reversed(probe.transcripts)
        ]
        return sorted(said, key=lambda one: one.started + one.duration_ms / 1000, reverse=True)[:KEPT]

    # --- taking a plan

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
            for target in service.targets:
                for key in probe_keys(service, target):
                    if key not in self._probes and key not in askers:
                        askers[key] = prepared(*key)
        return askers

    def _take(
        self, key: str, service: Service | None, askers: Mapping[ProbeKey, Prepared], changes: Changes, now: float
    ) -> None:
        before = self._known.pop(key, {})
        self.services.pop(key, None)
        self._joint.pop(key, None)
        for known in before.values():
            self._relations.leave(known)
            for probe in known.probes:
                probe.targets.discard(known.name)
        if service is not None:
            self.services[key] = service
            if decides_together(service):
                self._joint[key] = Joint(service)
            known_now: dict[str, Known] = {}
            self._known[key] = known_now
            for target in service.targets:
                known_now[target.key] = self._enter(service, target, before.get(target.key), askers, changes, now)
        else:
            self._together.pop(key, None)
        for name, known in before.items():
            changes.removed.update(probe for probe in known.probes if not probe.targets)
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
            self._renew(self._relations.followers(key), changes, now)
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
        probes = tuple(self._probe(key, askers, changes) for key in probe_keys(service, target))
        known = Known(service, target, probes, (), "unknown", now, Standing(False))
        self._relations.enter(known)
        moved = old is not None and old.target.address != target.address
        votes: dict[Probe, State] = {}
        if old is not None:
            known.wanted = old.wanted
            known.standing = replace(old.standing, up=False) if moved else old.standing
            if not moved:
                known.state, known.since = old.state, old.since
                votes = dict(zip(old.probes, old.votes, strict=True))
        else:
            self._remember(known)
        # one whose checks were off was taken as up, and stays so until the first of them has spoken
        initial: State = "up" if known.state == "unchecked" else known.state
        known.votes = tuple(votes.get(probe, initial) for probe in probes)
        known.vote()
        for probe in probes:
            probe.targets.add(name)
        state = self._relations.state_of(known)
        if state != known.state:
            known.state, known.since = state, now
        if old is not None and old.state != state:
            changes.events.append(Event("verdict", "/".join(name), old.state, state, self._relations.why(known), now))
        return known

    def _remember(self, known: Known) -> None:
        """Take up what a process before this one knew of a target, if it has the same address."""
        memory = self._remembered.pop(known.name, None)
        if memory is None or memory.address != known.target.address:
            return
        known.state, known.since = memory.state, memory.since
        known.standing = Standing(False, memory.disabled_at, memory.drained)
        if known.probe is not None and known.probe.last is None and memory.transcript is not None:
            known.probe.transcripts.append(memory.transcript)

    def _probe(self, key: ProbeKey, askers: Mapping[ProbeKey, Prepared], changes: Changes) -> Probe:
        probe = self._probes.get(key)
        if probe is None:
            probe = self._probes[key] = Probe(key, askers[key], probe_name(key))
            changes.added.append(probe)
        return probe

    # --- what follows from a change

    def _turn(self, known: Known, changes: Changes, now: float) -> bool:
        """Bring the state of a target up to date; whether that changed it."""
        state = self._relations.state_of(known)
        if state == known.state:
            return False
        changes.events.append(
            Event("verdict", "/".join(known.name), known.state, state, self._relations.why(known), now)
        )
        changes.touched.add(known.name)
        known.state, known.since = state, now
        return True

    def _settle(self, service: Service, changes: Changes, now: float, keys: Iterable[str] | None = None) -> None:
        """Bring standings and wanted states up to date, of these targets or of all, and note what changed."""
        known = self._known[service.key]
        before = self._together.get(service.key, ALONE)
        group = ALONE
        joint = self._joint.get(service.key)
        if joint is not None:
            keys = None if keys is None else list(keys)
            for key in known if keys is None else keys:
                joint.note(key, up=carries(known[key].state))
            group = joint.decided()
        if group != before:
            keys = None
            self._together[service.key] = group
        settled = [known[key] for key in (known if keys is None else keys)]
        for one in settled:
            self._stand(one, group, changes, now)
        shut = group.shut or self._together.get(service.parent, ALONE).shut
        for one in settled:
            weight = self._weigh(service, one.target)
            told = wanted_of(service, one.target, one.standing, group, shut=shut, weight=weight)
            self._tell(one, told, changes, now)
        if group.shut != before.shut:
            words = ("open", "shut") if group.shut else ("shut", "open")
            why = shut_reason(known.values()) if group.shut else "enough is available again"
            changes.events.append(Event("service", service.key, *words, why, now))
            for key in sorted({target.follows for target in service.targets} & self.services.keys()):
                self._settle(self.services[key], changes, now)
        self._renew(self._relations.followers(service.key), changes, now)
        for one in settled:
            self._renew(self._relations.likenesses(one.name), changes, now)

    def _stand(self, known: Known, group: Together, changes: Changes, now: float) -> None:
        """Bring the standing of a target up to date."""
        before = known.standing
        up = replace(before, up=carries(known.state))
        enabled = takes_clients(known.target, group)
        after = standing_at(up, enabled=enabled, drain_seconds=self.drain_seconds, now=now)
        known.standing = after
        if drops_sessions(
            before,
            after,
            drop_on_failure=known.service.drop_on_failure,
            drain_seconds=self.drain_seconds,
            drop_at_drain_end=self.drop_at_drain_end,
        ):
            changes.drops += [(backend, known.target.key) for backend in known.target.places(known.service.key)]
        if drain_ends(after, self.drain_seconds) is None:
            self._draining.discard(known.name)
        else:
            self._draining.add(known.name)

    def _tell(self, known: Known, told: Mapping[Place, Wanted], changes: Changes, now: float) -> None:
        """Note what one target must be in each of its backends."""
        want = next(iter(told.values()), None)
        if known.wanted is not None and want is not None and known.wanted.admin != want.admin:
            why = admin_reason(known, want)
            changes.events.append(Event("admin", "/".join(known.name), known.wanted.admin, want.admin, why, now))
        differing = {place: each for place, each in told.items() if known.told.get(place) != each}
        if differing:
            changes.touched.add(known.name)
            changes.wanted.update(differing)
        known.wanted, known.told = want, told

    def _renew(self, names: Iterable[TargetName], changes: Changes, now: float) -> None:
        """Bring targets up to date whose state is made from others'."""
        for name in names:
            known = self.find(name)
            if known is not None and self._turn(known, changes, now):
                self._settle(known.service, changes, now, [known.target.key])

    def _drain_times(self) -> Iterator[tuple[TargetName, float]]:
        for service, key in self._draining:
            at = drain_ends(self._known[service][key].standing, self.drain_seconds)
            if at is not None:
                yield (service, key), at


def _order(service: Service | None) -> int:
    """Where a service stands among those that are taken together."""
    if service is None:
        return 3
    if any(target.checked_as for target in service.targets):
        return 2
    return int(any(target.follows for target in service.targets))


__all__ = ["Board", "Changes", "Known", "Memory", "Probe", "TargetName"]
