"""What each server must be in the engines, from the plan, the verdicts and the drains. Pure.

- A disabled server of a persistent service is in `drain` (it keeps its recorded clients) until the drain ends, then
  `maint`; of any other service, or with a drain time of 0, it is in `maint` at once.
- When a drain ends, sessions are dropped if the drain time is 0 or the operator asked for it; without persistence the
  drain only counts the time until that drop. A drain that ended stays ended until the server is enabled again.
- A standby that is not needed rests: it is treated as a disabled server is, so it drains and keeps what it carries.
- Fixed weighting: of the servers of a backend, the enabled live ones of the highest configured weight get weight 1,
  all others 0.
- A critical server or sub-service that is down or disabled takes all others of its service down, and with a parent all
  servers of its sub-services, whatever their own verdicts are. So does having fewer available than the minimum.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from steelyard.plan.health import Service, Target
from steelyard.plan.operations import AdminState

#: (backend, target key): a server as the engine names it
Place = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Standing:
    """One server as far as the engines care.

    `disabled_at` is when an operator disabled it or a standby began to rest, in seconds since the epoch; None while it
    may have clients.
    """

    up: bool
    disabled_at: float | None = None
    drained: bool = False


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a server must be in the engine. `weight` None means that the configuration's weight stands."""

    up: bool
    admin: AdminState
    weight: int | None


@dataclass(frozen=True, slots=True)
class Together:
    """What the targets of a service decide together: whether it is shut, who rests, the best live weight of a backend.

    `best` is empty but for fixed weighting.
    """

    shut: bool = False
    resting: frozenset[str] = frozenset()
    best: Mapping[str, int] = field(default_factory=dict)


def decides_together(service: Service) -> bool:
    """Whether what one target must be depends on others of its service."""
    return bool(service.fixed or service.minimum or any(t.critical or t.standby_below for t in service.targets))


class Joint:
    """The targets of one service that decide together, and which of them are available.

    It is told what changes, so that a thousand servers that go down one after the other are not counted a thousand
    times.
    """

    def __init__(self, service: Service) -> None:
        self._service = service
        self._enabled = frozenset(target.key for target in service.targets if target.enabled)
        self._critical = tuple(target.key for target in service.targets if target.critical)
        self._standbys = tuple(target for target in service.targets if target.standby_below)
        self._available: set[str] = set()

    def note(self, key: str, *, up: bool) -> None:
        """The verdict of a target."""
        if up and key in self._enabled:
            self._available.add(key)
        else:
            self._available.discard(key)

    def decided(self) -> Together:
        """What the targets decide together now."""
        available = self._available
        regular = len(available) - sum(target.key in available for target in self._standbys)
        resting = frozenset(target.key for target in self._standbys if regular >= target.standby_below)
        missing = any(key not in available for key in self._critical)
        too_few = len(available) < min(self._service.minimum, len(self._service.targets))
        return Together(missing or too_few, resting, self._best(resting) if self._service.fixed else {})

    def _best(self, resting: frozenset[str]) -> dict[str, int]:
        best: dict[str, int] = {}
        for target in self._service.targets:
            if target.key in self._available and target.key not in resting:
                for backend in target.places(self._service.key):
                    best[backend] = max(best.get(backend, 0), target.weight)
        return best


def together(service: Service, up: Mapping[str, bool]) -> Together:
    """What the targets of a service decide together, from their verdicts by key."""
    joint = Joint(service)
    for key, verdict in up.items():
        joint.note(key, up=verdict)
    return joint.decided()


def takes_clients(target: Target, group: Together) -> bool:
    """Whether configuration and rules let a target have new clients."""
    return target.enabled and target.key not in group.resting


def standing_at(standing: Standing, *, enabled: bool, drain_seconds: int, now: float) -> Standing:
    """The standing with its drain brought up to `now`: started, ended, or forgotten because the server is enabled."""
    if enabled:
        return Standing(standing.up)
    disabled_at = now if standing.disabled_at is None else standing.disabled_at
    drained = standing.drained or now >= disabled_at + drain_seconds
    return Standing(standing.up, disabled_at, drained)


def drain_ends(standing: Standing, drain_seconds: int) -> float | None:
    """When the running drain ends, in seconds since the epoch; None when none runs."""
    if standing.disabled_at is None or standing.drained:
        return None
    return standing.disabled_at + drain_seconds


def admin_state(service: Service, standing: Standing, *, enabled: bool) -> AdminState:
    """Administrative state of one server."""
    if enabled:
        return "ready"
    return "maint" if standing.drained or not service.persistent else "drain"


def wanted_of(
    service: Service,
    target: Target,
    standing: Standing,
    group: Together,
    *,
    shut: bool = False,
    weight: int | None = None,
) -> dict[Place, Wanted]:
    """What one server must be, in every backend that has it. `shut` says that its service or the parent is shut.

    `weight` is the one that follows load, response times or what is set from outside, None where weights do not move.
    """
    enabled = takes_clients(target, group)
    admin = admin_state(service, standing, enabled=enabled)
    found: dict[Place, Wanted] = {}
    for backend in target.places(service.key):
        if service.fixed:
            weight = int(enabled and standing.up and target.weight == group.best.get(backend))
        found[backend, target.key] = Wanted(standing.up and not shut, admin, weight)
    return found


def wanted(service: Service, standings: Mapping[str, Standing], *, shut: bool = False) -> dict[Place, Wanted]:
    """What every server of a service must be, in every backend that has it. Keys are (backend, target key).

    `shut` says that its parent is shut.
    """
    group = together(service, {key: standing.up for key, standing in standings.items()})
    found: dict[Place, Wanted] = {}
    for target in service.targets:
        found.update(wanted_of(service, target, standings[target.key], group, shut=shut or group.shut))
    return found


def drops_sessions(
    before: Standing, after: Standing, *, drop_on_failure: bool, drain_seconds: int, drop_at_drain_end: bool
) -> bool:
    """True when going from one standing to the other cuts the server's sessions."""
    failed = drop_on_failure and before.up and not after.up
    ended = after.drained and not before.drained and (drain_seconds == 0 or drop_at_drain_end)
    return failed or ended
