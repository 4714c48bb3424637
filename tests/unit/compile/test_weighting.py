"""What the checking process is told of weights that move."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.model.making import added

from steelyard.compile.health import compile_health
from steelyard.model.adaptive import AdaptiveParameters
from steelyard.model.commands import AddService, ChangeService, CreateSubService, SetParameters
from steelyard.model.configuration import Configuration
from steelyard.model.errors import OperatorError
from steelyard.plan.weighting import Weighting

AGENT = Weighting(kind="agent", interval=9, url="/load", port=80, timeout=4, least_load=5)
WEB: dict[str, Any] = {"address": "192.0.2.10", "port": 80}


def weighting(**settings: Any) -> Weighting | None:
    parameters = settings.pop("parameters", None)
    configuration = Configuration()
    if parameters:
        configuration = SetParameters("adaptive", parameters).apply(configuration).configuration
    configuration = AddService({**WEB, **settings}).apply(configuration).configuration
    return compile_health(configuration).services["vs1"].weighting


@pytest.mark.parametrize("schedule", ["rr", "wrr", "lc", "wlc", "fixed", "sh", "uhash", "random"])
def test_other_methods_move_no_weights(schedule: str) -> None:
    assert weighting(schedule=schedule) is None


def test_an_agent_is_polled_by_default_where_loadmaster_polls_it() -> None:
    assert weighting(schedule="adaptive") == AGENT


def test_a_service_overrides_what_is_global() -> None:
    everywhere = {"url": "/agent", "port": 8080, "interval": 30, "least_load": 20}
    assert weighting(schedule="adaptive", parameters=everywhere) == AGENT.model_copy(update=everywhere)
    own = {"adaptive_url": "/own", "adaptive_port": 81, "adaptive_interval": 60, "adaptive_min_percent": 1}
    assert weighting(schedule="adaptive", parameters=everywhere, **own) == AGENT.model_copy(
        update={"url": "/own", "port": 81, "interval": 60, "least_load": 1}
    )


def test_an_agent_is_never_polled_more_often_than_its_server_is_checked() -> None:
    found = weighting(schedule="adaptive", adaptive_interval=2, check_interval=20)
    assert found is not None
    assert found.interval == 20


def test_the_other_methods() -> None:
    assert weighting(schedule="dl") == Weighting(kind="response", interval=15)
    assert weighting(schedule="sdn-adaptive") == Weighting(kind="external", interval=1)


@pytest.mark.parametrize("schedule", ["adaptive", "dl"])
def test_what_measures_real_servers_is_refused_where_there_are_none(schedule: str) -> None:
    configuration = AddService(WEB).apply(Configuration()).configuration
    configuration = CreateSubService(1).apply(configuration).configuration
    with pytest.raises(OperatorError, match="has sub-services") as raised:
        ChangeService(1, {"schedule": schedule}).apply(configuration)
    assert raised.value.field == "schedule"
    sub = next(index for index in configuration.services if index != 1)
    for index, method in ((1, "sdn-adaptive"), (sub, schedule)):
        ChangeService(index, {"schedule": method}).apply(configuration)


def test_the_port_of_https_is_no_agents_port() -> None:
    for make in (lambda: AdaptiveParameters.make({"port": 443}), lambda: added(adaptive_port=443)):
        with pytest.raises(OperatorError, match="443") as raised:
            make()
        assert raised.value.remedy == "Give the port where the agent answers plain HTTP"
