"""The declarative document, batches and global parameters."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from tests.support import certificates
from tests.unit.api.native.memory_appliance import MemoryAppliance

SHOP = certificates.leaf("shop.test", kind="ec").bundle().decode()

DOCUMENT: dict[str, Any] = {
    "services": [
        {
            "address": "127.0.0.1",
            "port": 8080,
            "name": "web",
            "schedule": "wrr",
            "persistence": "src",
            "servers": [{"address": "127.0.0.1", "port": 9001, "weight": 500}, {"address": "127.0.0.1", "port": 9002}],
        },
        {"address": "::1", "port": 80},
        {"address": "127.0.0.1", "port": 443, "ssl_acceleration": True, "certificates": ["shop"], "allow_http2": True},
    ],
    "certificates": [{"name": "shop", "pem": SHOP}],
    "parameters": {"checks": {"interval": 9, "timeout": 3}, "network": {"connection_timeout": 120}},
}


async def test_declaring_twice_changes_nothing(api: httpx.AsyncClient) -> None:
    first = await api.put("/configuration", json=DOCUMENT)
    assert (first.status_code, first.json()["applied"]) == (200, "now")
    second = await api.put("/configuration", json=DOCUMENT)
    assert (second.json()["applied"], second.json()["differences"]) == ("unchanged", [])


async def test_what_is_read_can_be_declared_and_is_the_same(api: httpx.AsyncClient) -> None:
    await api.put("/configuration", json=DOCUMENT)
    read = await api.get("/configuration")
    assert set(read.json()) == {"services", "certificates", "parameters"}
    assert read.json()["certificates"] == [{"name": "shop"}]
    assert "PRIVATE" not in read.text and "password" not in read.text
    assert list(read.json()["services"][0])[:3] == ["address", "port", "name"]
    again = await api.put("/configuration", json=read.json(), headers={"If-Match": read.headers["etag"]})
    assert again.json()["applied"] == "unchanged"


@pytest.mark.parametrize(
    "changes",
    [
        {"service_type": "http", "check_type": "none", "idle_time": 60},
        {"service_type": "gen", "check_type": "http"},
        {"ssl_acceleration": True, "ssl_reencrypt": True, "pass_sni": True},
        {"persistence": "src", "persistence_timeout": 600, "persistence_mask": 24},
        {"extra_ports": ["81", "90-95"], "enabled": False},
        {"check_headers": ["X-One: a, b"], "check_codes": ["200", "418"]},
    ],
)
async def test_every_kind_of_setting_survives_the_round_trip(
    api: httpx.AsyncClient, web: int, changes: dict[str, Any]
) -> None:
    changed = await api.patch(f"/virtual-services/{web}", json=changes)
    assert changed.status_code == 200, changed.text
    await api.patch("/parameters/network", json={"connection_timeout": 300})
    read = (await api.get("/configuration")).json()
    assert (await api.put("/configuration", json=read)).json()["differences"] == []


async def test_flags_without_effect_are_not_declared(api: httpx.AsyncClient, web: int) -> None:
    await api.patch(f"/virtual-services/{web}", json={"ssl_acceleration": True, "allow_http2": True})
    await api.patch(f"/virtual-services/{web}", json={"ssl_acceleration": False})
    read = (await api.get("/configuration")).json()
    assert "allow_http2" not in read["services"][0]
    assert (await api.put("/configuration", json=read)).status_code == 200


async def test_indexes_are_kept_and_what_is_not_declared_goes(api: httpx.AsyncClient) -> None:
    await api.put("/configuration", json=DOCUMENT)
    before = {s["port"]: s["index"] for s in (await api.get("/virtual-services")).json()}
    smaller = {**DOCUMENT, "services": [DOCUMENT["services"][2], DOCUMENT["services"][0]]}
    answer = (await api.put("/configuration", json=smaller, params={"dry_run": "true"})).json()
    assert [(d["action"], d["key"]) for d in answer["differences"]] == [("remove", str(before[80]))]
    await api.put("/configuration", json=smaller)
    assert {s["port"]: s["index"] for s in (await api.get("/virtual-services")).json()} == {
        port: index for port, index in before.items() if port != 80
    }


@pytest.mark.parametrize(
    ("document", "position", "field"),
    [
        (
            {"services": [{"address": "127.0.0.1", "port": 80}, {"address": "nowhere", "port": 81}]},
            "services[1]",
            "address",
        ),
        ({"services": [{"port": 80}]}, "services[0]", "address"),
        ({"services": [{"address": "127.0.0.1", "port": [1]}]}, "services[0]", "port"),
        (
            {"services": [{"address": "127.0.0.1", "port": 8080, "servers": [{"address": "x", "port": 1}]}]},
            "services[0].servers[0]",
            "address",
        ),
        (
            {
                "services": [
                    {"address": "127.0.0.2", "port": 1, "servers": [{"address": "::1", "port": 1, "weight": 0}]}
                ]
            },
            "services[0].servers[0]",
            "weight",
        ),
        ({"services": [{"address": "127.0.0.1", "port": 80}] * 2}, "services[1]", "port"),
        ({"services": [7]}, None, "services"),
        ({"services": None}, None, "services"),
        ({"service": []}, None, "service"),
        ({"certificates": [{"name": "gone"}]}, None, "certificates"),
        ({"certificates": [{"name": "shop", "pem": "junk"}]}, "certificates[0]", "pem"),
        ({"certificates": [{"name": "shop", "pem": SHOP}] * 2}, "certificates[1]", "name"),
        ({"parameters": {"check": {}}}, None, "check"),
        ({"parameters": {"checks": {"intervall": 5}}}, "parameters.checks", "intervall"),
        ({"parameters": {"checks": {"interval": 0}}}, "parameters.checks", "interval"),
        ({"parameters": {"checks": 5}}, "parameters.checks", "checks"),
        ({"users": []}, None, "users"),
    ],
)
async def test_a_bad_document_is_refused_where_it_is_wrong(
    api: httpx.AsyncClient, appliance: MemoryAppliance, web: int, document: Any, position: str | None, field: str
) -> None:
    before = appliance.snapshot()
    answer = await api.put("/configuration", json=document)
    error = answer.json()["error"]
    assert answer.status_code in (409, 422)
    assert (error.get("position"), error["field"]) == (position, field)
    assert appliance.snapshot() == before


async def test_a_batch_is_one_revision(api: httpx.AsyncClient, appliance: MemoryAppliance, web: int) -> None:
    before = appliance.revision_number
    commands = [
        {"op": "add-certificate", "name": "shop", "pem": SHOP},
        {"op": "add-service", "settings": {"address": "127.0.0.1", "port": 81}},
        {"op": "change-service", "index": web, "changes": {"schedule": "lc"}},
        {"op": "duplicate-service", "index": web, "port": 82},
        {"op": "add-server", "service": 2, "settings": {"address": "127.0.0.1", "port": 9009}},
        {"op": "change-server", "service": web, "server": 1, "changes": {"weight": 7}},
        {"op": "disable-server", "service": web, "server": 2},
        {"op": "enable-server", "service": web, "server": 2},
        {"op": "disable-address", "address": "127.0.0.1"},
        {"op": "enable-address", "address": "127.0.0.1"},
        {"op": "remove-server", "service": web, "server": 2},
        {"op": "set-parameters", "section": "checks", "changes": {"retries": 3}},
        {"op": "replace-certificate", "name": "shop", "pem": SHOP},
        {"op": "remove-certificate", "name": "shop"},
        {"op": "remove-service", "index": 3},
    ]
    answer = await api.post("/batch", json={"commands": commands})
    assert answer.status_code == 200, answer.text
    assert appliance.revision_number == before + 1
    service = (await api.get(f"/virtual-services/{web}")).json()
    assert (service["schedule"], [(s["index"], s["weight"]) for s in service["servers"]]) == ("lc", [(1, 7)])
    assert (await api.get("/parameters/checks")).json()["retries"] == 3


@pytest.mark.parametrize(
    ("item", "field"),
    [
        ({"op": "ad-service"}, "op"),
        ({}, "op"),
        ({"op": "remove-service"}, "index"),
        ({"op": "remove-service", "index": "1"}, "index"),
        ({"op": "remove-service", "index": True}, "index"),
        ({"op": "remove-service", "index": 1, "force": True}, "force"),
        ({"op": "remove-service", "index": 99}, "vs"),
        ({"op": "change-server", "service": 1, "server": 1, "changes": {"weight": 0}}, "weight"),
        ({"op": "change-service", "index": 1, "changes": {"nam": "x"}}, "nam"),
        ({"op": "disable-address", "address": "x"}, "address"),
        ({"op": "set-parameters", "section": "check", "changes": {}}, "section"),
        ({"op": "add-certificate", "name": "x", "pem": "junk"}, "pem"),
    ],
)
async def test_a_bad_item_is_named_by_its_position_and_nothing_of_the_batch_is_done(
    api: httpx.AsyncClient, appliance: MemoryAppliance, web: int, item: Any, field: str
) -> None:
    before = appliance.snapshot()
    good = {"op": "change-service", "index": web, "changes": {"schedule": "lc"}}
    answer = await api.post("/batch", json={"commands": [good, item]})
    assert answer.status_code in (404, 422)
    assert (answer.json()["error"]["position"], answer.json()["error"]["field"]) == ("commands[1]", field)
    assert appliance.snapshot() == before


async def test_an_empty_batch_is_refused(api: httpx.AsyncClient) -> None:
    assert (await api.post("/batch", json={"commands": []})).status_code == 422
    assert (await api.post("/batch", json={"command": []})).json()["error"]["field"] == "command"


async def test_parameters_are_read_and_changed(api: httpx.AsyncClient) -> None:
    assert (await api.get("/parameters/checks")).json() == {"interval": 9, "timeout": 4, "retries": 2}
    answer = await api.patch("/parameters/layer7", json={"drop_on_failure": True})
    assert answer.json()["object"]["drop_on_failure"] is True
    assert (await api.get("/parameters/layer7")).json()["drop_on_failure"] is True
    assert (await api.patch("/parameters/checks", json={"intervall": 1})).json()["error"]["field"] == "intervall"
    assert (await api.patch("/parameters/layer7", json={"rfc_conform": False})).status_code == 422
    assert (await api.get("/parameters/layer8")).status_code == 422
