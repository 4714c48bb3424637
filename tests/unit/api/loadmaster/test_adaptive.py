"""Adaptive scheduling in LoadMaster's API: the agent's parameters, records and figures."""

from __future__ import annotations

import pytest
from tests.unit.api.loadmaster.calling import Api

from steelyard.health.weight_status import WeightStatus

DEFAULTS = {"AdaptiveURL": "/load", "AdaptivePort": "80", "AdaptiveInterval": "7", "MinPercent": "5"}


def test_the_agents_parameters(api: Api) -> None:
    shown = api.v1("showadaptive")
    assert {name: shown[name] for name in DEFAULTS} == DEFAULTS
    assert shown["Data"] == DEFAULTS
    assert api.v2("showadaptive") == {
        "AdaptiveURL": "/load",
        "AdaptivePort": 80,
        "AdaptiveInterval": 7,
        "MinPercent": 5,
    }
    assert api.v1("modadaptive", adaptiveurl="/agent", MinPercent="0") == "Command completed ok"
    api.v2("modadaptive", AdaptivePort=8080, AdaptiveInterval="30")
    adaptive = api.appliance.configuration.adaptive
    assert (adaptive.url, adaptive.port, adaptive.interval, adaptive.least_load) == ("/agent", 8080, 30, 0)
    api.v2("modadaptive", api.v2("showadaptive"))
    assert api.appliance.configuration.adaptive == adaptive


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"AdaptivePort": "443"}, "is the port of HTTPS, and load agents are asked by plain HTTP"),
        ({"AdaptivePort": "0"}, "1 to 65535"),
        ({"AdaptiveURL": "http://agent/"}, "a path that starts with /"),
        ({"AdaptiveURL": "/a b"}, "a path that starts with /"),
        ({"AdaptiveURL": "/" + "a" * 126}, "too long"),
        ({"AdaptiveInterval": "0"}, "1 to 86400"),
        ({"MinPercent": "51"}, "0 to 50"),
        ({"MinPercent": "some"}, "MinPercent"),
    ],
)
def test_bad_values_are_refused_by_name(api: Api, given: dict[str, str], says: str) -> None:
    status, message = api.v1_error("modadaptive", **given)
    assert status == 422
    assert says in message


@pytest.mark.parametrize(
    ("schedule", "shown"), [("adaptive", "http_rs"), ("sdn-adaptive", "sdn_gstats"), ("dl", None), ("wrr", None)]
)
def test_the_record_says_what_moves_the_weights(api: Api, schedule: str, shown: str | None) -> None:
    api.v1("addvs", vs="10.0.0.10", port=80, prot="tcp", schedule=schedule, adaptiveport="8080", adaptiveminpercent="9")
    record = api.v2("showvs", vs=1)
    assert record["Schedule"] == schedule
    assert record.get("Adaptive") == shown
    assert (record["AdaptivePort"], record["AdaptiveMinPercent"]) == (8080, 9)
    api.v1("modvs", vs=1, **{k: v for k, v in api.v1("showvs", vs=1).items() if isinstance(v, str)})
    assert api.v2("showvs", vs=1) == record


def test_statistics_tell_the_weight_of_now(api: Api) -> None:
    api.v1("addvs", vs="10.0.0.10", port=80, prot="tcp", schedule="adaptive")
    for host in (21, 22):
        api.v1("addrs", vs=1, rs=f"10.0.1.{host}", rsport=8080)
    status = WeightStatus("agent", 1000, 250, 64, 75.0, None, None, None, None, "the agent says 75 %")
    api.appliance.member_weights = {2: status}
    assert [server["Weight"] for server in api.v2("stats")["Rs"]] == [1000, 250]
    assert api.v2("showrs", vs=1, rs="!2")["Rs"][0]["Weight"] == 1000
