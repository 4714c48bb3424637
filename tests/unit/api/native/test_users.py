"""Users: passwords go in and never come out."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from tests.unit.api.native.conftest import application, client_of
from tests.unit.api.native.memory_appliance import MemoryAppliance

NEW = {"name": "alice", "password": "a long password", "permissions": ["vs"]}


async def test_a_user_is_made_shown_changed_and_removed(api: httpx.AsyncClient, appliance: MemoryAppliance) -> None:
    made = await api.post("/users", json=NEW)
    assert (made.status_code, made.headers["location"]) == (201, "/api/v1/users/alice")
    assert made.json()["object"] == {"name": "alice", "permissions": ["vs"], "api_keys": 0}
    for answer in (made, await api.get("/users"), await api.get("/users/alice")):
        assert "sha256" not in answer.text and "a long password" not in answer.text
    both = await api.patch("/users/alice", json={"password": "another password", "permissions": ["real", "vs"]})
    assert both.json()["object"]["permissions"] == ["real", "vs"]
    async with client_of(application(appliance), ("alice", "another password")) as alice:
        assert (await alice.get("/status")).status_code == 200
    assert (await api.delete("/users/alice")).status_code == 200
    assert (await api.get("/users/alice")).status_code == 404


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "field"),
    [
        ("POST", "/users", {**NEW, "password": "short"}, 422, "password"),
        ("POST", "/users", {"name": "alice"}, 422, "password"),
        ("POST", "/users", {**NEW, "password": 12345678}, 422, "password"),
        ("POST", "/users", {**NEW, "name": "a\nb"}, 422, "name"),
        ("POST", "/users", {**NEW, "permissions": ["everything"]}, 422, "permissions"),
        ("POST", "/users", {**NEW, "permissions": "vs"}, 422, "permissions"),
        ("POST", "/users", {**NEW, "admin": True}, 422, "admin"),
        ("POST", "/users", {**NEW, "name": "bal"}, 409, "user"),
        ("PATCH", "/users/bal", {"permissions": []}, 422, "user"),
        ("PATCH", "/users/reader", {}, 422, None),
        ("PATCH", "/users/nobody", {"permissions": []}, 404, "user"),
        ("DELETE", "/users/bal", None, 422, "user"),
    ],
)
async def test_what_is_wrong_with_a_user_is_named(
    api: httpx.AsyncClient, method: str, path: str, body: Any, status: int, field: str | None
) -> None:
    answer = await api.request(method, path, json=body)
    assert (answer.status_code, answer.json()["error"].get("field")) == (status, field)
    assert "12345678" not in answer.text
