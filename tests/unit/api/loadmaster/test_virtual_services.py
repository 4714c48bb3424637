from __future__ import annotations

import pytest
from tests.unit.api.loadmaster.calling import Api

HTTP = {"vs": "10.0.0.10", "port": "80", "prot": "tcp"}


def test_addvs_answers_the_flat_record(api: Api) -> None:
    assert api.v1("addvs", HTTP)["VSAddress"] == "10.0.0.10"
    record = api.v2("addvs", vs="10.0.0.10", port=443, prot="TCP", NickName="shop")
    assert (record["Index"], record["VSPort"], record["NickName"], record["VStype"]) == (2, "443", "shop", "gen")
    assert [vs["Index"] for vs in api.v2("listvs")["VS"]] == [1, 2]
    assert [vs["Index"] for vs in api.v1("listvs")["VS"]] == ["1", "2"]


def test_addvs_needs_address_and_port_and_assumes_tcp(api: Api) -> None:
    assert api.v1_error("addvs", port=80) == (400, "vs: Address Value missing")
    assert api.v1_error("addvs", vs="10.0.0.1") == (400, "port: String Value missing")
    assert api.v2_error("addvs", vs="10.0.0.1", port=None) == (400, "port: String Value missing")
    assert api.v2("addvs", vs="10.0.0.1", port=80)["Protocol"] == "tcp"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"vs": "shop"}, "vs is not an address"),
        ({"vs": "!1"}, "vs is not an address"),
        ({"port": "eighty"}, "VSPort"),
        ({"port": "70000"}, "1 to 65535"),
        ({"port": "9" * 5000}, "VSPort"),
        ({"port": "0"}, "* for every port"),
        ({"port": "*", "extraports": "81"}, "every port already"),
        ({"prot": "udp", "sslacceleration": "1"}, "SSLAcceleration needs layer 7"),
        ({"forcel4": "1", "compress": "1"}, "Compress needs layer 7"),
        ({"prot": "sctp"}, "allowed: tcp"),
        ({"persist": "udpsip"}, "udpsip"),
        ({"schedule": "dl", "checktype": "none"}, "CheckType none makes no checks"),
        ({"schedule": "adaptive", "adaptiveport": "443"}, "is the port of HTTPS"),
        ({"adaptiveurl": "load"}, "AdaptiveUrl"),
        ({"adaptiveminpercent": "51"}, "0 to 50"),
        ({"multiconnect": "y"}, "MultiConnect=on"),
        ({"enable": "maybe"}, "Enable"),
        ({"idletime": "-1"}, "Idletime"),
        ({"idletime": "10.5"}, "Idletime"),
        ({"nickname": "-x"}, "NickName"),
        ({"persist": "cookie"}, "Cookie"),
        ({"certfile": "nothing"}, ""),
        ({"template": "Exchange"}, "Unknown template"),
        ({"rsruleprecedence": "r"}, "RSRulePrecedence"),
        ({"createsubvs": ""}, "createsubvs"),
    ],
)
def test_bad_values_are_refused_by_name(api: Api, change: dict[str, str], says: str) -> None:
    parameters = {**HTTP, "sslacceleration": "0", **change}
    if "certfile" in change:
        parameters["sslacceleration"] = "1"
        says = "'nothing', which is no certificate here"
    for status, text in (api.v1_error("addvs", parameters), api.v2_error("addvs", parameters)):
        assert status == 422
        assert says in text
    assert api.appliance.configuration.services == {}


def test_a_duplicate_is_refused(api: Api) -> None:
    api.v1("addvs", HTTP)
    status, text = api.v1_error("addvs", HTTP)
    assert (status, "already exists" in text) == (422, True)


def test_unknown_parameters_are_ignored(api: Api) -> None:
    assert "Frob" not in api.v2("addvs", {**HTTP, "Frob": "1", "Rs": [{"Addr": "x"}], "Status": "Up"})


def test_references(api: Api) -> None:
    api.v1("addvs", HTTP)
    for reference in (HTTP, {"vs": 1}, {"vs": "1", "port": "9", "prot": "udp"}, {**HTTP, "port": 80}):
        assert api.v2("showvs", reference)["Index"] == 1
        assert api.v1("showvs", reference)["Index"] == "1"
    for unknown in ({"vs": 2}, {"vs": "99999999"}, {**HTTP, "port": "81"}, {**HTTP, "port": "*"}):
        assert api.v1_error("showvs", unknown) == (422, "Unknown VS")
        assert api.v2_error("modvs", unknown) == (422, "Unknown VS")
        assert api.v2_error("delvs", unknown) == (422, "Unknown VS")
    assert api.v1_error("showvs", vs="10.0.0.10") == (400, "port: String Value missing")
    assert api.v1_error("showvs", vs="10.0.0.10", port=80) == (400, "prot: String Value missing")
    assert api.v1_error("showvs", vs_index=1) == (400, "vs: Address Value missing")
    status, text = api.v1_error("showvs", {**HTTP, "vs": "!1"})
    assert (status, text) == (422, "vs is neither the index nor the address of a virtual service")


def test_ipv6_is_accepted_everywhere(api: Api) -> None:
    api.v1("addvs", vs="2001:DB8::1", port=80, prot="tcp")
    assert api.v1("showvs", vs="2001:db8:0::1", port=80, prot="tcp")["VSAddress"] == "2001:db8::1"


def test_modvs_changes_address_and_port_of_the_named_service(api: Api) -> None:
    api.v1("addvs", HTTP)
    changed = api.v1("modvs", {**HTTP, "vsaddress": "10.0.0.11", "vsport": "8080"})
    assert (changed["Index"], changed["VSAddress"], changed["VSPort"]) == ("1", "10.0.0.11", "8080")
    assert api.v2("modvs", vs=1, vsaddress="10.0.0.12", port="80")["VSPort"] == "8080"


def test_modvs_keeps_what_is_left_out_and_clears_what_is_empty(api: Api) -> None:
    api.v1("addvs", {**HTTP, "nickname": "shop", "checkurl": "/health", "checkcodes": "404 503"})
    record = api.v2("modvs", vs=1, checkurl="", checkcodes="", enable=False)
    assert (record["NickName"], record["Enable"], record["Status"]) == ("shop", False, "Disabled")
    assert "CheckUrl" not in record
    assert "CheckCodes" not in record


@pytest.mark.parametrize("word", ["1", "Y", "y", "yes", "true", "True", True, 1])
def test_booleans_come_in_any_spelling(api: Api, word: object) -> None:
    assert api.v2("addvs", {**HTTP, "CheckUse1.1": word, "enable": "0"})["CheckUse1.1"] is True
    if isinstance(word, str):
        assert api.v1("modvs", {"vs": 1, "httpreschedule": word})["HTTPReschedule"] == "Y"


def test_persistence_follows_its_timeout(api: Api) -> None:
    api.v1("addvs", HTTP)
    on = api.v2("modvs", vs=1, PersistTimeout="119")
    assert (on["Persist"], on["PersistTimeout"]) == ("src", "60")
    # The Python SDK switches persistence off this way.
    off = api.v1("modvs", vs=1, persist="", persisttimeout=0)
    assert "Persist" not in off
    assert off["PersistTimeout"] == "0"


def test_a_cookie_is_read_by_its_modes_alone_and_stays_after_them(api: Api) -> None:
    api.v1("addvs", {**HTTP, "cookie": "SID"})
    assert "Cookie" not in api.v1("showvs", vs=1)
    api.v1("modvs", vs=1, persist="cookie", cookie="SID", persisttimeout=300)
    assert api.v1("modvs", vs=1, persist="src")["Cookie"] == "SID"
    assert api.v1("modvs", vs=1, cookie="OTHER")["Cookie"] == "SID"
    header = api.v1("modvs", vs=1, persist="header", cookie="X-User")
    assert (header["Persist"], header["Cookie"]) == ("header", "X-User")
    assert api.v1("modvs", vs=1, persist="query-hash", querytag="id")["QueryTag"] == "id"


def test_post_data_goes_with_the_method(api: Api) -> None:
    api.v1("addvs", {**HTTP, "checkuseget": 2, "checkpostdata": "ping"})
    assert "CheckPostData" not in api.v1("modvs", vs=1, checkuseget=1)
    assert "CheckPostData" not in api.v1("modvs", vs=1, checkpostdata="pong")


def test_lists_with_every_separator(api: Api) -> None:
    record = api.v2("addvs", {**HTTP, "ExtraPorts": "8081 8082,8090-8092", "CheckHeaders": "A:1|B:2 3"})
    assert record["ExtraPorts"] == "8081-8082,8090-8092"
    assert record["CheckHeaders"] == "A:1|B:2 3"
    assert api.v2("modvs", vs=1, CheckCodes=["404", "503"])["CheckCodes"] == "404 503"
    assert "ExtraPorts" not in api.v2("modvs", vs=1, ExtraPorts="")


def test_idle_time_zero_is_the_default(api: Api) -> None:
    api.v1("addvs", HTTP)
    assert api.v1("modvs", vs=1, idletime=120)["Idletime"] == "120"
    assert api.v1("modvs", vs=1, idletime=0)["Idletime"] == "660"


def test_delvs_and_the_lowest_free_index(api: Api) -> None:
    api.v1("addvs", HTTP)
    api.v1("addvs", {**HTTP, "port": 81})
    assert api.v1("delvs", HTTP) == "Command completed ok"
    assert api.v2("delvs", vs="2") == {"message": "Command completed ok"}
    assert api.v1("addvs", {**HTTP, "port": 82})["Index"] == "1"


@pytest.mark.parametrize("command", ["dupvs", "dupvip"])
def test_dupvs_copies_to_another_address(api: Api, command: str) -> None:
    api.v1("addvs", {**HTTP, "nickname": "shop"})
    api.v1("addrs", vs=1, rs="10.0.1.1", rsport=80)
    assert api.v1(command, {**HTTP, "newvs": "10.0.0.11", "newport": "8080"}) == "Command completed ok"
    copy = api.v2("showvs", vs=2)
    assert (copy["VSAddress"], copy["VSPort"], copy["NickName"]) == ("10.0.0.11", "8080", "shop")
    assert [rs["RsIndex"] for rs in copy["Rs"]] == [2]
    assert api.v2_error(command, vs=1)[0] == 400
    assert api.v2_error(command, vs=1, newport="80")[0] == 422


def test_vstotals_counts_states(api: Api) -> None:
    api.v1("addvs", HTTP)
    api.v1("addrs", vs=1, rs="10.0.1.1", rsport=80)
    api.v1("addvs", {**HTTP, "port": 81, "enable": "n"})
    assert api.v2("vstotals")["VS"] == {"Total": 2, "Up": 0, "Down": 1, "Disabled": 1}
    assert api.v1("vstotals")["RS"] == {"Total": "1", "Up": "0", "Down": "1", "Disabled": "0"}
