"""Rules among real servers on real traffic: minimum, critical, standby, verdicts of others, several checks.

Checks come every two seconds, so what may change together changes together.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest
from tests.engine.rig import Rig, Server, Service, eventually, member
from tests.engine.test_sub_services import Family
from tests.support.origin import Origin
from tests.support.ports import free_port

from steelyard.health.engine_text import servers_state
from steelyard.model.commands import AddFurtherCheck, AddService
from steelyard.model.errors import SteelyardError
from steelyard.observe.status import ServiceState

pytestmark = pytest.mark.engine

CHECKED = {"check_type": "http", "check_url": "/health", "check_method": 1}


def _state(service: Service) -> ServiceState:
    return service.rig.started.appliance.states()[service.index]


def _reason(server: Server) -> str:
    return _state(server._service).servers[server.index].reason


def _served(service: Service, count: int) -> set[str | None]:
    """Who answers so many requests; None is an answer of no origin."""
    return {service.fetch().header("x-origin") for _ in range(count)}


@contextmanager
def _clients(service: Service) -> Iterator[list[str | None]]:
    """A client that asks without a pause; gives who answered, None for an answer of no origin."""
    answered: list[str | None] = []
    ended = threading.Event()

    def ask() -> None:
        while not ended.is_set():
            answered.append(service.fetch().header("x-origin"))

    asking = threading.Thread(target=ask)
    asking.start()
    try:
        yield answered
    finally:
        ended.set()
        asking.join()


def _written_down(service: Service) -> bool:
    found = json.loads((service.rig.directory / "health" / "verdicts.json").read_bytes())["targets"]
    kept = {server.key: found.get(f"{service.key}/{server.key}", {}).get("state") for server in service.servers}
    return kept == {server.key: "down" if server.status == "Down" else "up" for server in service.servers}


def _kill_health(service: Service) -> None:
    """Kill the checking process, which has written down what HAProxy has, and wait until another one answers."""
    rig, server = service.rig, service.servers[0]
    eventually(lambda: _written_down(service), "its verdicts are on the disk")
    before = rig.started.appliance.health().health_pid
    assert before is not None
    os.kill(before, signal.SIGKILL)

    def answers() -> bool:
        with suppress(SteelyardError):
            return bool(rig.transcripts(service.index, server.index))
        return False

    eventually(lambda: rig.started.appliance.health().health_pid not in (None, before), "it is started again")
    eventually(answers, "it answers")


def test_minimum_and_critical_send_clients_to_the_sorry_server_although_others_are_fine(
    rig: Rig, one: Origin, two: Origin, three: Origin
) -> None:
    sorry = {"standby_address": three.address, "standby_port": three.port}
    service = rig.http(one, two, enhanced_checks=True, minimum_servers=2, **sorry, **CHECKED)
    assert service.spread(4) == {"one": 2, "two": 2}
    with rig.without_reload():
        one.health_status = 503
        eventually(lambda: service.name() == "three", "the sorry server serves")
        assert (service.server(one).status, service.server(two).status) == ("Down", "Up")
        assert _state(service).status == "Sorry"
        assert "1 of 2 real servers available, at least 2 are needed" in _state(service).reason
        _kill_health(service)
        assert service.name() == "three"
        service.change(enhanced_checks=False)
        assert service.setting("minimum_servers") == 0
        eventually(lambda: service.spread(2) == {"two": 2}, "the other one serves")
        assert _state(service).status == "Up"
        assert "not available are" in _state(service).reason
        service.server(one).change(critical=True)
        eventually(lambda: service.name() == "three", "the sorry server serves again")
        assert "a critical real server is not available" in _state(service).reason
        one.health_status = 200
        eventually(lambda: service.spread(4) == {"one": 2, "two": 2}, "both serve")
        service.server(one).change(enabled=False)
        eventually(lambda: service.name() == "three", "a disabled critical server takes the service down")
    service.change(idle_time=500)
    assert service.name() == "three", "a new process begins with it down"
    with rig.without_reload():
        service.server(one).remove()
        eventually(lambda: service.name() == "two", "without the critical server the other one serves")


def test_a_standby_serves_while_it_is_needed_and_others_take_its_verdict(
    rig: Rig, one: Origin, two: Origin, three: Origin
) -> None:
    service = rig.http(one, **CHECKED)
    service.add(two, standby_below=1)
    eventually(lambda: service.server(two).status == "Standby", "it has been checked and stands by")
    follower = rig.http(three, servers=[member(three, follow=service.server(one).index)], **CHECKED)
    assert _served(service, 4) == {"one"}
    with rig.without_reload():
        one.health_status = 503
        eventually(lambda: _served(service, 2) == {"two"}, "the standby serves")
        eventually(lambda: follower.fetch().status == 503, "the follower is down too")
        assert "decided by" in _reason(follower.server(three))
        assert not any(seen.path == "/health" for seen in three.requests), "a follower is not asked"
        one.health_status = 200
        eventually(lambda: _served(service, 4) == {"one"}, "the standby rests")
        eventually(lambda: follower.name() == "three", "the follower is up too")
        _kill_health(service)
        assert _served(service, 2) == {"one"}
    service.change(idle_time=500)
    assert _served(service, 4) == {"one"}, "a new process begins with the standby at rest"
    with _clients(service) as answered:
        for enabled in (False, True, False, True):
            service.server(one).change(enabled=enabled)
            time.sleep(0.05)
    assert set(answered) == {"one", "two"}, "an operator's switch leaves nobody without a server"
    with rig.without_reload():
        service.server(one).remove()
        assert follower.setting("servers")[0].follow == 0
        eventually(lambda: _served(service, 2) == {"two"}, "the standby serves")
        eventually(lambda: any(seen.path == "/health" for seen in three.requests), "it is asked itself")


def test_a_parent_needs_its_minimum_of_sub_services(rig: Rig, one: Origin, two: Origin, three: Origin) -> None:
    sorry = {"standby_address": three.address, "standby_port": three.port}
    family = Family(rig, [one], [two], subs=[CHECKED, CHECKED], enhanced_checks=True, minimum_servers=2, **sorry)
    with rig.without_reload():
        assert _served(family.parent, 4) == {"one", "two"}
        two.health_status = 503
        eventually(lambda: _served(family.parent, 2) == {"three"}, "the sorry server serves")
        assert "1 of 2 sub-services available, at least 2 are needed" in family.state.reason
        two.health_status = 200
        eventually(lambda: _served(family.parent, 4) == {"one", "two"}, "both serve")


def test_several_checks_decide_together_and_say_which(rig: Rig, one: Origin, two: Origin) -> None:
    service = rig.http(one, two, **CHECKED)
    with rig.without_reload():
        ready = {"name": "ready", "check_type": "http", "check_url": "/ready", "check_method": 1}
        rig.do(AddFurtherCheck(service.index, ready))
        one.statuses["/ready"] = 500
        eventually(lambda: service.spread(2) == {"two": 2}, "one is not ready")
        assert _reason(service.server(one)).startswith("ready: answered 500")
        checks = rig.transcripts(service.index, service.server(one).index)
        assert {check["check"] for check in checks} == {"main", "ready"}
        assert next(check for check in checks if check["check"] == "ready")["received"].startswith("HTTP/1.1 500")
        service.change(check_mode="any")
        eventually(lambda: service.spread(4) == {"one": 2, "two": 2}, "one good check is enough")


def test_a_server_that_returns_starts_slowly_and_gets_its_full_share(
    rig: Rig, one: Origin, two: Origin, three: Origin
) -> None:
    rig.layer7(slow_start=2)
    service = rig.http(one, two, schedule="lc", **CHECKED)
    returning = service.server(one)
    assert "slow start" not in _reason(returning)
    with rig.without_reload():
        returning.change(enabled=False)
        returning.wait_until("maint")
        returning.change(enabled=True)
        returning.wait_until("up")
        assert _weights(service)[returning.key] < 100
        eventually(lambda: "slow start" in _reason(returning), "an operator is told")
        added = service.add(three)
        added.wait_until("up")
        assert _weights(service)[added.key] < 100
        eventually(lambda: set(_weights(service).values()) == {100}, "all have grown")


def _weights(service: Service) -> dict[str, int]:
    """What HAProxy gives each server now."""
    header, *lines = service.rig.ask("show stat").lstrip("# ").splitlines()
    names = header.split(",")
    rows = [dict(zip(names, line.split(","), strict=False)) for line in lines if line]
    return {
        row["svname"]: int(row["weight"])
        for row in rows
        if row["pxname"] == service.key and row["svname"].startswith("rs")
    }


@contextmanager
def _many_listeners(count: int) -> Iterator[tuple[list[tuple[str, int]], list[socket.socket]]]:
    """So many addresses of this host that accept connections."""
    port, opened = free_port(), []
    try:
        for number in range(count):
            listening = socket.socket()
            opened.append(listening)
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.bind((f"127.9.{number // 250}.{number % 250 + 1}", port))
            listening.listen(128)
        yield [one.getsockname() for one in opened], opened
    finally:
        for one in opened:
            one.close()


# what is measured is the checking process, which is the same with every HAProxy
@pytest.mark.parametrize("haproxy", ["system"], indirect=True, scope="session")
def test_a_thousand_servers_that_go_down_at_once_are_known_soon_and_reload_nothing(rig: Rig) -> None:
    with _many_listeners(1000) as (places, opened):
        servers = [{"address": address, "port": port} for address, port in places]
        data = {"service_type": "gen", "address": "127.0.0.1", "port": free_port(), "servers": servers}
        index = rig.do(AddService(data)).key
        assert isinstance(index, int)
        service = Service(rig, index)
        eventually(lambda: _up(service) == 1000, "all are up", 20)
        with rig.without_reload():
            for one in opened:
                one.close()
            began, slowest = time.monotonic(), 0.0
            while _up(service):
                asked = time.monotonic()
                assert asked - began < 20, f"{_up(service)} are up still"
                assert _state(service).status in ("Up", "Down")
                service.rig.started.appliance.snapshot()
                slowest = max(slowest, time.monotonic() - asked)
                time.sleep(0.02)
            took = time.monotonic() - began
            print(f"1000 servers down: HAProxy knows after {took:.1f} s; slowest look at a state {slowest:.3f} s")
            # an interval of 2 s, in which the last of them is asked, and what telling takes
            assert took < 2 + 4
            assert slowest < 1


def _up(service: Service) -> int:
    states = servers_state(service.rig.ask(f"show servers state {service.key}"))
    return sum(have.up and have.admin == "ready" for have in states.values())
