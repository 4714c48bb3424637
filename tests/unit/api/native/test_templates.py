"""`/templates`: listing, importing, using, exporting."""

from __future__ import annotations

import httpx
import pytest
from tests.unit.api.native.memory_appliance import MemoryAppliance

SITE = "{name: Site, comment: A site, services: [{name: Web, port: 80, service_type: http}], next: [Look at it]}"


async def test_those_that_come_with_steelyard_are_listed_with_yours(
    api: httpx.AsyncClient, appliance: MemoryAppliance
) -> None:
    made = await api.post("/templates", json={"text": SITE})
    assert made.status_code == 201, made.text
    found = {one["name"]: one for one in (await api.get("/templates")).json()}
    assert (found["Site"]["shipped"], found["HTTP"]["shipped"]) == (False, True)
    assert found["Lync Edge External 2013"]["places"] == ["access", "conf", "av"]
    assert any("Server NAT" in text for text in found["Lync Internal 2013 HLB Only"]["warnings"])
    assert (await api.get("/templates/Site")).json()["text"].startswith("name: Site")


async def test_using_one_makes_its_services_and_says_what_is_next(
    api: httpx.AsyncClient, appliance: MemoryAppliance
) -> None:
    use = {"address": "192.0.2.1", "servers": ["10.0.0.1"], "name": "Shop"}
    tried = await api.post("/templates/HTTPS Offloaded/services", json=use, params={"dry_run": "true"})
    assert tried.json()["dry_run"] is True
    assert not appliance.configuration.services
    made = await api.post("/templates/HTTPS Offloaded/services", json=use)
    assert made.status_code == 201, made.text
    answer = made.json()["object"]
    assert [one["name"] for one in answer["services"]] == ["Shop HTTPS Offloaded", "Shop HTTP Redirect"]
    assert answer["services"][0]["servers"][0]["port"] == 80
    assert answer["next"]


async def test_a_service_is_exported_without_what_belongs_to_one_place(
    api: httpx.AsyncClient, appliance: MemoryAppliance
) -> None:
    await api.post(
        "/templates/Exchange 2019 HTTPS Re-encrypted/services", json={"address": "192.0.2.1", "servers": ["10.0.0.1"]}
    )
    text = (await api.get("/virtual-services/1/template")).json()["text"]
    assert "exchange_owa" in text
    assert "10.0.0.1" not in text
    assert "192.0.2.1" not in text
    renamed = text.replace("name: Exchange 2019 HTTPS Re-encrypted", "name: Ours", 1)
    assert (await api.post("/templates", json={"text": renamed})).status_code == 201
    again = await api.post("/templates/Ours/services", json={"address": "192.0.2.2"})
    assert again.status_code == 201, again.text


async def test_what_is_wrong_is_said(api: httpx.AsyncClient, appliance: MemoryAppliance) -> None:
    for request, status in (
        (api.post("/templates", json={"text": "- 1"}), 422),
        (api.post("/templates", json={"text": "{name: HTTP, services: [{port: 80}]}"}), 409),
        (api.get("/templates/Nothing"), 404),
        (api.delete("/templates/HTTP"), 409),
        (api.delete("/templates/Nothing"), 404),
        (api.post("/templates/HTTP/services", json={}), 422),
        (api.post("/templates/HTTP/services", json={"address": "192.0.2.1", "colour": 1}), 422),
        (api.post("/templates/Lync Edge External 2013/services", json={"addresses": {"av": "192.0.2.1"}}), 422),
    ):
        answer = await request
        assert answer.status_code == status, answer.text
        assert answer.json()["error"]["message"]
    assert not appliance.configuration.services


@pytest.mark.requirement("S4-69")
async def test_what_one_counts_on_is_shown_and_set_in_one_change(
    api: httpx.AsyncClient, appliance: MemoryAppliance
) -> None:
    path = "/templates/Lync Internal 2013 HLB Only"
    before = (await api.get(path)).json()["prerequisites"]
    assert {"setting": "layer7.drain_time", "is": 86400, "met": False}.items() <= before[-1].items()
    tried = await api.post(f"{path}/prerequisites", params={"dry_run": "true"})
    assert tried.status_code == 200, tried.text
    assert tried.json()["differences"] and appliance.configuration.layer7.drain_time != 86400
    made = await api.post(f"{path}/prerequisites")
    assert made.status_code == 200, made.text
    assert made.json()["object"]["warnings"] == []
    assert all(one["met"] for one in (await api.get(path)).json()["prerequisites"])
    assert appliance.configuration.layer7.drain_time == 86400
    assert (await api.post("/templates/Nothing/prerequisites")).status_code == 404
