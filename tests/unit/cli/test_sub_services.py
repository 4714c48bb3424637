"""`steelyard sub` and `steelyard slot`."""

from __future__ import annotations

import pytest
from tests.unit.api.native.memory_appliance import MemoryAppliance
from tests.unit.cli.conftest import Program

from steelyard.observe.status import Verdict


@pytest.fixture(autouse=True)
def family(steelyard: Program) -> None:
    steelyard.ok("vs", "add", "127.0.0.1:80", "--name", "web")
    said = steelyard.ok(
        "sub", "add", "web", "--name", "blue", "--rs", "127.0.0.1:9001", "--weight", "10", "schedule=lc"
    )
    assert said.startswith("Sub-service 2 added to virtual service 1")
    steelyard.ok("sub", "add", "1", "--name", "green", "--critical", "--limit", "5")


def test_they_are_listed_with_their_slots(steelyard: Program, appliance: MemoryAppliance) -> None:
    appliance.verdicts = {"vs1/rs1": Verdict("up"), "vs1/rs3": Verdict("down", "none of 0 real servers")}
    said = steelyard.ok("sub", "list", "web")
    assert "● Up" in said and "blue" in said and "✖ Down" in said and "none of 0 real servers" in said
    assert steelyard.ok("slot", "list", "web") == said
    assert [sub["index"] for sub in steelyard.json("sub", "list", "web")] == [2, 3]
    shown = steelyard.ok("vs", "show", "web")
    assert "blue" in shown and "critical" in shown
    assert "1 of 2 sub-services available" in steelyard.ok("vs", "list")
    assert "in 1" in steelyard.ok("vs", "list")
    assert "slot 1" in steelyard.ok("status") and "sub-service 2 blue" in steelyard.ok("status")


@pytest.mark.parametrize("word", ["2", "blue"])
def test_a_slot_goes_by_the_index_or_the_name_of_its_sub_service(steelyard: Program, word: str) -> None:
    steelyard.ok("slot", "set", "web", word, "weight=7", "critical=yes")
    (slot, _) = steelyard.json("slot", "list", "web")
    assert (slot["weight"], slot["critical"]) == (7, True)
    steelyard.ok("slot", "disable", "web", word)
    assert steelyard.json("vs", "show", "2")["status"] == "Disabled"
    steelyard.ok("slot", "enable", "web", word)
    assert steelyard.json("slot", "list", "web")[0]["enabled"] is True


def test_what_nobody_knows_is_refused(steelyard: Program) -> None:
    unknown = steelyard("slot", "set", "web", "red", "weight=7")
    assert (unknown.exit_code, "There is no sub-service 'red'" in unknown.stderr) == (1, True)
    refused = steelyard("vs", "disable", "2")
    assert (refused.exit_code, "steelyard slot" in refused.stderr) == (1, True)
    assert steelyard("sub", "add", "2").exit_code == 1


def test_real_servers_below_it_and_removing_it(steelyard: Program) -> None:
    steelyard.ok("sub", "add-rs", "web", "127.0.0.1:9009")
    steelyard.ok("rs", "add", "green", "127.0.0.1:9010")
    assert [len(sub["servers"]) for sub in steelyard.json("sub", "list", "web")] == [2, 2]
    steelyard.ok("sub", "remove", "web", "blue", "--yes")
    assert [sub["name"] for sub in steelyard.json("sub", "list", "web")] == ["green"]


def test_an_applied_document_holds_them(steelyard: Program) -> None:
    document = steelyard.json("export")
    assert [sub["name"] for sub in document["services"][0]["sub_services"]] == ["blue", "green"]
