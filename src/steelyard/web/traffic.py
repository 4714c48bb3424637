"""Rates for pages: what changed between two samples of the counters.

Requests are counters alone; connections and bytes have rates, but over a time of their own. Pages show one truth, so
all rates here are over the same few seconds.
"""

from __future__ import annotations

from dataclasses import dataclass

from steelyard.appliance.contract import ApplianceApi
from steelyard.model.errors import EngineRefused
from steelyard.observe.statistics import Statistics, TrafficCounters

#: a sample replaces the one that rates are from when it is this much younger
_LEAST_SECONDS = 3.0
_NONE = TrafficCounters()


@dataclass(frozen=True)
class Rate:
    """What one service or server carries: connections now; connections, requests and bytes a second."""

    active: int = 0
    connections: float = 0.0
    requests: float = 0.0
    bytes: float = 0.0
    #: False while HAProxy does not answer
    known: bool = True


NOTHING = Rate()
UNKNOWN = Rate(known=False)


class Traffic:
    """The last samples. When HAProxy does not answer nothing is known, whatever was before."""

    def __init__(self) -> None:
        self._before: Statistics | None = None
        self._now: Statistics = Statistics(at=0.0, period=0.0)
        self._silent = False

    async def look(self, appliance: ApplianceApi) -> None:
        """Take a sample."""
        try:
            sample = await appliance.statistics()
        except EngineRefused:
            self._silent = True
            return
        self._silent = False
        if sample is self._now:
            return
        if self._before is None or self._now.at - self._before.at >= _LEAST_SECONDS:
            self._before = self._now if self._now.at else None
        self._now = sample

    @property
    def tls(self) -> int:
        """TLS handshakes with clients a second."""
        return self._now.tls_per_second

    def of(self, index: int) -> Rate:
        """What a service carries."""
        if self._silent:
            return UNKNOWN
        counters = self._now.services.get(index, _NONE)
        if counters is _NONE or (counters.total_connections == 0 and counters.active_connections == 0):
            return NOTHING
        before = None if self._before is None else self._before.services.get(index, _NONE)
        if before is None or self._before is None:
            return Rate(counters.active_connections, counters.connections_per_second, 0.0, counters.bytes_per_second)
        seconds = max(self._now.at - self._before.at, 0.001)
        carried = counters.bytes_in + counters.bytes_out - before.bytes_in - before.bytes_out
        return Rate(
            counters.active_connections,
            max(0.0, (counters.total_connections - before.total_connections) / seconds),
            max(0.0, (counters.requests - before.requests) / seconds),
            max(0.0, carried / seconds),
        )


def together(rates: list[Rate]) -> Rate:
    """Several as one."""
    return Rate(
        sum(rate.active for rate in rates),
        sum(rate.connections for rate in rates),
        sum(rate.requests for rate in rates),
        sum(rate.bytes for rate in rates),
        all(rate.known for rate in rates),
    )
