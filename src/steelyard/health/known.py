"""What the board keeps: probes, targets, what a killed process knew, and what a step brought about."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import sha256

from steelyard.health.combining import vote
from steelyard.health.effects import Place, Standing, Wanted
from steelyard.health.probe import Prepared
from steelyard.health.status import Event
from steelyard.health.transcript import Transcript
from steelyard.health.verdict import State
from steelyard.plan.health import Check, Service, Target

#: Transcripts kept of each probe.
KEPT = 20

TargetName = tuple[str, str]
ProbeKey = tuple[Check, str, int]


@dataclass(slots=True, eq=False)
class Probe:
    """What is asked once. `fresh` is False until a cycle of this process has given a verdict.

    `streak` counts the cycles in a row that gave `state`. `name` is the same in a later process; `recalled` says that
    what earlier ones heard has been looked for.
    """

    key: ProbeKey
    asker: Prepared
    name: str
    targets: set[TargetName] = field(default_factory=set)
    transcripts: deque[Transcript] = field(default_factory=lambda: deque(maxlen=KEPT))
    state: State = "unknown"
    fresh: bool = False
    streak: int = 0
    recalled: bool = False

    @property
    def last(self) -> Transcript | None:
        return self.transcripts[-1] if self.transcripts else None

    def judged(self, state: State) -> None:
        """A cycle has given a verdict."""
        self.streak = self.streak + 1 if self.fresh and self.state == state else 1
        self.state, self.fresh = state, True


@dataclass(slots=True, eq=False)
class Known:
    """What is known of one target. It has no probe while checks are off, when it is a slot, or follows another target.

    `votes` are what its probes say, in their order. `told` has what it must be in each backend, `wanted` the first of
    these.
    """

    service: Service
    target: Target
    probes: tuple[Probe, ...]
    votes: tuple[State, ...]
    state: State
    since: float
    standing: Standing
    wanted: Wanted | None = None
    told: Mapping[Place, Wanted] = field(default_factory=dict)

    @property
    def name(self) -> TargetName:
        return self.service.key, self.target.key

    @property
    def probe(self) -> Probe | None:
        """The probe of the service's first check."""
        return self.probes[0] if self.probes else None

    @property
    def last(self) -> Transcript | None:
        """The newest transcript of all its checks."""
        said = (probe.last for probe in self.probes)
        return max((one for one in said if one is not None), key=lambda one: one.started, default=None)

    def vote(self) -> None:
        """Count what the probes say now; one that has not spoken leaves its vote as it is."""
        rise, fall = self.service.rise, self.service.fall
        self.votes = tuple(
            vote(before, probe.state, probe.streak, rise=rise, fall=fall) if probe.fresh else before
            for before, probe in zip(self.votes, self.probes, strict=True)
        )


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


def probe_name(key: ProbeKey) -> str:
    """A name of a probe without blanks: equal for equal checks of an address and port, in every process."""
    check, address, port = key
    return f"{_digest(check)}/{address}:{port}"


@lru_cache(maxsize=4096)
def _digest(check: Check) -> str:
    return sha256(check.model_dump_json().encode()).hexdigest()[:16]


def probe_keys(service: Service, target: Target) -> tuple[ProbeKey, ...]:
    """What is asked about a target: its service's first check and the further ones."""
    if service.check.kind == "none" or target.follows or target.checked_as:
        return ()
    further = zip(service.further, target.further_ports, strict=True)
    first = (service.check, target.address, target.port)
    return (first, *((one.check, target.address, port) for one, port in further))


__all__ = ["KEPT", "Changes", "Known", "Memory", "Probe", "ProbeKey", "TargetName", "probe_keys", "probe_name"]
