"""Status, statistics and the catalogue."""

from __future__ import annotations

import httpx
from tests.unit.api.native.memory_appliance import MemoryAppliance

from steelyard.model.virtual_service import VirtualService
from steelyard.observe.statistics import Statistics, TrafficCounters
from steelyard.observe.status import Verdict


async def test_status_says_how_the_parts_are_and_why(
    api: httpx.AsyncClient, appliance: MemoryAppliance, web: int
) -> None:
    appliance.verdicts = {"vs1/rs1": Verdict("down", "connection refused"), "vs1/rs2": Verdict("down", "no answer")}
    found = (await api.get("/status")).json()
    assert (found["haproxy_pid"], found["health_pid"], found["problems"]) == (10, 11, [])
    assert found["revision"] == appliance.revision_number
    service = found["services"][0]
    assert (service["name"], service["status"]) == ("web", "Down")
    assert "connection refused" in service["reason"]
    assert [server["reason"] for server in service["servers"]] == ["connection refused", "no answer"]


async def test_statistics_name_services_and_real_servers(
    api: httpx.AsyncClient, appliance: MemoryAppliance, web: int
) -> None:
    appliance.sample = Statistics(
        1_700_000_000.0,
        1.0,
        {web: TrafficCounters(active_connections=3, total_connections=9)},
        {(web, 2): TrafficCounters(requests=4)},
        tls_per_second=1,
    )
    found = (await api.get("/statistics")).json()
    service = found["services"][0]
    assert (found["tls_per_second"], service["active_connections"], service["total_connections"]) == (1, 3, 9)
    assert [(s["port"], s["requests"]) for s in service["servers"]] == [(9001, 0), (9002, 4)]


async def test_the_catalogue_is_data(api: httpx.AsyncClient) -> None:
    found = (await api.get("/settings")).json()
    settings = {setting["name"]: setting for setting in found["virtual-service"]}
    assert set(settings) == set(VirtualService.declared())
    schedule = settings["schedule"]
    assert (schedule["wire"], schedule["default"], schedule["built"]) == ("Schedule", "rr", True)
    assert {"value": "lc", "meaning": "least connection"} in schedule["choices"]
    assert "rdp-sb" in settings["persistence"]["unbuilt_choices"]
    assert settings["address"]["required"] is True
    assert settings["multi_connect"]["built"] is False
    assert {"real-server", "certificate", "user", "layer7", "network", "checks"} < set(found)
