"""Sub-services through the native API: nested in documents, under their parent, as slots, in batches."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

WEB: dict[str, Any] = {
    "address": "192.0.2.1",
    "port": 80,
    "sub_services": [
        {"name": "blue", "servers": [{"address": "10.0.0.1", "port": 80}], "slot": {"weight": 10}},
        {"name": "green", "service_type": "gen", "check_type": "tcp"},
    ],
}


@pytest.fixture(autouse=True)
async def family(api: httpx.AsyncClient) -> None:
    made = await api.post("/virtual-services", json=WEB)
    assert made.status_code == 201, made.text


async def test_they_are_shown_below_their_parent_and_as_services(api: httpx.AsyncClient) -> None:
    found = (await api.get("/virtual-services/1/sub-services")).json()
    assert [(sub["index"], sub["parent"], sub["name"]) for sub in found] == [(2, 1, "blue"), (3, 1, "green")]
    assert found[0] == (await api.get("/virtual-services/2")).json()
    parent = (await api.get("/virtual-services/1")).json()
    assert [(slot["index"], slot["service"], slot["weight"]) for slot in parent["slots"]] == [(1, 2, 10), (3, 3, 1000)]
    assert parent["slots"] == (await api.get("/virtual-services/1/slots")).json()
    assert parent["slots"][0] == (await api.get("/virtual-services/1/slots/1")).json()
    assert parent["slots"][0]["status"] == "Down"


async def test_one_is_made_under_its_parent(api: httpx.AsyncClient) -> None:
    made = await api.post("/virtual-services/1/sub-services", json={"name": "red", "slot": {"critical": True}})
    assert (made.status_code, made.headers["Location"]) == (201, "/api/v1/virtual-services/4")
    assert (made.json()["object"]["name"], made.json()["object"]["service_type"]) == ("red", "http")
    assert (await api.post("/virtual-services/1/sub-services")).status_code == 201
    slots = (await api.get("/virtual-services/1/slots")).json()
    assert [slot["critical"] for slot in slots] == [False, False, True, False]


async def test_a_slot_is_changed_and_switched(api: httpx.AsyncClient) -> None:
    changed = await api.patch("/virtual-services/1/slots/1", json={"weight": 7, "limit": 9})
    assert (changed.json()["object"]["weight"], changed.json()["object"]["limit"]) == (7, 9)
    await api.post("/virtual-services/1/slots/1/disable")
    assert (await api.get("/virtual-services/2")).json()["status"] == "Disabled"
    await api.post("/virtual-services/1/slots/1/enable")
    assert (await api.get("/virtual-services/1/slots/1")).json()["enabled"] is True


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "says"),
    [
        ("POST", "/virtual-services/2/sub-services", {}, 422, "no sub-services"),
        ("POST", "/virtual-services/1/sub-services", {"port": 81}, 422, "parent"),
        ("POST", "/virtual-services/1/sub-services", {"slot": {"wieght": 1}}, 422, "weight"),
        ("POST", "/virtual-services/1/sub-services", {"slot": 1}, 422, "object"),
        ("PATCH", "/virtual-services/2", {"enabled": False}, 422, "slot"),
        ("PATCH", "/virtual-services/1", {"slots": []}, 422, "slots"),
        ("PATCH", "/virtual-services/1", {"sub_services": []}, 422, "sub-services"),
        ("PATCH", "/virtual-services/1/slots/9", {"weight": 1}, 404, "Unknown RS 9"),
        ("PATCH", "/virtual-services/1/slots/1", {"service": 3}, 422, "service"),
        ("POST", "/virtual-services/1/real-servers", {"address": "10.0.0.1", "port": 80}, 422, "Couldn't create RS"),
    ],
)
async def test_what_is_wrong_is_said(
    api: httpx.AsyncClient, method: str, path: str, body: Any, status: int, says: str
) -> None:
    answer = await api.request(method, path, json=body)
    assert (answer.status_code, says in answer.text) == (status, True), answer.text


async def test_a_server_for_all(api: httpx.AsyncClient) -> None:
    body = {"address": "10.0.0.9", "port": 80}
    assert (await api.post("/virtual-services/1/sub-services/real-servers", json=body)).status_code == 200
    found = (await api.get("/virtual-services/1/sub-services")).json()
    assert [[server["address"] for server in sub["servers"]] for sub in found] == [
        ["10.0.0.1", "10.0.0.9"],
        ["10.0.0.9"],
    ]


async def test_removing(api: httpx.AsyncClient) -> None:
    assert (await api.delete("/virtual-services/2")).status_code == 200
    assert [slot["service"] for slot in (await api.get("/virtual-services/1/slots")).json()] == [3]
    await api.delete("/virtual-services/1")
    assert (await api.get("/virtual-services")).json() == []


async def test_a_batch(api: httpx.AsyncClient) -> None:
    commands = [
        {"op": "add-sub-service", "parent": 1},
        {"op": "add-sub-service", "parent": 1, "settings": {"name": "red"}},
        {"op": "change-slot", "service": 1, "slot": 1, "changes": {"weight": 3}},
        {"op": "add-server-to-all", "service": 1, "settings": {"address": "10.0.0.9", "port": 80}},
    ]
    answer = await api.post("/batch", json={"commands": commands})
    assert answer.status_code == 200, answer.text
    assert len((await api.get("/virtual-services/1/slots")).json()) == 4


async def test_the_declared_document_has_them_nested_and_declaring_it_changes_nothing(
    api: httpx.AsyncClient,
) -> None:
    document = (await api.get("/configuration")).json()
    (service,) = document["services"]
    assert [sub["name"] for sub in service["sub_services"]] == ["blue", "green"]
    assert service["sub_services"][0]["slot"] == {"weight": 10}
    assert "service_type" not in service["sub_services"][0]
    assert service["sub_services"][1]["service_type"] == "gen"
    again = await api.put("/configuration", json=document)
    assert (again.status_code, again.json()["applied"]) == (200, "unchanged"), again.text


async def test_status_and_statistics_name_slots(api: httpx.AsyncClient) -> None:
    status = (await api.get("/status")).json()["services"]
    assert [(one["parent"], [slot["service"] for slot in one["slots"]]) for one in status] == [
        (0, [2, 3]),
        (1, []),
        (1, []),
    ]
    figures = (await api.get("/statistics")).json()["services"]
    assert [slot["service"] for slot in figures[0]["slots"]] == [2, 3]
