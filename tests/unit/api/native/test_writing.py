"""What every write has in common: dry runs, reasons, If-Match, waiting."""

from __future__ import annotations

import httpx
import pytest
from tests.unit.api.native.memory_appliance import MemoryAppliance


async def test_a_dry_run_says_what_would_happen_and_does_nothing(
    api: httpx.AsyncClient, appliance: MemoryAppliance
) -> None:
    before = appliance.snapshot()
    body = {"address": "127.0.0.1", "port": 80}
    answer = await api.post("/virtual-services", json=body, params={"dry_run": "true"})
    assert (answer.status_code, answer.headers.get("location")) == (200, None)
    found = answer.json()
    assert (found["dry_run"], found["applied"], found["revision"]) == (True, "no", before.revision)
    assert (found["reload"], found["reload_reasons"]) == (True, ["a listener is added or removed"])
    assert found["operations"] and found["differences"] and found["object"]["port"] == 80
    assert appliance.snapshot() == before


async def test_a_dry_run_of_something_wrong_is_refused_like_the_real_thing(api: httpx.AsyncClient) -> None:
    answer = await api.post("/virtual-services", json={"address": "127.0.0.1", "port": 70000}, params={"dry_run": 1})
    assert (answer.status_code, answer.json()["error"]["field"]) == (422, "port")


@pytest.mark.parametrize(("option", "value"), [("dry_run", "perhaps"), ("dry_run", ""), ("wait", "2")])
async def test_an_option_that_cannot_be_read_is_no_real_change(
    api: httpx.AsyncClient, appliance: MemoryAppliance, web: int, option: str, value: str
) -> None:
    before = appliance.snapshot()
    answer = await api.delete(f"/virtual-services/{web}", params={option: value})
    assert (answer.status_code, answer.json()["error"]["field"]) == (422, option)
    assert answer.json()["error"]["remedy"]
    assert appliance.snapshot() == before


async def test_a_misspelt_dry_run_is_no_real_change(
    api: httpx.AsyncClient, appliance: MemoryAppliance, web: int
) -> None:
    revision = appliance.revision_number
    answer = await api.delete(f"/virtual-services/{web}", params={"dryrun": "true"})
    assert answer.status_code == 422
    assert answer.json()["error"]["field"] == "dryrun"
    assert appliance.revision_number == revision


async def test_if_match_of_the_newest_revision_is_accepted(api: httpx.AsyncClient, web: int) -> None:
    tag = (await api.get(f"/virtual-services/{web}")).headers["etag"]
    answer = await api.patch(f"/virtual-services/{web}", json={"name": "shop"}, headers={"If-Match": tag})
    assert answer.status_code == 200
    assert answer.headers["etag"] != tag
    anything = await api.patch(f"/virtual-services/{web}", json={"name": "web"}, headers={"If-Match": "*"})
    assert anything.status_code == 200


@pytest.mark.parametrize("dry_run", ["false", "true"])
async def test_a_stale_if_match_says_who_changed_what(
    api: httpx.AsyncClient, appliance: MemoryAppliance, web: int, dry_run: str
) -> None:
    stale = {"If-Match": f'"{appliance.revision_number}"'}
    await api.patch(f"/virtual-services/{web}", json={"name": "other"})
    revision = appliance.revision_number
    answer = await api.patch(
        f"/virtual-services/{web}", json={"name": "mine"}, headers=stale, params={"dry_run": dry_run}
    )
    assert answer.status_code == 412
    error = answer.json()["error"]
    assert error["kind"] == "stale"
    assert "by bal: change virtual service 1: name" in error["message"]
    assert appliance.revision_number == revision


async def test_a_duplicate_under_a_right_if_match_is_a_conflict_not_staleness(
    api: httpx.AsyncClient, appliance: MemoryAppliance, web: int
) -> None:
    headers = {"If-Match": f'"{appliance.revision_number}"'}
    answer = await api.post("/virtual-services", json={"address": "127.0.0.1", "port": 8080}, headers=headers)
    assert answer.status_code == 409
    assert answer.json()["error"]["with"] == "web (tcp/127.0.0.1:8080)"


@pytest.mark.parametrize("tag", ["7", 'W/"7"', '"seven"', '"1", "2"', '"' + "9" * 30 + '"'])
async def test_an_if_match_that_names_no_revision_is_refused(api: httpx.AsyncClient, web: int, tag: str) -> None:
    answer = await api.patch(f"/virtual-services/{web}", json={"name": "x"}, headers={"If-Match": tag})
    assert (answer.status_code, answer.json()["error"]["field"]) == (422, "If-Match")


@pytest.mark.parametrize("reason", ["two\nlines", "x" * 501, "bell\x07"])
async def test_a_reason_is_one_line(api: httpx.AsyncClient, web: int, reason: str) -> None:
    answer = await api.delete(f"/virtual-services/{web}", params={"reason": reason})
    assert (answer.status_code, answer.json()["error"]["field"]) == (422, "reason")


async def test_waiting_is_passed_on_and_a_put_off_reload_is_told(
    api: httpx.AsyncClient, appliance: MemoryAppliance, web: int
) -> None:
    appliance.queued = True
    appliance.waits.clear()
    for wait in ("true", "false"):
        answer = await api.patch(f"/virtual-services/{web}", json={"name": f"n{wait}"}, params={"wait": wait})
        assert answer.json()["applied"] == "queued"
    await api.patch(f"/virtual-services/{web}", json={"name": "web"})
    assert appliance.waits == [True, False, None]
