"""Sub-services on real traffic: scheduling among them, persistence at both levels, health, slots, the inner hop."""

from __future__ import annotations

import os
import signal
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from tests.engine.rig import Rig, Service, eventually, hold, member
from tests.engine.test_streams import _UPGRADE, Scripted, _head, upgrading
from tests.support.certificates import leaf
from tests.support.clients import Http2Client, fetch_h2
from tests.support.listener import Listener
from tests.support.origin import Origin, TcpOrigin
from tests.support.ports import free_port

from steelyard.appliance.contract import Outcome
from steelyard.health.engine_text import servers_state
from steelyard.model.commands import (
    AddRule,
    AddService,
    AttachRule,
    ChangeSlot,
    CreateSubService,
    RemoveService,
    RulePlace,
)
from steelyard.observe.statistics import Statistics
from steelyard.observe.status import ServiceState

pytestmark = pytest.mark.engine

__all__ = ["upgrading"]

FORWARDED = 5
CLIENT, OTHER = "127.0.0.77", "127.0.0.78"


class Family:
    """A parent in front of sub-services, each in front of some origins."""

    def __init__(self, rig: Rig, *origins: Sequence[Listener], subs: Sequence[dict[str, Any]] = (), **parent: Any):
        settings = subs or [{}] * len(origins)
        data = {"address": "127.0.0.1", "port": free_port(), "service_type": "http"} | parent
        data["sub_services"] = [
            {"name": f"sub{number}", "servers": [member(origin) for origin in each]} | extra
            for number, (each, extra) in enumerate(zip(origins, settings, strict=True))
        ]
        outcome = rig.do(AddService(data))
        assert isinstance(outcome.key, int)
        self.rig = rig
        self.parent = Service(rig, outcome.key)
        for sub in self.subs:
            for server in sub.servers:
                server.wait_until("up")
        for slot in self.parent.setting("slots"):
            eventually(lambda key=f"rs{slot.index}": self.slot_in_engine(key), "a slot is up")

    @property
    def subs(self) -> list[Service]:
        return [Service(self.rig, slot.service) for slot in self.parent.setting("slots")]

    def slot_in_engine(self, key: str) -> bool:
        states = servers_state(self.rig.ask(f"show servers state {self.parent.key}"))
        have = states.get((self.parent.key, key))
        return have is not None and have.up and have.admin == "ready"

    def change_slot(self, number: int, **changes: Any) -> Outcome:
        slot = self.parent.setting("slots")[number]
        return self.rig.do(ChangeSlot(self.parent.index, slot.index, changes))

    @property
    def state(self) -> ServiceState:
        return self.rig.started.appliance.states()[self.parent.index]


def wait_for_status(family: Family, word: str) -> ServiceState:
    eventually(lambda: family.state.status == word, f"the parent is {word}")
    return family.state


@pytest.fixture
def tls_one() -> Iterator[Origin]:
    with Origin("tls-one", tls=leaf("origin.example").server_context()) as origin:
        yield origin


# --- scheduling among sub-services ---------------------------------------------------------------------------------


@pytest.mark.parametrize("schedule", ["rr", "random", "lc"])
def test_connections_are_shared_evenly_among_sub_services_and_then_among_their_servers(
    rig: Rig, one: Origin, two: Origin, three: Origin, schedule: str
) -> None:
    family = Family(rig, [one], [two, three], schedule=schedule)
    spread = family.parent.spread(80)
    if schedule == "rr":
        assert spread == {"one": 40, "two": 20, "three": 20}
    else:
        assert 20 <= spread["one"] <= 60
        assert spread["two"] and spread["three"]


def test_weights_count_and_are_changed_without_a_reload(rig: Rig, one: Origin, two: Origin) -> None:
    family = Family(rig, [one], [two], schedule="wrr", subs=[{"slot": {"weight": 300}}, {"slot": {"weight": 100}}])
    assert family.parent.spread(40) == {"one": 30, "two": 10}
    with rig.without_reload():
        family.change_slot(0, weight=100)
        assert family.parent.spread(40) == {"one": 20, "two": 20}


@pytest.mark.parametrize("schedule", ["lc", "wlc"])
def test_the_fewest_connections_win(rig: Rig, one: Origin, two: Origin, schedule: str) -> None:
    weights = [{"slot": {"weight": 200}}, {"slot": {"weight": 100}}]
    family = Family(rig, [one], [two], schedule=schedule, subs=weights)
    held = hold(family.parent, [one, two], 6)
    counts = Counter({"one": len(one.requests), "two": len(two.requests)})
    assert sum(1 for seen in one.requests if seen.path == "/sleep") == (3 if schedule == "lc" else 4), counts
    for connection in held:
        connection.close()


def test_fixed_weighting_uses_the_best_sub_service_that_is_up(rig: Rig, one: Origin, two: Origin) -> None:
    subs = [{"slot": {"weight": 300}}, {"slot": {"weight": 100}}]
    family = Family(rig, [one], [two], schedule="fixed", subs=subs)
    eventually(lambda: family.parent.spread(6) == {"one": 6}, "all go to the best")
    one.stop()
    slot = family.parent.setting("slots")[0]
    eventually(lambda: not family.slot_in_engine(f"rs{slot.index}"), "the best is down")
    eventually(lambda: family.parent.fetch().status == 200, "the next takes over")
    assert family.parent.spread(6) == {"two": 6}


def test_a_hash_of_the_address_keeps_a_client_on_its_sub_service(rig: Rig, one: Origin, two: Origin) -> None:
    family = Family(rig, [one], [two], schedule="sh")
    clients = [f"127.0.1.{number}" for number in range(1, 21)]
    first = {client: family.parent.name(source=client) for client in clients}
    assert set(first.values()) == {"one", "two"}
    assert {client: family.parent.name(source=client) for client in clients} == first


# --- persistence ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sub_mode", ["none", "src", "active-cookie"])
def test_the_parent_keeps_a_client_on_its_sub_service(
    rig: Rig, one: Origin, two: Origin, three: Origin, sub_mode: str
) -> None:
    sub = {"persistence": sub_mode}
    family = Family(rig, [one], [two, three], persistence="src", subs=[sub, sub])
    places = {"one": 0, "two": 1, "three": 1}
    first = {client: places[family.parent.name(source=client)] for client in (CLIENT, OTHER)}
    assert sorted(first.values()) == [0, 1]
    for client, place in first.items():
        names = family.parent.names(8, source=client)
        assert {places[name] for name in names} == {place}
        if sub_mode == "src":
            assert len(set(names)) == 1
    assert {slot for slot, _ in family.parent.records().values()} == {
        slot.index for slot in family.parent.setting("slots")
    }


def test_cookies_of_both_levels_bring_a_client_back_to_its_server(
    rig: Rig, one: Origin, two: Origin, three: Origin
) -> None:
    sub = {"persistence": "active-cookie"}
    family = Family(rig, [one], [two, three], persistence="active-cookie", subs=[sub, sub])
    for _ in range(4):
        reply = family.parent.fetch()
        cookies = dict(pair.split(";")[0].split("=", 1) for pair in reply.header_all("set-cookie"))
        assert set(cookies) == {"steelyard", "steelyard-sub"}
        assert {family.parent.name(cookies=cookies) for _ in range(6)} == {reply.name}


def test_records_of_both_levels_survive_a_reload(own_rig: Rig, one: Origin, two: Origin, three: Origin) -> None:
    family = Family(own_rig, [one], [two, three], persistence="src", subs=[{"persistence": "src"}] * 2)
    clients = [f"127.0.1.{number}" for number in range(1, 9)]
    first = {client: family.parent.name(source=client) for client in clients}
    assert set(first.values()) == {"one", "two", "three"}
    before = own_rig.worker
    family.parent.change(idle_time=500)
    eventually(lambda: own_rig.worker != before, "HAProxy is reloaded")
    assert {client: family.parent.name(source=client) for client in clients} == first


def test_requests_of_one_connection_stay_on_one_server(rig: Rig, one: Origin, two: Origin, three: Origin) -> None:
    family = Family(rig, [one], [two, three])
    for _ in range(4):
        with family.parent.connect() as connection:
            assert len({connection.request("/").name for _ in range(5)}) == 1


# --- health --------------------------------------------------------------------------------------------------------


def test_when_all_servers_of_a_sub_service_die_its_clients_go_to_the_others(
    rig: Rig, one: Origin, two: Origin, three: Origin
) -> None:
    family = Family(rig, [one, two], [three], persistence="src")
    client = next(c for c in (CLIENT, OTHER) if family.parent.name(source=c) in ("one", "two"))
    with rig.without_reload():
        one.stop()
        family.subs[0].server(one).wait_until("down")
        assert family.parent.name(source=client) == "two"
        two.stop()
        eventually(
            lambda: not family.slot_in_engine(f"rs{family.parent.setting('slots')[0].index}"), "the slot is down"
        )
        assert family.parent.spread(10, source=client) == {"three": 10}
    state = wait_for_status(family, "Up")
    assert "sub0" in state.reason
    slot = family.parent.setting("slots")[0]
    assert state.slots[slot.index].status == "Down"


def test_when_all_are_dead_the_parent_is_down_and_comes_back(rig: Rig, one: Origin, two: Origin) -> None:
    family = Family(rig, [one], [two])
    one.stop()
    two.stop()
    state = wait_for_status(family, "Down")
    assert "sub0" in state.reason and "sub1" in state.reason
    assert family.parent.fetch().status == 503
    with Origin("again", port=one.port):
        wait_for_status(family, "Up")
        eventually(lambda: family.parent.fetch().status == 200, "clients are served again")


def test_a_critical_sub_service_takes_its_parent_down(rig: Rig, one: Origin, two: Origin) -> None:
    family = Family(rig, [one], [two], subs=[{"slot": {"critical": True}}, {}])
    assert family.parent.fetch().status == 200
    with rig.without_reload():
        one.stop()
        state = wait_for_status(family, "Down")
        assert "critical" in state.reason
        eventually(lambda: family.parent.fetch().status == 503, "nobody is served")
        family.change_slot(0, critical=False)
        eventually(lambda: family.parent.spread(4) == {"two": 4}, "the other serves")
        family.change_slot(0, critical=True)
        eventually(lambda: family.parent.fetch().status == 503, "nobody is served again")
    family.parent.change(idle_time=500)
    assert family.parent.fetch().status == 503, "a new process begins with it down"


# --- changes -------------------------------------------------------------------------------------------------------


def test_a_disabled_slot_gets_no_new_clients(rig: Rig, one: Origin, two: Origin) -> None:
    family = Family(rig, [one], [two])
    with rig.without_reload():
        family.change_slot(0, enabled=False)
        assert family.parent.spread(8) == {"two": 8}
        states = rig.started.appliance.states()
        assert states[family.subs[0].index].status == "Disabled"
        family.change_slot(0, enabled=True)
        eventually(lambda: family.parent.spread(8) == {"one": 4, "two": 4}, "both serve again")


def test_a_disabled_slot_drains_where_the_parent_persists(rig: Rig, one: Origin, two: Origin) -> None:
    family = Family(rig, [one], [two], persistence="src")
    client = next(c for c in (CLIENT, OTHER) if family.parent.name(source=c) == "one")
    family.change_slot(0, enabled=False)
    assert family.parent.spread(6, source=client) == {"one": 6}
    assert family.parent.spread(6, source="127.0.0.79") == {"two": 6}
    slot = family.parent.setting("slots")[0]
    assert family.state.slots[slot.index].status == "Draining"


def test_a_limit_of_a_slot_counts(rig: Rig, one: Origin, two: Origin) -> None:
    family = Family(rig, [one], [two], schedule="fixed", subs=[{"slot": {"weight": 300}}, {"slot": {"weight": 100}}])
    with rig.without_reload():
        family.change_slot(0, limit=2)
    eventually(lambda: family.parent.spread(6) == {"one": 6}, "all go to the best")
    before = len(one.requests)
    held = hold(family.parent, [one, two], 2)
    assert len(one.requests) == before + 2
    assert family.parent.fetch(timeout=20).status == 503
    for connection in held:
        connection.close()


def test_servers_of_a_sub_service_come_and_go_without_a_reload(rig: Rig, one: Origin, two: Origin) -> None:
    family = Family(rig, [one], [one])
    with rig.without_reload():
        server = family.subs[1].add(two)
        server.wait_until("up")
        eventually(lambda: family.parent.spread(20)["two"] == 5, "the new server has its share")
        server.remove()
        assert family.parent.spread(8) == {"one": 8}


def test_sub_services_come_and_go(rig: Rig, one: Origin, two: Origin) -> None:
    family = Family(rig, [one])
    outcome = rig.do(CreateSubService(family.parent.index, {"servers": [member(two)]}))
    assert isinstance(outcome.key, int)
    eventually(lambda: family.parent.spread(8) == {"one": 4, "two": 4}, "both serve")
    rig.do(RemoveService(outcome.key))
    assert family.parent.spread(8) == {"one": 8}
    rig.do(RemoveService(family.subs[0].index))
    assert family.parent.fetch().status == 503


# --- the inner hop -------------------------------------------------------------------------------------------------


def test_the_real_server_is_told_the_client_s_address(rig: Rig, one: Origin) -> None:
    plain = Family(rig, [one], add_via=FORWARDED)
    assert plain.parent.fetch(source=CLIENT).seen_headers["x-forwarded-for"] == [CLIENT]
    below = Family(rig, [one], subs=[{"add_via": FORWARDED}])
    assert below.parent.fetch(source=CLIENT).seen_headers["x-forwarded-for"] == [CLIENT]


@pytest.mark.parametrize("sub_type", ["gen", "http"])
@pytest.mark.parametrize("parent_type", ["gen", "http"])
def test_any_type_in_front_of_any(rig: Rig, one: Origin, two: Origin, parent_type: str, sub_type: str) -> None:
    subs = [{"service_type": sub_type, "persistence": "src"}] * 2
    family = Family(rig, [one], [two], service_type=parent_type, subs=subs)
    assert family.parent.spread(8) == {"one": 4, "two": 4}


def test_lines_of_a_generic_service(rig: Rig, line_one: TcpOrigin, line_two: TcpOrigin) -> None:
    family = Family(rig, [line_one], [line_two], service_type="gen", subs=[{"check_type": "tcp"}] * 2, check_type="tcp")
    seen = Counter()
    for _ in range(8):
        with family.parent.connect() as connection:
            connection.socket.sendall(b"hello\n")
            seen[connection.socket.recv(100).decode().partition(":")[0]] += 1
    assert seen == {"one": 4, "two": 4}


def test_tls_ends_at_the_parent_also_for_http2(rig: Rig, one: Origin, two: Origin) -> None:
    family = Family(rig, [one], [two], ssl_acceleration=True, allow_http2=True)
    assert family.parent.spread(8) == {"one": 4, "two": 4}
    assert {fetch_h2(family.parent.url).name for _ in range(4)} == {"one", "two"}
    with Http2Client() as client:
        assert len({client.request(family.parent.url).name for _ in range(4)}) == 1


def test_traffic_is_encrypted_again_with_the_name_the_client_asked_for(rig: Rig, tls_one: Origin) -> None:
    family = Family(
        rig, [tls_one], ssl_acceleration=True, ssl_reencrypt=True, pass_sni=True, subs=[{"check_type": "tcp"}]
    )
    address = (family.parent.address, family.parent.port)
    reply = family.parent.fetch(sni="shop.example", connect_to=address)
    assert (reply.json["tls"], reply.json["sni"]) == (True, "shop.example")
    assert family.parent.fetch().json["sni"] is None
    family.parent.change(reencrypt_sni="fixed.example")
    assert family.parent.fetch(sni="shop.example", connect_to=address).json["sni"] == "fixed.example"


def test_an_upgraded_connection_is_a_tunnel_through_both(rig: Rig, upgrading: Scripted) -> None:
    family = Family(rig, [upgrading], idle_time=1, check_type="tcp")
    with family.parent.connect() as connection:
        connection.socket.sendall(_UPGRADE)
        assert _head(connection).startswith("HTTP/1.1 101")
        assert connection.socket.recv(5) == b"hello"
        for text in (b"not http\r\n\r\n", b"\x81\x05bytes"):
            connection.socket.sendall(text)
            assert connection.socket.recv(100) == text.upper()
        connection.socket.sendall(b"push")
        for _ in range(4):
            assert connection.socket.recv(1) == b"!"


# --- what a restart must not lose, and figures ---------------------------------------------------------------------


def test_a_killed_checking_process_goes_on_with_what_it_knew(own_rig: Rig, one: Origin, two: Origin) -> None:
    family = Family(own_rig, [one], [two])
    one.stop()
    eventually(lambda: not family.slot_in_engine(f"rs{family.parent.setting('slots')[0].index}"), "the slot is down")
    before = family.state
    process = own_rig.started.appliance.health().health_pid
    assert process is not None
    time.sleep(0.5)
    os.kill(process, signal.SIGKILL)
    eventually(lambda: own_rig.started.appliance.health().health_pid not in (None, process), "it is started again")
    for _ in range(20):
        assert family.parent.name() == "two"
    assert family.state.slots == before.slots


def test_haproxy_begins_again_with_what_is_known_of_slots(own_rig: Rig, one: Origin, two: Origin) -> None:
    family = Family(own_rig, [one], [two])
    one.stop()
    eventually(lambda: not family.slot_in_engine(f"rs{family.parent.setting('slots')[0].index}"), "the slot is down")
    before = own_rig.worker
    family.parent.change(idle_time=500)
    eventually(lambda: own_rig.worker != before, "HAProxy is reloaded")
    assert family.parent.spread(8) == {"two": 8}


def test_a_sub_service_has_figures_of_its_own(own_rig: Rig, one: Origin, two: Origin, three: Origin) -> None:
    family = Family(own_rig, [one], [two, three])
    family.parent.spread(12)

    def figures() -> Statistics | None:
        found: Statistics = own_rig._background.run(own_rig.started.appliance.statistics())
        carried = found.services.get(family.parent.index)
        return found if carried is not None and carried.total_connections >= 12 else None

    found = eventually(figures, "the parent has counted")
    first, second = (sub.index for sub in family.subs)
    assert [found.services[index].total_connections for index in (first, second)] == [6, 6]
    slots = [found.servers[family.parent.index, slot.index] for slot in family.parent.setting("slots")]
    assert [slot.total_connections for slot in slots] == [6, 6]
    servers = [found.servers[second, server.index].total_connections for server in family.subs[1].servers]
    assert servers == [3, 3]
    assert found.services[first].bytes_out > 0
    before = own_rig.worker
    family.parent.change(idle_time=500)
    eventually(lambda: own_rig.worker != before, "HAProxy is reloaded")
    family.parent.spread(4)

    def gone_on() -> bool:
        later: Statistics = own_rig._background.run(own_rig.started.appliance.statistics())
        return [later.services[index].total_connections for index in (first, second)] == [8, 8]

    eventually(gone_on, "counters go on over the reload")


# --- servers in several backends -----------------------------------------------------------------------------------


@pytest.fixture
def halves(rig: Rig, one: Origin, two: Origin, three: Origin) -> Service:
    """Requests for /a go to the first or the second real server, those for /b to the second or the third."""
    service = rig.service((one, two, three), service_type="http", persistence="none")
    for name, pattern, members in (("a", "/^\\/a/", (one, two)), ("b", "/^\\/b/", (two, three))):
        rig.do(AddRule({"name": name, "pattern": pattern}))
        for origin in members:
            rig.do(AttachRule(RulePlace(service.index, member=service.server(origin).index), name))
    eventually(lambda: (service.spread(8, "/a"), service.spread(8, "/b")) == HALVES, "all serve")
    return service


HALVES = ({"one": 4, "two": 4}, {"two": 4, "three": 4})


def test_a_verdict_reaches_every_group_that_has_the_server(rig: Rig, halves: Service, two: Origin) -> None:
    with rig.without_reload():
        port = two.port
        two.stop()
        eventually(lambda: halves.fetch("/a").status == 200 and halves.spread(8, "/a") == {"one": 8}, "one alone")
        eventually(lambda: halves.spread(8, "/b") == {"three": 8}, "three alone")
        with Origin("two", port=port):
            eventually(lambda: (halves.spread(8, "/a"), halves.spread(8, "/b")) == HALVES, "all serve again")


def test_switching_a_server_off_and_on_reaches_every_group(rig: Rig, halves: Service, two: Origin) -> None:
    with rig.without_reload():
        halves.server(two).change(enabled=False)
        assert (halves.spread(8, "/a"), halves.spread(8, "/b")) == ({"one": 8}, {"three": 8})
        halves.server(two).change(enabled=True)
        eventually(lambda: (halves.spread(8, "/a"), halves.spread(8, "/b")) == HALVES, "all serve again")


def test_each_group_has_its_best_server_under_fixed_weighting(
    rig: Rig, halves: Service, one: Origin, two: Origin
) -> None:
    halves.change(schedule="fixed")
    halves.server(one).change(weight=3000)
    halves.server(two).change(weight=2000)
    eventually(lambda: (halves.spread(4, "/a"), halves.spread(4, "/b")) == ({"one": 4}, {"two": 4}), "the best serve")
    one.stop()
    eventually(lambda: halves.fetch("/a").status == 200 and halves.spread(4, "/a") == {"two": 4}, "the next serves")
    assert halves.spread(4, "/b") == {"two": 4}


def test_a_group_s_servers_have_one_figure(rig: Rig, halves: Service, two: Origin) -> None:
    halves.spread(8, "/a")
    halves.spread(8, "/b")
    index = halves.server(two).index

    def counted() -> bool:
        found: Statistics = rig._background.run(rig.started.appliance.statistics())
        return (halves.index, index) in found.servers and found.servers[halves.index, index].requests >= 8

    eventually(counted, "both groups are counted")
