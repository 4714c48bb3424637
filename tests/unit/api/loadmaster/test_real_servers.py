from __future__ import annotations

import pytest
from tests.unit.api.loadmaster.calling import Api

from steelyard.observe.status import Verdict

VS = {"vs": "10.0.0.10", "port": "80", "prot": "tcp"}


@pytest.fixture(autouse=True)
def service(api: Api) -> None:
    api.v1("addvs", VS)


def test_addrs_answers_exactly_the_new_server(api: Api) -> None:
    api.v1("addrs", {**VS, "rs": "10.0.1.1", "rsport": 8080})
    added = api.v1("addrs", {**VS, "rs": "10.0.1.2", "rsport": 8080, "weight": 5, "limit": "10", "enable": "n"})
    assert added["Rs"]["RsIndex"] == "2"
    assert (added["Rs"]["Weight"], added["Rs"]["Limit"], added["Rs"]["Enable"]) == ("5", "10", "N")
    (new,) = api.v2("addrs", vs=1, rs="10.0.1.3", rsport="8080", Weight="7")["Rs"]
    assert (new["RsIndex"], new["Port"], new["Weight"], new["DnsName"]) == (3, 8080, 7, "")
    record = api.v2("showvs", vs=1)
    assert (record["NumberOfRSs"], [rs["Addr"] for rs in record["Rs"]]) == (3, ["10.0.1.1", "10.0.1.2", "10.0.1.3"])


def test_addrs_takes_the_port_of_the_service_by_default(api: Api) -> None:
    assert api.v1("addrs", vs=1, rs="10.0.1.1")["Rs"]["Port"] == "80"


def test_addrs_ignores_forward_and_record_members(api: Api) -> None:
    sent = {"forward": "route", "Addr": "10.9.9.9", "Port": 1, "Nrules": 0, "DnsName": "", "Status": "Up", "name": "x"}
    (server,) = api.v2("addrs", {"vs": 1, "rs": "10.0.1.1", "rsport": 80, **sent})["Rs"]
    assert (server["Forward"], server["Addr"], server["Port"]) == ("nat", "10.0.1.1", 80)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"rs": "10.0.1"}, "is neither an address nor a host name"),
        ({"rs": "10"}, "is neither an address nor a host name"),
        ({"rs": "no such name"}, "is neither an address nor a host name"),
        ({"rs": "nowhere.invalid"}, "can be resolved"),
        ({"rs": "224.0.0.1"}, "is neither an address nor a host name"),
        ({"rsport": "0"}, "rsport"),
        ({"rsport": "x"}, "rsport"),
        ({"weight": "0"}, "weight"),
        ({"limit": "100001"}, "limit"),
        ({"follow": "99"}, "Follow 99"),
        ({"ratelimit": "5"}, "ratelimit=5"),
        ({"addtoallsubvs": "1"}, "addtoallsubvs"),
    ],
)
def test_bad_values_are_refused_by_name(api: Api, change: dict[str, str], says: str) -> None:
    for error in (api.v1_error, api.v2_error):
        status, text = error("addrs", {"vs": "1", "rs": "10.0.1.1", "rsport": "80", **change})
        assert status == 422
        assert says in text
    assert api.appliance.configuration.service(1).servers == ()


def test_defaults_of_what_is_not_built_are_accepted(api: Api) -> None:
    api.v2("addrs", vs=1, rs="10.0.1.1", critical=False, follow=0, RateLimit=0, non_local="n", addtoallsubvs="0")


def test_the_same_server_twice_is_refused(api: Api) -> None:
    api.v1("addrs", vs=1, rs="10.0.1.1", rsport=80)
    assert "already in the service" in api.v1_error("addrs", vs=1, rs="10.0.1.1", rsport=80)[1]


def test_a_server_is_added_and_found_by_name(api: Api) -> None:
    server = api.v1("addrs", vs=1, rs="localhost", rsport=80)["Rs"]
    assert (server["DnsName"], server["Addr"]) == ("localhost", "127.0.0.1")
    assert api.v1("showrs", vs=1, rs="LocalHost", rsport=80)["Rs"]["RsIndex"] == "1"
    assert api.v1("disablers", rs="localhost") == "Command completed ok"
    assert api.v1("showrs", vs=1, rs="!1")["Rs"]["Enable"] == "N"


def test_references(api: Api) -> None:
    api.v1("addrs", vs=1, rs="10.0.1.1", rsport=80)
    for reference in ({"rs": "!1"}, {"rs": "10.0.1.1", "rsport": "80"}, {"rs": "10.0.1.1"}):
        assert api.v1("showrs", {**VS, **reference})["Rs"]["RsIndex"] == "1"
        assert [rs["RsIndex"] for rs in api.v2("showrs", {"vs": 1, **reference})["Rs"]] == [1]
    unknown: tuple[dict[str, object], ...] = (
        {"rs": "!2"},
        {"rs": "!x"},
        {"rs": "10.0.1.2", "rsport": 80},
        {"rs": "10.0.1.1", "rsport": 81},
    )
    for wrong in unknown:
        for command in ("showrs", "modrs", "delrs"):
            assert api.v1_error(command, {"vs": 1, **wrong}) == (422, "Unknown RS")
    assert api.v1_error("showrs", vs=1) == (400, "rs: Address Value missing")
    assert api.v1_error("showrs", vs=2, rs="!1") == (422, "Unknown VS")
    api.v1("addrs", vs=1, rs="10.0.1.1", rsport=81)
    assert api.v1_error("showrs", vs=1, rs="10.0.1.1") == (400, "rsport: String Value missing")


def test_modrs_answers_a_message_and_in_v2_the_server_too(api: Api) -> None:
    api.v1("addrs", vs=1, rs="10.0.1.1", rsport=80)
    assert api.v1("modrs", vs=1, rs="!1", weight=5) == "Command completed ok"
    sent = {"Addr": "10.9.9.9", "Port": 1, "DnsName": "x", "Nrules": 3, "RsIndex": 9, "Forward": "nat"}
    answer = api.v2("modrs", {"vs": 1, "rs": "10.0.1.1", "rsport": 80, "newport": 8080, "limit": 9, **sent})
    assert answer["message"] == "Command completed ok"
    (server,) = answer["Rs"]
    assert (server["Addr"], server["Port"], server["Weight"], server["Limit"]) == ("10.0.1.1", 8080, 5, 9)
    assert "forward" in api.v1_error("modrs", vs=1, rs="!1", forward="route")[1]


def test_delrs(api: Api) -> None:
    api.v1("addrs", vs=1, rs="10.0.1.1", rsport=80)
    assert api.v2("delrs", vs=1, rs="!1") == {"message": "Command completed ok"}
    assert api.v1("addrs", vs=1, rs="10.0.1.1", rsport=80)["Rs"]["RsIndex"] == "2"


def test_an_address_is_switched_in_every_service(api: Api) -> None:
    api.v1("addvs", {**VS, "port": 81})
    for vs in (1, 2):
        api.v1("addrs", vs=vs, rs="10.0.1.1", rsport=80)
    assert api.v1("disablers", rs="10.0.1.1") == "Command completed ok"
    states = [server["Status"] for vs in (1, 2) for server in api.v2("showvs", vs=vs)["Rs"]]
    assert states == ["Disabled", "Disabled"]
    assert api.v2("enablers", rs="10.0.1.1") == {"message": "Command completed ok"}
    assert api.v2("showrs", vs=2, rs="!2")["Rs"][0]["Enable"] is True
    assert api.v1_error("disablers", rs="10.0.1.9") == (422, "Unknown RS")
    assert api.v1_error("disablers") == (400, "rs: Address Value missing")


def test_states_come_from_the_checks(api: Api) -> None:
    api.v1("addrs", vs=1, rs="10.0.1.1", rsport=80)
    assert api.v1("showvs", vs=1)["Status"] == "Down"
    api.appliance.verdicts["vs1/rs1"] = Verdict("up")
    record = api.v1("showvs", vs=1)
    assert (record["Status"], record["Rs"]["Status"]) == ("Up", "Up")
