"""Content rules over the native API: objects, attachments, batches, declarations."""

from __future__ import annotations

from typing import Any

import httpx
import pytest


async def made(api: httpx.AsyncClient, name: str, **settings: Any) -> dict[str, Any]:
    answer = await api.post("/rules", json={"name": name, "pattern": "^/x", **settings})
    assert answer.status_code == 201, answer.text
    assert answer.headers["location"] == f"/api/v1/rules/{name}"
    found: dict[str, Any] = answer.json()["object"]
    return found


async def test_a_rule_is_made_read_changed_and_removed(api: httpx.AsyncClient) -> None:
    assert (await made(api, "one"))["used_by"] == []
    changed = await api.patch("/rules/one", json={"negate": True})
    assert [(one["kind"], one["key"]) for one in changed.json()["differences"]] == [("rule", "one")]
    rule = (await api.get("/rules/one")).json()
    assert (rule["negate"], rule["pattern"]) == (True, "^/x")
    assert (await api.get("/rules")).json() == [rule]
    assert (await api.delete("/rules/one")).status_code == 200
    assert (await api.get("/rules/one")).status_code == 404
    assert (await api.patch("/rules/one", json={})).status_code == 404


@pytest.mark.parametrize(
    ("settings", "field"),
    [
        ({"pattern": "(a+)+$"}, "pattern"),
        ({"pattern": "(a"}, "pattern"),
        ({"pattern": "a\nb"}, "pattern"),
        ({"rule_type": 1, "header": "X", "pattern": "", "replacement": "a\r\nSet-Cookie: b"}, "replacement"),
        ({"rule_type": 1, "header": "X", "replacement": "a"}, "pattern"),
        ({"rule_type": 4, "replacement": r"\1"}, "replacement"),
        ({"rule_type": 9}, "rule_type"),
        ({"set_on_match": 10}, "set_on_match"),
        ({"patern": "x"}, "patern"),
        ({"index": 1}, "index"),
    ],
)
async def test_bad_rules_are_refused_by_field(api: httpx.AsyncClient, settings: dict[str, Any], field: str) -> None:
    answer = await api.post("/rules", json={"name": "one", "pattern": "^/x", **settings})
    assert (answer.status_code, answer.json()["error"]["field"]) == (422, field), answer.text


async def test_rules_are_attached_in_order_moved_and_detached(api: httpx.AsyncClient, web: int) -> None:
    for name in ("one", "two"):
        await made(api, name)
    path = f"/virtual-services/{web}/rules/request"
    assert (await api.post(path, json={"rule": "one"})).json()["object"] == ["one"]
    assert (await api.post(path, json={"rule": "two", "position": 1})).json()["object"] == ["two", "one"]
    assert (await api.post(path, json={"rule": "two"})).status_code == 409
    assert (await api.patch(f"{path}/two", json={"position": 9})).json()["object"] == ["one", "two"]
    assert (await api.get(path)).json() == ["one", "two"]
    assert (await api.get("/rules/one")).json()["used_by"] == [web]
    refused = await api.delete("/rules/one")
    assert (refused.status_code, refused.json()["error"]["with"]) == (409, "web (tcp/127.0.0.1:8080)")
    assert (await api.delete("/rules/one?detach=true")).status_code == 200
    assert (await api.delete(f"{path}/two")).json()["object"] == []
    assert (await api.post(f"/virtual-services/{web}/rules/none", json={"rule": "two"})).status_code == 422


async def test_members_have_rules_and_default(api: httpx.AsyncClient, web: int) -> None:
    await made(api, "one")
    path = f"/virtual-services/{web}/members/2/rules"
    assert (await api.post(path, json={"rule": "one"})).json()["object"] == ["one"]
    assert (await api.post(path, json={"rule": "default"})).json()["object"] == ["one", "default"]
    assert (await api.patch(f"{path}/default", json={"position": 1})).json()["object"] == ["default", "one"]
    assert (await api.delete(f"{path}/default")).json()["object"] == ["one"]
    assert (await api.get(path)).json() == ["one"]
    assert (await api.post(f"/virtual-services/{web}/members/9/rules", json={"rule": "one"})).status_code == 404


async def test_a_dry_run_changes_nothing(api: httpx.AsyncClient, web: int) -> None:
    await made(api, "one")
    answer = await api.post(f"/virtual-services/{web}/rules/pre?dry_run=true", json={"rule": "one"})
    assert answer.json()["object"] == ["one"]
    assert (await api.get(f"/virtual-services/{web}/rules/pre")).json() == []


async def test_a_batch_makes_and_attaches(api: httpx.AsyncClient, web: int) -> None:
    commands = [
        {"op": "add-rule", "settings": {"name": "one", "pattern": "x"}},
        {"op": "add-rule", "settings": {"name": "two", "pattern": "x"}},
        {"op": "change-rule", "name": "two", "changes": {"negate": True}},
        {"op": "attach-rule", "service": web, "list": "pre", "rule": "one"},
        {"op": "attach-rule", "service": web, "list": "pre", "rule": "two", "position": 1},
        {"op": "move-rule", "service": web, "list": "pre", "rule": "one", "position": 1},
        {"op": "attach-rule", "service": web, "member": 1, "rule": "two"},
        {"op": "detach-rule", "service": web, "list": "pre", "rule": "two"},
    ]
    answer = await api.post("/batch", json={"commands": commands})
    assert answer.status_code == 200, answer.text
    service = (await api.get(f"/virtual-services/{web}")).json()
    assert (service["pre_rules"], service["servers"][0]["rules"]) == (["one"], ["two"])
    removed = {"op": "remove-rule", "name": "two"}
    assert (await api.post("/batch", json={"commands": [removed]})).status_code == 409
    assert (await api.post("/batch", json={"commands": [{**removed, "detach": True}]})).status_code == 200
    for bad in (
        {"op": "attach-rule", "service": web, "rule": "one"},
        {"op": "attach-rule", "service": web, "rule": "one", "list": "pre", "member": 1},
        {"op": "attach-rule", "service": web, "rule": "one", "list": "other"},
    ):
        refused = await api.post("/batch", json={"commands": [bad]})
        assert (refused.status_code, refused.json()["error"]["position"]) == (422, "commands[0]")


async def test_the_declared_document_holds_rules(api: httpx.AsyncClient, web: int) -> None:
    await made(api, "one", ignore_case=True)
    await api.post(f"/virtual-services/{web}/rules/pre", json={"rule": "one"})
    await api.post(f"/virtual-services/{web}/members/1/rules", json={"rule": "default"})
    document = (await api.get("/configuration")).json()
    assert document["rules"] == [{"name": "one", "pattern": "^/x", "ignore_case": True}]
    assert document["services"][0]["pre_rules"] == ["one"]
    again = await api.put("/configuration", json=document)
    assert again.json()["applied"] == "unchanged"
    document["rules"][0]["negate"] = True
    changed = await api.put("/configuration", json=document)
    assert [(one["kind"], one["key"]) for one in changed.json()["differences"]] == [("rule", "one")]
    del document["rules"]
    refused = await api.put("/configuration", json=document)
    assert (refused.status_code, "no content rule" in refused.json()["error"]["message"]) == (422, True)
    document["rules"] = [{"name": "one", "pattern": "x"}, {"name": "one", "pattern": "y"}]
    refused = await api.put("/configuration", json=document)
    assert (refused.status_code, refused.json()["error"]["position"]) == (409, "rules[1]")
