"""The host's network as a part of the declaration."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

WEB = {"address": "192.0.2.50", "port": 80}
ROUTE = {"destination": "172.16.0.0/12", "gateway": "192.0.2.9"}


@pytest.fixture
async def managed(api: httpx.AsyncClient) -> httpx.AsyncClient:
    assert (await api.put("/network/managed", json={"managed": True})).status_code == 200
    assert (await api.post("/network/routes", json=ROUTE)).status_code == 200
    assert (await api.post("/network/hosts", json={"address": "192.0.2.9", "names": ["web"]})).status_code == 200
    assert (await api.post("/virtual-services", json=WEB)).status_code == 201
    return api


async def document(api: httpx.AsyncClient) -> dict[str, Any]:
    found: dict[str, Any] = (await api.get("/configuration")).json()
    return found


async def declare(api: httpx.AsyncClient, body: dict[str, Any]) -> dict[str, Any]:
    answer = await api.put("/configuration", json=body)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def refused(api: httpx.AsyncClient, body: dict[str, Any]) -> dict[str, Any]:
    answer = await api.put("/configuration", json=body)
    assert answer.status_code in (409, 422), answer.text
    found: dict[str, Any] = answer.json()["error"]
    return found


async def test_what_is_read_can_be_declared_and_is_the_same(managed: httpx.AsyncClient) -> None:
    read = await document(managed)
    assert [one["name"] for one in read["network"]["interfaces"]] == ["eth0", "eth0.7"]
    assert read["network"]["interfaces"][0] == {
        "name": "eth0",
        "number": 0,
        "address": "192.0.2.5/24",
        "additional": ["192.0.2.6/32"],
    }
    assert ROUTE in read["network"]["routes"]
    assert read["network"]["hosts"] == [{"address": "192.0.2.9", "names": ["web"]}]
    assert (read["parameters"]["host"]["managed"], read["parameters"]["host"]["default_gateway"]) == (True, "192.0.2.1")
    assert (await declare(managed, read))["applied"] == "unchanged"
    read["network"]["routes"].reverse()
    read["network"]["interfaces"].reverse()
    assert (await declare(managed, read))["applied"] == "unchanged", "the order says nothing"


async def test_a_declaration_without_the_network_leaves_it(managed: httpx.AsyncClient) -> None:
    before = await document(managed)
    await declare(managed, {"services": [WEB]})
    after = await document(managed)
    assert (after["network"], after["parameters"]["host"]) == (before["network"], before["parameters"]["host"])


@pytest.mark.parametrize("part", ["interfaces", "routes", "hosts"])
async def test_each_part_by_itself_is_the_whole_truth(managed: httpx.AsyncClient, part: str) -> None:
    before = (await document(managed))["network"]
    wanted = {
        "interfaces": [{"name": "eth0", "address": "192.0.2.5/24"}],
        "routes": [{"destination": "10.9.0.0/16", "gateway": "192.0.2.9"}],
        "hosts": [{"address": "192.0.2.77", "names": ["other"]}],
    }[part]
    await declare(managed, {"services": [WEB], "network": {part: wanted}})
    after = (await document(managed))["network"]
    assert [{name: one[name] for name in wanted[0]} for one in after[part]] == wanted
    assert {name: value for name, value in after.items() if name != part} == {
        name: value for name, value in before.items() if name != part
    }


async def test_interfaces_keep_their_numbers_and_new_ones_get_free_ones(managed: httpx.AsyncClient) -> None:
    interfaces = [
        {"name": "eth0", "address": "192.0.2.5/24"},
        {"name": "eth0.20", "kind": "vlan", "parent": "eth0", "vlan": 20, "address": "198.51.100.1/24"},
        {"name": "bnd0", "kind": "bond", "number": 9},
    ]
    answer = await declare(managed, {"services": [WEB], "network": {"interfaces": interfaces}})
    assert {one["key"]: one["action"] for one in answer["differences"]} == {
        "eth0": "change",
        "eth0.7": "remove",
        "eth0.20": "add",
        "bnd0": "add",
    }
    read = (await document(managed))["network"]["interfaces"]
    assert [(one["name"], one["number"]) for one in read] == [("eth0", 0), ("eth0.20", 1), ("bnd0", 9)]


async def test_a_port_that_is_not_declared_stays_without_addresses(managed: httpx.AsyncClient) -> None:
    service = {"address": "127.0.0.1", "port": 80}
    host = {"managed": True}
    answer = await declare(
        managed, {"services": [service], "parameters": {"host": host}, "network": {"interfaces": [], "routes": []}}
    )
    assert {one["key"]: one["action"] for one in answer["differences"] if one["kind"] == "interface"} == {
        "eth0": "change",
        "eth0.7": "remove",
    }
    assert (await document(managed))["network"]["interfaces"] == [{"name": "eth0", "number": 0}]


@pytest.mark.parametrize(
    ("network", "position", "says"),
    [
        ({"interfaces": [{"name": "eth9"}]}, "network.interfaces[0]", "eth9 is no port of this host"),
        ({"interfaces": [{"name": "eth0"}, {"name": "eth0"}]}, "network.interfaces[1]", "declared twice"),
        ({"interfaces": [{"name": "eth0", "address": "192.0.2.5"}]}, "network.interfaces[0]", "no prefix length"),
        ({"interfaces": [{"name": "eth0", "adress": "192.0.2.5/24"}]}, "network.interfaces[0]", "adress"),
        ({"interfaces": [{"name": "eth0.7", "kind": "port"}]}, "network.interfaces[0]", "no port of this host"),
        (
            {"interfaces": [{"name": "eth0", "kind": "bond"}]},
            "network.interfaces[0]",
            "is a port and cannot become a bond",
        ),
        (
            {"interfaces": [{"name": "eth0", "address": "192.0.2.50/24"}]},
            "network",
            "192.0.2.50 is the address of virtual",
        ),
        ({"routes": [ROUTE, ROUTE]}, "network.routes[1]", "declared twice"),
        ({"routes": [{"destination": "0.0.0.0/0", "gateway": "192.0.2.9"}]}, "network.routes[0]", "leads everywhere"),
        ({"routes": [{"destination": "10.0.0.0/8", "gateway": "203.0.113.1"}]}, None, "is on no local network"),
        ({"hosts": [{"address": "192.0.2.9", "names": []}]}, "network.hosts[0]", "is empty"),
        ({"gateways": []}, "network", "gateways"),
    ],
)
async def test_what_cannot_be_is_refused_where_it_stands(
    managed: httpx.AsyncClient, network: dict[str, Any], position: str | None, says: str
) -> None:
    before = await document(managed)
    error = await refused(managed, {"services": [WEB], "network": network})
    assert error.get("position") == position
    assert says in error["message"]
    assert await document(managed) == before


async def test_services_must_keep_a_network(managed: httpx.AsyncClient) -> None:
    network = {"interfaces": [{"name": "eth0", "address": "198.51.100.5/24"}], "routes": []}
    body = {"services": [WEB], "network": network, "parameters": {"host": {"managed": True}}}
    error = await refused(managed, body)
    assert "would be on no local network" in error["message"]


async def test_a_network_of_others_cannot_be_declared(api: httpx.AsyncClient) -> None:
    assert "network" not in await document(api)
    error = await refused(api, {"services": [], "network": {"routes": [ROUTE]}})
    assert "does not manage" in error["message"] and "steelyard network manage on" in error["remedy"]
    empty = {"services": [], "network": {"interfaces": [], "routes": [], "hosts": []}}
    assert (await declare(api, empty))["applied"] == "unchanged"
