"""What each server must be in the engines, from the plan, the verdicts and the drains. Pure.

- A disabled server of a persistent service is in `drain` (it keeps its recorded clients) until the drain ends, then
  `maint`; of any other service, or with a drain time of 0, it is in `maint` at once.
- When a drain ends, sessions are dropped if the drain time is 0 or the operator asked for it; without persistence the
  drain only counts the time until that drop. A drain that ended stays ended until the server is enabled again.
- Fixed weighting: the enabled live servers of the highest configured weight get weight 1, all others 0.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from steelyard.plan.health import Service, Target
from steelyard.plan.operations import AdminState


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


def wanted(service: Service, standings: Mapping[str, Standing]) -> dict[str, Wanted]:
    """What every server of a service must be. Keys are target keys."""
    live = [t.weight for t in service.targets if t.enabled and standings[t.key].up] if service.fixed else []
    best = max(live, default=None)
    found: dict[str, Wanted] = {}
    for target in service.targets:
        standing = standings[target.key]
        weight = None
        if service.fixed:
            weight = int(target.enabled and standing.up and target.weight == best)
        found[target.key] = Wanted(standing.up, admin_state(service, target, standing), weight)
    return found


def drops_sessions(
    before: Standing, after: Standing, *, drop_on_failure: bool, drain_seconds: int, drop_at_drain_end: bool
) -> bool:
    """True when going from one standing to the other cuts the server's sessions."""
    failed = drop_on_failure and before.up and not after.up
    ended = after.drained and not before.drained and (drain_seconds == 0 or drop_at_drain_end)
    return failed or ended
