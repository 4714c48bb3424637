"""Events over the native API: the log, the live stream, the subscribers, and the parameters with their secrets."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import httpx
import pytest
from tests.unit.api.native.conftest import client_of
from tests.unit.api.native.memory_appliance import MemoryAppliance
from tests.unit.observe.events.making import AT, event

from steelyard.api.native.events import _stream
from steelyard.model.severity import Severity
from steelyard.observe.events.log import Query


@pytest.fixture
def told(appliance: MemoryAppliance) -> MemoryAppliance:
    bus = appliance.events()
    bus.publish(event("one is down"))
    bus.publish(event("info", kind="configuration_changed", severity=Severity.INFO, service=0, server=0, at=AT + 60))
    bus.publish(event("all is lost", kind="service_down", severity=Severity.CRITICAL, service=2, server=0))
    return appliance


async def texts(api: httpx.AsyncClient, **query: Any) -> list[str]:
    answer = await api.get("/events", params=query)
    assert answer.status_code == 200, answer.text
    return [one["text"] for one in answer.json()]


async def test_the_log_is_read_by_time_kind_service_level_and_number(
    api: httpx.AsyncClient, told: MemoryAppliance
) -> None:
    assert await texts(api) == ["one is down", "info", "all is lost"]
    assert await texts(api, limit=1) == ["all is lost"]
    assert await texts(api, kind="server_down,service_down") == ["one is down", "all is lost"]
    assert await texts(api, service=2) == ["all is lost"]
    assert await texts(api, severity="warn") == ["one is down", "all is lost"]
    assert await texts(api, since="2027-01-15T08:01:00Z") == ["info"]
    assert await texts(api, after=1, limit=1) == ["info"]
    (found,) = (await api.get("/events", params={"service": 1})).json()
    assert found == {
        "number": 1, "at": "2027-01-15T08:00:00.125Z", "kind": "server_down", "severity": "warn",
        "text": "one is down", "service": 1, "server": 2, "about": "", "ends": None, "damped": False, "late": False,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("query", "field", "allowed"),
    [
        ({"kind": "nonsense"}, "kind", "server_down"),
        ({"severity": "loud"}, "severity", "emergency"),
        ({"since": "yesterday"}, "since", "a time such as"),
    ],
)
async def test_bad_questions_are_told_what_is_allowed(
    api: httpx.AsyncClient, query: dict[str, str], field: str, allowed: str
) -> None:
    for path in ("/events", "/events/stream"):
        if path.endswith("stream") and field == "since":
            continue
        answer = await api.get(path, params=query)
        error = answer.json()["error"]
        assert answer.status_code == 422 and error["field"] == field and allowed in error["allowed"] and error["remedy"]


async def test_who_listens_gets_what_it_missed_and_then_what_comes(told: MemoryAppliance) -> None:
    bus = told.events()
    stream = _stream(bus, Query(10_000, kinds=("server_down", "service_down"), after=1))
    assert (await anext(stream)).startswith(b":")
    missed = await anext(stream)
    assert missed.startswith(b"id: 3\nevent: service_down\ndata: {") and missed.endswith(b"}\n\n")
    assert json.loads(missed.split(b"data: ")[1])["text"] == "all is lost"
    bus.publish(event("of no interest", kind="test"))
    await asyncio.to_thread(bus.publish, event("from another thread"))
    assert b'"text":"from another thread"' in await anext(stream)
    assert bus.listeners == 1
    bus.hang_up()
    with pytest.raises(StopAsyncIteration):
        await anext(stream)
    assert bus.listeners == 0


async def test_a_listener_that_does_not_read_is_cut_off(told: MemoryAppliance) -> None:
    bus = told.events()
    stream = _stream(bus, Query(10_000))
    await anext(stream)
    for _ in range(5000):
        bus.publish(event("x"))
    await asyncio.sleep(0)
    with pytest.raises(StopAsyncIteration):
        await anext(stream)


async def test_a_test_event_is_for_who_may_change_the_system(api: httpx.AsyncClient, told: MemoryAppliance) -> None:
    answer = await api.post("/events/test", json={"severity": "critical", "text": "is anybody there?"})
    assert answer.status_code == 200 and answer.json()["kind"] == "test" and answer.json()["severity"] == "critical"
    assert (await texts(api))[-1] == "is anybody there?"
    assert (await api.post("/events/test", json={"level": "x"})).status_code == 422
    await api.post("/users", json={"name": "ann", "password": "long enough", "permissions": []})
    from tests.unit.api.native.conftest import application

    async with client_of(application(told), ("ann", "long enough")) as ann:
        assert (await ann.get("/events")).status_code == 200
        for refused in (await ann.post("/events/test", json={}), await ann.delete("/events")):
            assert refused.status_code == 403, refused.text


async def test_the_log_can_be_cleared_and_subscribers_listed(api: httpx.AsyncClient, told: MemoryAppliance) -> None:
    assert (await api.delete("/events")).json() == {"removed": 3}
    assert await texts(api) == []
    assert (await api.get("/events/subscribers")).json() == []


async def test_secrets_go_in_and_never_come_out(api: httpx.AsyncClient, appliance: MemoryAppliance) -> None:
    changed = await api.patch("/parameters/email", json={"server": "mail.example", "password": "hunter22"})
    assert changed.status_code == 200 and "hunter22" not in changed.text
    assert "password" not in (await api.get("/parameters/email")).json()
    place = appliance.configuration.email.password
    assert place.startswith("email/password/") and appliance._secrets[place] == b"hunter22"
    history = await api.get("/history/" + str(changed.json()["revision"]))
    assert "hunter22" not in history.text and place not in (await api.get("/configuration")).text

    declared = (await api.get("/configuration")).json()
    declared["parameters"]["email"]["port"] = 2525
    assert (await api.put("/configuration", json=declared)).status_code == 200
    assert appliance.configuration.email.password == place, "what is not declared of secrets stays"
    declared["parameters"]["email"]["password"] = "another1"
    declared["parameters"]["webhook"] = {"secret": "signs"}
    assert (await api.put("/configuration", json=declared)).status_code == 200
    assert appliance._secrets[appliance.configuration.email.password] == b"another1"
    assert appliance._secrets[appliance.configuration.webhook.secret] == b"signs"
    assert (await api.patch("/parameters/email", json={"password": ""})).status_code == 200
    assert appliance.configuration.email.password == ""


async def test_a_syslog_host_is_in_one_level_only(api: httpx.AsyncClient) -> None:
    await api.patch("/parameters/syslog", json={"warn": ["192.0.2.1"]})
    refused = await api.patch("/parameters/syslog", json={"info": ["192.0.2.1"]})
    assert refused.status_code == 422 and "is in syslogwarn already" in refused.text
    many = await api.patch("/parameters/syslog", json={"info": [f"192.0.2.{n}" for n in range(10, 20)]})
    assert many.status_code == 422 and "at most 10" in many.text


@pytest.mark.parametrize(
    ("section", "changes"),
    [
        ("webhook", {"urls": ["https://user:password@example.com/"]}),
        ("webhook", {"urls": ["ftp://example.com/"]}),
        ("email", {"warn": ["nobody"]}),
        ("email", {"warn": ["a@b\r\nBcc: c@d"]}),
        ("email", {"security": 4}),
        ("snmp", {"password": "short"}),
        ("snmp", {"agent": True}),
        ("snmp", {"enterprise": "1.3.6.x"}),
        ("syslog", {"warn": ["not a host"]}),
        ("syslog", {"protocol": "carrier pigeon"}),
        ("events", {"flapping_changes": 1}),
    ],
)
async def test_bad_values_are_refused_by_name(api: httpx.AsyncClient, section: str, changes: dict[str, Any]) -> None:
    answer = await api.patch(f"/parameters/{section}", json=changes)
    assert answer.status_code == 422, answer.text
    assert answer.json()["error"]["field"] == next(iter(changes))
    assert "short" not in answer.json()["error"]["message"]
