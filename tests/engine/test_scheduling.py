"""Which real server a client without a record gets (`reference/behaviour.md`, section 6)."""

from __future__ import annotations

from collections import Counter

import pytest
from tests.engine.rig import Rig, eventually, hold, member, open_requests
from tests.support.origin import Origin, TcpOrigin

pytestmark = pytest.mark.engine

SOURCES = [f"127.0.1.{number}" for number in range(1, 61)]


def test_round_robin_rotates_strictly_and_ignores_weights(rig: Rig, one: Origin, two: Origin, three: Origin) -> None:
    service = rig.http(
        servers=[member(one, weight=60000), member(two, weight=1), member(three, weight=500)], schedule="rr"
    )
    names = service.names(12)
    assert set(names[:3]) == {"one", "two", "three"}
    assert names == names[:3] * 4


def test_weighted_round_robin_gives_exact_shares_over_a_cycle(
    rig: Rig, one: Origin, two: Origin, three: Origin
) -> None:
    service = rig.http(
        servers=[member(one, weight=3000), member(two, weight=2000), member(three, weight=1000)], schedule="wrr"
    )
    for _ in range(3):
        assert service.spread(6) == {"one": 3, "two": 2, "three": 1}


def test_weighted_round_robin_spans_the_whole_range_of_weights(rig: Rig, one: Origin, two: Origin) -> None:
    service = rig.http(servers=[member(one, weight=65535), member(two, weight=1)], schedule="wrr")
    assert service.spread(257) == {"one": 256, "two": 1}


@pytest.mark.requirement("S4-03")
@pytest.mark.parametrize("schedule", ["lc", "wlc"])
def test_least_connection_avoids_the_server_with_more_open_requests(
    rig: Rig, one: Origin, two: Origin, three: Origin, schedule: str
) -> None:
    service = rig.http(one, two, three, schedule=schedule)
    held = hold(service, (one, two, three), 4)
    busiest = max((one, two, three), key=open_requests)
    assert open_requests(busiest) == 2
    assert busiest.name not in service.names(6)
    for connection in held:
        connection.close()


def test_least_connection_ignores_weights(rig: Rig, one: Origin, two: Origin) -> None:
    service = rig.http(servers=[member(one, weight=4000), member(two, weight=1000)], schedule="lc")
    held = hold(service, (one, two), 4)
    assert (open_requests(one), open_requests(two)) == (2, 2)
    for connection in held:
        connection.close()


def test_weighted_least_connection_follows_connections_divided_by_weight(rig: Rig, one: Origin, two: Origin) -> None:
    service = rig.http(servers=[member(one, weight=2000), member(two, weight=1000)], schedule="wlc")
    held = hold(service, (one, two), 6)
    assert (open_requests(one), open_requests(two)) == (4, 2)
    for connection in held:
        connection.close()


def test_least_connection_counts_tcp_connections(rig: Rig, line_one: TcpOrigin, line_two: TcpOrigin) -> None:
    line_one.speaks_first = line_two.speaks_first = True
    service = rig.tcp(line_one, line_two, schedule="lc")
    connections = [service.connect() for _ in range(4)]
    greeted = [connection.socket.recv(16) for connection in connections]
    assert Counter(greeted) == {b"one\n": 2, b"two\n": 2}
    for connection, greeting in zip(connections, greeted, strict=True):
        if greeting == b"one\n":
            connection.close()
    eventually(lambda: f"{service.server(line_one).key}," in rig.ask("show stat"), "statistics")
    eventually(lambda: _current(rig, service.key, service.server(line_one).key) == 0, "connections of one ended")
    for _ in range(2):
        connection = service.connect()
        assert connection.socket.recv(16) == b"one\n"
        connections.append(connection)
    for connection in connections:
        connection.close()


def _current(rig: Rig, backend: str, server: str) -> int:
    line = next(line for line in rig.ask("show stat").splitlines() if line.startswith(f"{backend},{server},"))
    return int(line.split(",")[4])


def test_fixed_weighting_gives_all_to_the_heaviest_and_fails_over_and_back(
    rig: Rig, one: Origin, two: Origin, three: Origin
) -> None:
    service = rig.http(
        servers=[member(one, weight=10), member(two, weight=3000), member(three, weight=500)], schedule="fixed"
    )
    assert set(service.names(6)) == {"two"}
    two.refuse()
    eventually(lambda: set(service.names(6)) == {"three"}, "failed over to the next weight")
    three.refuse()
    eventually(lambda: set(service.names(6)) == {"one"}, "failed over to the last")
    two.resume()
    eventually(lambda: set(service.names(6)) == {"two"}, "back to the heaviest")


def test_fixed_weighting_shares_among_equals(rig: Rig, one: Origin, two: Origin, three: Origin) -> None:
    service = rig.http(
        servers=[member(one, weight=700), member(two, weight=700), member(three, weight=699)], schedule="fixed"
    )
    assert service.spread(8) == {"one": 4, "two": 4}


def test_fixed_weighting_follows_changes_without_reload(rig: Rig, one: Origin, two: Origin, three: Origin) -> None:
    service = rig.http(servers=[member(one, weight=20), member(two, weight=10)], schedule="fixed")
    assert set(service.names(4)) == {"one"}
    with rig.without_reload():
        service.server(two).change(weight=30)
        eventually(lambda: set(service.names(4)) == {"two"}, "the new heaviest has all")
        service.server(two).change(enabled=False)
        eventually(lambda: set(service.names(4)) == {"one"}, "the disabled one has none")
        service.add(three, weight=40)
        eventually(lambda: set(service.names(4)) == {"three"}, "the added heaviest has all")


def test_source_hash_keeps_a_source_and_spreads_sources(rig: Rig, one: Origin, two: Origin, three: Origin) -> None:
    service = rig.http(one, two, three, schedule="sh")
    first = {source: service.name(source=source) for source in SOURCES}
    assert first == {source: service.name(source=source) for source in SOURCES}
    assert min(Counter(first.values()).values()) >= 5
    assert set(first.values()) == {"one", "two", "three"}


def test_source_hash_moves_only_the_clients_of_a_lost_server(rig: Rig, one: Origin, two: Origin, three: Origin) -> None:
    service = rig.http(one, two, three, schedule="sh")
    before = {source: service.name(source=source) for source in SOURCES}
    two.refuse()
    service.server(two).wait_until("down")
    after = {source: service.name(source=source) for source in SOURCES}
    assert all(after[source] == name for source, name in before.items() if name != "two")
    two.resume()
    service.server(two).wait_until("up")
    assert {source: service.name(source=source) for source in SOURCES} == before


def test_url_hash_keeps_a_url_and_spreads_urls(rig: Rig, one: Origin, two: Origin, three: Origin) -> None:
    service = rig.http(one, two, three, schedule="uhash")
    urls = [f"/item/{number}?page={number}" for number in range(60)]
    first = {url: service.name(url) for url in urls}
    assert first == {url: service.name(url, source="127.0.0.9") for url in urls}
    assert set(first.values()) == {"one", "two", "three"}
    assert min(Counter(first.values()).values()) >= 5


def test_url_hash_tells_queries_apart(rig: Rig, one: Origin, two: Origin, three: Origin) -> None:
    service = rig.http(one, two, three, schedule="uhash")
    assert len({service.name(f"/same?q={number}") for number in range(40)}) == 3


def test_random_uses_every_server(rig: Rig, one: Origin, two: Origin, three: Origin) -> None:
    service = rig.http(one, two, three, schedule="random")
    spread = service.spread(90)
    assert set(spread) == {"one", "two", "three"}
    assert min(spread.values()) >= 10


@pytest.mark.parametrize("schedule", ["rr", "wrr", "lc", "wlc", "fixed", "sh", "uhash", "random"])
def test_requests_of_one_connection_stay_on_one_server(
    rig: Rig, one: Origin, two: Origin, three: Origin, schedule: str
) -> None:
    service = rig.http(one, two, three, schedule=schedule)
    with service.connect() as connection:
        replies = [connection.request(f"/{number}") for number in range(8)]
    assert len({(reply.name, reply.json["connection"]) for reply in replies}) == 1
    assert [reply.json["request"] for reply in replies] == list(range(1, 9))


def test_http_reschedule_chooses_a_server_for_each_request(rig: Rig, one: Origin, two: Origin, three: Origin) -> None:
    service = rig.http(one, two, three, http_reschedule=True)
    with service.connect() as connection:
        names = [connection.request("/").name for _ in range(9)]
    assert names == names[:3] * 3
    assert set(names) == {"one", "two", "three"}


def test_each_client_has_a_server_connection_of_its_own(rig: Rig, one: Origin) -> None:
    service = rig.http(one)
    with service.connect() as first, service.connect() as second:
        mine = {first.request("/").json["connection"] for _ in range(4)}
        others = {second.request("/").json["connection"] for _ in range(4)}
        again = {first.request("/").json["connection"] for _ in range(4)}
    assert len(mine) == len(others) == 1
    assert mine == again
    assert mine != others
    # a connection that a client has left is not given to the next one
    assert service.fetch("/").json["connection"] not in mine | others


def test_servers_that_are_down_or_disabled_get_no_client(rig: Rig, one: Origin, two: Origin, three: Origin) -> None:
    service = rig.http(one, two, three)
    two.refuse()
    service.server(two).wait_until("down")
    service.server(three).change(enabled=False)
    assert set(service.names(6)) == {"one"}


def test_a_refused_connection_is_tried_on_another_server(rig: Rig, one: Origin, two: Origin) -> None:
    service = rig.http(one, two)
    two.refuse()
    assert set(service.names(10)) == {"one"}


def test_without_any_server_clients_get_503(rig: Rig, one: Origin) -> None:
    service = rig.http(one)
    one.refuse()
    service.server(one).wait_until("down")
    assert service.fetch("/").status == 503
    one.resume()
    service.server(one).wait_until("up")
    assert service.fetch("/").status == 200
    service.server(one).remove()
    assert service.fetch("/").status == 503


def test_a_tcp_service_without_any_server_resets_the_connection(rig: Rig, line_one: TcpOrigin) -> None:
    service = rig.tcp(line_one)
    line_one.refuse()
    service.server(line_one).wait_until("down")
    # it may come before the connection is made, from the client's point of view
    with pytest.raises(ConnectionResetError), service.connect() as connection:
        connection.socket.recv(1)
