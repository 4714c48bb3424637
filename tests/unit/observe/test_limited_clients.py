"""Which clients are told of when limits refuse them, and what is said of everything together."""

from __future__ import annotations

from steelyard.observe.limited_clients import (
    LimitedClient,
    LimitedClients,
    limit_sums,
    marked_clients,
    unmark,
)
from steelyard.observe.statistics import ClientLimitCounters, Statistics, TrafficCounters
from steelyard.plan.limit_tables import BLOCKED_CLIENT_CONNECTIONS, BLOCKED_RULE

ANSWER = """# table: steelyard_clients, type: ipv6, size:1048576, used:3
0x5630: key=::ffff:198.51.100.7 use=0 exp=9999 gpt0=1 conn_cur=0 gpc0_rate(1000)=16
0x5631: key=2001:db8::7 use=1 exp=9999 shard=0 gpt0=4 conn_cur=0 gpc0_rate(1000)=16

"""


def test_marks_are_read_and_taken_away() -> None:
    found = marked_clients(ANSWER)
    assert [(one.address, one.by) for one in found] == [
        ("198.51.100.7", BLOCKED_CLIENT_CONNECTIONS),
        ("2001:db8::7", BLOCKED_RULE),
    ]
    assert unmark(found) == [
        "set table steelyard_clients key ::ffff:198.51.100.7 data.gpt0 0",
        "set table steelyard_clients key 2001:db8::7 data.gpt0 0",
    ]
    assert marked_clients("Can't find table\n") == ()


def test_a_client_is_told_again_only_after_it_was_quiet() -> None:
    memory, client = LimitedClients(), LimitedClient("::ffff:198.51.100.7", BLOCKED_RULE)
    first = "Client 198.51.100.7 is refused by limits: too many requests that a limiting rule matches"
    assert memory.messages([client], 60, 100) == (first,)
    for now in (105, 150, 200, 259):
        assert memory.messages([client], 60, now) == ()
    assert memory.messages([], 60, 300) == ()
    assert memory.messages([client], 60, 319) == (first,)


def test_of_very_many_clients_only_some_are_told_by_name() -> None:
    crowd = [LimitedClient(f"2001:db8::{number:x}", BLOCKED_RULE) for number in range(5000)]
    told = LimitedClients().messages(crowd, 60, 0)
    assert len(told) == 21
    assert told[-1] == "4980 further clients are refused by limits"


def test_the_sums_have_what_services_and_clients_were_refused() -> None:
    clients = ClientLimitCounters(3, 10, 20, 4, 1, 2, 5, 6)
    service = TrafficCounters(connections_blocked=7, connection_rate_blocked=8, request_rate_blocked=9)
    sample = Statistics(at=0, period=5, services={1: service, 2: service}, servers={}, clients=clients)
    assert limit_sums(sample) == (
        "Limits: curconns 3, totconns 43, totreqs 20, totrulereq 4, totcblocked 18, totrblocked 23, totruleblock 6,"
        " totmaxcblocked 15"
    )
