from __future__ import annotations

import pytest
from tests.unit.api.loadmaster.calling import Api


@pytest.mark.parametrize(
    ("family", "tag"),
    [
        ("clientmaxclimit", "ClientMaxcLimit"),
        ("clientcpslimit", "ClientCpsLimit"),
        ("afeclientlimit", "ClientLimit"),
        ("clientrpslimit", "ClientRpsLimit"),
        ("clientbandwidthlimit", "ClientBandwidthLimit"),
    ],
)
def test_limits_of_clients(api: Api, family: str, tag: str) -> None:
    api.v1("set", param="ClientMaxBandwidthLimit", value=1000)
    assert api.v1(f"{family}add", l7addr="10.0.0.1", l7limit=20) == "Command completed ok"
    assert api.v1(f"{family}list") == {tag: {"l7addr": "10.0.0.1", "l7limit": "20"}}
    api.v2(f"{family}add", l7addr="10.0.0.0/8", l7limit=30)
    assert api.v2(f"{family}list")[tag] == [
        {"l7addr": "10.0.0.0/8", "l7limit": 30},
        {"l7addr": "10.0.0.1", "l7limit": 20},
    ]
    assert api.v1(f"{family}del", l7addr="10.0.0.1") == "Command completed ok"
    assert api.v1_error(f"{family}del", l7addr="10.0.0.1")[0] == 422
    assert api.v1_error(f"{family}add", l7addr="10.0.0.1") == (400, "l7limit: Integer Value missing")
    assert api.v1_error(f"{family}add", l7limit="5") == (400, "l7addr: String Value missing")
    assert "whole number" in api.v1_error(f"{family}add", l7addr="10.0.0.1", l7limit="many")[1]


def test_the_old_name_of_connection_rates_is_the_same_list(api: Api) -> None:
    api.v1("afeclientlimitadd", l7addr="10.0.0.1", l7limit=20)
    assert api.v1("clientcpslimitlist") == {"ClientCpsLimit": {"l7addr": "10.0.0.1", "l7limit": "20"}}


def test_bandwidth_of_a_client_needs_that_of_all_clients(api: Api) -> None:
    assert "ClientMaxBandwidthLimit" in api.v1_error("clientbandwidthlimitadd", l7addr="10.0.0.1", l7limit=20)[1]


def test_limiting_rules(api: Api) -> None:
    assert api.v1("addlimitrule", name="a", pattern="^/a", limit=5, match=0) == "Command completed ok"
    api.v2("addlimitrule", name="b", pattern="bot", limit=6, match=66)
    api.v1("movelimitrule", name="a", position=99)
    api.v1("modlimitrule", name="a", limit=7)
    assert api.v2("listlimitrules")["Limits"] == [
        {"name": "b", "pattern": "bot", "limit": 6, "match": 66},
        {"name": "a", "pattern": "^/a", "limit": 7, "match": 0},
    ]
    assert "already exists" in api.v1_error("addlimitrule", name="a", pattern="x", limit=1)[1]
    assert api.v1_error("addlimitrule", name="c", limit=1) == (400, "pattern: String Value missing")
    assert api.v1_error("movelimitrule", name="a") == (400, "position: Integer Value missing")
    api.v1("dellimitrule", name="b")
    assert api.v1("listlimitrules")["Limits"]["name"] == "a"
    assert api.v1_error("dellimitrule", name="b")[0] == 422


def test_parameters_and_settings_of_services(api: Api) -> None:
    api.v1("set", param="MaxCPSLimit", value=100)
    assert api.v1("get", param="maxcpslimit") == {"maxcpslimit": "100"}
    assert api.v2("getall")["MaxCPSLimit"] == 100
    assert "RateLimitFail" in api.v1_error("set", param="RateLimitFail", value=1)[1]
    api.v1("set", param="LimitLogging", value=1)
    api.v2("set", param="ClientRepeatDelay", value=20)
    assert "10 to 86400" in api.v1_error("set", param="ClientRepeatDelay", value=9)[1]
    limits = api.appliance.configuration.limits
    assert (limits.logging, limits.repeat_delay) == (True, 20)


def test_the_old_name_of_the_limit_of_clients(api: Api) -> None:
    api.v1("set", param="l7limitinput", value=25)
    assert api.v1("get", param="ClientCPSLimit") == {"ClientCPSLimit": "25"}
    assert api.v1("get", param="LimitInput") == {"LimitInput": "25"}
    found = api.v2("getall")
    assert found["l7limitinput"] == found["ClientCPSLimit"] == 25


def test_limits_of_services(api: Api) -> None:
    api.v1("set", param="MaxCPSLimit", value=100)
    shown = api.v1("addvs", vs="10.0.0.1", port=80, prot="tcp", vstype="http", connspersecLimit=50, maxconnslimit=9)
    assert (shown["ConnsPerSecLimit"], shown["MaxConnsLimit"], shown["RequestsPerSecLimit"]) == ("50", "9", "0")
    assert "MaxCPSLimit 100" in api.v1_error("modvs", vs=1, connspersecLimit=101)[1]
    assert api.v2("modvs", vs=1, bandwidth=64)["Bandwidth"] == 64


def test_the_counters_are_in_the_statistics(api: Api) -> None:
    assert set(api.v1("stats")["ClientLimits"]["Totals"]) == {
        "CurrentConnections",
        "CurrentConnectionsBlocked",
        "SuccessfulConnectionAttempts",
        "SuccessfulRequestAttempts",
        "SuccessfulMatchedRuleAttempts",
        "ConnectionAttemptsBlocked",
        "RequestAttemptsBlocked",
        "MatchedRulesBlocked",
    }
