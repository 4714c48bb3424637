"""Enhanced options, critical, healthcheck on, and the checks of a real server, over LoadMaster's API."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from tests.unit.api.loadmaster.calling import Api

from steelyard.model.commands import AddFurtherCheck, ChangeServer, Command
from steelyard.observe.status import Verdict

VS = {"vs": "10.0.0.10", "port": "80", "prot": "tcp"}


@pytest.fixture(autouse=True)
def service(api: Api) -> None:
    api.v1("addvs", VS)
    for last in (1, 2, 3):
        api.v1("addrs", {**VS, "rs": f"10.0.1.{last}", "rsport": 8080})


def _carry_out(api: Api, command: Command) -> None:
    asyncio.run(api.appliance.execute(command, api.appliance.administrator()))


def test_the_minimum_is_kept_with_enhanced_options_clamped_and_shrinks(api: Api) -> None:
    changed = api.v1("modvs", {**VS, "EnhancedHealthchecks": "1", "RsMinimum": "7"})
    assert (changed["EnhancedHealthChecks"], changed["RsMinimum"]) == ("Y", "3")
    api.v1("delrs", {**VS, "rs": "10.0.1.3", "rsport": 8080})
    record = api.v2("showvs", vs=1)
    assert (record["EnhancedHealthChecks"], record["RsMinimum"]) == (True, 2)
    assert api.v2("modvs", vs=1, RsMinimum=1)["RsMinimum"] == 0
    assert api.v2("modvs", vs=1, EnhancedHealthchecks=False, RsMinimum=2)["RsMinimum"] == 0


def test_critical_and_follow_are_set_on_a_real_server(api: Api) -> None:
    (server,) = api.v2("modrs", vs=1, rs="!1", critical=1, follow=2)["Rs"]
    assert (server["Critical"], server["Follow"]) == (True, 2)
    assert "no such real server" in api.v1_error("modrs", {**VS, "rs": "!1", "follow": 99})[1]
    assert "circle" in api.v1_error("modrs", {**VS, "rs": "!2", "follow": 1})[1]
    api.v1("delrs", {**VS, "rs": "!2"})
    assert api.v1("showrs", {**VS, "rs": "!1"})["Rs"]["Follow"] == "0"


def test_a_critical_server_that_is_down_takes_the_service_down(api: Api) -> None:
    api.v1("modrs", {**VS, "rs": "!1", "critical": "1"})
    api.appliance.verdicts = {"vs1/rs1": Verdict("down"), "vs1/rs2": Verdict("up"), "vs1/rs3": Verdict("up")}
    assert api.v1("showvs", VS)["Status"] == "Down"
    api.appliance.verdicts["vs1/rs1"] = Verdict("up")
    assert api.v1("showvs", VS)["Status"] == "Up"


def test_a_standby_is_up_for_clients_that_know_no_such_word(api: Api) -> None:
    _carry_out(api, ChangeServer(1, 1, {"standby_below": 1}))
    api.appliance.verdicts = {"vs1/rs1": Verdict("up", ready=False), "vs1/rs2": Verdict("up")}
    assert api.v1("showrs", {**VS, "rs": "!1"})["Rs"]["Status"] == "Up"


def test_a_change_of_the_check_leaves_further_checks_alone(api: Api) -> None:
    _carry_out(api, AddFurtherCheck(1, {"name": "ready", "check_port": 81}))
    api.v1("modvs", {**VS, "CheckType": "http", "CheckUrl": "/x"})
    assert [check.name for check in api.appliance.configuration.services[1].further_checks] == ["ready"]


def test_the_checks_of_a_real_server_are_shown(api: Api) -> None:
    check: dict[str, Any] = {
        **{"started": 1_700_000_000.5, "duration_ms": 2.5, "connect_ms": None, "sent": "connect to 10.0.1.1:8080"},
        **{"received": "", "outcome": "failed", "reason": "connection refused", "attempt": 2, "attempts": 2},
        "check": "main",
    }
    api.appliance.checks = [check]
    found = api.v2("showrschecks", vs=1, rs="!1")["Check"]
    assert found == [
        {
            **{"Name": "main", "Time": "1700000000.500", "Outcome": "failed", "Reason": "connection refused"},
            **{"Sent": "connect to 10.0.1.1:8080", "Received": "", "Duration": "2.50", "Attempt": 2, "Attempts": 2},
        }
    ]
    assert api.v1("showrschecks", {**VS, "rs": "!1"})["Check"]["Reason"] == "connection refused"
