"""Further checks, declared rules among members, and the transcripts of checks through the native API."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from tests.unit.api.native.memory_appliance import MemoryAppliance
from tests.unit.model.making import apply
from tests.unit.model.test_health_rules import BASE, rich

from steelyard.api.native.declaration import declared, document
from steelyard.model.errors import OperatorError
from steelyard.observe.status import Verdict

READY: dict[str, Any] = {"name": "ready", "check_type": "http", "check_url": "/ready", "check_port": 8081}
CHECKS = "/virtual-services/1/checks"


async def test_further_checks_are_added_changed_replaced_and_removed(api: httpx.AsyncClient, web: int) -> None:
    made = await api.post(CHECKS, json=READY)
    assert made.status_code == 201, made.text
    found = (await api.get(CHECKS)).json()
    assert found == (await api.get("/virtual-services/1")).json()["further_checks"]
    assert (found[0]["name"], found[0]["check_url"], found[0]["check_method"]) == ("ready", "/ready", 0)
    changed = await api.patch(f"{CHECKS}/ready", json={"name": "alive", "check_url": "/alive"})
    assert changed.json()["object"]["name"] == "alive"
    replaced = await api.put(CHECKS, json={"further_checks": [{"name": "port", "check_port": 9000}]})
    assert [check["name"] for check in replaced.json()["object"]] == ["port"]
    assert (await api.delete(f"{CHECKS}/port")).json()["object"] == []
    assert (await api.delete(f"{CHECKS}/port")).status_code == 404


@pytest.mark.parametrize(
    ("method", "body", "field", "position"),
    [
        ("POST", {"name": "x", "check_type": "none"}, "check_type", None),
        ("POST", {"name": "x", "weight": 1}, "weight", None),
        ("PUT", {"further_checks": [READY, {"name": "y", "check_port": -1}]}, "check_port", "further_checks[1]"),
        ("PUT", {"checks": []}, "checks", None),
    ],
)
async def test_what_is_wrong_is_named(
    api: httpx.AsyncClient, web: int, method: str, body: dict[str, Any], field: str, position: str | None
) -> None:
    refused = await api.request(method, CHECKS, json=body)
    assert refused.status_code == 422
    error = refused.json()["error"]
    assert (error["field"], error.get("position")) == (field, position)


async def test_a_service_is_made_with_further_checks_and_not_changed_with_them(api: httpx.AsyncClient) -> None:
    settings = {"address": "127.0.0.1", "port": 81, "further_checks": [READY]}
    made = await api.post("/virtual-services", json=settings)
    assert made.json()["object"]["further_checks"][0]["name"] == "ready"
    refused = await api.patch("/virtual-services/1", json={"further_checks": []})
    assert "checks" in refused.json()["error"]["remedy"]


async def test_further_checks_in_a_batch(api: httpx.AsyncClient, web: int) -> None:
    commands: list[dict[str, Any]] = [
        {"op": "add-further-check", "service": web, "settings": READY},
        {"op": "add-further-check", "service": web, "settings": {"name": "port", "check_port": 9}},
        {"op": "change-further-check", "service": web, "name": "ready", "changes": {"check_url": "/alive"}},
        {"op": "remove-further-check", "service": web, "name": "port"},
    ]
    answer = await api.post("/batch", json={"commands": commands})
    assert answer.status_code == 200, answer.text
    assert [(check["name"], check["check_url"]) for check in (await api.get(CHECKS)).json()] == [("ready", "/alive")]


async def test_a_standby_is_shown(api: httpx.AsyncClient, appliance: MemoryAppliance, web: int) -> None:
    await api.patch("/virtual-services/1/real-servers/2", json={"standby_below": 1})
    appliance.verdicts = {"vs1/rs1": Verdict("up"), "vs1/rs2": Verdict("up", ready=False)}
    service = (await api.get("/virtual-services/1")).json()
    assert (service["status"], service["servers"][1]["status"]) == ("Up", "Standby")
    assert "fewer than 1 others" in service["servers"][1]["reason"]


async def test_a_check_names_itself_among_several(api: httpx.AsyncClient, appliance: MemoryAppliance, web: int) -> None:
    appliance.checks = [{"started": 1_700_000_000.0, "outcome": "bad", "check": "ready", "reason": "answered 500"}]
    (check,) = (await api.get("/virtual-services/1/real-servers/1/checks")).json()
    assert (check["check"], check["started"]) == ("ready", "2023-11-14T22:13:20.000Z")


def test_a_declaration_of_what_there_is_changes_nothing_and_makes_it_anew_elsewhere() -> None:
    made = rich()
    again = declared(document(made)).apply(made).configuration
    assert again.services == made.services
    elsewhere = declared(document(made)).apply(apply()).configuration
    assert [s.further_checks for s in elsewhere.services.values()] == [s.further_checks for s in made.services.values()]
    assert elsewhere.services[1].minimum_servers == 2


def test_a_declaration_with_a_loop_says_where() -> None:
    found = document(BASE)
    found["services"][0]["servers"][0]["follow"] = 3
    found["services"][1]["servers"][0]["follow"] = 1
    with pytest.raises(OperatorError, match="circle") as caught:
        declared(found).apply(BASE)
    assert caught.value.details()["position"] == "services[1].servers[0]"
