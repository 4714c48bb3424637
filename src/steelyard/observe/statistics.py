"""Counters and rates, as plain values.

Counters never go backwards over a reload: the collector adds up the processes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class TrafficCounters:
    """What one service or one real server of a service carried. Bytes in are from clients, bytes out are to clients.

    Packets, both ways together, are counted at layer 4 alone, where bytes are those of whole packets.
    """

    active_connections: int = 0
    total_connections: int = 0
    bytes_in: int = 0
    bytes_out: int = 0
    connections_per_second: int = 0
    bytes_per_second: int = 0
    requests: int = 0
    persistence_entries: int = 0
    connections_blocked: int = 0
    connection_rate_blocked: int = 0
    request_rate_blocked: int = 0
    packets: int = 0
    packets_per_second: int = 0


@dataclass(frozen=True)
class ClientLimitCounters:
    """What the services that limits concern let in, and what limits of clients and limiting rules refused."""

    connections: int = 0
    connections_admitted: int = 0
    requests_admitted: int = 0
    rules_admitted: int = 0
    connections_blocked: int = 0
    connection_rate_blocked: int = 0
    requests_blocked: int = 0
    rules_blocked: int = 0


@dataclass(frozen=True)
class Statistics:
    """One sample. `services` by index, `servers` and slots by (service index, their index).

    Times in seconds since the epoch. What a sub-service carried is in the figures of its parent, too.
    """

    at: float
    period: float
    services: Mapping[int, TrafficCounters] = field(default_factory=dict)
    servers: Mapping[tuple[int, int], TrafficCounters] = field(default_factory=dict)
    tls_per_second: int = 0
    clients: ClientLimitCounters = ClientLimitCounters()
