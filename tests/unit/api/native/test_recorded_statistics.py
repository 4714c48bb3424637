"""`/statistics/history` and `/metrics`."""

from __future__ import annotations

import time

import httpx
import pytest
from tests.unit.api.native.memory_appliance import MemoryAppliance
from tests.unit.observe.recording.test_readings import flat

from steelyard.observe.recording.readings import EVERYTHING, HOST
from steelyard.observe.recording.tiers import FINEST
from steelyard.observe.statistics import Statistics, TrafficCounters


async def test_steps_nobody_recorded_are_null(api: httpx.AsyncClient, appliance: MemoryAppliance, web: int) -> None:
    last = FINEST.begin(time.time()) - FINEST.step
    for key in ((web, 0), HOST, EVERYTHING, (web, 1)):
        appliance.readings[key, "hour"] = {last - 20: flat(3.123456, 7.0)}
    names = ["host", "services", f"service/{web}", f"service/{web}/1"]
    answer = await api.get("/statistics/history", params={"object": names, "span": "hour"})
    found = answer.json()
    assert (found["step"], found["steps"]) == (10, 360)
    assert [one["object"] for one in found["objects"]] == names
    figures = found["objects"][2]["averages"]
    assert [value for value in figures["requests_per_second"] if value is not None] == [7.0]
    assert [value for value in figures["connections_per_second"] if value is not None] == [3.1235]
    assert len(figures["bytes_in_per_second"]) == 360
    assert "processor_percent" in found["objects"][0]["peaks"]


@pytest.mark.parametrize(
    ("name", "status"),
    [("service/99", 404), ("service/1/9", 404), ("pool/1", 422), ("service/x", 422), ("service/1/2/3", 422)],
)
async def test_what_is_not_recorded_is_refused(api: httpx.AsyncClient, web: int, name: str, status: int) -> None:
    answer = await api.get("/statistics/history", params={"object": name})
    assert (answer.status_code, answer.json()["error"]["field"] != "") == (status, True)


async def test_the_span_must_be_one_that_is_kept(api: httpx.AsyncClient, web: int) -> None:
    answer = await api.get("/statistics/history", params={"object": "host", "span": "decade"})
    assert answer.status_code == 422
    assert "year" in answer.text


async def test_metrics_are_what_prometheus_reads(api: httpx.AsyncClient, appliance: MemoryAppliance, web: int) -> None:
    from prometheus_client.parser import text_string_to_metric_families

    appliance.sample = Statistics(
        at=1.0,
        period=1.0,
        services={web: TrafficCounters(requests=41)},
        servers={(web, 2): TrafficCounters(bytes_in=7)},
    )
    answer = await api.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    samples = {
        (one.name, one.labels.get("service"), one.labels.get("server")): one.value
        for family in text_string_to_metric_families(answer.text)
        for one in family.samples
    }
    assert samples["steelyard_service_requests_total", str(web), None] == 41
    assert samples["steelyard_server_received_bytes_total", str(web), "2"] == 7
    assert samples["steelyard_server_up", str(web), "1"] == 0
    assert samples["steelyard_host_processor_ratio", None, None] == 0.3
    assert samples["steelyard_interface_sent_bytes_total", None, None] == 6
    assert ("steelyard_certificate_expiry_seconds", None, None) in samples


async def test_metrics_need_a_user(appliance: MemoryAppliance, api: httpx.AsyncClient) -> None:
    assert (await api.get("/metrics", auth=("bal", "wrong"))).status_code == 401
