"""LDAP endpoints over the native API."""

from __future__ import annotations

import httpx


async def test_an_endpoint_is_made_read_changed_and_removed(api: httpx.AsyncClient, web: int) -> None:
    settings = {"name": "office", "user": "cn=a", "password": "hunter2", "servers": ["192.0.2.1"]}
    made = await api.post("/ldap-endpoints", json=settings)
    assert (made.status_code, made.headers["location"]) == (201, "/api/v1/ldap-endpoints/office")
    assert "hunter2" not in made.text
    changed = await api.patch("/ldap-endpoints/office", json={"security": 1})
    assert [(one["kind"], one["key"]) for one in changed.json()["differences"]] == [("ldap_endpoint", "office")]
    found = (await api.get("/ldap-endpoints/office")).json()
    assert (found["security"], found["has_password"], found["used_by"]) == (1, True, [])
    assert "password_key" not in found
    linked = await api.patch(f"/virtual-services/{web}", json={"check_type": "ldap", "ldap_endpoint": "office"})
    assert linked.status_code == 200, linked.text
    assert (await api.get("/ldap-endpoints")).json()[0]["used_by"] == [web]
    assert (await api.delete("/ldap-endpoints/office")).status_code == 409
    await api.patch(f"/virtual-services/{web}", json={"check_type": "tcp", "ldap_endpoint": ""})
    assert (await api.delete("/ldap-endpoints/office")).status_code == 200
    assert (await api.get("/ldap-endpoints/office")).status_code == 404


async def test_a_password_is_never_repeated(api: httpx.AsyncClient) -> None:
    for body in ({"name": "a", "password": 7123456}, {"name": "a", "password": "hunter2"}, {"name": "a", "user": "b"}):
        answer = await api.post("/ldap-endpoints", json=body)
        assert answer.status_code == 422
        assert answer.json()["error"]["field"] in ("user", "password")
        assert "hunter2" not in answer.text
        assert "7123456" not in answer.text


async def test_a_declaration_has_them_without_passwords_and_keeps_these(api: httpx.AsyncClient) -> None:
    await api.post("/ldap-endpoints", json={"name": "office", "user": "cn=a", "password": "hunter2"})
    document = (await api.get("/configuration")).json()
    assert document["ldap_endpoints"] == [{"name": "office", "user": "cn=a"}]
    again = await api.put("/configuration", json=document)
    assert (again.status_code, again.json()["differences"]) == (200, [])
    document["ldap_endpoints"].append({"name": "lab", "user": "cn=b", "password": "other"})
    assert (await api.put("/configuration", json=document)).status_code == 200
    assert [one["has_password"] for one in (await api.get("/ldap-endpoints")).json()] == [True, True]


async def test_a_real_server_has_a_check_port(api: httpx.AsyncClient, web: int) -> None:
    path = f"/virtual-services/{web}/real-servers/1"
    assert (await api.patch(path, json={"check_port": 9999})).status_code == 200
    assert (await api.get(path)).json()["check_port"] == 9999
    assert (await api.patch(path, json={"check_port": 70000})).status_code == 422


async def test_endpoints_are_changed_in_batches(api: httpx.AsyncClient) -> None:
    commands = [
        {"op": "add-ldap-endpoint", "settings": {"name": "office", "user": "cn=a", "password": "hunter2"}},
        {"op": "change-ldap-endpoint", "name": "office", "changes": {"base": "dc=b"}},
        {"op": "add-ldap-endpoint", "settings": {"name": "lab"}},
        {"op": "remove-ldap-endpoint", "name": "lab"},
    ]
    answer = await api.post("/batch", json={"commands": commands})
    assert answer.status_code == 200, answer.text
    (found,) = (await api.get("/ldap-endpoints")).json()
    assert (found["base"], found["has_password"]) == ("dc=b", True)
    assert "hunter2" not in answer.text
