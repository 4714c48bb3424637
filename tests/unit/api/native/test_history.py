"""History, differences, rollback."""

from __future__ import annotations

import httpx
from tests.unit.api.native.memory_appliance import MemoryAppliance


async def test_history_is_newest_first_and_paged(api: httpx.AsyncClient, web: int) -> None:
    await api.patch(f"/virtual-services/{web}", json={"name": "shop"}, params={"reason": "new brand"})
    entries = (await api.get("/history")).json()
    assert [entry["number"] for entry in entries] == list(range(len(entries), 0, -1))
    newest = entries[0]
    assert (newest["author"], newest["reason"], newest["status"]) == ("bal", "new brand", "applied")
    assert newest["at"].endswith("Z")
    page = (await api.get("/history", params={"limit": 2, "before": newest["number"]})).json()
    assert [entry["number"] for entry in page] == [newest["number"] - 1, newest["number"] - 2]
    shown = (await api.get(f"/history/{newest['number']}")).json()
    assert "name: web -> shop" in shown["differences"][0]["lines"]
    assert (await api.get("/history/999")).status_code == 404


async def test_any_two_revisions_can_be_compared(api: httpx.AsyncClient, appliance: MemoryAppliance, web: int) -> None:
    old = appliance.revision_number
    await api.patch(f"/virtual-services/{web}", json={"name": "one"})
    await api.patch(f"/virtual-services/{web}", json={"name": "two"})
    now = (await api.get("/diff", params={"old": old})).json()
    assert now["differences"][0]["lines"] == ["name: web -> two"]
    between = (await api.get("/diff", params={"old": old, "new": old + 1})).json()
    assert between["differences"][0]["lines"] == ["name: web -> one"]
    assert (await api.get("/diff")).status_code == 422
    assert (await api.get("/diff", params={"old": 99})).status_code == 404


async def test_a_rollback_can_be_tried_and_done(api: httpx.AsyncClient, appliance: MemoryAppliance, web: int) -> None:
    old = appliance.revision_number
    await api.patch(f"/virtual-services/{web}", json={"name": "wrong"})
    tried = (await api.post("/rollback", json={"revision": old, "dry_run": True})).json()
    assert (tried["dry_run"], tried["differences"][0]["lines"]) == (True, ["name: wrong -> web"])
    assert (await api.get(f"/virtual-services/{web}")).json()["name"] == "wrong"
    done = await api.post("/rollback", json={"revision": old, "reason": "it was wrong"})
    assert done.headers["etag"] == f'"{old + 2}"'
    assert (await api.get(f"/virtual-services/{web}")).json()["name"] == "web"
    assert (await api.get(f"/history/{old + 2}")).json()["reason"] == "it was wrong"


async def test_a_stale_or_unknown_rollback_is_refused(
    api: httpx.AsyncClient, appliance: MemoryAppliance, web: int
) -> None:
    old = appliance.revision_number
    await api.patch(f"/virtual-services/{web}", json={"name": "other"})
    stale = await api.post("/rollback", json={"revision": 1}, headers={"If-Match": f'"{old}"'})
    assert stale.status_code == 412
    assert "by bal: change virtual service 1: name" in stale.json()["error"]["message"]
    assert (await api.post("/rollback", json={"revision": 99})).status_code == 404
    assert (await api.post("/rollback", json={"revison": 1})).json()["error"]["field"] == "revison"
    assert (await api.post("/rollback", json={"revision": "1"})).status_code == 422
    assert (await api.post("/rollback", json={"revision": 1, "reason": "a\nb"})).status_code == 422
    assert appliance.revision_number == old + 1
