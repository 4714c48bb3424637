"""Virtual services and real servers in plain JSON."""

from __future__ import annotations

import httpx
from tests.unit.api.native.memory_appliance import MemoryAppliance

from steelyard.model.virtual_service import VirtualService
from steelyard.observe.status import Verdict


async def test_a_new_service_is_answered_whole_with_its_place_and_revision(
    api: httpx.AsyncClient, appliance: MemoryAppliance
) -> None:
    answer = await api.post("/virtual-services", json={"address": "127.0.0.1", "port": 80}, params={"reason": "first"})
    assert answer.status_code == 201
    assert answer.headers["location"] == "/api/v1/virtual-services/1"
    revision = appliance.revision_number
    assert answer.headers["etag"] == f'"{revision}"'
    found = answer.json()
    assert (found["revision"], found["applied"], found["reload"], found["dry_run"]) == (revision, "now", True, False)
    assert found["operations"] == ["add service 1"]
    assert found["differences"][0]["action"] == "add"
    secrets = {name for name, d in VirtualService.declared().items() if d.setting.secret}
    assert (
        set(found["object"])
        == {
            *("index", "parent", "servers", "slots", "further_checks", "warnings"),
            *VirtualService.declared(),
        }
        - secrets
    )
    assert found["object"]["service_type"] == "http"
    entry = appliance.revision(revision)
    assert (entry.author, entry.origin, entry.reason) == ("bal", "api", "first")


async def test_reads_carry_status_and_reason(api: httpx.AsyncClient, appliance: MemoryAppliance, web: int) -> None:
    appliance.verdicts = {
        "vs1/rs1": Verdict("up", "200 OK", since=1_700_000_000.5),
        "vs1/rs2": Verdict("down", "connection refused"),
    }
    service = (await api.get(f"/virtual-services/{web}")).json()
    assert service["status"] == "Up"
    assert service["reason"].startswith("1 of 2 real servers available; not available are ")
    assert service["reason"].endswith(": connection refused")
    assert [(s["status"], s["reason"]) for s in service["servers"]] == [
        ("Up", "200 OK"),
        ("Down", "connection refused"),
    ]
    assert service["servers"][0]["since"] == "2023-11-14T22:13:20.500Z"
    assert (await api.get("/virtual-services")).json() == [service]
    assert (await api.get(f"/virtual-services/{web}/real-servers")).json() == service["servers"]
    assert (await api.get(f"/virtual-services/{web}/real-servers/2")).json() == service["servers"][1]


async def test_a_listing_can_be_cut_to_some_members(api: httpx.AsyncClient, web: int) -> None:
    assert (await api.get("/virtual-services", params={"fields": "index,name"})).json() == [
        {"index": web, "name": "web"}
    ]
    refused = await api.get("/virtual-services", params={"fields": "index,nam"})
    assert (refused.status_code, refused.json()["error"]["field"]) == (422, "fields")


async def test_a_change_touches_what_it_names(api: httpx.AsyncClient, web: int) -> None:
    answer = await api.patch(f"/virtual-services/{web}", json={"schedule": "lc", "extra_ports": ["8081", "8090-8095"]})
    assert answer.status_code == 200
    found = answer.json()
    assert sorted(line.split(":")[0] for line in found["differences"][0]["lines"]) == ["extra_ports", "schedule"]
    assert found["reload"] is False
    service = (await api.get(f"/virtual-services/{web}")).json()
    assert (service["schedule"], service["extra_ports"], service["name"]) == ("lc", ["8081", "8090-8095"], "web")


async def test_the_same_change_twice_changes_nothing(api: httpx.AsyncClient, web: int) -> None:
    first = (await api.patch(f"/virtual-services/{web}", json={"schedule": "lc"})).json()
    second = (await api.patch(f"/virtual-services/{web}", json={"schedule": "lc"})).json()
    assert (second["applied"], second["revision"], second["differences"]) == ("unchanged", first["revision"], [])


async def test_a_copy_goes_to_another_port(api: httpx.AsyncClient, web: int) -> None:
    answer = await api.post(f"/virtual-services/{web}/duplicate", json={"port": 8085})
    assert answer.status_code == 201
    copy = answer.json()["object"]
    assert (copy["port"], copy["name"], [s["port"] for s in copy["servers"]]) == (8085, "web", [9001, 9002])
    assert {s["index"] for s in copy["servers"]}.isdisjoint({1, 2})
    same = await api.post(f"/virtual-services/{web}/duplicate")
    assert (same.status_code, same.json()["error"]["kind"]) == (409, "conflict")
    odd = await api.post(f"/virtual-services/{web}/duplicate", json={"prt": 1})
    assert (odd.status_code, odd.json()["error"]["field"]) == (422, "prt")


async def test_a_removed_service_is_gone(api: httpx.AsyncClient, web: int) -> None:
    answer = await api.delete(f"/virtual-services/{web}")
    assert (answer.status_code, answer.json()["object"]) == (200, None)
    gone = await api.get(f"/virtual-services/{web}")
    assert gone.status_code == 404
    assert gone.json()["error"]["message"] == "Unknown VS 1"


async def test_real_servers_are_added_changed_switched_and_removed(api: httpx.AsyncClient, web: int) -> None:
    path = f"/virtual-services/{web}/real-servers"
    made = await api.post(path, json={"address": "::1", "port": 9003, "weight": 500})
    assert (made.status_code, made.headers["location"]) == (201, f"/api/v1{path}/3")
    changed = await api.patch(f"{path}/3", json={"weight": 200, "port": 9004})
    assert (changed.json()["object"]["weight"], changed.json()["object"]["port"]) == (200, 9004)
    assert (await api.post(f"{path}/3/disable")).json()["object"]["enabled"] is False
    assert (await api.get(f"{path}/3")).json()["status"] == "Disabled"
    assert (await api.post(f"{path}/3/enable")).json()["object"]["enabled"] is True
    assert (await api.delete(f"{path}/3")).status_code == 200
    assert (await api.get(f"{path}/3")).status_code == 404
    assert (await api.post(f"{path}/3/disable")).json()["error"]["kind"] == "not_found"


async def test_the_checks_of_a_real_server_are_shown(
    api: httpx.AsyncClient, appliance: MemoryAppliance, web: int
) -> None:
    appliance.checks = [{"started": 1_700_000_000.0, "sent": "HEAD /", "received": "401", "outcome": "good"}]
    answer = await api.get(f"/virtual-services/{web}/real-servers/1/checks")
    assert answer.json() == [
        {"started": "2023-11-14T22:13:20.000Z", "sent": "HEAD /", "received": "401", "outcome": "good"}
    ]
    assert (await api.get(f"/virtual-services/{web}/real-servers/9/checks")).status_code == 404


async def test_a_service_made_this_moment_has_an_unknown_state(
    api: httpx.AsyncClient, appliance: MemoryAppliance, web: int
) -> None:
    appliance.states = lambda: {}  # type: ignore[method-assign]
    service = (await api.get(f"/virtual-services/{web}")).json()
    assert (service["status"], service["servers"][0]["status"]) == ("Unknown", "Unknown")
