"""`steelyard rs weights`, `rs weight --external` and `rs end-weights`."""

from __future__ import annotations

from tests.unit.api.native.memory_appliance import MemoryAppliance
from tests.unit.cli.conftest import Program

from steelyard.health.weight_status import WeightStatus
from steelyard.model.commands import SetExternalWeights


def test_weights_are_shown_set_for_a_time_and_ended(steelyard: Program, appliance: MemoryAppliance) -> None:
    steelyard.ok("vs", "add", "127.0.0.1:8080", "--name", "web", "--rs", "10.0.0.5:80", "schedule=sdn-adaptive")
    until = 1_700_000_060.0
    appliance.member_weights = {
        1: WeightStatus("external", 1000, 200, 51, None, None, 200, until, None, "set from outside for another 60 s")
    }
    said = steelyard.ok("rs", "weight", "web", "10.0.0.5:80", "200", "--external", "--for", "60")
    assert said.strip() == "1 of virtual service 1 has the weight 200 for 60 s"
    shown = steelyard.ok("rs", "weights", "web")
    assert "set from outside for another 60 s" in shown
    assert "10.0.0.5:80" in shown
    assert steelyard.json("rs", "weights", "web")["members"][0]["external_weight"] == 200
    assert "configured weights again" in steelyard.ok("rs", "end-weights", "web")
    assert appliance.executed[-2:] == [
        SetExternalWeights(1, {1: 200}, 60),
        SetExternalWeights(1, {}, 300, replace=True),
    ]


def test_what_is_wrong_is_said(steelyard: Program) -> None:
    steelyard.ok("vs", "add", "127.0.0.1:8080", "--name", "web", "--rs", "10.0.0.5:80")
    without = steelyard("rs", "weight", "web", "1", "200")
    assert without.exit_code == 2
    assert "rs set" in without.output
    other = steelyard("rs", "weight", "web", "1", "200", "--external")
    assert other.exit_code == 1
    assert "sdn-adaptive" in other.output
