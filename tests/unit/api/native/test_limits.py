from __future__ import annotations

from typing import Any

import httpx
import pytest


async def test_limits_of_clients(api: httpx.AsyncClient, web: int) -> None:
    done = await api.put("/limits/clients/connections", json={"network": "10.0.0.0/8", "limit": 5})
    assert done.status_code == 200, done.text
    assert done.json()["object"]["connections"] == [{"network": "10.0.0.0/8", "limit": 5}]
    said = await api.get(f"/limits/of/{web}", params={"address": "10.1.1.1", "path": "/"})
    assert said.json() == [{"kind": "connections", "limit": 5, "why": "each client of 10.0.0.0/8"}]
    assert (await api.get(f"/limits/of/{web}", params={"address": "x"})).status_code == 422
    gone = await api.delete("/limits/clients/connections/10.0.0.0/8")
    assert gone.json()["object"]["connections"] == []
    again = await api.delete("/limits/clients/connections/10.0.0.0/8")
    assert again.status_code == 404


async def test_limiting_rules(api: httpx.AsyncClient) -> None:
    for name in ("a", "b"):
        made = await api.post("/limits/rules", json={"name": name, "pattern": "^/x", "limit": 5})
        assert made.status_code == 201, made.text
        assert (await api.get(made.headers["location"].removeprefix("/api/v1"))).json()["name"] == name
    await api.post("/limits/rules/b/move", json={"position": 1})
    await api.patch("/limits/rules/a", json={"limit": 6})
    shown = (await api.get("/limits")).json()
    assert [(rule["name"], rule["limit"]) for rule in shown["rules"]] == [("b", 5), ("a", 6)]
    assert (await api.patch("/limits/rules/a", json={"frob": 6})).status_code == 422
    assert (await api.delete("/limits/rules/a")).status_code == 200
    assert (await api.get("/limits/rules/a")).status_code == 404


async def test_global_limits_are_parameters(api: httpx.AsyncClient) -> None:
    done = await api.patch("/parameters/limits", json={"client_connections": 7, "answer": 1})
    assert done.json()["object"]["client_connections"] == 7
    assert (await api.patch("/parameters/limits", json={"fail_on_rate_limit": True})).status_code == 422


LIMITS: dict[str, Any] = {
    "services": [],
    "parameters": {"limits": {"client_bandwidth": 4000}},
    "client_limits": [
        {"kind": "requests_per_second", "network": "198.51.100.0/24", "limit": 50},
        {"kind": "bandwidth", "network": "203.0.113.7/32", "limit": 0},
    ],
    "limit_rules": [
        {"name": "search", "pattern": "^/search", "limit": 10},
        {"name": "basket", "pattern": "^/basket", "limit": 20},
    ],
}


async def test_limits_are_declared_and_read_back(api: httpx.AsyncClient) -> None:
    assert (await api.put("/configuration", json=LIMITS)).status_code == 200
    read = (await api.get("/configuration")).json()
    assert read["client_limits"] == LIMITS["client_limits"]
    assert [rule["name"] for rule in read["limit_rules"]] == ["search", "basket"]
    assert (await api.put("/configuration", json=read)).json()["applied"] == "unchanged"
    shown = (await api.get("/limits")).json()
    assert shown["clients"]["requests_per_second"] == [{"network": "198.51.100.0/24", "limit": 50}]
    less = {**LIMITS, "client_limits": LIMITS["client_limits"][:1], "limit_rules": []}
    assert (await api.put("/configuration", json=less)).status_code == 200
    read = (await api.get("/configuration")).json()
    assert "limit_rules" not in read and len(read["client_limits"]) == 1


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"client_limits": [{"kind": "speed", "network": "10.0.0.0/8", "limit": 1}]}, "client_limits[0].kind"),
        ({"client_limits": [{"kind": "connections", "network": "10.0.0.1/8", "limit": 1}]}, "client_limits[0]"),
        ({"client_limits": [LIMITS["client_limits"][0]] * 2}, "client_limits[1].network"),
        ({"limit_rules": [{"name": "a", "pattern": "(", "limit": 1}]}, "limit_rules[0].pattern"),
        ({"limit_rules": [LIMITS["limit_rules"][0]] * 2}, "limit_rules[1].name"),
        ({"limit_rules": [{"name": "a", "pattern": "x", "limit": 1, "speed": 2}]}, "limit_rules[0].speed"),
    ],
)
async def test_a_wrong_declaration_of_limits_says_where(
    api: httpx.AsyncClient, wrong: dict[str, Any], field: str
) -> None:
    answer = await api.put("/configuration", json={**LIMITS, **wrong})
    said = answer.json()["error"]
    assert answer.status_code in (409, 422)
    assert f"{said['position']}.{said['field']}".startswith(field)
