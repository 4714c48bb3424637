"""`steelyard check`, and what `rs` says of rules among real servers."""

from __future__ import annotations

import pytest
from tests.unit.api.native.memory_appliance import MemoryAppliance
from tests.unit.cli.conftest import Program

from steelyard.observe.status import Verdict


@pytest.fixture(autouse=True)
def service(steelyard: Program) -> None:
    steelyard.ok("vs", "add", "127.0.0.1:80", "--name", "web")
    steelyard.ok("rs", "add", "web", "127.0.0.1:9001", "critical=yes")
    steelyard.ok("rs", "add", "web", "127.0.0.1:9002", "standby_below=1", "check_port=9099")


def test_further_checks_are_added_shown_changed_and_removed(steelyard: Program) -> None:
    assert steelyard.ok("check", "list", "web").strip() == "There is no further check"
    steelyard.ok("check", "add", "web", "ready", "check_type=http", "check_port=8081", "check_url=/ready")
    said = steelyard.ok("check", "list", "web")
    assert "ready" in said and "8081" in said and "check_url=/ready" in said
    steelyard.ok("check", "set", "web", "ready", "check_url=/alive")
    assert steelyard.json("check", "list", "web")[0]["check_url"] == "/alive"
    steelyard.ok("check", "remove", "web", "ready")
    assert steelyard.json("check", "list", "web") == []
    refused = steelyard("check", "remove", "web", "ready")
    assert (refused.exit_code, "further check" in refused.stderr) == (1, True)


def test_a_standby_is_shown_as_one_and_counts_as_available(steelyard: Program, appliance: MemoryAppliance) -> None:
    appliance.verdicts = {"vs1/rs1": Verdict("up"), "vs1/rs2": Verdict("up", ready=False)}
    said = steelyard.ok("rs", "list", "web")
    assert "◍ Standby" in said and "stands by" in said
    assert "critical" in said and "standby below 1" in said
    assert "2 of 2 available" in steelyard.ok("vs", "list")


def test_a_critical_server_that_is_down_takes_the_service_down(steelyard: Program, appliance: MemoryAppliance) -> None:
    appliance.verdicts = {"vs1/rs1": Verdict("down", "no answer"), "vs1/rs2": Verdict("up")}
    said = steelyard.ok("status")
    assert "a critical real server is not available (127.0.0.1:9001: no answer)" in said.replace("\n", " ")


def test_the_checks_of_a_real_server_name_theirs(steelyard: Program, appliance: MemoryAppliance) -> None:
    appliance.checks = [
        {"started": 1_700_000_000.0, "outcome": "bad", "check": "ready", "reason": "answered 500", "duration_ms": 3.0}
    ]
    said = steelyard.ok("rs", "checks", "web", "127.0.0.1:9001")
    assert "ready" in said and "answered 500" in said
