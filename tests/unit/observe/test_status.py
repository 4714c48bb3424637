"""The words that operators see for services and real servers."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.model.making import HTTP, SERVER, apply

from steelyard.model.commands import (
    AddRule,
    AddService,
    AttachRule,
    ChangeServer,
    ChangeService,
    ChangeSlot,
    RulePlace,
    SetParameters,
)
from steelyard.model.configuration import Configuration
from steelyard.model.virtual_service import VirtualService
from steelyard.observe.status import AllStates, Verdict, service_state

BASE = apply(AddService({**HTTP, "servers": [SERVER, {**SERVER, "address": "10.0.0.2"}]}))
UP, DOWN = Verdict("up", "HTTP 200", 1.0), Verdict("down", "connection refused", 2.0)


def test_one_real_server_keeps_a_service_up() -> None:
    state = service_state(BASE.services[1], {"vs1/rs1": UP, "vs1/rs2": DOWN})
    assert (state.status, state.servers[1].status, state.servers[2].status) == ("Up", "Up", "Down")
    assert state.reason == ("1 of 2 real servers available; not available are 10.0.0.2:8080: connection refused")
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


class TestFamilies:
    FAMILY = apply(AddService({**HTTP, "sub_services": [{"name": "blue", "servers": [SERVER]}, {"servers": [SERVER]}]}))

    def _states(self, configuration: Configuration, **slots: Verdict) -> AllStates:
        verdicts = {"vs1/rs1": UP, "vs1/rs3": UP, "vs2/rs2": UP, "vs3/rs4": UP}
        return AllStates(configuration, verdicts | {f"vs1/{name}": verdict for name, verdict in slots.items()})

    def test_a_parent_is_up_while_a_sub_service_is_and_names_the_dead(self) -> None:
        assert self._states(self.FAMILY)[1].reason == "2 of 2 sub-services available"
        state = self._states(self.FAMILY, rs1=Verdict("down", "none of 1 real servers available"))[1]
        assert (state.status, state.slots[1].status) == ("Up", "Down")
        assert "blue (2): none of 1 real servers" in state.reason
        state = self._states(self.FAMILY, rs1=DOWN, rs3=DOWN)[1]
        assert state.status == "Down"
        assert "blue (2)" in state.reason
        assert "3: " in state.reason

    def test_a_critical_one_takes_it_down_whether_dead_or_disabled(self) -> None:
        critical = apply(ChangeSlot(1, 1, {"critical": True}), to=self.FAMILY)
        assert self._states(critical)[1].status == "Up"
        state = self._states(critical, rs1=DOWN)[1]
        assert (state.status, "critical" in state.reason) == ("Down", True)
        off = apply(ChangeSlot(1, 1, {"enabled": False}), to=critical)
        assert self._states(off)[1].status == "Down"

    def test_a_disabled_slot_shows_its_sub_service_as_disabled(self) -> None:
        off = apply(ChangeSlot(1, 1, {"enabled": False}), to=self.FAMILY)
        states = self._states(off)
        assert (states[1].slots[1].status, states[2].status, states[3].status) == ("Disabled", "Disabled", "Up")
        assert states[1].status == "Up"

    def test_a_parent_of_unchecked_sub_services_is_unchecked(self) -> None:
        unchecked = Verdict("unchecked")
        assert self._states(self.FAMILY, rs1=unchecked, rs3=unchecked)[1].status == "Unchecked"
        assert self._states(self.FAMILY, rs1=unchecked)[1].status == "Up"

    def test_a_sub_service_made_to_redirect_is_not_down_where_a_rule_leads_to_it(self) -> None:
        elsewhere = {"name": "root", "error_code": 302, "error_url": "https://%h/owa"}
        made = apply(AddService({**HTTP, "sub_services": [{"name": "blue", "servers": [SERVER]}, elsewhere]}))
        nobody = {"rs1": DOWN, "rs3": Verdict("down", "the sub-service has no real server")}
        assert self._states(made, rs3=nobody["rs3"])[1].slots[3].status == "Down"
        rule = AddRule({"name": "root", "pattern": "/^\\/$/"})
        ruled = apply(rule, AttachRule(RulePlace(1, member=3), "root"), to=made)
        state = self._states(ruled, rs3=nobody["rs3"])[1]
        assert (state.status, state.reason) == ("Up", "1 of 1 sub-services available")
        shown = state.slots[3]
        assert (shown.status, shown.reason) == ("Redirect", "every request is redirected to https://%h/owa")
        state = self._states(ruled, **nobody)[1]
        assert (state.status, "blue (2)" in state.reason, "root" in state.reason) == ("Down", True, False)

    def test_a_disabled_parent_is_disabled(self) -> None:
        off = apply(ChangeService(1, {"enabled": False}), to=self.FAMILY)
        assert self._states(off)[1].status == "Disabled"


class TestRules:
    """What rules among members make of verdicts."""

    @staticmethod
    def _service(*servers: dict[str, Any], **settings: Any) -> VirtualService:
        made = [{**SERVER, "address": f"10.0.0.{n}", **server} for n, server in enumerate(servers, start=1)]
        return apply(AddService({**HTTP, "servers": made, **settings})).services[1]

    def test_too_few_or_a_critical_one_missing_is_down_with_the_reason(self) -> None:
        service = self._service({}, {}, {}, enhanced_checks=True, minimum_servers=3)
        state = service_state(service, {"vs1/rs1": UP, "vs1/rs2": UP, "vs1/rs3": DOWN})
        assert (state.status, state.reason) == ("Down", "2 of 3 real servers available, at least 3 are needed")
        service = self._service({"critical": True}, {})
        state = service_state(service, {"vs1/rs1": DOWN, "vs1/rs2": UP})
        assert state.status == "Down"
        assert state.reason == "a critical real server is not available (10.0.0.1:8080: connection refused)"
        assert service_state(service, {"vs1/rs1": UP, "vs1/rs2": DOWN}).status == "Up"

    def test_a_sorry_server_stands_in(self) -> None:
        service = self._service({"critical": True}, {}, standby_address="10.0.0.9", standby_port=80)
        assert service_state(service, {"vs1/rs1": DOWN, "vs1/rs2": UP}).status == "Sorry"

    def test_a_standby_that_rests_is_available(self) -> None:
        service = self._service({}, {"standby_below": 1}, enhanced_checks=True, minimum_servers=2)
        resting = Verdict("up", "fine", ready=False, drain_ends=9.0)
        state = service_state(service, {"vs1/rs1": UP, "vs1/rs2": resting})
        assert (state.status, state.servers[2].status, state.servers[2].drain_ends) == ("Up", "Standby", 9.0)
        assert (
            service_state(service, {"vs1/rs1": UP, "vs1/rs2": Verdict("down", ready=False)}).servers[2].status == "Down"
        )

    def test_many_that_are_down_are_counted_and_not_all_named(self) -> None:
        service = self._service(*({} for _ in range(9)))
        reason = service_state(service, {"vs1/rs1": UP}).reason
        assert reason.endswith(" and 3 more")
        assert reason.count("not checked yet") == 5

    @pytest.mark.parametrize(
        ("verdict", "left"),
        [
            (Verdict("up", "fine", since=95.0), 25),
            (Verdict("up", "fine", since=10.0, returned=99.0), 29),
            (Verdict("up", "fine", since=10.0), None),
            (Verdict("up", "fine", since=89.0), None),
            (Verdict("down", "fine", since=95.0), None),
        ],
    )
    def test_slow_start_is_told_while_it_lasts(self, verdict: Verdict, left: int | None) -> None:
        made = apply(
            SetParameters("layer7", {"slow_start": 30}), AddService({**HTTP, "schedule": "lc", "servers": [SERVER]})
        )
        states = AllStates(made, {"vs1/rs1": verdict}, began=90.0, clock=lambda: 100.0)
        reason = "fine" if left is None else f"fine; slow start, its full share in {left} s"
        assert states[1].servers[1].reason == reason
