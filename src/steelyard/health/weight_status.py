"""The weight of one real server as others see it, as a plain frozen value. Times are seconds since the epoch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from steelyard.plan.weighting import WeightingKind


@dataclass(frozen=True, slots=True)
class WeightStatus:
    """`static` is the configuration's weight, `weight` what it counts as now, on the same scale, `engine` HAProxy's.

    `load` is the average of the last loads in percent, `response_ms` that of the last good checks, `external` a weight
    set from outside `until` a time. `heard_at` is when load or time were last known.
    """

    kind: WeightingKind
    static: int
    weight: int
    engine: int
    load: float | None
    response_ms: float | None
    external: int | None
    until: float | None
    heard_at: float | None
    reason: str

    def as_json(self) -> dict[str, Any]:
        """The status as plain data."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> WeightStatus:
        """The inverse of `as_json`. Raises `TypeError` when something is missing or unknown."""
        return cls(**data)
