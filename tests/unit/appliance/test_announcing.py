"""What the appliance makes events of, on fakes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from tests.unit.appliance.rig import HTTP, SERVER, Rig, running

from steelyard.appliance import announcing, checking
from steelyard.appliance.problems import Problems
from steelyard.health.status import Event as HealthEvent
from steelyard.model.commands import AddService, ChangeService, RemoveService, SetParameters
from steelyard.model.errors import EngineRefused, OperatorError
from steelyard.model.severity import Severity
from steelyard.observe.events.event import Event
from steelyard.observe.events.log import Query


@pytest.fixture
async def rig(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Rig]:
    monkeypatch.setattr(announcing, "_GATHER_SECONDS", 0.01)
    monkeypatch.setattr(checking, "_FIRST_REFRESH_SECONDS", 60.0)
    async with running() as found:
        yield found


def events(rig: Rig, *kinds: str) -> list[Event]:
    return list(rig.appliance.events().log.find(Query(1000, kinds=kinds)))


async def until(condition: Callable[[], Any]) -> Any:
    async with asyncio.timeout(5):
        while not (found := condition()):  # noqa: ASYNC110 - what is waited for happens in threads too
            await asyncio.sleep(0.01)
    return found


def verdict(
    after: str, number: int, *, target: str = "vs1/rs1", at: float | None = None, run: str = "r"
) -> HealthEvent:
    before = "up" if after == "down" else "down"
    return HealthEvent("verdict", target, before, after, "no answer", at or time.time(), run, number)


async def test_verdicts_become_events_and_the_state_of_the_service_follows(rig: Rig) -> None:
    await rig.do(AddService({**HTTP, "servers": [SERVER]}))
    rig.health.states["vs1/rs1"] = "down"
    rig.health._events.put_nowait(verdict("down", 1))
    (down,) = await until(lambda: events(rig, "server_down"))
    assert "RS 10.0.0.1:80 removed: no answer" in down.text and not down.late
    assert (await until(lambda: events(rig, "service_down")))[0].service == 1
    rig.health.states["vs1/rs1"] = "up"
    rig.health._events.put_nowait(verdict("up", 2))
    assert (await until(lambda: events(rig, "service_up")))[0].reach == Severity.CRITICAL


async def test_what_was_heard_is_not_heard_twice_and_what_is_missing_is_told(rig: Rig) -> None:
    await rig.do(AddService({**HTTP, "servers": [SERVER]}))
    for event in (verdict("down", 1), verdict("down", 1), verdict("up", 2), verdict("down", 1), verdict("down", 9)):
        rig.health._events.put_nowait(event)
    await until(lambda: len(events(rig, "server_down")) == 2)
    assert len(events(rig, "server_up")) == 1
    (lost,) = events(rig, "events_lost")
    assert lost.text.startswith("6 changes of real servers")
    rig.health._events.put_nowait(verdict("up", 1, run="another", at=time.time() - 60))
    (_, late) = await until(lambda: found if len(found := events(rig, "server_up")) == 2 else [])
    assert late.late and len(events(rig, "events_lost")) == 1
    assert rig.appliance._announcer.position() == ("another", 1)


async def test_a_change_is_told_and_one_that_could_not_be_brought_into_force_too(rig: Rig) -> None:
    await rig.do(AddService({**HTTP, "servers": [SERVER]}))
    assert "by bal through test: add virtual service" in events(rig, "configuration_changed")[-1].text
    rig.haproxy.refuses_reload = "cannot bind socket"
    with pytest.raises(EngineRefused):
        await rig.do(AddService({**HTTP, "port": 8081}))
    (failed,) = events(rig, "configuration_failed")
    assert failed.severity == Severity.ERROR and "withdrawn" in failed.text
    (trouble,) = events(rig, "trouble")
    assert trouble.text.startswith("The last reload was refused")
    rig.haproxy.refuses_reload = None
    await rig.do(ChangeService(1, {"idle_time": 99}))
    (over,) = await until(lambda: events(rig, "trouble_over"))
    assert over.reach == Severity.ERROR


async def test_processes_that_end_are_told_of(rig: Rig) -> None:
    rig.process.end()
    assert (await until(lambda: events(rig, "checks_restarted")))[0].severity == Severity.ERROR


async def test_removed_services_are_forgotten(rig: Rig) -> None:
    await rig.do(AddService({**HTTP, "servers": [SERVER]}))
    rig.health._events.put_nowait(verdict("down", 1))
    await until(lambda: events(rig, "server_down"))
    log = rig.appliance.events().log
    log.flush()
    assert log.notes("server ") == {"server vs1/rs1": "down"}
    await rig.do(RemoveService(1))
    log.flush()
    assert log.notes("server ") == {} and log.notes("service ") == {}


async def test_subscribers_follow_the_configuration(rig: Rig) -> None:
    def keys() -> list[str]:
        return [state.key for state in rig.appliance.events().states()]

    await rig.do(SetParameters("syslog", {"warn": ("192.0.2.1",), "protocol": "tcp"}))
    assert keys() == ["syslog 192.0.2.1"]
    await rig.do(SetParameters("email", {"server": "192.0.2.2", "warn": ("a@b.c",), "info": ("d@e.f", "a@b.c")}))
    assert keys() == ["syslog 192.0.2.1"], "mail is not enabled"
    await rig.do(SetParameters("email", {"enabled": True, "password": "hunter22"}, "place"))
    assert keys() == ["email info", "syslog 192.0.2.1"], "one recipient counts in the level that gets most"
    await rig.do(SetParameters("snmp", {"traps": True, "v1_sinks": ("192.0.2.3",), "v3_sinks": ("192.0.2.4",)}))
    assert keys() == ["email info", "snmp v1 192.0.2.3", "syslog 192.0.2.1"], "version 3 is not enabled"
    assert "hunter22" not in str(list(rig.appliance.history(50)))
    await rig.do(SetParameters("syslog", {"warn": ()}))
    assert "syslog 192.0.2.1" not in keys()


async def test_a_test_event_needs_the_permission(rig: Rig) -> None:
    event = await rig.appliance.test_event(rig.actor(), Severity.WARN, "")
    assert event.kind == "test" and "asked for by bal" in event.text
    for call in (
        rig.appliance.test_event(rig.actor("ann"), Severity.WARN, ""),
        rig.appliance.clear_events(rig.actor("ann")),
    ):
        with pytest.raises(OperatorError, match="lacks the permission"):
            await call


def test_a_problem_is_told_when_it_begins_changes_and_ends() -> None:
    told: list[tuple[str, str | None]] = []
    problems = Problems(lambda concern, words: told.append((concern, words)))
    problems["disk"] = "full"
    problems["disk"] = "full"
    problems["disk"] = "gone"
    assert problems.pop("disk", None) == "gone" and problems.pop("disk", None) is None
    assert told == [("disk", "full"), ("disk", "gone"), ("disk", None)]
