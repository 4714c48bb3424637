"""Backup, factory reset and restore where Steelyard manages the network: services in the kernel, who is cut off."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from tests.scenarios.bed import Bed, wait_until
from tests.support.api_clients import NativeClient

from steelyard.store.backup_file import pack, read_backup, seal

pytestmark = [pytest.mark.network, pytest.mark.needs("ip", "net_admin", "haproxy", "nft")]

VIP, SERVER = "203.0.113.41", "192.168.1.41"
PHRASE, AFTERWARDS = "a pass phrase of the file", "after the reset 1"
HOST = ["203.0.113.1/24"]


@pytest.fixture(scope="module")
def bed() -> Iterator[Bed]:
    with Bed() as made:
        made.side("outside", "203.0.113.1/24")
        made.side("farm", "192.168.1.43/24")
        made.host("client", outside="203.0.113.10/24", gateway="203.0.113.1")
        server = made.host("fe1", farm=f"{SERVER}/24", gateway="192.168.1.43")
        made.serve(server, SERVER, 80, 5060)
        made.start()
        made.native("PATCH", "/parameters/host", {"confirm_seconds": 60})
        made.add(VIP, 80, server=SERVER)
        made.add(VIP, 5060, server=SERVER, protocol="udp")
        wait_until(lambda: works(made), 15)
        yield made


def works(bed: Bed) -> bool:
    """Whether a client is served, by layer 7 or TCP and by the kernel."""
    client = bed.lab.hosts["client"]
    try:
        return [client.ask(VIP, 80, timeout=1).role, client.ask_udp(VIP, 5060, timeout=1).role] == ["fe1", "fe1"]
    except (OSError, ValueError):
        return False


def saved(bed: Bed) -> dict[str, Any]:
    return {"data": bed.native("POST", "/backup", {"password": PHRASE})["data"], "password": PHRASE}


def reset(bed: Bed, **more: Any) -> None:
    assert bed.native("POST", "/reset", {"confirm": "reset", "password": AFTERWARDS, **more})["password"] is None
    assert bed.steelyard is not None

    def anew() -> bool:
        with bed.lb.inside():
            try:
                client = NativeClient(bed.steelyard.url, "bal", AFTERWARDS)  # type: ignore[union-attr]
                return client.get("/virtual-services").status_code == 200
            except httpx.TransportError:
                return False

    wait_until(anew, 30)
    with bed.lb.inside():
        bed._native = NativeClient(bed.steelyard.url, "bal", AFTERWARDS)


def test_a_reset_keeps_the_way_to_the_host_and_ends_traffic_and_a_restore_brings_it_back(bed: Bed) -> None:
    before, password = bed.native("GET", "/configuration"), bed.steelyard.password  # type: ignore[union-attr]
    network = bed.native("GET", "/network")
    file = saved(bed)
    reset(bed)
    assert not works(bed)
    now = bed.native("GET", "/network")
    assert now["managed"]
    named = {one["name"]: one for one in now["interfaces"]}
    assert f"{VIP}/32" not in named["eth0"]["addresses"]
    assert bed.lb.addresses("eth0")[0] == HOST[0]
    assert (
        named["eth1"]["addresses"] == next(one for one in network["interfaces"] if one["name"] == "eth1")["addresses"]
    )
    found = bed.native("POST", "/restore?wait=true", file)
    assert found["object"]["left_out"] == []
    with bed.lb.inside():
        bed._native = NativeClient(bed.steelyard.url, "bal", password)  # type: ignore[union-attr]
    wait_until(lambda: works(bed), 15)
    assert bed.native("GET", "/configuration") == before


def test_the_network_of_the_file_is_kept_out_unless_it_is_asked_for_and_then_waits_to_be_confirmed(bed: Bed) -> None:
    file = saved(bed)
    bed.native("POST", "/network/interfaces/eth0/addresses", {"address": "198.51.100.1/24"})
    if bed.native("GET", "/network")["waiting"] is not None:
        bed.native("POST", "/network/confirm")
    found = bed.native("POST", "/restore?dry_run=true", file)
    assert re.search("network .* stays as it is here", found["object"]["left_out"][0])
    assert found["differences"] == []
    found = bed.native("POST", "/restore?wait=true", {**file, "network": "restore"})
    assert found["object"]["left_out"] == []
    assert "198.51.100.1/24" not in bed.lb.addresses("eth0")
    waiting = bed.native("GET", "/network")["waiting"]
    assert waiting is not None, "an address that went may have been the way to this host"
    assert bed.refused("POST", "/reset", {"confirm": "reset"})["message"].startswith("A change of the network waits")
    bed.native("POST", "/network/confirm")
    assert works(bed)


def test_the_network_of_another_host_is_refused_by_the_names_of_its_interfaces(bed: Bed) -> None:
    found = read_backup(base64.b64decode(saved(bed)["data"]), PHRASE)
    interfaces = {"ens192": found.configuration.interfaces["eth0"].model_copy(update={"name": "ens192"})}
    foreign = pack(replace(found, configuration=replace(found.configuration, interfaces=interfaces)))
    file = seal(foreign, PHRASE, salt=bytes(16), nonce=bytes(12), at=datetime.now(UTC), n=16)
    body = {"data": base64.b64encode(file).decode(), "password": PHRASE}
    error = bed.refused("POST", "/restore", {**body, "network": "restore"})
    assert "ens192" in error["message"]
    assert "eth0, eth1" in error["allowed"]
    kept = bed.native("POST", "/restore", body)
    assert len(kept["object"]["left_out"]) == 1
    assert works(bed)


def test_a_network_that_is_forgotten_stays_in_the_kernel(bed: Bed) -> None:
    reset(bed, network="forget")
    assert not bed.native("GET", "/network")["managed"]
    assert bed.lb.addresses("eth0")[0] == HOST[0]
    assert not works(bed)
