"""What is known of the weights that move, and what they are. Pure: the time is an argument, in seconds of the epoch.

- Agents ("agent"): each poll of a server's agent moves that server's share one step. When every known load of a service
  is below its least load, the shares go to 1: plain weighted round robin. The last share stays for `PATIENCE` polls
  without an answer, then it goes back to 1 step by step: an agent that has died must not hold a server down for ever.
- Response times ("response"): all servers of a service are compared at once, each time the interval has passed.
- External weights ("external") take the place of static ones until they expire. The weights of HAProxy are steps
  towards them, relative to the largest.

A server of which nothing is known has its static weight.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from steelyard.health.weight_status import WeightStatus
from steelyard.health.weights import (
    BEYOND,
    LOADS,
    average,
    engine_weight,
    moved,
    share_of_load,
    shares_of_times,
)
from steelyard.model.errors import OperatorError
from steelyard.plan.health import Service, Target
from steelyard.plan.weighting import WeightingKind

#: Polls without an answer after which a share goes back to 1.
PATIENCE = 3

TargetName = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Reading:
    """One poll of an agent: the load it told, 0-102, or None and why there is none."""

    load: int | None
    reason: str


@dataclass(frozen=True, slots=True)
class External:
    """A weight set from outside, 1-65535, until a time."""

    weight: int
    until: float


@dataclass(slots=True)
class _Scale:
    """One server. `share` is relative to its static weight, or for external weights to the largest of them."""

    address: str
    share: float
    loads: deque[int] = field(default_factory=lambda: deque(maxlen=LOADS))
    missed: int = 0
    said: str = ""
    heard_at: float | None = None
    response_ms: float | None = None


@dataclass(slots=True)
class _Weighed:
    """One service. `busy` are the servers whose load is not below the least load."""

    service: Service
    kind: WeightingKind
    largest: int
    targets: dict[str, Target]
    scales: dict[str, _Scale]
    busy: set[str] = field(default_factory=set)
    next_look: float = 0.0


class Weigher:
    """All services whose weights move."""

    def __init__(
        self,
        shares: Mapping[TargetName, tuple[str, float]] | None = None,
        externals: Mapping[TargetName, External] | None = None,
    ) -> None:
        #: what a process before this one knew: the address and the share
        self._remembered = dict(shares or {})
        self.externals: dict[TargetName, External] = dict(externals or {})
        self._weighed: dict[str, _Weighed] = {}

    # --- the plan

    def take(self, services: Mapping[str, Service | None]) -> list[str]:
        """Take new versions of some services; returns those whose weights may have changed."""
        changed: list[str] = []
        for key, service in services.items():
            before = self._weighed.pop(key, None)
            if service is None or service.weighting is None:
                self._forget(key)
                continue
            kind = service.weighting.kind
            targets = {target.key: target for target in service.targets}
            one = _Weighed(service, kind, max((t.weight for t in service.targets), default=1), targets, {})
            if before is not None and kind == before.kind:
                one.next_look = before.next_look
            if before is not None and (kind == "external") == (before.kind == "external"):
                one.scales = {name: scale for name, scale in before.scales.items() if name in targets}
            if kind != "external":
                self._forget(key)
            else:
                for gone in [name for name in self.externals if name[0] == key and name[1] not in targets]:
                    del self.externals[gone]
            self._weighed[key] = one
            for name, target in targets.items():
                scale = one.scales.get(name)
                if scale is None or scale.address != target.address:
                    one.scales[name] = self._fresh(one, target)
                elif not target.enabled:
                    # nobody asks it now: what it said last says nothing of the others
                    scale.loads.clear()
                self._count(one, name)
            changed.append(key)
        return changed

    def _fresh(self, one: _Weighed, target: Target) -> _Scale:
        address, share = self._remembered.pop((one.service.key, target.key), ("", None))
        if share is None or address != target.address:
            share = 1.0 if one.kind != "external" else target.weight / self._largest(one)
        return _Scale(target.address, share)

    def _forget(self, service: str) -> None:
        for name in [name for name in self.externals if name[0] == service]:
            del self.externals[name]

    @property
    def idle(self) -> bool:
        """Whether there is no service whose weights move."""
        return not self._weighed

    # --- what is heard

    def heard(self, name: TargetName, reading: Reading, now: float) -> bool:
        """A server's agent was polled. Returns whether it went silent, came back, or says 101 or 102 newly."""
        one = self._weighed.get(name[0])
        if one is None or one.kind != "agent" or name[1] not in one.scales:
            return False
        scale = one.scales[name[1]]
        before = _standing(scale)
        scale.said = reading.reason
        if reading.load is None:
            scale.missed += 1
            if scale.missed >= PATIENCE:
                scale.loads.clear()
        else:
            scale.missed, scale.heard_at = 0, now
            scale.loads.append(reading.load)
        self._count(one, name[1])
        scale.share = moved(scale.share, self._aim_of_load(one, scale))
        return _standing(scale) != before

    def _count(self, one: _Weighed, key: str) -> None:
        scale = one.scales[key]
        least = one.service.weighting.least_load if one.service.weighting is not None else 0
        if scale.loads and average(scale.loads) >= least:
            one.busy.add(key)
        else:
            one.busy.discard(key)

    def _aim_of_load(self, one: _Weighed, scale: _Scale) -> float:
        if scale.missed:
            return scale.share if scale.missed < PATIENCE else 1.0
        if not one.busy or not scale.loads:
            return 1.0
        return share_of_load(average(scale.loads))

    def due(self, steady: float) -> list[Service]:
        """The services whose response times are to be compared now, by a clock that nobody sets."""
        found: list[Service] = []
        for one in self._weighed.values():
            weighting = one.service.weighting
            if one.kind == "response" and weighting is not None and steady >= one.next_look:
                one.next_look = steady + weighting.interval
                found.append(one.service)
        return found

    def compared(self, service: str, times: Mapping[str, float], now: float) -> None:
        """The response times of a service's servers, in milliseconds; one that is not known is left out."""
        one = self._weighed[service]
        aims = shares_of_times(times)
        for key, scale in one.scales.items():
            if key in times:
                scale.response_ms, scale.heard_at = times[key], now
                scale.share = moved(scale.share, aims[key])

    # --- external weights

    def set_external(self, service: str, weights: Mapping[str, int], until: float, *, replace: bool) -> None:
        """Set the weights of some servers until a time; `replace` ends those of all others.

        Raises `OperatorError` and changes nothing when the service or a server does not take them.
        """
        one = self._weighed.get(service)
        if one is None or one.kind != "external":
            raise OperatorError(
                f"{service} does not follow external weights",
                field="service",
                value=service,
                allowed="a service with the scheduling method sdn-adaptive",
            )
        for key, weight in weights.items():
            if key not in one.targets:
                raise OperatorError(f"{service} has no server {key}", field="weights", value=key)
            if not 1 <= weight <= 65535:
                raise OperatorError(
                    f"The weight of {key} is out of range", field="weights", value=weight, allowed="1 to 65535"
                )
        if replace:
            self._forget(service)
        for key, weight in weights.items():
            self.externals[service, key] = External(weight, until)

    def expire(self, now: float) -> list[TargetName]:
        """End the external weights whose time is over; returns whose those were."""
        gone = [name for name, external in self.externals.items() if external.until <= now]
        for name in gone:
            del self.externals[name]
        return gone

    def step(self) -> list[str]:
        """Move the shares of external weights one step; returns the services where one moved."""
        changed: list[str] = []
        for key, one in self._weighed.items():
            if one.kind != "external":
                continue
            largest = self._largest(one)
            before = [scale.share for scale in one.scales.values()]
            for name, scale in one.scales.items():
                scale.share = moved(scale.share, self._wished(one, name) / largest)
            if before != [scale.share for scale in one.scales.values()]:
                changed.append(key)
        return changed

    def _wished(self, one: _Weighed, key: str) -> int:
        external = self.externals.get((one.service.key, key))
        return one.targets[key].weight if external is None else external.weight

    def _largest(self, one: _Weighed) -> int:
        return max((self._wished(one, key) for key in one.targets), default=1)

    # --- what follows

    def weight(self, service: Service, target: Target) -> int | None:
        """HAProxy's weight of a server, 1-256; None where the configuration's stands."""
        if service.weighting is None:
            return None
        one = self._weighed.get(service.key)
        scale = None if one is None else one.scales.get(target.key)
        if one is None or scale is None:
            return engine_weight(target.weight, max(each.weight for each in service.targets))
        if one.kind == "external":
            return engine_weight(scale.share, 1.0)
        return engine_weight(target.weight * scale.share, one.largest)

    def statuses(self, now: float, services: Iterable[str] | None = None) -> dict[TargetName, WeightStatus]:
        """Every weighed server of these services, or of all."""
        found: dict[TargetName, WeightStatus] = {}
        for key in self._weighed if services is None else services:
            one = self._weighed.get(key)
            if one is not None:
                largest = self._largest(one) if one.kind == "external" else 1
                for name, target in one.targets.items():
                    found[key, name] = self._status(one, target, largest, now)
        return found

    def _status(self, one: _Weighed, target: Target, largest: int, now: float) -> WeightStatus:
        scale = one.scales[target.key]
        external = self.externals.get((one.service.key, target.key))
        base = largest if one.kind == "external" else target.weight
        return WeightStatus(
            kind=one.kind,
            static=target.weight,
            weight=max(1, round(base * scale.share)),
            engine=self.weight(one.service, target) or 1,
            load=round(average(scale.loads), 1) if scale.loads and one.kind == "agent" else None,
            response_ms=scale.response_ms if one.kind == "response" else None,
            external=None if external is None else external.weight,
            until=None if external is None else external.until,
            heard_at=scale.heard_at,
            reason=self._why(one, scale, external, now),
        )

    def _why(self, one: _Weighed, scale: _Scale, external: External | None, now: float) -> str:
        if one.kind == "external":
            if external is None:
                return "no weight is set from outside: the static weight"
            return f"set from outside for another {max(0, round(external.until - now))} s"
        if one.kind == "response":
            if scale.response_ms is None:
                return "no good check yet: the static weight"
            return f"good checks took {scale.response_ms:.1f} ms on average"
        if scale.missed:
            polls = "1 poll" if scale.missed == 1 else f"{scale.missed} polls"
            then = "the last weight stays" if scale.missed < PATIENCE else "back to the static weight step by step"
            return f"{scale.said} ({polls} without a load): {then}"
        if not scale.loads:
            return "the agent has not been heard yet: the static weight"
        if not one.busy:
            least = one.service.weighting.least_load if one.service.weighting is not None else 0
            return f"{scale.said}; every load is below {least} %: the static weight"
        return f"{scale.said}; {average(scale.loads):.0f} % on average of the last {len(scale.loads)}"

    def shares(self) -> dict[TargetName, tuple[str, float]]:
        """What a process after this one takes up again: address and share of every server."""
        return {
            (key, name): (scale.address, scale.share)
            for key, one in self._weighed.items()
            for name, scale in one.scales.items()
        }


def _standing(scale: _Scale) -> tuple[bool, int]:
    """Whether polls are missed, and what the last load says beyond 100 percent."""
    last = scale.loads[-1] if scale.loads else 0
    return bool(scale.missed), last if last in BEYOND else 0


__all__ = ["PATIENCE", "External", "Reading", "Weigher"]
