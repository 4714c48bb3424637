"""The control plane's copy of the verdicts: filled from a snapshot, kept true by the checking process's events."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from steelyard.diff.haproxy import admin_state
from steelyard.emit.haproxy.server_state import ServerState
from steelyard.health.status import Event, TargetStatus
from steelyard.observe.status import Verdict
from steelyard.plan.haproxy import Backend, HaproxyPlan, ServicePlan


class Verdicts:
    """The last known status of every target."""

    def __init__(self) -> None:
        self._known: dict[str, TargetStatus] = {}
        #: when a target last left maintenance, in seconds since the epoch
        self._returned: dict[str, float] = {}
        #: verdicts of targets whose statuses are still on their way here
        self._early: dict[str, Event] = {}
        #: how often something of a service has changed, and how often everything
        self._changes: dict[str, int] = {}
        self._snapshots = 0

    def replace_all(self, statuses: Mapping[str, TargetStatus]) -> None:
        """A new snapshot."""
        self._known = dict(statuses)
        self._early.clear()
        # views of the snapshot before go on with what they have
        self._changes = {}
        self._snapshots += 1

    def _changed(self, target: str) -> None:
        service = target.partition("/")[0]
        self._changes[service] = self._changes.get(service, 0) + 1

    def put(self, statuses: Mapping[str, TargetStatus]) -> None:
        """Some targets' statuses. Events come another way, so a verdict that is newer than its status stays."""
        for target, status in statuses.items():
            self._changed(target)
            known, early = self._known.get(target), self._early.pop(target, None)
            if known is not None and known.since > status.since:
                self._known[target] = _with_verdict(status, known)
            else:
                self._known[target] = status
            if early is not None and early.at > status.since:
                self.note(early)

    def put_weights(self, weights: Mapping[str, int]) -> None:
        """HAProxy's weights of some targets, as they are now."""
        for target, weight in weights.items():
            known = self._known.get(target)
            if known is not None:
                self._known[target] = replace(known, weight=weight)

    def note(self, event: Event) -> None:
        """One change."""
        known = self._known.get(event.target)
        if event.event == "service":
            return
        if known is None:
            if event.event == "verdict":
                self._early[event.target] = event
            return
        self._changed(event.target)
        if event.event == "verdict":
            self._known[event.target] = replace(known, state=event.after, since=event.at, reason=event.reason)  # type: ignore[arg-type]
        else:
            if event.before == "maint":
                self._returned[event.target] = event.at
            self._known[event.target] = replace(known, admin=event.after)  # type: ignore[arg-type]

    def for_people(self) -> Mapping[str, Verdict]:
        """The verdicts as `observe.status` takes them, made when they are looked at."""
        return _View(self._known, self._returned, self._snapshots, self._changes)

    def server_states(self, plan: HaproxyPlan) -> Iterable[ServerState]:
        """What a HAProxy process must start with: never "all up"."""
        shut = {service.key for service in plan.services.values() if self._is_shut(service)}
        for service in plan.services.values():
            for backend in service.backends:
                yield from self._states(service.key, backend, shut=not shut.isdisjoint((service.key, backend.parent)))

    def _is_shut(self, service: ServicePlan) -> bool:
        """Whether a critical member is not available, or too few are, so that the service takes no clients."""
        backend = service.backend
        if any(not (enabled and self._is_up(f"{service.key}/{name}")) for name, enabled in backend.critical):
            return True
        available = sum(enabled and self._is_up(f"{service.key}/{name}") for name, enabled in backend.members)
        return available < backend.minimum

    def _is_up(self, target: str) -> bool:
        status = self._known.get(target)
        return status is not None and status.state in ("up", "unchecked")

    def _states(self, service: str, backend: Backend, *, shut: bool) -> Iterator[ServerState]:
        for server in backend.servers:
            if server.standby:
                continue
            status = self._known.get(f"{service}/{server.name}")
            up = not shut and (not backend.checked or self._is_up(f"{service}/{server.name}"))
            admin = admin_state(backend, server)
            if status is not None and admin == "drain" and status.admin == "maint":
                admin = "maint"
            if status is not None and admin == "ready" and server.name in backend.resting:
                admin = status.admin
            weight = server.weight
            if server.weight_by_health and status is not None and status.weight is not None:
                weight = status.weight
            yield ServerState(backend.name, server, up, admin, weight)


def _with_verdict(status: TargetStatus, known: TargetStatus) -> TargetStatus:
    return replace(status, state=known.state, since=known.since, reason=known.reason)


class _View(Mapping[str, Verdict]):
    """Statuses seen as verdicts: one of ten thousand costs one."""

    def __init__(
        self,
        known: Mapping[str, TargetStatus],
        returned: Mapping[str, float],
        snapshot: int,
        changes: Mapping[str, int],
    ) -> None:
        self._known = known
        self._returned = returned
        self._snapshot = snapshot
        self._changes = changes

    def mark(self, service: str) -> object:
        """Another value whenever a verdict of the service of that name may have changed."""
        return self._snapshot, self._changes.get(service, 0)

    def __getitem__(self, target: str) -> Verdict:
        status = self._known[target]
        return Verdict(
            state=status.state,
            reason=status.reason,
            since=status.since,
            checked=status.checked,
            drain_ends=status.drain_ends if status.admin == "drain" else None,
            ready=status.admin == "ready",
            returned=self._returned.get(target),
        )

    def __iter__(self) -> Iterator[str]:
        return iter(self._known)

    def __len__(self) -> int:
        return len(self._known)
