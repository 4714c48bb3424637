from __future__ import annotations

import httpx


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
    assert (await api.patch("/parameters/limits", json={"logging": True})).status_code == 422
