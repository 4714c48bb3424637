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
#: what refuses a client, as opposed to everybody; see `MARK`
OF_CLIENTS = (BLOCKED_CLIENT_CONNECTIONS, BLOCKED_CLIENT_CONNECTION_RATE, BLOCKED_CLIENT_REQUEST_RATE, BLOCKED_RULE)
#: requests that a limiting rule matched and let in
MATCHED = 9
COUNTERS = 10


#: where an entry of `CLIENTS` is marked with what refused the client: one more than its place in `OF_CLIENTS`. Rules of
#: connections can set nothing but a number that is in their text (2.6), so there is no time in it.
MARK = "gpt0"


def mark_of(counter: int) -> int:
    """The mark for what that counter counts."""
    return OF_CLIENTS.index(counter) + 1


def rule_counter(place: int) -> int:
    """The counter of the limiting rule at that place, the first being 0, in an entry of `CLIENTS`."""
    return COUNTERS_WITH_RATE + place
