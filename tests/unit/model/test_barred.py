"""What forms grey out is what the commands refuse, and what they leave out has no effect in the engine."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.support.strategies import compiler, configurations

from steelyard.model.barred import bars
from steelyard.model.commands import AddRule, AddService, AttachRule, ChangeService, CreateSubService, RulePlace
from steelyard.model.configuration import Configuration
from steelyard.model.errors import ConflictError, OperatorError, SteelyardError
from steelyard.model.sources import refuse_without_switch
from steelyard.model.virtual_service import VirtualService
from steelyard.model.virtual_service.effect import without_effect

_SLOW = settings(
    max_examples=10, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large], deadline=None
)


def values_of(service: VirtualService) -> dict[str, Any]:
    found = {name: getattr(service, name) for name in VirtualService.declared()}
    return {**found, "further_checks": service.further_checks}


def refusal(configuration: Configuration, index: int, name: str, value: Any) -> str | None:
    try:
        changed = ChangeService(index, {name: value}).apply(configuration).configuration
        refuse_without_switch(changed.service(index), configuration.service(index), changed)
    except (OperatorError, ConflictError) as failure:
        return failure.message if failure.field == name else None
    return None


def choices_of(name: str) -> list[Any]:
    declared = VirtualService.declared()[name]
    if declared.kind == "boolean":
        return [False, True]
    if declared.kind == "list" or not declared.setting.choices:
        return []
    return [value for value in declared.setting.choices if value not in declared.setting.unbuilt]


@given(configurations())
@_SLOW
def test_a_choice_is_greyed_exactly_when_it_would_be_refused(configuration: Configuration) -> None:
    for index, service in list(configuration.services.items())[:1]:
        found = bars(configuration, index)
        for name, declared in VirtualService.declared().items():
            if not declared.setting.built:
                assert name not in found.settings
                assert name not in found.choices
                continue
            for value in choices_of(name):
                if value == getattr(service, name):
                    continue
                assert found.why_not(name, value) == (refusal(configuration, index, name, value) or ""), (name, value)


@given(configurations(), st.data())
@_SLOW
def test_what_is_said_to_have_no_effect_changes_nothing_in_the_engine(
    configuration: Configuration, data: st.DataObject
) -> None:
    if not configuration.services:
        return
    index, service = next(iter(configuration.services.items()))
    idle = sorted(without_effect(values_of(service)))
    name = data.draw(st.sampled_from(idle)) if idle else None
    options = [value for value in choices_of(name) if value != getattr(service, name)] if name else []
    if name is None or not options:
        return
    try:
        changed = ChangeService(index, {name: data.draw(st.sampled_from(options))}).apply(configuration).configuration
    except SteelyardError:
        return
    made = compiler()
    before, after = made.compile(configuration), made.compile(changed)
    assert before.haproxy == after.haproxy, name
    assert before.health == after.health, name


def service(**given: Any) -> Configuration:
    data = {"address": "192.0.2.1", "port": 8080, **given}
    return AddService(data).apply(Configuration()).configuration


def test_options_for_requests_are_greyed_where_bytes_are_passed_and_come_back_with_the_type() -> None:
    configuration = service(service_type="gen")
    found = bars(configuration, 1)
    assert "service type must be http" in found.settings["esp_enabled"]
    assert "service type must be http" in found.settings["copy_header_from"]
    assert "cookie" in found.choices["persistence"]
    assert "src" not in found.choices["persistence"]
    thought = bars(configuration, 1, {"service_type": "http"})
    assert "esp_enabled" not in thought.settings
    assert "cookie" not in thought.choices.get("persistence", {})


def test_limits_and_headers_are_greyed_at_layer_4() -> None:
    configuration = service(service_type="gen", force_l4=True)
    found = bars(configuration, 1).settings
    for name in ("connections_per_second", "max_connections", "add_via", "ssl_acceleration", "extra_header_value"):
        assert name in found, name
    assert "needs layer 7" in found["max_connections"]
    assert "max_connections" not in bars(configuration, 1, {"force_l4": False, "force_l7": True}).settings


def test_numbers_and_texts_that_are_set_are_not_greyed() -> None:
    """What is set can be taken away again, whatever the others say by now."""
    configuration = service(service_type="http", extra_header_name="X-A", extra_header_value="a")
    assert "extra_header_name" not in bars(configuration, 1).settings
    assert "copy_header_to" not in bars(configuration, 1).settings


def test_a_choice_that_needs_another_field_filled_in_is_not_greyed() -> None:
    found = bars(service(service_type="http"), 1)
    assert "header" not in found.choices.get("persistence", {})
    assert 302 not in found.choices.get("error_code", {})


def test_changes_that_cannot_be_had_together_do_not_hide_what_is_barred() -> None:
    found = bars(service(service_type="gen"), 1, {"idle_time": "soon", "persistence": "cookie", "compress": True})
    assert "esp_enabled" in found.settings


def test_what_a_rule_needs_keeps_the_type() -> None:
    configuration = service(service_type="http")
    for command in (AddRule({"name": "one", "pattern": "x"}), AttachRule(RulePlace(1, "pre"), "one")):
        configuration = command.apply(configuration).configuration
    assert "read HTTP requests" in bars(configuration, 1).settings["service_type"]


def test_a_sub_service_has_the_bars_of_its_family() -> None:
    configuration = CreateSubService(1).apply(service(service_type="http")).configuration
    assert "ssl_acceleration" in bars(configuration, 2).settings


def test_a_service_of_a_thousand_is_judged_alone() -> None:
    configuration = service()
    for number in range(2, 60):
        configuration = AddService({"address": f"192.0.2.{number}", "port": 80}).apply(configuration).configuration
    assert bars(configuration, 1) == bars(service(), 1)


def test_settings_without_effect_are_told_why() -> None:
    found = without_effect(values_of(service(service_type="http").service(1)))
    assert "SSL Acceleration is off" in found["certificates"]
    assert found["query_tag"]
    assert "persistence" not in found
    assert "schedule" not in found


def test_what_needs_a_global_switch_is_barred_while_that_is_off() -> None:
    configuration = AddService({"address": "192.0.2.1", "port": 25}).apply(Configuration()).configuration
    assert "use_for_snat" not in bars(configuration, 1).settings
    off = replace(configuration, network=configuration.network.changed({"server_nat": False}))
    assert "needs server NAT, which is off" in bars(off, 1).settings["use_for_snat"]
