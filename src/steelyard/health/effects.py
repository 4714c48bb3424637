"""What each server must be in the engines, from the plan, the verdicts and the drains. Pure.

- A disabled server of a persistent service is in `drain` (it keeps its recorded clients) until the drain ends, then
  `maint`; of any other service, or with a drain time of 0, it is in `maint` at once.
- When a drain ends, sessions are dropped if the drain time is 0 or the operator asked for it; without persistence the
  drain only counts the time until that drop. A drain that ended stays ended until the server is enabled again.
- Fixed weighting: of the servers of a backend, the enabled live ones of the highest configured weight get weight 1,
  all others 0.
- A critical server or sub-service that is down or disabled takes all others of its service down, and with a parent all
  servers of its sub-services, whatever their own verdicts are.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from steelyard.plan.health import Service, Target
from steelyard.plan.operations import AdminState

#: (backend, target key): a server as the engine names it
Place = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Standing:
    """One server as far as the engines care. `disabled_at` is seconds since the epoch, None while it is enabled."""

    up: bool
    disabled_at: float | None = None
    drained: bool = False


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a server must be in the engine. `weight` None means that the configuration's weight stands."""

    up: bool
    admin: AdminState
    weight: int | None


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


def admin_state(service: Service, target: Target, standing: Standing) -> AdminState:
    """Administrative state of one server."""
    if target.enabled:
        return "ready"
    return "maint" if standing.drained or not service.persistent else "drain"


def is_shut(service: Service, standings: Mapping[str, Standing]) -> bool:
    """Whether a service takes no clients because a critical target is down or disabled."""
    return any(t.critical and not (t.enabled and standings[t.key].up) for t in service.targets)


def wanted(service: Service, standings: Mapping[str, Standing], *, shut: bool = False) -> dict[Place, Wanted]:
    """What every server of a service must be, in every backend that has it. Keys are (backend, target key).

    `shut` says that a critical target, of the service or of its parent, takes all of them down.
    """
    live: dict[str, int] = {}
    for target in service.targets if service.fixed else ():
        if target.enabled and standings[target.key].up:
            for backend in target.places(service.key):
                live[backend] = max(live.get(backend, 0), target.weight)
    found: dict[Place, Wanted] = {}
    for target in service.targets:
        standing = standings[target.key]
        admin = admin_state(service, target, standing)
        for backend in target.places(service.key):
            weight = None
            if service.fixed:
                weight = int(target.enabled and standing.up and target.weight == live.get(backend))
            found[backend, target.key] = Wanted(standing.up and not shut, admin, weight)
    return found


def drops_sessions(
    before: Standing, after: Standing, *, drop_on_failure: bool, drain_seconds: int, drop_at_drain_end: bool
) -> bool:
    """True when going from one standing to the other cuts the server's sessions."""
    failed = drop_on_failure and before.up and not after.up
    ended = after.drained and not before.drained and (drain_seconds == 0 or drop_at_drain_end)
    return failed or ended
