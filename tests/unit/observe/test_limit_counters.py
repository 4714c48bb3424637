"""What is read of the table of limits, and that nothing is lost when a worker is replaced."""

from __future__ import annotations

from steelyard.model.commands import AddService
from steelyard.model.configuration import Configuration
from steelyard.observe.limit_counters import LimitCounters, limit_rows, with_limits
from steelyard.observe.statistics import Statistics, TrafficCounters


def _line(key: int, connections: int, *counters: int, shard: str = "") -> str:
    shown = " ".join(f"gpc{number}={value}" for number, value in enumerate(counters))
    return f"0x55ae: key={key} use=1 exp=0{shard} conn_cur={connections} {shown} gpc0_rate(1000)=11 gpc1_rate(1000)=6"


ANSWER = "\n".join(
    (
        "# table: steelyard_limits, type: integer, size:65536, used:2",
        _line(7, 1, 20, 15, 2, 3, 4, 5, 6, 7, 8, 9),
        _line(0, 3, *range(10), shard=" shard=0"),
        "",
    )
)


def test_both_forms_of_entries_are_read() -> None:
    assert limit_rows(ANSWER) == {7: (1, 20, 15, 2, 3, 4, 5, 6, 7, 8, 9), 0: (3, *range(10))}
    assert limit_rows("Unknown table\n") == limit_rows("") == {}


def test_counters_go_on_over_a_new_worker() -> None:
    counters = LimitCounters()
    rows = limit_rows(ANSWER)
    assert counters.grow(rows) == rows
    assert counters.grow({})[7] == (0, *rows[7][1:])
    again = {7: (2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0)}
    assert counters.grow(again)[7] == (2, 21, 16, *rows[7][3:])


def test_a_service_and_the_clients_get_what_is_theirs() -> None:
    configuration = AddService({"address": "192.0.2.1", "port": 80}).apply(Configuration()).configuration
    index = next(iter(configuration.services))
    sample = Statistics(0, 1, {index: TrafficCounters(requests=9)})
    rows = {index: limit_rows(ANSWER)[7], 0: limit_rows(ANSWER)[0], 99: limit_rows(ANSWER)[7]}
    found = with_limits(sample, rows, configuration)
    service = found.services[index]
    assert (service.requests, service.connections_blocked) == (9, 2)
    assert (service.connection_rate_blocked, service.request_rate_blocked) == (3, 4)
    clients = found.clients
    assert (clients.connections, clients.connections_admitted, clients.requests_admitted) == (1, 15, 20)
    assert (clients.connections_blocked, clients.connection_rate_blocked, clients.requests_blocked) == (5, 6, 7)
    assert (clients.rules_blocked, clients.rules_admitted) == (8, 9)
    assert with_limits(sample, {}, configuration) is sample
