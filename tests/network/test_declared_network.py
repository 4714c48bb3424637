"""The host's network by a declaration, in a real kernel: applied, taken back when it cuts off, read back."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from tests.network.test_managed_network import OWN, Site
from tests.support.namespaces import Lab, wait_until

pytestmark = [pytest.mark.network, pytest.mark.needs("ip", "net_admin", "haproxy")]


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    with Lab() as lab:
        made = Site(lab)
        try:
            made.native("PUT", "/network/managed", {"managed": True})
            yield made
        finally:
            made.close()


def routes(site: Site) -> dict[str, str]:
    return {one["dst"]: one["gateway"] for one in site.balancer.show("route") if "gateway" in one}


def with_additional(document: dict[str, Any], address: str) -> dict[str, Any]:
    changed = {**document, "network": {**document["network"]}}
    changed["network"]["interfaces"] = [
        {**one, "additional": [*one.get("additional", ()), address]} if one["name"] == "eth1" else one
        for one in document["network"]["interfaces"]
    ]
    return changed


def test_reading_and_declaring_is_no_change(site: Site) -> None:
    before = site.balancer.show("addr"), site.balancer.show("route")
    answer = site.native("PUT", "/configuration", site.native("GET", "/configuration"))
    assert (answer["applied"], answer["operations"]) == ("unchanged", [])
    assert (site.balancer.show("addr"), site.balancer.show("route")) == before


def test_one_declaration_brings_addresses_routes_and_the_service_on_them(site: Site) -> None:
    read = site.native("GET", "/configuration")
    wanted = with_additional(read, "198.51.100.1/24")
    wanted["network"]["routes"] = [
        *wanted["network"]["routes"],
        {"destination": "172.16.0.0/12", "gateway": "10.0.0.77"},
    ]
    wanted["services"] = [
        {"address": "198.51.100.80", "port": 80, "service_type": "gen", "check_type": "none",
         "servers": [{"address": "10.0.0.11", "port": 8080}]}
    ]  # fmt: skip
    plan = site.native("PUT", "/configuration?dry_run=true", wanted)
    assert "additional: 10.0.0.9/32" not in str(plan["differences"])
    (interface,) = [one for one in plan["differences"] if one["kind"] == "interface"]
    assert interface["lines"][0].endswith("198.51.100.1/24") and interface["title"] == "eth1 interface"
    site.native("PUT", "/configuration?wait=true", wanted)
    if site.native("GET", "/network")["waiting"] is not None:
        site.native("POST", "/network/confirm")
    assert {"198.51.100.1/24", "198.51.100.80/32"} <= set(site.balancer.addresses("eth1"))
    assert routes(site)["172.16.0.0/12"] == "10.0.0.77"
    # the whole truth: declared again without them they go
    site.native("PUT", "/configuration?wait=true", read)
    if site.native("GET", "/network")["waiting"] is not None:
        site.native("POST", "/network/confirm")
    assert not {"198.51.100.1/24", "198.51.100.80/32"} & set(site.balancer.addresses("eth1"))
    assert "172.16.0.0/12" not in routes(site)


def test_a_declaration_that_may_cut_off_goes_back_unless_it_is_confirmed(site: Site) -> None:
    read = site.native("GET", "/configuration")
    site.native("PATCH", "/parameters/host", {"confirm_seconds": 5})
    wanted = {
        **read,
        "network": {"interfaces": [one for one in read["network"]["interfaces"] if one["name"] == "eth1"]},
    }
    wanted["parameters"] = {"host": {"managed": True, "confirm_seconds": 5}}
    site.native("PUT", "/configuration?wait=true", wanted)
    assert site.addresses() == []
    assert 0 < site.native("GET", "/network")["waiting"]["seconds"] <= 5
    wait_until(lambda: site.addresses() == OWN, 20)
    wait_until(lambda: site.native("GET", "/network")["waiting"] is None, 10)
    assert site.native("GET", "/configuration")["network"] == read["network"]
