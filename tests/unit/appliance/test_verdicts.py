"""What a HAProxy process starts with: the last verdicts, never "all up"."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from steelyard.appliance.verdicts import Verdicts
from steelyard.emit.haproxy.server_state import ServerState
from steelyard.health.status import Event, TargetStatus
from steelyard.plan.haproxy import Backend, Globals, HaproxyPlan, Server, ServicePlan

SERVER = Server("rs1", 1, "10.0.0.1", 80, weight=100, limit=0, enabled=True)
UP = TargetStatus("up", 1.0, "HTTP 200", 1.0, 1.0, None, "ready", None)


def start_state(status: TargetStatus | None, server: Server = SERVER, **backend: Any) -> ServerState:
    verdicts = Verdicts()
    if status is not None:
        verdicts.replace_all({"vs1/rs1": status})
    made = Backend("vs1", "http", ("roundrobin",), (server,), 60, **backend)
    (state,) = verdicts.server_states(HaproxyPlan(Globals(1, 1), {"vs1": ServicePlan("vs1", None, made)}))
    return state


def test_only_what_was_found_up_starts_up() -> None:
    assert start_state(UP).up
    assert not start_state(replace(UP, state="down")).up
    assert not start_state(replace(UP, state="unknown")).up
    assert not start_state(None).up


def test_without_checks_a_server_starts_up() -> None:
    assert start_state(None, checked=False).up
    assert start_state(replace(UP, state="unchecked")).up


def test_a_disabled_server_starts_draining_until_its_drain_has_ended() -> None:
    off = replace(SERVER, enabled=False)
    assert start_state(replace(UP, admin="drain"), off, drains=True).admin == "drain"
    assert start_state(replace(UP, admin="maint"), off, drains=True).admin == "maint"
    assert start_state(None, off).admin == "maint"
    assert start_state(replace(UP, admin="maint"), SERVER).admin == "ready"


def test_weights_of_fixed_weighting_are_the_checks() -> None:
    assert start_state(replace(UP, weight=0), replace(SERVER, weight_by_health=True)).weight == 0
    assert start_state(UP, replace(SERVER, weight_by_health=True)).weight == 100
    assert start_state(replace(UP, weight=0)).weight == 100


def test_events_keep_the_copy_true() -> None:
    verdicts = Verdicts()
    verdicts.put({"vs1/rs1": UP})
    verdicts.note(Event("verdict", "vs1/rs1", "up", "down", "connection refused", 5.0))
    verdicts.note(Event("admin", "vs1/rs1", "ready", "drain", "", 6.0))
    verdicts.note(Event("verdict", "vs9/rs9", "up", "down", "of no one known", 5.0))
    seen = verdicts.for_people()
    assert list(seen) == ["vs1/rs1"]
    assert (seen["vs1/rs1"].state, seen["vs1/rs1"].reason, seen["vs1/rs1"].since) == ("down", "connection refused", 5.0)


def test_only_a_running_drain_has_an_end() -> None:
    verdicts = Verdicts()
    verdicts.put({"vs1/rs1": replace(UP, admin="drain", drain_ends=9.0), "vs1/rs2": replace(UP, drain_ends=9.0)})
    seen = verdicts.for_people()
    assert (seen["vs1/rs1"].drain_ends, seen["vs1/rs2"].drain_ends) == (9.0, None)
    assert len(seen) == 2


def test_a_server_that_stands_by_starts_at_rest() -> None:
    resting = replace(UP, admin="drain")
    assert start_state(resting, resting=("rs1",)).admin == "drain"
    assert start_state(resting).admin == "ready"
    assert start_state(replace(resting, admin="ready"), resting=("rs1",)).admin == "ready"
    assert start_state(resting, replace(SERVER, enabled=False), resting=("rs1",)).admin == "maint"


def test_a_service_that_is_shut_starts_with_all_servers_down() -> None:
    verdicts = Verdicts()
    verdicts.replace_all({"vs1/rs1": UP, "vs1/rs2": replace(UP, state="down")})
    servers = (SERVER, replace(SERVER, name="rs2", id=2), replace(SERVER, name="rs3", id=3))
    backend = Backend("vs1", "http", ("roundrobin",), servers, 60)

    def up(**more: Any) -> list[bool]:
        plan = HaproxyPlan(Globals(1, 1), {"vs1": ServicePlan("vs1", None, replace(backend, **more))})
        return [state.up for state in verdicts.server_states(plan)]

    members = tuple((server.name, True) for server in servers)
    assert up() == [True, False, False]
    assert up(minimum=1, members=members) == [True, False, False]
    assert up(minimum=2, members=members) == [False, False, False]
    assert up(critical=(("rs2", True),)) == [False, False, False]
    assert up(critical=(("rs1", False),)) == [False, False, False]


def test_a_service_that_is_shut_is_no_server() -> None:
    verdicts = Verdicts()
    verdicts.put({"vs1/rs1": UP})
    verdicts.note(Event("service", "vs1", "open", "shut", "1 available", 5.0))
    assert verdicts.for_people()["vs1/rs1"].ready


def test_a_verdict_that_overtakes_the_status_of_a_new_server_is_kept() -> None:
    verdicts = Verdicts()
    verdicts.note(Event("verdict", "vs1/rs1", "unknown", "up", "HTTP 200", 5.0))
    assert list(verdicts.for_people()) == []
    verdicts.put({"vs1/rs1": replace(UP, state="unknown", since=4.0)})
    assert verdicts.for_people()["vs1/rs1"].state == "up"
    verdicts.put({"vs1/rs1": replace(UP, state="unknown", since=4.0)})
    assert verdicts.for_people()["vs1/rs1"].state == "up"
    verdicts.put({"vs1/rs1": replace(UP, state="unknown", since=6.0)})
    assert verdicts.for_people()["vs1/rs1"].state == "unknown"


def test_the_mark_of_a_service_moves_with_each_of_its_verdicts_and_with_no_others() -> None:
    verdicts = Verdicts()
    verdicts.replace_all({"vs1/rs1": UP, "vs2/rs2": UP})

    def marks() -> tuple[object, object]:
        view = verdicts.for_people()
        return view.mark("vs1"), view.mark("vs2")  # type: ignore[attr-defined]

    first = marks()
    assert marks() == first
    verdicts.note(Event("verdict", "vs1/rs1", "up", "down", "refused", 5.0))
    second = marks()
    assert second[0] != first[0] and second[1] == first[1]
    verdicts.put({"vs2/rs2": replace(UP, state="down")})
    third = marks()
    assert third[0] == second[0] and third[1] != second[1]
    verdicts.replace_all({"vs1/rs1": UP})
    assert marks()[0] not in (first[0], second[0], third[0])


def test_a_view_of_an_earlier_snapshot_never_has_the_mark_of_a_later_one() -> None:
    verdicts = Verdicts()
    verdicts.replace_all({"vs1/rs1": UP})
    old = verdicts.for_people()
    verdicts.replace_all({"vs1/rs1": replace(UP, state="down")})
    verdicts.note(Event("verdict", "vs1/rs1", "down", "up", "", 6.0))
    new = verdicts.for_people()
    assert old.mark("vs1") != new.mark("vs1")  # type: ignore[attr-defined]
    assert old["vs1/rs1"].state == "up"
