"""The words that operators see for services and real servers."""

from __future__ import annotations

import pytest
from tests.unit.model.making import HTTP, SERVER, apply

from steelyard.model.commands import AddService, ChangeServer, ChangeService
from steelyard.observe.status import AllStates, Verdict, service_state

BASE = apply(AddService({**HTTP, "servers": [SERVER, {**SERVER, "address": "10.0.0.2"}]}))
UP, DOWN = Verdict("up", "HTTP 200", 1.0), Verdict("down", "connection refused", 2.0)


def test_one_real_server_keeps_a_service_up() -> None:
    state = service_state(BASE.services[1], {"vs1/rs1": UP, "vs1/rs2": DOWN})
    assert (state.status, state.servers[1].status, state.servers[2].status) == ("Up", "Up", "Down")
    assert state.reason == "1 of 2 real servers available"
    assert (state.servers[2].reason, state.servers[2].since) == ("connection refused", 2.0)


def test_without_any_it_is_down_and_says_why() -> None:
    state = service_state(BASE.services[1], {"vs1/rs1": DOWN, "vs1/rs2": DOWN})
    assert state.status == "Down"
    assert "10.0.0.1:8080: connection refused; 10.0.0.2:8080: connection refused" in state.reason
    assert service_state(apply(AddService(HTTP)).services[1], {}).reason == "it has no real server"


def test_what_was_not_checked_yet_is_down() -> None:
    state = service_state(BASE.services[1], {})
    assert (state.status, state.servers[1].status) == ("Down", "Down")
    assert "not checked yet" in state.reason


def test_a_disabled_service_is_disabled_whatever_its_servers_are() -> None:
    off = apply(ChangeService(1, {"enabled": False}), to=BASE)
    state = service_state(off.services[1], {"vs1/rs1": UP, "vs1/rs2": UP})
    assert (state.status, state.servers[1].status) == ("Disabled", "Up")


def test_a_disabled_server_is_draining_until_its_time_is_over() -> None:
    off = apply(ChangeServer(1, 1, {"enabled": False}), to=BASE).services[1]
    draining = service_state(off, {"vs1/rs1": Verdict("up", drain_ends=99.0), "vs1/rs2": UP})
    assert (draining.servers[1].status, draining.servers[1].drain_ends) == ("Draining", 99.0)
    ended = service_state(off, {"vs1/rs1": UP, "vs1/rs2": UP})
    assert ended.servers[1].status == "Disabled"
    assert ended.reason == "1 of 2 real servers available"


def test_without_checks_all_are_taken_as_there() -> None:
    unchecked = apply(ChangeService(1, {"check_type": "none"}), to=BASE).services[1]
    state = service_state(unchecked, {"vs1/rs1": Verdict("unchecked"), "vs1/rs2": Verdict("unchecked")})
    assert (state.status, state.servers[1].status) == ("Unchecked", "Unchecked")


def test_all_states_are_made_one_by_one() -> None:
    states = AllStates(BASE, {"vs1/rs1": UP})
    assert list(states) == [1]
    assert len(states) == 1
    assert states[1].status == "Up"
    with pytest.raises(KeyError):
        states[2]
