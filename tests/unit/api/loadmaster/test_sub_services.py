"""Sub-services through LoadMaster's API: their life, their records, their slots, their numbers."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.api.loadmaster.calling import Api

from steelyard.observe.status import Verdict

VS = {"vs": "10.0.0.10", "port": "80", "prot": "tcp"}
SLOT_FIELDS = [
    "Status",
    "VSIndex",
    "RsIndex",
    "Name",
    "Forward",
    "Weight",
    "Limit",
    "RateLimit",
    "Follow",
    "Enable",
    "Critical",
]


@pytest.fixture(autouse=True)
def family(api: Api) -> None:
    """Service 1 with sub-services 2 (slot 1) and 3 (slot 2)."""
    api.v1("addvs", VS)
    api.v1("modvs", {**VS, "createsubvs": ""})
    api.v2("modvs", vs=1, createsubvs="1")


def test_making_one_answers_the_parent_with_the_new_one_last(api: Api) -> None:
    record = api.v2("modvs", vs=1, createsubvs="")
    assert record["Index"] == 1
    assert [slot["VSIndex"] for slot in record["SubVS"]] == [2, 3, 4]
    assert [slot["RsIndex"] for slot in record["SubVS"]] == [1, 2, 3]
    assert (record["MasterVS"], record["MasterVSID"], record["NumberOfRSs"], "Rs" in record) == (3, 0, 3, False)
    assert list(record["SubVS"][0]) == SLOT_FIELDS
    assert record["SubVS"][0] == {
        "Status": "Down",
        "VSIndex": 2,
        "RsIndex": 1,
        "Name": "-",
        "Forward": "nat",
        "Weight": 1000,
        "Limit": 0,
        "RateLimit": 0,
        "Follow": 0,
        "Enable": True,
        "Critical": False,
    }


def test_other_parameters_of_the_same_call_are_the_parent_s(api: Api) -> None:
    record = api.v1("modvs", vs=1, createsubvs="", NickName="shop", Schedule="wrr")
    assert (record["NickName"], record["Schedule"]) == ("shop", "wrr")
    sub = api.v1("showvs", vs=4)
    assert ("NickName" in sub, sub["Schedule"], sub["VStype"]) == (False, "rr", "http")


def test_the_record_of_a_sub_service_has_no_address(api: Api) -> None:
    v1, v2 = api.v1("showvs", vs=2), api.v2("showvs", vs=2)
    for record in (v1, v2):
        assert "VSAddress" not in record
        assert record["VSPort"] == "0"
    assert (v2["MasterVS"], v2["MasterVSID"], v2["NumberOfRSs"]) == (0, 1, 0)
    assert [record["Index"] for record in api.v2("listvs")["VS"]] == [1, 2, 3]


def test_its_own_settings_and_what_it_has_not(api: Api) -> None:
    record = api.v2("modvs", vs=2, Schedule="lc", Persist="src", NickName="blue")
    assert (record["Schedule"], record["Persist"], record["NickName"]) == ("lc", "src", "blue")
    assert api.v2("showvs", vs=1)["SubVS"][0]["Name"] == "blue"
    for parameters, says in (
        ({"Enable": "N"}, "slot"),
        ({"VSAddress": "10.0.0.11"}, "VSAddress"),
        ({"VSPort": "81"}, "VSPort"),
        ({"SSLAcceleration": "Y"}, "SSLAcceleration"),
        ({"createsubvs": ""}, "no sub-services of its own"),
    ):
        status, text = api.v2_error("modvs", {"vs": 2, **parameters})
        assert (status, says in text) == (422, True), text


def test_a_record_written_back_changes_nothing(api: Api) -> None:
    record = api.v2("showvs", vs=2)
    record.pop("Enable")
    members = {name: value for name, value in record.items() if name not in ("Rs", "Status")}
    assert api.v2("modvs", {"vs": 2, **members}) == api.v2("showvs", vs=2)


@pytest.mark.parametrize(
    ("what", "status"),
    [({"errorcode": 302, "errorurl": "https://%h/owa"}, "Redirect"), ({"errorcode": 404}, "FailMessage")],
)
def test_the_slot_of_one_that_answers_by_itself_says_so(api: Api, what: dict[str, Any], status: str) -> None:
    assert api.v2("modvs", vs=3, **what)["Status"] == status
    assert api.v2("showvs", vs=1)["SubVS"][1]["Status"] == "Down"
    api.v2("addrule", name="root", pattern="/^\\/$/")
    api.v2("addrsrule", vs=1, rs="!2", rule="root")
    assert api.v2("showvs", vs=1)["SubVS"][1]["Status"] == status


def test_real_servers_go_below_it_and_not_below_the_parent(api: Api) -> None:
    status, text = api.v1_error("addrs", vs=1, rs="10.0.1.1", rsport=80)
    assert (status, "Couldn't create RS" in text) == (422, True)
    (server,) = api.v2("addrs", vs=2, rs="10.0.1.1", rsport=80)["Rs"]
    assert (server["VSIndex"], server["RsIndex"]) == (2, 3)
    api.v1_error("addrs", vs=2, rs="10.0.1.2")
    status, text = api.v1_error("modvs", vs=2, createsubvs="")
    assert status == 422


def test_a_service_with_real_servers_takes_no_sub_service(api: Api) -> None:
    api.v1("addvs", {**VS, "port": 81})
    api.v1("addrs", vs=4, rs="10.0.1.1", rsport=80)
    status, text = api.v1_error("modvs", vs=4, createsubvs="")
    assert (status, "never both" in text) == (422, True)


def test_a_server_is_added_to_all(api: Api) -> None:
    (server,) = api.v2("addrs", vs=3, rs="10.0.1.1", rsport=80, addtoallsubvs=1)["Rs"]
    assert server["VSIndex"] == 3
    assert [len(api.v2("showvs", vs=index)["Rs"]) for index in (2, 3)] == [1, 1]


@pytest.mark.parametrize("reference", ["!1", "blue"])
def test_a_slot_is_changed_by_its_number_or_its_name(api: Api, reference: str) -> None:
    api.v1("modvs", vs=2, NickName="blue")
    sent = {"weight": 7, "limit": 9, "enable": "n", "critical": "y", "forward": "nat", "name": "x"}
    assert api.v1("modrs", vs=1, rs=reference, **sent) == "Command completed ok"
    (slot,) = api.v2("showrs", vs=1, rs=reference)["Rs"]
    assert (slot["Weight"], slot["Limit"], slot["Enable"], slot["Critical"]) == (7, 9, False, True)
    answer = api.v2("modrs", vs=1, rs=reference, weight=8)
    assert (answer["message"], answer["Rs"][0]["Weight"]) == ("Command completed ok", 8)
    assert api.v2("showvs", vs=2)["Status"] == "Disabled"
    assert api.v1_error("modrs", vs=1, rs=reference, weight=0)[0] == 422


@pytest.mark.parametrize("reference", ["!9", "10.0.0.1", "nobody", "1"])
def test_a_slot_nobody_knows(api: Api, reference: str) -> None:
    assert api.v1_error("modrs", vs=1, rs=reference, rsport=80, weight=7)[0] in (404, 422)


def test_one_name_for_two_has_to_be_told_by_number(api: Api) -> None:
    for index in (2, 3):
        api.v1("modvs", vs=index, NickName="same")
    assert (
        "RsIndex" in str(api.v1_error("showrs", vs=1, rs="same")) or api.v1_error("showrs", vs=1, rs="same")[0] == 422
    )


def test_it_is_removed_by_its_index_its_slot_or_with_its_parent(api: Api) -> None:
    api.v1("delvs", vs=2)
    assert [slot["VSIndex"] for slot in api.v2("showvs", vs=1)["SubVS"]] == [3]
    api.v1("delrs", vs=1, rs="!2")
    record = api.v2("showvs", vs=1)
    assert ("SubVS" in record, record["MasterVS"]) == (False, 0)
    api.v1("modvs", vs=1, createsubvs="")
    api.v1("delvs", vs=1)
    assert "VS" not in api.v2("listvs")


def test_it_is_copied_within_its_parent(api: Api) -> None:
    api.v1("dupvs", vs=2)
    assert [slot["VSIndex"] for slot in api.v2("showvs", vs=1)["SubVS"]] == [2, 3, 4]


def test_states_and_totals(api: Api) -> None:
    api.v1("addrs", vs=2, rs="10.0.1.1", rsport=80)
    api.v1("addrs", vs=3, rs="10.0.1.1", rsport=80)
    up, down = Verdict("up"), Verdict("down", "refused")
    api.appliance.verdicts.update({"vs2/rs3": up, "vs3/rs4": down, "vs1/rs1": up, "vs1/rs2": down})
    record = api.v2("showvs", vs=1)
    assert (record["Status"], [slot["Status"] for slot in record["SubVS"]]) == ("Up", ["Up", "Down"])
    totals: dict[str, Any] = api.v2("vstotals")
    assert totals["VS"] == {"Total": 1, "Up": 1, "Down": 0, "Disabled": 0}
    assert totals["SubVS"] == {"Total": 2, "Up": 1, "Down": 1, "Disabled": 0}
    assert totals["RS"] == {"Total": 2, "Up": 1, "Down": 1, "Disabled": 0}


def test_statistics_show_it_as_a_service_and_its_slot_below_the_parent(api: Api) -> None:
    found = api.v2("stats")
    assert [service["Index"] for service in found["Vs"]] == [1, 2, 3]
    assert "VSAddress" not in found["Vs"][1]
    assert [(slot["VSIndex"], slot["RSIndex"], slot["SubVSIndex"]) for slot in found["SubVS"]] == [(1, 1, 2), (1, 2, 3)]
