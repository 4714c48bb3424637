"""`/backup`, `/restore`, `/reset`: what is asked, what is answered, what is refused."""

from __future__ import annotations

import base64
from typing import Any

import httpx
import pytest
from tests.unit.api.native.memory_appliance import MemoryAppliance

PASSWORD = "a password of the file"


async def saved(api: httpx.AsyncClient, password: str | None = PASSWORD) -> dict[str, Any]:
    given = {} if password is None else {"password": password}
    answer = await api.post("/backup", json=given)
    assert answer.status_code == 200, answer.text
    assert answer.json()["complete"] is (password is not None)
    return {"data": answer.json()["data"], **given}


async def test_what_is_saved_is_what_is_brought_back(api: httpx.AsyncClient, web: int) -> None:
    body = await saved(api)
    await api.patch(f"/virtual-services/{web}", json={"name": "other"})
    dry = (await api.post("/restore?dry_run=true", json=body)).json()
    assert [(one["kind"], one["action"]) for one in dry["differences"]] == [("service", "change")]
    assert dry["object"] == {"restored": ["base", "vs"], "left_out": []}
    done = await api.post("/restore", json=body, headers={"If-Match": f'"{dry["revision"]}"'})
    assert done.status_code == 200
    assert (await api.get(f"/virtual-services/{web}")).json()["name"] == "web"
    stale = await api.post("/restore", json=body, headers={"If-Match": f'"{dry["revision"]}"'})
    assert stale.status_code == 412


async def test_a_plain_file_comes_by_get_and_by_post(api: httpx.AsyncClient, web: int) -> None:
    answer = await api.get("/backup")
    assert answer.headers["content-type"] == "application/octet-stream"
    assert answer.headers["etag"]
    body = await saved(api, None)
    assert base64.b64decode(body["data"]) == answer.content
    await api.delete(f"/virtual-services/{web}")
    found = (await api.post("/restore", json={**body, "parts": ["vs"]})).json()
    assert found["object"] == {"restored": ["vs"], "left_out": []}
    assert (await api.get(f"/virtual-services/{web}")).json()["name"] == "web"


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"data": "%%"}, "data"),
        ({"data": 5}, "data"),
        ({"data": base64.b64encode(b"something").decode()}, "data"),
        ({"password": "another one"}, "password"),
        ({"password": 5}, "password"),
        ({"parts": ["geo"]}, "parts"),
        ({"parts": "vs"}, "parts"),
        ({"users": "no"}, "users"),
        ({"network": "both"}, "network"),
        ({"incomplete": 1}, "incomplete"),
        ({"typo": 1}, "typo"),
    ],
)
async def test_a_request_that_is_wrong_changes_nothing(
    api: httpx.AsyncClient, appliance: MemoryAppliance, web: int, change: dict[str, Any], field: str
) -> None:
    body = await saved(api)
    await api.patch(f"/virtual-services/{web}", json={"name": "other"})
    before = appliance.snapshot().revision
    refused = await api.post("/restore", json={**body, **change})
    assert (refused.status_code, refused.json()["error"]["field"]) == (422, field), refused.text
    assert PASSWORD not in refused.text
    assert appliance.snapshot().revision == before


async def test_a_file_longer_than_other_bodies_is_taken(api: httpx.AsyncClient) -> None:
    long = base64.b64encode(b"\x1f\x8b" + bytes(9 * 1024 * 1024)).decode()
    refused = await api.post("/restore", json={"data": long})
    assert (refused.status_code, refused.json()["error"]["field"]) == (422, "data")
    refused = await api.post("/certificate-restore", json={"data": long, "password": PASSWORD})
    assert refused.status_code == 413


async def test_a_reset_has_to_be_confirmed(api: httpx.AsyncClient, appliance: MemoryAppliance) -> None:
    for body, field in (
        ({}, "confirm"),
        ({"confirm": "yes"}, "confirm"),
        ({"confirm": "reset", "network": "drop"}, "network"),
        ({"confirm": "reset", "all": True}, "all"),
    ):
        refused = await api.post("/reset", json=body)
        assert (refused.status_code, refused.json()["error"]["field"]) == (422, field)
    assert appliance.resets == []
    done = await api.post("/reset", json={"confirm": "reset"})
    assert (done.status_code, done.json()) == (202, {"user": "bal", "password": "made-up-password"})
    done = await api.post("/reset", json={"confirm": "reset", "password": "given one 1", "network": "forget"})
    assert done.json() == {"user": "bal", "password": None}
    assert appliance.resets == [(None, True), ("given one 1", False)]
