"""Counters and rates, as plain values.

Counters never go backwards over a reload: the collector adds up the processes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class TrafficCounters:
    """What one service or one real server of a service carried. Bytes in are from clients, bytes out are to clients."""

    active_connections: int = 0
    total_connections: int = 0
    bytes_in: int = 0
    bytes_out: int = 0
    connections_per_second: int = 0
    bytes_per_second: int = 0
    requests: int = 0
    persistence_entries: int = 0


@dataclass(frozen=True)
class Statistics:
    """One sample. `services` by index, `servers` by (service index, server index); times in seconds since the epoch."""

    at: float
    period: float
    services: Mapping[int, TrafficCounters] = field(default_factory=dict)
    servers: Mapping[tuple[int, int], TrafficCounters] = field(default_factory=dict)
    tls_per_second: int = 0
