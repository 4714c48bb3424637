"""The tables that limits count in, and which counter of an entry counts what.

The compiler makes the tables and the rules that count, the collector reads them: both use the names from here.
`LIMITS` has an entry for each virtual service and sub-service that is limited, by index, and one for all, with key 0.
"""

from __future__ import annotations

#: counters of services
LIMITS = "steelyard_limits"
#: counters of clients
CLIENTS = "steelyard_clients"
#: bytes of services
BANDWIDTH = "steelyard_bandwidth"
#: bytes of clients
CLIENT_BANDWIDTH = "steelyard_client_bandwidth"

#: counters that have a rate too come first
ADMITTED_REQUESTS, ADMITTED_CONNECTIONS = 0, 1
COUNTERS_WITH_RATE = 2

BLOCKED_CONNECTIONS = 2
BLOCKED_CONNECTION_RATE = 3
BLOCKED_REQUEST_RATE = 4
BLOCKED_CLIENT_CONNECTIONS = 5
BLOCKED_CLIENT_CONNECTION_RATE = 6
BLOCKED_CLIENT_REQUEST_RATE = 7
BLOCKED_RULE = 8
#: what refuses a client, as opposed to everybody; see `stamp_words`
OF_CLIENTS = (BLOCKED_CLIENT_CONNECTIONS, BLOCKED_CLIENT_CONNECTION_RATE, BLOCKED_CLIENT_REQUEST_RATE, BLOCKED_RULE)
#: requests that a limiting rule matched and let in
MATCHED = 9
COUNTERS = 10


#: A refused client is marked in its entry of `CLIENTS` with when that was last and what refused it: one number of 32
#: bits, seconds since `STAMP_EPOCH` (November 2023, so that they last until 2057) times four and a place in
#: `OF_CLIENTS`. HAProxy can then be asked for those refused since a moment.
STAMP = "gpt0"
STAMP_EPOCH = 1_700_000_000
_REASONS = len(OF_CLIENTS)


def stamp_words(counter: int) -> str:
    """The sample expression of the mark for what that counter counts."""
    return f"date(-{STAMP_EPOCH}),mul({_REASONS}),add({OF_CLIENTS.index(counter)})"


def stamp_of(at: int) -> int:
    """The lowest mark of a second, given since the epoch."""
    return max(at - STAMP_EPOCH, 0) * _REASONS


def read_stamp(stamp: int) -> tuple[int, int]:
    """When, in seconds since the epoch, and by which counter."""
    seconds, reason = divmod(stamp, _REASONS)
    return STAMP_EPOCH + seconds, OF_CLIENTS[reason]


def rule_table(key: str) -> str:
    """The table of a limiting rule, with an entry for each client."""
    return f"steelyard_limit_{key}"
