"""Who may: passwords, API keys, permissions, the Unix socket, foreign pages."""

from __future__ import annotations

import hashlib

import httpx
import pytest
from tests.support.fake_appliance import PASSWORD
from tests.unit.api.native.conftest import application, client_of
from tests.unit.api.native.memory_appliance import READER, MemoryAppliance


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Basic"},
        {"Authorization": "Basic !!!"},
        {"Authorization": "Basic YmFs"},
        {"Authorization": "Basic YmFsOndyb25n"},
        {"Authorization": "Bearer "},
        {"Authorization": "Bearer wrong"},
        {"Authorization": "Digest x"},
        {"X-API-Key": "wrong"},
        {"X-API-Key": ""},
        {"X-API-Key": "x" * 10_000},
    ],
)
async def test_without_good_credentials_nothing_is_answered(
    appliance: MemoryAppliance, headers: dict[str, str]
) -> None:
    async with client_of(application(appliance), None) as client:
        answer = await client.get("/status", headers=headers)
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"].startswith("Basic ")
        assert answer.json()["error"]["kind"] == "unauthenticated"
        wrong = await client.post("/virtual-services", content=b"{half", headers=headers)
        assert wrong.status_code == 401


async def test_an_api_key_is_shown_once_and_works_in_both_headers(
    api: httpx.AsyncClient, appliance: MemoryAppliance
) -> None:
    made = await api.post("/api-keys")
    assert made.status_code == 201
    key, key_id = made.json()["object"]["key"], made.json()["object"]["id"]
    assert key_id == hashlib.sha256(key.encode()).hexdigest()
    listed = await api.get("/api-keys")
    assert listed.json() == [{"id": key_id, "hint": key[:4]}]
    assert key not in listed.text
    async with client_of(application(appliance), None) as client:
        for headers in ({"X-API-Key": key}, {"Authorization": f"Bearer {key}"}):
            assert (await client.get("/status", headers=headers)).status_code == 200
        assert (await api.delete(f"/api-keys/{key_id}")).status_code == 200
        assert (await client.get("/status", headers={"X-API-Key": key})).status_code == 401
    assert (await api.delete(f"/api-keys/{key_id}")).status_code == 404


async def test_a_dry_run_makes_and_shows_no_key(api: httpx.AsyncClient) -> None:
    answer = await api.post("/api-keys", params={"dry_run": "true"})
    assert (answer.status_code, answer.json()["object"]) == (200, None)
    assert (await api.get("/api-keys")).json() == []


async def test_who_may_not_change_is_told_what_is_missing(appliance: MemoryAppliance) -> None:
    async with client_of(application(appliance), (READER, PASSWORD)) as reader:
        assert (await reader.get("/virtual-services")).status_code == 200
        for dry_run in ("false", "true"):
            body = {"address": "127.0.0.1", "port": 80}
            answer = await reader.post("/virtual-services", json=body, params={"dry_run": dry_run})
            assert (answer.status_code, answer.json()["error"]["field"]) == (403, "permission")
        assert (await reader.post("/api-keys")).status_code == 201


async def test_peers_of_the_socket_act_as_the_administrator(appliance: MemoryAppliance) -> None:
    async with client_of(application(appliance, trusted_local=True), None) as local:
        answer = await local.post("/virtual-services", json={"address": "127.0.0.1", "port": 80})
        assert answer.status_code == 201
    entry = appliance.revision(appliance.revision_number)
    assert (entry.author, entry.origin) == ("bal", "cli")


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Origin": "https://evil.test"}, 403),
        ({"Origin": "null"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Origin": "https://adc.test", "Sec-Fetch-Site": "same-origin"}, 200),
        ({}, 200),
    ],
)
async def test_a_foreign_page_cannot_make_a_browser_change_anything(
    api: httpx.AsyncClient, web: int, headers: dict[str, str], status: int
) -> None:
    answer = await api.patch(f"/virtual-services/{web}", json={"name": "other"}, headers=headers)
    assert answer.status_code == status
    assert (await api.get("/status", headers=headers)).status_code == 200
