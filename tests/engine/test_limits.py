"""Limits with real traffic. Tests are about bounds that hold however slowly the machine runs.

A rate of N lets in at most N in each second of HAProxy's clock, and these tests take at most so many whole seconds as a
clock of their own says, plus the two that were begun.
"""

from __future__ import annotations

import contextlib
import select
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from tests.engine.rig import Rig, Service, eventually, hold, member, open_requests
from tests.support.clients import Http2Client, Reply
from tests.support.origin import Origin, TcpOrigin

from steelyard.engines.host import LocalHost
from steelyard.explain.request import Request
from steelyard.model.commands import (
    AddLimitRule,
    AddRule,
    AddServer,
    ChangeLimitRule,
    CreateSubService,
    MoveLimitRule,
    RemoveClientLimit,
    RemoveLimitRule,
    SetClientLimit,
    SetParameters,
)
from steelyard.model.limits import KINDS, LimitParameters
from steelyard.observe.events.event import Event
from steelyard.observe.statistics import Statistics, TrafficCounters

pytestmark = pytest.mark.engine

REFUSED = "refused"
_BLOCKED = ("connections_blocked", "connection_rate_blocked", "request_rate_blocked")
ONE_CLIENT, OTHER_CLIENT, FAR_CLIENT = "127.20.0.1", "127.20.0.2", "127.30.0.1"


@pytest.fixture
def limited(rig: Rig) -> Iterator[Rig]:
    """The shared appliance, whose limits are gone afterwards."""
    yield rig
    # at once: what is told of clients goes with the services that refused them
    rig.clean()
    configuration = rig.started.appliance.snapshot().configuration
    for rule in configuration.limit_entries.rules:
        rig.do(RemoveLimitRule(rule.name), wait=False)
    for kind in KINDS:
        for where in configuration.limit_entries.of(kind):
            rig.do(RemoveClientLimit(kind, where), wait=False)
    defaults = {name: declared.default for name, declared in LimitParameters.declared().items()}
    rig.do(SetParameters("limits", defaults), wait=False)


def set_limits(rig: Rig, **changes: Any) -> None:
    rig.do(SetParameters("limits", changes))


def outcome(ask: Callable[[], Reply]) -> int | str:
    """The status of the answer, or that there was none."""
    try:
        return ask().status
    except (OSError, EOFError, RuntimeError):
        return REFUSED


def outcomes(service: Service, count: int, path: str = "/", **request: Any) -> tuple[Counter[int | str], int]:
    """What so many requests on connections of their own met, and for how many seconds a rate let some in."""
    started = time.monotonic()
    found = Counter(outcome(lambda: service.fetch(path, **request)) for _ in range(count))
    return found, int(time.monotonic() - started) + 2


def statistics(rig: Rig) -> Statistics:
    # a sample may be a second old
    time.sleep(1.05)
    return rig._background.run(rig.started.appliance.statistics())


class Blocked:
    """What limits have refused since it was made: an index keeps its counters when another service gets it."""

    def __init__(self, rig: Rig) -> None:
        self._rig = rig
        self._before = statistics(rig)

    def of(self, *services: Service) -> tuple[int, int, int]:
        """By connections, by their rate, by requests."""
        after = statistics(self._rig)
        found = [0, 0, 0]
        for service in services:
            now, then = after.services[service.index], self._before.services.get(service.index, TrafficCounters())
            for number, name in enumerate(_BLOCKED):
                found[number] += getattr(now, name) - getattr(then, name)
        return found[0], found[1], found[2]

    def of_clients(self, name: str) -> int:
        after = statistics(self._rig)
        return int(getattr(after.clients, name) - getattr(self._before.clients, name))


def quiet() -> None:
    """Wait until rates have forgotten what was."""
    time.sleep(2.05)


def test_concurrent_connections_of_a_service_never_exceed_its_limit(limited: Rig, one: Origin) -> None:
    service = limited.http(one, max_connections=3)
    blocked = Blocked(limited)
    with contextlib.ExitStack() as stack:
        for _ in range(3):
            held = stack.enter_context(service.connect())
            assert held.request("/").status == 200
        assert [outcome(service.fetch) for _ in range(4)] == [REFUSED] * 4
        held.close()
        eventually(lambda: outcome(service.fetch) == 200, "a place is free again")
        # other numbers need no reload
        with limited.without_reload():
            service.change(max_connections=2)
        assert outcome(service.fetch) == REFUSED
        with limited.without_reload():
            service.change(max_connections=20)
        assert outcome(service.fetch) == 200
    connections, rate, requests = blocked.of(service)
    assert connections >= 5
    assert rate == requests == 0


def test_many_that_come_at_once_do_not_exceed_the_limit(limited: Rig, one: Origin) -> None:
    service = limited.http(one, max_connections=3)
    with contextlib.ExitStack() as stack:

        def ask(_: int) -> socket.socket | None:
            with contextlib.suppress(OSError):
                made = socket.create_connection((service.address, service.port), 10)
                stack.callback(made.close)
                made.sendall(b"GET /sleep?ms=30000 HTTP/1.1\r\nHost: a\r\n\r\n")
                return made
            return None

        with ThreadPoolExecutor(16) as pool:
            sockets = list(pool.map(ask, range(60)))
        refused = {number for number, one_socket in enumerate(sockets) if one_socket is None}

        def all_are_decided() -> bool:
            for number, one_socket in enumerate(sockets):
                if one_socket is not None and number not in refused and select.select([one_socket], [], [], 0)[0]:
                    with contextlib.suppress(OSError):
                        assert one_socket.recv(1) == b""
                    refused.add(number)
            return len(refused) + open_requests(one) == len(sockets)

        eventually(all_are_decided, "each is served or refused", 25)
        assert 1 <= open_requests(one) <= 3


def test_new_connections_of_a_service(limited: Rig, one: Origin) -> None:
    service = limited.http(one, connections_per_second=2)
    blocked = Blocked(limited)
    quiet()
    found, seconds = outcomes(service, 40)
    assert set(found) <= {200, REFUSED}
    assert 1 <= found[200] <= 2 * seconds * 2
    assert found[200] + found[REFUSED] == 40
    assert blocked.of(service) == (0, found[REFUSED], 0)


def test_a_generic_service_too(limited: Rig, line_one: TcpOrigin) -> None:
    service = limited.tcp(line_one, max_connections=1)
    with service.connect() as first:
        first.socket.sendall(b"one\n")
        assert first.socket.recv(100)
        with contextlib.suppress(OSError), service.connect() as second:
            second.socket.sendall(b"two\n")
            assert second.socket.recv(100) == b""


@pytest.mark.parametrize(("answer", "told"), [(0, REFUSED), (1, 429), (2, 503)])
def test_requests_of_a_service_and_what_clients_are_told(
    limited: Rig, one: Origin, answer: int, told: int | str
) -> None:
    set_limits(limited, answer=answer)
    service = limited.http(one, requests_per_second=2)
    blocked = Blocked(limited)
    quiet()
    found, seconds = outcomes(service, 40)
    assert set(found) <= {200, told}
    assert 1 <= found[200] <= 2 * seconds * 2
    assert one.request_count >= found[200]
    assert blocked.of(service) == (0, 0, found[told])
    if told != REFUSED:
        with service.connect() as connection:
            replies = [connection.request("/") for _ in range(30)]
        assert all(reply.header("retry-after") == "1" for reply in replies if reply.status == told)


def test_requests_of_one_connection_are_counted_each(limited: Rig, one: Origin) -> None:
    set_limits(limited, answer=1)
    service = limited.http(one, requests_per_second=3)
    quiet()
    started = time.monotonic()
    with service.connect() as connection:
        found = Counter(connection.request("/").status for _ in range(60))
    seconds = int(time.monotonic() - started) + 2
    assert set(found) <= {200, 429}
    assert 1 <= found[200] <= 3 * seconds * 2


def test_requests_over_http2_are_counted_each(limited: Rig, one: Origin) -> None:
    set_limits(limited, answer=1)
    service = limited.http(one, ssl_acceleration=True, allow_http2=True, requests_per_second=3)
    quiet()
    started = time.monotonic()
    with Http2Client() as client:
        found = Counter(client.request(service.url).status for _ in range(60))
    seconds = int(time.monotonic() - started) + 2
    assert set(found) <= {200, 429}
    assert 1 <= found[200] <= 3 * seconds * 2


def test_the_longest_network_tells_what_a_client_may_do(limited: Rig, one: Origin) -> None:
    set_limits(limited, client_connections=1)
    service = limited.http(one)
    blocked = Blocked(limited)
    limited.do(SetClientLimit("connections", "127.20.0.0/16", 3))

    def together(source: str) -> int:
        """How many connections a client gets at a time, of five."""
        with contextlib.ExitStack() as stack:
            count = 0
            for _ in range(5):
                with contextlib.suppress(OSError, EOFError, RuntimeError):
                    connection = stack.enter_context(service.connect(source=source))
                    count += connection.request("/").status == 200
            return count

    def gets(source: str, count: int) -> None:
        eventually(lambda: together(source) == count, f"{source} gets {count}")

    for source, count in ((ONE_CLIENT, 3), (OTHER_CLIENT, 3), (FAR_CLIENT, 1)):
        gets(source, count)
    with limited.without_reload():
        limited.do(SetClientLimit("connections", ONE_CLIENT, 2))
        limited.do(SetClientLimit("connections", "127.30.0.1", 0))
    for source, count in ((ONE_CLIENT, 2), (OTHER_CLIENT, 3), (FAR_CLIENT, 5)):
        gets(source, count)
    with limited.without_reload():
        limited.do(RemoveClientLimit("connections", ONE_CLIENT))
        set_limits(limited, client_connections=2)
    for source, count in ((ONE_CLIENT, 3), ("127.40.0.1", 2)):
        gets(source, count)
    assert blocked.of_clients("connections_blocked") >= 9


def test_a_client_over_its_rate_does_not_slow_others(limited: Rig, one: Origin) -> None:
    set_limits(limited, answer=1, client_requests_per_second=2)
    service = limited.http(one)
    blocked = Blocked(limited)
    quiet()
    found, seconds = outcomes(service, 30, source=ONE_CLIENT)
    assert set(found) <= {200, 429}
    assert 1 <= found[200] <= 2 * seconds * 2
    assert outcome(lambda: service.fetch(source=OTHER_CLIENT)) == 200
    assert blocked.of_clients("requests_blocked") == found[429]


def test_new_connections_of_a_client(limited: Rig, one: Origin) -> None:
    set_limits(limited, client_connections_per_second=2)
    service = limited.http(one)
    blocked = Blocked(limited)
    quiet()
    found, seconds = outcomes(service, 30, source=ONE_CLIENT)
    assert 1 <= found[200] <= 2 * seconds * 2
    assert outcome(lambda: service.fetch(source=OTHER_CLIENT)) == 200
    assert blocked.of_clients("connection_rate_blocked") == found[REFUSED]


def test_limits_of_all_services_together(limited: Rig, one: Origin, two: Origin) -> None:
    set_limits(limited, max_connections=2)
    first, second = limited.http(one), limited.http(two)
    with first.connect() as held, second.connect() as other:
        assert held.request("/").status == other.request("/").status == 200
        assert outcome(first.fetch) == outcome(second.fetch) == REFUSED
        with limited.without_reload():
            set_limits(limited, max_connections=4)
        assert outcome(first.fetch) == 200
    set_limits(limited, max_connections=0, requests_per_second=2, answer=1)
    quiet()
    started = time.monotonic()
    found = Counter(outcome(service.fetch) for _ in range(20) for service in (first, second))
    seconds = int(time.monotonic() - started) + 2
    assert set(found) <= {200, 429}
    assert 1 <= found[200] <= 2 * seconds * 2


def test_rules_limit_what_they_match_and_the_first_one_counts(limited: Rig, one: Origin) -> None:
    set_limits(limited, answer=1)
    service = limited.http(one)
    limited.do(AddLimitRule({"name": "expensive", "pattern": "^/expensive", "limit": 2}))
    limited.do(AddLimitRule({"name": "robots", "pattern": "} bot#'\"%, \\)", "limit": 1, "match": 2}))
    blocked = Blocked(limited)
    robot = {"User-Agent": "} bot#'\"%, )"}
    quiet()
    found, seconds = outcomes(service, 30, "/expensive?x=1", source=ONE_CLIENT)
    refused = found[429]
    assert 1 <= found[200] <= 2 * seconds * 2
    assert set(found) <= {200, 429}
    # another client, and another address
    assert outcome(lambda: service.fetch("/expensive", source=OTHER_CLIENT)) == 200
    assert set(outcomes(service, 10, "/cheap", source=ONE_CLIENT)[0]) == {200}
    found, seconds = outcomes(service, 30, "/cheap", source=ONE_CLIENT, headers=robot)
    assert 1 <= found[200] <= seconds * 2
    assert blocked.of_clients("rules_blocked") == refused + found[429]
    # the first rule that fits decides: it lets through what the second would not
    limited.do(AddLimitRule({"name": "free", "pattern": "^/expensive", "limit": 1_000_000}))
    limited.do(MoveLimitRule("free", 1))
    assert set(outcomes(service, 20, "/expensive", source=ONE_CLIENT)[0]) == {200}
    with limited.without_reload():
        limited.do(ChangeLimitRule("free", {"limit": 1}))
    found, seconds = outcomes(service, 20, "/expensive", source=ONE_CLIENT)
    assert found[200] <= seconds * 2


@pytest.mark.parametrize("balanced", [False, True])
def test_a_sub_service_has_limits_of_its_own(limited: Rig, one: Origin, two: Origin, balanced: bool) -> None:
    set_limits(limited, answer=1)
    parent = limited.http(servers=[])
    subs = [_sub(limited, parent, origin) for origin in ((one, two) if balanced else (one,))]
    eventually(lambda: outcome(parent.fetch) == 200, "the sub-services are up")
    for sub in subs:
        sub.change(requests_per_second=2)
    blocked = Blocked(limited)
    quiet()
    found, seconds = outcomes(parent, 40)
    assert set(found) <= {200, 429}
    assert len(subs) <= found[200] <= 2 * seconds * 2 * len(subs)
    assert blocked.of(*subs) == (0, 0, found[429])
    for sub in subs:
        sub.change(requests_per_second=0, max_connections=1)
    held = hold(parent, (one, two) if balanced else (one,), len(subs))
    assert outcome(parent.fetch) == 429
    # the real servers are still at it, so a place becomes free by another number
    with limited.without_reload():
        for sub in subs:
            sub.change(max_connections=9)
    assert outcome(parent.fetch) == 200
    for connection in held:
        connection.close()


def _sub(rig: Rig, parent: Service, origin: Origin) -> Service:
    made = rig.do(CreateSubService(parent.index))
    assert isinstance(made.key, int)
    sub = Service(rig, made.key)
    rig.do(AddServer(sub.index, member(origin)))
    return sub


def test_what_was_counted_stays_over_a_reload(limited: Rig, one: Origin) -> None:
    service = limited.http(one, max_connections=1)
    blocked = Blocked(limited)
    with service.connect() as held:
        assert held.request("/").status == 200
        assert [outcome(service.fetch) for _ in range(3)] == [REFUSED] * 3
    assert blocked.of(service) == (3, 0, 0)
    service.change(idle_time=333)
    assert blocked.of(service) == (3, 0, 0)


def _seconds(transfers: Sequence[Callable[[], Reply]]) -> float:
    started = time.monotonic()
    for transfer in transfers:
        assert transfer().status == 200
    return time.monotonic() - started


@pytest.mark.requirement("S4-01")
def test_bandwidth(limited: Rig, one: Origin) -> None:
    """A transfer cannot be over before its bytes fit; what HAProxy lets through at first is a second's worth."""

    def seconds(transfer: Callable[[], Reply]) -> float:
        eventually(limited.only_one_worker, "the old worker has ended")
        return _seconds([transfer])

    capabilities = LocalHost(limited.binary).capabilities()
    service = limited.http(one)
    body = b"x" * 300_000
    if not capabilities.bandwidth_limits:
        with pytest.raises(Exception, match=r"Bandwidth.*2\.7"):
            service.change(bandwidth=800)
        with pytest.raises(Exception, match=r"ClientMaxBandwidthLimit.*2\.7"):
            set_limits(limited, client_bandwidth=800)
        return
    service.change(bandwidth=800)
    assert seconds(lambda: service.fetch("/bytes/300000")) > 1.5
    assert seconds(lambda: service.fetch(method="POST", body=body)) > 1.5
    service.change(bandwidth=0)
    set_limits(limited, client_bandwidth=80_000)
    limited.do(SetClientLimit("bandwidth", ONE_CLIENT, 800))
    assert seconds(lambda: service.fetch("/bytes/300000", source=ONE_CLIENT)) > 1.5
    set_limits(limited, client_bandwidth=0, bandwidth=800)
    assert seconds(lambda: service.fetch("/bytes/300000", source=OTHER_CLIENT)) > 1.5
    set_limits(limited, bandwidth=0)
    generic = limited.tcp(one, bandwidth=800)
    assert seconds(lambda: generic.fetch("/bytes/300000")) > 1.5
    parent = limited.http(servers=[])
    sub = _sub(limited, parent, one)
    eventually(lambda: outcome(parent.fetch) == 200, "the sub-service is up")
    sub.change(bandwidth=800)
    assert seconds(lambda: parent.fetch("/bytes/300000")) > 1.5


# --- what is told of it ---------------------------------------------------------------------------------------------


def test_a_refused_client_is_told_once_and_sums_every_time_they_grow(limited: Rig, one: Origin) -> None:
    """Limits of clients at connections and at requests. The appliance looks by itself meanwhile, which is no matter."""
    # clients of no other test: who has been told of is not told of again for a minute
    first, far, other = "127.41.0.1", "127.43.0.9", "127.42.0.1"
    appliance = limited.started.appliance
    told: list[Event] = []
    end = appliance.events().listen(lambda event: told.append(event) if event is not None else None)

    def texts(kind: str) -> list[str]:
        limited.await_(appliance._limit_watch.look())
        found = [event.text for event in told if event.kind == kind]
        # clients of the tests before may still be told of
        return [
            text for text in found if kind != "client_limited" or any(f" {one} " in text for one in (first, far, other))
        ]

    service = limited.http(one)
    try:
        texts("client_limited")
        told.clear()
        limited.do(SetClientLimit("requests_per_second", first, 1))
        limited.do(SetClientLimit("connections", "127.43.0.0/16", 1))
        limited.do(AddLimitRule({"name": "slow", "pattern": "^/slow", "limit": 1}))
        set_limits(limited, answer=1)
        with service.connect(source=first) as connection:
            eventually(lambda: connection.request("/").status == 429, "over the limit of requests")
        with service.connect(source=far) as held:
            assert held.request("/").status == 200
            assert outcome(lambda: service.fetch(source=far)) == REFUSED
        eventually(lambda: outcome(lambda: service.fetch("/slow", source=other)) == 429, "the rule refuses")
        once = [
            f"Client {first} is refused by limits: too many requests a second",
            f"Client {other} is refused by limits: too many requests that a limiting rule matches",
            f"Client {far} is refused by limits: too many connections at a time",
        ]
        # a sample may be a second old
        eventually(lambda: sorted(texts("client_limited")) == once, "all three were told")
        with service.connect(source=first) as connection:
            eventually(lambda: connection.request("/").status == 429, "still over it")
        assert sorted(texts("client_limited")) == once
        with limited.without_reload():
            set_limits(limited, logging=True)
        time.sleep(1.05)
        sums = texts("limits")
        assert len(sums) in (1, 2)
        assert sums[-1].startswith("Limits: curconns ")
        assert int(sums[-1].split("totrblocked ")[1].split(",")[0]) >= 2
        assert all(event.damped for event in told if event.kind == "limits")
        assert texts("limits") == sums
    finally:
        end()


def test_a_limiting_rule_holds_beside_limits_of_clients(limited: Rig, one: Origin) -> None:
    """HAProxy passes over a second use of a tracker, so both have to count in one entry."""
    set_limits(limited, answer=1, client_requests_per_second=100_000, requests_per_second=100_000, max_connections=1000)
    service = limited.http(one)
    limited.do(AddLimitRule({"name": "expensive", "pattern": "^/expensive", "limit": 1}))
    limited.do(AddLimitRule({"name": "dear", "pattern": "^/dear", "limit": 100_000}))
    eventually(lambda: outcome(lambda: service.fetch("/expensive", source=ONE_CLIENT)) == 429, "the rule refuses")
    asked = Request(service=service.index, client=ONE_CLIENT, target="/expensive")

    def agrees() -> bool:
        """In one moment: refused, said to be, and refused still."""
        refused = outcome(lambda: service.fetch("/expensive", source=ONE_CLIENT)) == 429
        said = limited.explain(asked).result
        still = outcome(lambda: service.fetch("/expensive", source=ONE_CLIENT)) == 429
        return refused and still and said.status == 429 and "limiting rule expensive" in said.why

    eventually(agrees, "explain says so too")
    assert set(outcomes(service, 10, "/dear", source=ONE_CLIENT)[0]) == {200}
    assert set(outcomes(service, 10, "/", source=ONE_CLIENT)[0]) == {200}


@pytest.mark.parametrize("everywhere", [False, True])
def test_sub_services_that_rules_choose_have_their_limits_each_for_itself(
    limited: Rig, one: Origin, two: Origin, everywhere: bool
) -> None:
    """Beside limits of their parent, and of everything and of clients, which take up all of HAProxy's trackers."""
    for name in ("one", "two"):
        limited.do(AddRule({"name": name, "match_type": "prefix", "pattern": f"/{name}"}))
    more = {"requests_per_second": 100_000, "client_requests_per_second": 100_000} if everywhere else {}
    set_limits(limited, answer=1, **more)
    parent = limited.http(check_type="none", requests_per_second=100_000)
    subs = []
    for name, origin, limit in (("one", one, 1), ("two", two, 1000)):
        data = {"service_type": "http", "check_type": "none", "servers": [member(origin)], "requests_per_second": limit}
        made = limited.do(CreateSubService(parent.index, data, {"rules": [name]}))
        subs.append(Service(limited, int(str(made.key))))
    eventually(lambda: outcome(lambda: parent.fetch("/two")) == 200, "the parent leads to its sub-services")
    quiet()
    blocked = Blocked(limited)
    # what the other carries does not count
    assert set(outcomes(parent, 10, "/two")[0]) == {200}
    found, seconds = outcomes(parent, 30, "/one")
    assert 1 <= found[200] <= seconds
    assert set(found) == {200, 429}
    assert set(outcomes(parent, 10, "/two")[0]) == {200}
    assert blocked.of(subs[0]) == (0, 0, found[429])
    assert blocked.of(parent, subs[1]) == (0, 0, 0)
