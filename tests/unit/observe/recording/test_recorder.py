"""Rates are what was carried between two samples, whatever HAProxy and Steelyard did in between."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.unit.model.making import HTTP, SERVER, apply

from steelyard.model.commands import AddService, CreateSubService
from steelyard.observe.host_figures import CpuShares, HostFigures, HostFigureSource, Memory
from steelyard.observe.recording.file import RecordFile
from steelyard.observe.recording.readings import EVERYTHING, HOST, Key
from steelyard.observe.recording.recorder import Recorder
from steelyard.observe.statistics import Statistics, TrafficCounters

NOON = 43_200.0 * 40_000
CONFIGURATION = apply(AddService({**HTTP, "servers": [SERVER]}))
PARENT = apply(CreateSubService(1), to=apply(AddService(HTTP)))


class Host(HostFigureSource):
    def read(self) -> HostFigures:
        return HostFigures(CpuShares(user=20, system=5, waiting=5, idle=70), (), Memory(1000, 600), (), ())


def sample(at: float, service: TrafficCounters, **more: TrafficCounters) -> Statistics:
    return Statistics(at=at, period=5.0, services={1: service} | ({2: more["sub"]} if more else {}))


@pytest.fixture
def recorder(tmp_path: Path) -> Recorder:
    return Recorder(RecordFile(tmp_path / "statistics.db"), Host())


async def means(recorder: Recorder, key: Key) -> list[list[float]]:
    found = await recorder.read(key, "hour", NOON + 100)
    return [[round(value, 1) for value in one.mean] for one in found.values()]


async def test_rates_come_from_counters(recorder: Recorder) -> None:
    await recorder.record(sample(NOON, TrafficCounters(total_connections=100)), CONFIGURATION, NOON)
    after = TrafficCounters(
        total_connections=150, requests=1000, bytes_in=20_000, bytes_out=400_000, active_connections=3
    )
    await recorder.record(sample(NOON + 10, after), CONFIGURATION, NOON + 10)
    (found,) = await means(recorder, (1, 0))
    assert found[:2] == [5.0, 100.0]
    assert found[2:4] == pytest.approx([2000, 40_000], rel=0.002)
    assert found[4] == 3.0
    assert await means(recorder, EVERYTHING) == [found]
    (host,) = await means(recorder, HOST)
    assert host[:2] == pytest.approx([25, 40], rel=0.002)


async def test_counters_that_fell_began_anew(recorder: Recorder) -> None:
    await recorder.record(sample(NOON, TrafficCounters(total_connections=100_000)), CONFIGURATION, NOON)
    await recorder.record(sample(NOON + 10, TrafficCounters(total_connections=20)), CONFIGURATION, NOON + 10)
    assert (await means(recorder, (1, 0)))[0][0] == 2.0


async def test_after_a_long_pause_there_is_a_gap_and_no_spike(recorder: Recorder) -> None:
    await recorder.record(sample(NOON, TrafficCounters()), CONFIGURATION, NOON)
    await recorder.record(sample(NOON + 60, TrafficCounters(total_connections=10**6)), CONFIGURATION, NOON + 60)
    assert await means(recorder, (1, 0)) == []
    await recorder.record(sample(NOON + 70, TrafficCounters(total_connections=10**6 + 10)), CONFIGURATION, NOON + 70)
    assert (await means(recorder, (1, 0)))[0][0] == 1.0


async def test_what_a_sub_service_carried_counts_once_in_the_whole(recorder: Recorder) -> None:
    await recorder.record(sample(NOON, TrafficCounters(), sub=TrafficCounters()), PARENT, NOON)
    after = TrafficCounters(requests=50)
    await recorder.record(sample(NOON + 10, after, sub=after), PARENT, NOON + 10)
    assert (await means(recorder, EVERYTHING))[0][1] == 5.0
    assert (await means(recorder, (2, 0)))[0][1] == 5.0
