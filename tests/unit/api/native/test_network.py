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


async def changed(api: httpx.AsyncClient, method: str, path: str, body: object = None) -> dict[str, object]:
    answer = await api.request(method, path, json=body)
    assert answer.status_code < 300, answer.text
    found: dict[str, object] = answer.json()
    return found


async def test_a_network_of_others_is_not_changed(api: httpx.AsyncClient) -> None:
    for method, path, body in (
        ("PATCH", "/network/interfaces/eth0", {"mtu": 1400}),
        ("POST", "/network/interfaces/eth0/vlans", {"vlan": 10}),
        ("POST", "/network/routes", {"destination": "172.16.0.0/12", "gateway": "192.0.2.9"}),
        ("POST", "/network/hosts", {"address": "192.0.2.9", "names": ["web"]}),
        ("PATCH", "/parameters/host", {"default_gateway": "192.0.2.9"}),
    ):
        refused = await api.request(method, path, json=body)
        assert refused.status_code == 422 and "steelyard network manage on" in refused.json()["error"]["remedy"]


async def test_it_is_taken_over_changed_and_given_up(api: httpx.AsyncClient) -> None:
    await changed(api, "PUT", "/network/managed", {"managed": True})
    interfaces = (await api.get("/network/interfaces")).json()
    assert [(one["name"], one["kind"], one["address"]) for one in interfaces] == [
        ("eth0", "port", "192.0.2.5/24"),
        ("eth0.7", "vlan", ""),
    ]
    assert interfaces[0]["additional"] == ["192.0.2.6/32"]
    assert (await api.get("/parameters/host")).json()["default_gateway"] == "192.0.2.1"
    await changed(api, "POST", "/network/interfaces/1/addresses", {"address": "198.51.100.1/24"})
    made = await api.post("/network/interfaces/eth0/vlans", json={"vlan": 10})
    assert made.status_code == 201 and made.headers["location"] == "/api/v1/network/interfaces/eth0.10"
    await changed(api, "DELETE", "/network/interfaces/eth0.10")
    await changed(api, "POST", "/network/routes", {"destination": "172.16.0.0/12", "gateway": "198.51.100.9"})
    await changed(api, "DELETE", "/network/routes/172.16.0.0/12")
    await changed(api, "POST", "/network/hosts", {"address": "192.0.2.9", "names": ["web", "w"]})
    assert (await api.get("/network/hosts")).json() == [{"address": "192.0.2.9", "names": ["web", "w"]}]
    await changed(api, "DELETE", "/network/hosts/192.0.2.9")
    # a declaration may go to another host, so the host's own network may be left out
    assert (await api.get("/configuration")).json()["parameters"]["host"]["managed"]
    elsewhere = (await api.get("/configuration", params={"network": "false"})).json()
    assert "network" not in elsewhere and "host" not in elsewhere["parameters"]
    await changed(api, "PUT", "/network/managed", {"managed": False})
    assert (await api.get("/network/interfaces")).json() == []


async def test_bad_input_is_refused_by_name(api: httpx.AsyncClient) -> None:
    await changed(api, "PUT", "/network/managed", {"managed": True})
    for method, path, body, said in (
        ("PUT", "/network/managed", {"managed": "yes"}, "true or false"),
        ("PUT", "/network/managed", {}, "true or false"),
        ("PATCH", "/network/interfaces/eth9", {"mtu": 1400}, "Unknown interface eth9"),
        ("PATCH", "/network/interfaces/eth0", {"mtus": 1400}, "Did you mean 'mtu'"),
        ("PATCH", "/network/interfaces/eth0", {"name": "eth5"}, "stays as it is"),
        ("POST", "/network/interfaces/eth0/vlans", {"vlan": 4095}, "1 to 4094"),
        ("POST", "/network/interfaces/eth0/addresses", {}, "'address' is missing"),
        ("POST", "/network/bonds", {"interface": "eth0"}, "has VLANs on it"),
        ("POST", "/network/hosts", {"address": "192.0.2.9", "names": "web"}, "list of names"),
        ("DELETE", "/network/routes/172.16.0.0/12", None, "Unknown route"),
        ("POST", "/network/confirm", None, "No change"),
    ):
        refused = await api.request(method, path, json=body)
        assert refused.status_code in (404, 409, 422), (path, refused.text)
        assert said in refused.text, refused.text
