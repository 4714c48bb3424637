"""What members count as now, and weights set from outside."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from tests.support.fake_appliance import PASSWORD
from tests.unit.api.native.conftest import application, client_of
from tests.unit.api.native.memory_appliance import READER, MemoryAppliance

from steelyard.health.weight_status import WeightStatus
from steelyard.model.commands import SetExternalWeights


async def test_weights_are_shown_with_what_moves_them(
    api: httpx.AsyncClient, appliance: MemoryAppliance, web: int
) -> None:
    still = (await api.get(f"/virtual-services/{web}/weights")).json()
    assert (still["schedule"], [one["weight"] for one in still["members"]]) == ("rr", [1000, 1000])
    assert still["members"][0]["reason"] == "its weight does not move"
    await api.patch(f"/virtual-services/{web}", json={"schedule": "adaptive"})
    appliance.member_weights = {
        1: WeightStatus("agent", 1000, 250, 64, 75.0, None, None, None, 1_700_000_000.0, "the agent says 75 %")
    }
    found = (await api.get(f"/virtual-services/{web}/weights")).json()["members"]
    assert found[0] == {
        "index": 1,
        "address": "127.0.0.1",
        "port": 9001,
        "static_weight": 1000,
        "weight": 250,
        "engine_weight": 64,
        "load": 75.0,
        "response_ms": None,
        "external_weight": None,
        "external_until": None,
        "heard_at": "2023-11-14T22:13:20.000Z",
        "reason": "the agent says 75 %",
    }
    assert found[1].keys() == found[0].keys()
    assert (await api.get("/virtual-services/9/weights")).status_code == 404


async def test_external_weights_are_no_revision(api: httpx.AsyncClient, appliance: MemoryAppliance, web: int) -> None:
    await api.patch(f"/virtual-services/{web}", json={"schedule": "sdn-adaptive"})
    revision = appliance.revision_number
    path = f"/virtual-services/{web}/weights"
    for answer in (
        await api.put(path, json={"weights": {"1": 500, "2": 1}, "seconds": 60}),
        await api.patch(path, json={"weights": {"2": 65535}}),
        await api.delete(path),
    ):
        assert answer.status_code == 200, answer.text
        assert answer.json()["service"] == web
    assert appliance.revision_number == revision
    assert appliance.executed[-3:] == [
        SetExternalWeights(web, {1: 500, 2: 1}, 60, replace=True),
        SetExternalWeights(web, {2: 65535}, 300, replace=False),
        SetExternalWeights(web, {}, 300, replace=True),
    ]


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        ({}, 422, "weights"),
        ({"weights": [1]}, 422, "weights"),
        ({"weights": {"one": 1}}, 422, "weights"),
        ({"weights": {"-1": 1}}, 422, "weights"),
        ({"weights": {"1": "5"}}, 422, "weights"),
        ({"weights": {"1": True}}, 422, "weights"),
        ({"weights": {"1": 1.5}}, 422, "weights"),
        ({"weights": {"1": 0}}, 422, "weights"),
        ({"weights": {"1": 65536}}, 422, "weights"),
        ({"weights": {"7": 1}}, 404, None),
        ({"weights": {"1": 1}, "seconds": 0}, 422, "seconds"),
        ({"weights": {"1": 1}, "seconds": 86401}, 422, "seconds"),
        ({"weights": {"1": 1}, "ttl": 5}, 422, "ttl"),
    ],
)
async def test_bad_weights_are_refused_by_field(
    api: httpx.AsyncClient, web: int, body: dict[str, Any], status: int, field: str | None
) -> None:
    await api.patch(f"/virtual-services/{web}", json={"schedule": "sdn-adaptive"})
    answer = await api.put(f"/virtual-services/{web}/weights", json=body)
    assert answer.status_code == status, answer.text
    error = answer.json()["error"]
    assert field is None or (error["field"] == field and error["remedy"])


async def test_a_service_that_follows_no_external_weights_says_so(api: httpx.AsyncClient, web: int) -> None:
    answer = await api.put(f"/virtual-services/{web}/weights", json={"weights": {"1": 5}})
    assert answer.status_code == 422
    assert answer.json()["error"]["field"] == "schedule"
    assert "sdn-adaptive" in answer.json()["error"]["remedy"]


async def test_setting_weights_needs_the_permission_of_real_servers(appliance: MemoryAppliance) -> None:
    async with client_of(application(appliance), (READER, PASSWORD)) as reader:
        answer = await reader.put("/virtual-services/1/weights", json={"weights": {"1": 5}})
    assert answer.status_code == 403


async def test_the_agents_parameters_are_a_section(api: httpx.AsyncClient) -> None:
    changed = await api.patch("/parameters/adaptive", json={"url": "/agent", "port": 8080})
    assert changed.status_code == 200, changed.text
    assert (await api.get("/parameters/adaptive")).json() == {
        "url": "/agent",
        "port": 8080,
        "interval": 7,
        "least_load": 5,
    }
    document = (await api.get("/configuration")).json()
    assert document["parameters"]["adaptive"]["url"] == "/agent"
    document["parameters"]["adaptive"] = {"port": 443}
    refused = await api.put("/configuration", json=document)
    assert (refused.status_code, refused.json()["error"]["field"]) == (422, "port")
