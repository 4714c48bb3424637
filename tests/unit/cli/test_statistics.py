"""`steelyard statistics`."""

from __future__ import annotations

import time

from tests.unit.api.native.memory_appliance import MemoryAppliance
from tests.unit.cli.conftest import Program
from tests.unit.observe.recording.test_readings import flat

from steelyard.cli.statistics import graph, scaled
from steelyard.observe.recording.readings import HOST
from steelyard.observe.recording.tiers import FINEST
from steelyard.observe.statistics import Statistics, TrafficCounters


def test_what_is_carried_now(steelyard: Program, appliance: MemoryAppliance) -> None:
    steelyard.ok("vs", "add", "127.0.0.1:8080", "--name", "web", "--rs", "10.0.0.5:80")
    appliance.sample = Statistics(
        1.0, 1.0, {1: TrafficCounters(requests=12_345, bytes_out=1_234_567)}, {(1, 1): TrafficCounters(bytes_in=512)}
    )
    said = steelyard.ok("statistics")
    assert "12345" in said
    assert "1.23MB" in said
    assert "10.0.0.5:80" in said
    assert "512B" in said
    assert steelyard.json("statistics")["services"][0]["requests"] == 12_345


def test_what_was_carried(steelyard: Program, appliance: MemoryAppliance) -> None:
    last = FINEST.begin(time.time()) - FINEST.step
    appliance.readings[HOST, "hour"] = {last - 10: flat(50.0, 25.0), last: flat(100.0, 25.0)}
    said = steelyard.ok("statistics", "--over", "hour", "host", "services")
    assert "processor percent" in said
    assert "nothing was recorded" in said
    row = next(line for line in said.splitlines() if line.startswith("processor"))
    assert row.split()[-2:] == ["75", "100"]
    assert len(steelyard.json("statistics", "--over", "hour", "host")["objects"]) == 1


def test_what_is_wrong_is_said(steelyard: Program) -> None:
    assert "--over" in steelyard("statistics", "host").output
    assert "year" in steelyard("statistics", "--over", "decade").output
    assert steelyard("statistics", "--over", "day", "service/7").exit_code == 1


def test_graphs_show_gaps_and_heights() -> None:
    assert graph([None, 0.0, 1.0, 2.0], 4)[0] == " "
    assert len(set(graph([None, 0.0, 1.0, 2.0], 4))) == 4
    assert graph([None] * 6, 3) == "   "


def test_numbers_have_three_digits_and_a_prefix() -> None:
    assert [scaled(value) for value in (0, 0.25, 999, 1000, 1_234_567, 10**18)] == [
        "0", "0.25", "999", "1k", "1.23M", "1,000P",
    ]  # fmt: skip
