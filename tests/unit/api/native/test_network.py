"""The host's network through the native API."""

from __future__ import annotations

import httpx


async def test_the_network_is_shown(api: httpx.AsyncClient) -> None:
    found = (await api.get("/network")).json()
    assert [one["name"] for one in found["interfaces"]] == ["lo", "eth0", "eth0.7"]
    assert found["interfaces"][2]["vlan"] == 7 and found["interfaces"][2]["parent"] == "eth0"
    assert found["routes"][0] == {"destination": "0.0.0.0/0", "gateway": "192.0.2.1", "interface": "eth0", "metric": 0}
    assert (found["name_servers"], found["hosts"][1]["names"]) == (
        ["192.0.2.53", "192.0.2.54"],
        ["web1.example.com", "web1"],
    )
