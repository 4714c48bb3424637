from __future__ import annotations

import httpx
import pytest
from tests.unit.api.native.memory_appliance import MemoryAppliance

FILE = "# scanners\n198.51.100.0/24 # noisy\n203.0.113.7\n2001:db8:bad::/48\n"


async def test_a_file_is_imported_counted_shown_and_exported(api: httpx.AsyncClient) -> None:
    done = await api.put("/access-lists/all/block", json={"text": FILE})
    assert done.status_code == 200, done.text
    assert done.json()["object"] == {"scope": "all", "block": 3, "allow": 0, "otherwise": "allow"}
    assert (await api.get("/access-lists")).json() == [done.json()["object"]]
    assert (await api.get("/access-lists/all/block")).json() == [
        {"address": "198.51.100.0/24", "comment": "noisy"},
        {"address": "203.0.113.7/32", "comment": ""},
        {"address": "2001:db8:bad::/48", "comment": ""},
    ]
    text = await api.get("/access-lists/all/block/text")
    assert text.headers["content-type"].startswith("text/plain")
    assert text.text == "198.51.100.0/24 # noisy\n203.0.113.7/32\n2001:db8:bad::/48\n"
    again = await api.put("/access-lists/all/block", json={"text": text.text})
    assert again.json()["applied"] == "unchanged"


async def test_entries_of_a_service_come_and_go(api: httpx.AsyncClient, web: int) -> None:
    path = f"/access-lists/{web}/allow"
    await api.post(path, json={"address": "10.0.0.1", "comment": "first"})
    two = {"entries": [{"address": "10.0.0.2"}, {"address": "10.0.0.3", "comment": "third"}]}
    added = await api.post(path, json=two)
    assert added.json()["object"]["allow"] == 3
    assert added.json()["object"]["otherwise"] == "block"
    removed = await api.post(f"{path}/remove", json=two)
    assert removed.json()["object"]["allow"] == 1
    missing = await api.post(f"{path}/remove", json=two)
    assert missing.status_code == 404


async def test_a_decision_says_why(api: httpx.AsyncClient, web: int) -> None:
    await api.post("/access-lists/all/block", json={"address": "10.0.0.0/8"})
    found = await api.get(f"/access-lists/{web}/decision", params={"address": "10.1.1.1"})
    assert found.json() == {"allowed": False, "why": "10.0.0.0/8 is in the block list for all services"}
    server = await api.get(f"/access-lists/{web}/decision", params={"address": "127.0.0.1"})
    assert server.json()["allowed"] is True
    assert (await api.get("/access-lists/all/decision", params={"address": "10.1.1.1"})).status_code == 422


async def test_a_dry_run_changes_nothing_and_counts(api: httpx.AsyncClient, appliance: MemoryAppliance) -> None:
    text = "\n".join(f"10.0.{n // 256}.{n % 256}" for n in range(5000))
    answer = await api.put("/access-lists/all/block", params={"dry_run": True}, json={"text": text})
    assert answer.json()["object"]["block"] == 5000
    assert appliance.snapshot().configuration.access_lists == {}


async def test_a_batch_changes_lists_with_the_rest(api: httpx.AsyncClient, web: int) -> None:
    done = await api.post(
        "/batch",
        json={
            "commands": [
                {"op": "add-entries", "scope": "all", "list": "block", "address": "10.0.0.0/8"},
                {"op": "replace-access-list", "scope": str(web), "list": "allow", "text": "10.0.0.1\n10.0.0.2\n"},
                {"op": "remove-entries", "scope": str(web), "list": "allow", "entries": [{"address": "10.0.0.2"}]},
                {"op": "set-parameters", "section": "access", "changes": {"drop": False}},
            ]
        },
    )
    assert done.status_code == 200, done.text
    assert [(each["scope"], each["block"], each["allow"]) for each in (await api.get("/access-lists")).json()] == [
        ("all", 1, 0),
        (str(web), 0, 1),
    ]
    assert (await api.get("/parameters/access")).json()["drop"] is False


async def test_a_declaration_holds_the_lists(api: httpx.AsyncClient, web: int) -> None:
    await api.put("/access-lists/all/block", json={"text": FILE})
    await api.post(f"/access-lists/{web}/allow", json={"address": "10.0.0.1"})
    document = (await api.get("/configuration")).json()
    assert document["access_lists"] == [
        {"block": ["198.51.100.0/24 # noisy", "203.0.113.7/32", "2001:db8:bad::/48"]},
        {"service": {"address": "127.0.0.1", "port": 8080, "protocol": "tcp"}, "allow": ["10.0.0.1/32"]},
    ]
    assert (await api.put("/configuration", json=document)).json()["applied"] == "unchanged"
    document["access_lists"][0]["block"].pop()
    await api.put("/configuration", json=document)
    assert len((await api.get("/access-lists/all/block")).json()) == 2
    del document["access_lists"]
    await api.put("/configuration", json=document)
    assert (await api.get("/access-lists")).json() == [{"scope": "all", "block": 0, "allow": 0, "otherwise": "allow"}]


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "said"),
    [
        ("POST", "/access-lists/9/block", {"address": "10.0.0.1"}, 404, "Unknown VS 9"),
        ("POST", "/access-lists/x/block", {"address": "10.0.0.1"}, 404, "Unknown VS x"),
        ("POST", "/access-lists/0/block", {"address": "10.0.0.1"}, 404, "Unknown VS 0"),
        ("POST", "/access-lists/all/grey", {"address": "10.0.0.1"}, 422, "no access list"),
        ("POST", "/access-lists/all/block", {}, 422, "one address, as a list or as text"),
        ("POST", "/access-lists/all/block", {"address": "10.0.0.1", "text": ""}, 422, "one address"),
        ("POST", "/access-lists/all/block", {"adress": "10.0.0.1"}, 422, "'adress' is no member"),
        ("POST", "/access-lists/all/block", {"entries": [{"address": "10.0.0.1", "x": 1}]}, 422, "'x' is no member"),
        ("POST", "/access-lists/all/block", {"address": "10.0.0.1/8"}, 422, "prefix is invalid"),
        ("GET", "/access-lists/9/block", None, 404, "Unknown VS 9"),
    ],
)
async def test_refusals(
    api: httpx.AsyncClient, method: str, path: str, body: dict[str, object] | None, status: int, said: str
) -> None:
    answer = await api.request(method, path, json=body)
    assert answer.status_code == status, answer.text
    assert said in answer.json()["error"]["message"]


async def test_a_bad_line_is_named(api: httpx.AsyncClient) -> None:
    answer = await api.put("/access-lists/all/block", json={"text": "10.0.0.1\nnonsense here\n"})
    assert answer.json()["error"]["position"] == "line 2"
