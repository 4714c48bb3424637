"""The quick setup and the first start over the native API."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from tests.support.fake_appliance import PASSWORD
from tests.unit.api.native.conftest import application, client_of
from tests.unit.api.native.memory_appliance import MemoryAppliance

from steelyard.observe.network_state import Interface, NetworkState, Route

TWO_ARMS = NetworkState(
    "lb1",
    (
        Interface("eth0", 0, "port", True, 1500, "02:00:00:00:00:01", ("192.0.2.5/24",), gateway=True),
        Interface("eth1", 1, "port", True, 1500, "02:00:00:00:00:02", ("10.0.0.5/24",)),
    ),
    (Route("0.0.0.0/0", "192.0.2.1", "eth0", 0),),
    ("192.0.2.53",),
    ("example.com",),
    (),
)
WHOLE = {
    "manage": True,
    "network_address": "192.0.2.10/24",
    "farm_address": "10.0.0.10/24",
    "name_servers": ["192.0.2.54"],
    "search_domains": ["example.org"],
    "default_gateway": "192.0.2.254",
}


@pytest.fixture
def appliance() -> MemoryAppliance:
    made = MemoryAppliance()
    made.network_state = TWO_ARMS
    return made


async def put(api: httpx.AsyncClient, body: Any, **query: Any) -> tuple[int, Any]:
    answer = await api.put("/setup/network", json=body, params=query)
    return answer.status_code, answer.json()


async def test_what_the_setup_begins_with(api: httpx.AsyncClient) -> None:
    found = (await api.get("/setup")).json()
    assert (found["first_step"], found["web"], found["waiting"]) == ("", None, None)
    network = found["network"]
    assert (network["network"]["interface"], network["network"]["address"]) == ("eth0", "192.0.2.5/24")
    assert (network["farm"]["interface"], network["farm"]["address"]) == ("eth1", "10.0.0.5/24")
    assert (network["default_gateway"], network["managed"]) == ("192.0.2.1", False)


async def test_all_of_it_is_one_change_after_taking_over(api: httpx.AsyncClient, appliance: MemoryAppliance) -> None:
    before = appliance.snapshot().revision
    status, dry = await put(api, WHOLE, dry_run=True)
    assert status == 200 and dry["dry_run"] and appliance.snapshot().revision == before
    status, done = await put(api, WHOLE)
    assert (status, done["revision"]) == (200, before + 2)
    found = appliance.snapshot().configuration
    assert [one.address for one in found.interfaces.values()] == ["192.0.2.10/24", "10.0.0.10/24"]
    assert (found.host.default_gateway, found.host.name_servers) == ("192.0.2.254", ("192.0.2.54",))
    # what is left out stays
    await put(api, {"farm_address": ""})
    found = appliance.snapshot().configuration
    assert not found.interfaces["eth1"].addresses and found.interfaces["eth0"].address == "192.0.2.10/24"


@pytest.mark.parametrize(
    ("wrong", "field", "said"),
    [
        ({"network_address": "nowhere"}, "network_address", "prefix length"),
        ({"farm_address": "10.0.0.0/24"}, "farm_address", "network address of"),
        ({"farm_address": "192.0.2.99/24"}, "address", "which is the network of eth0"),
        ({"farm_side": "eth0"}, "farm_side", "is the network side already"),
        ({"default_gateway": "10.0.0.1"}, "default_gateway", "network side, eth0: 192.0.2.0/24"),
        ({"default_gateway": "192.0.2.10"}, "default_gateway", "address of eth0 itself"),
        ({"default_gateway": "a router"}, "default_gateway", "no address of a host"),
        ({"name_servers": ["x"]}, "name_servers", "no address"),
        ({"network_side": "eth9"}, "interface", "eth9"),
        ({"typo": 1}, "typo", "no member"),
    ],
)
async def test_a_mistake_leaves_the_network_with_whom_it_was(
    api: httpx.AsyncClient, appliance: MemoryAppliance, wrong: dict[str, Any], field: str, said: str
) -> None:
    before = appliance.snapshot().revision
    status, refused = await put(api, {**WHOLE, **wrong})
    assert status in (404, 422)
    assert (refused["error"]["field"], said in refused["error"]["message"]) == (field, True), refused
    assert appliance.snapshot().revision == before


async def test_without_managing_it_nothing_is_changed(api: httpx.AsyncClient) -> None:
    status, refused = await put(api, {"network_address": "192.0.2.10/24"})
    assert status == 422 and refused["error"]["field"] == "managed"


async def test_a_stale_setup_is_refused_before_the_network_is_taken_over(
    api: httpx.AsyncClient, appliance: MemoryAppliance
) -> None:
    before = appliance.snapshot().revision
    answer = await api.put("/setup/network", json=WHOLE, headers={"If-Match": f'"{before - 1}"'})
    assert answer.status_code == 412 and appliance.snapshot().revision == before


# -------------------- the first start


@pytest.fixture
def new() -> MemoryAppliance:
    return MemoryAppliance(new=True)


@pytest.fixture
async def first(new: MemoryAppliance) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(application(new), ("bal", PASSWORD)) as client:
        yield client


async def test_a_new_appliance_answers_nothing_else_over_the_network(first: httpx.AsyncClient) -> None:
    for method, path in (("GET", "/virtual-services"), ("GET", "/users"), ("PUT", "/setup/network"), ("GET", "/x")):
        answer = await first.request(method, path, json={} if method == "PUT" else None)
        assert answer.status_code in (403, 404), path
    answer = await first.patch("/users/bal", json={"password": "a password of my own"})
    assert answer.status_code == 403 and answer.json()["error"]["kind"] == "first_start_due"
    assert (await first.post("/setup/finish")).status_code == 403
    assert (await first.get("/setup")).json()["first_step"] == "licence"
    assert (await first.post("/setup/licence")).status_code == 200
    assert (await first.get("/setup")).json()["first_step"] == "password"
    assert (await first.get("/virtual-services")).status_code == 403
    assert (await first.patch("/users/bal", json={"password": "a password of my own"})).status_code == 200


async def test_then_it_is_like_any_other(first: httpx.AsyncClient, new: MemoryAppliance) -> None:
    await first.post("/setup/licence")
    await first.patch("/users/bal", json={"password": "a password of my own"})
    async with client_of(application(new), ("bal", "a password of my own")) as client:
        assert (await client.get("/virtual-services")).status_code == 200
        assert (await client.get("/setup")).json()["first_step"] == "addresses"
        assert (await client.post("/setup/finish")).status_code == 200
        assert (await client.get("/setup")).json()["first_step"] == ""


async def test_the_console_of_this_host_is_not_kept_out(new: MemoryAppliance) -> None:
    async with client_of(application(new, trusted_local=True), None) as client:
        assert (await client.get("/virtual-services")).status_code == 200
