"""Forms of the settings catalogue: drawn and posted untouched they are the same object; what is touched is a change."""

from __future__ import annotations

import base64
import json
import re
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.support.strategies import configurations

from steelyard.api.native.catalogue import MODELS
from steelyard.model.commands import ChangeService
from steelyard.model.configuration import Configuration
from steelyard.model.errors import OperatorError
from steelyard.model.ldap_endpoint import LdapEndpoint
from steelyard.model.setting import Declared, Settings
from steelyard.model.virtual_service import VirtualService
from steelyard.web.forms.making import Maker, complaints_of
from steelyard.web.forms.posted import (
    BITS,
    CLEAR,
    ORIGINAL,
    changes,
    originals,
    posted_form,
    value_of,
)
from steelyard.web.forms.wording import plainly
from steelyard.web.pages.ldap import EndpointForm
from steelyard.web.service_form import offers_for, service_parts, values_of

#: every model with settings that a form asks for
FORMS: dict[str, type[Settings]] = {**MODELS, "endpoint-form": EndpointForm}
SETTINGS = [
    pytest.param(declared, id=f"{name}.{declared.name}")
    for name, model in FORMS.items()
    for declared in model.declared().values()
    if declared.setting.built and not declared.setting.secret
]


def values(declared: Declared) -> st.SearchStrategy[Any]:
    """What a setting may hold, as far as its declaration says."""
    setting = declared.setting
    if declared.kind == "boolean":
        return st.booleans()
    if declared.name in BITS:
        return st.integers(0, sum(BITS[declared.name]))
    if setting.choices and declared.kind != "list":
        return st.sampled_from([value for value in setting.choices if value not in setting.unbuilt])
    if declared.kind == "integer":
        return st.integers(setting.ge or 0, setting.le if setting.le is not None else 2**31)
    if declared.name == "error_page":
        return st.sampled_from(["", "PGgxPkhlbGxvPC9oMT4K", "YQ0KYg==", "w6TDtg=="])
    if declared.name in ("allowed_hosts", "allowed_directories", "excluded_directories"):
        return st.lists(st.from_regex(r"[a-z0-9./*-]{1,12}", fullmatch=True), max_size=4).map(" ".join)
    one = st.text(
        st.characters(min_codepoint=0x21, max_codepoint=0x17F, exclude_characters="\x7f\x85"), min_size=1, max_size=30
    )
    if setting.pattern is not None:
        one = st.from_regex(setting.pattern, fullmatch=True).filter(lambda text: text == text.strip())
    if declared.kind == "list":
        apart = setting.separator or "\n"
        return st.lists(
            one.filter(
                lambda text: text and apart not in text and not re.search(r"[\s,:]" if apart in ",:" else r"\s", text)
            ),
            max_size=4,
        ).map(tuple)
    if setting.pattern_says is not None:
        one = one.filter(lambda text: text == text.strip())
    return one | st.just("")


@pytest.mark.parametrize("declared", SETTINGS)
@given(data=st.data())
@settings(max_examples=6, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much], deadline=None)
def test_what_a_field_holds_reads_back_as_the_value_it_was_made_of(declared: Declared, data: st.DataObject) -> None:
    value = data.draw(values(declared))
    assert value_of(declared, posted_form(declared, value)) == value
    # browsers end lines by CR LF
    assert value_of(declared, posted_form(declared, value).replace("\n", "\r\n").replace("\r\n", "\n")) == value


def drawn(service: VirtualService, configuration: Configuration) -> dict[str, list[str]]:
    """What a browser posts of the untouched form of a service."""
    names = [
        name for part in service_parts(service) for name in part.names if VirtualService.declared()[name].setting.built
    ]
    offers = offers_for(configuration, service)
    posted = {ORIGINAL: [originals(VirtualService, values_of(service), names, set(offers))]}
    maker = Maker(VirtualService, values_of(service), offers=offers)
    for one in maker.fields(names):
        if one.widget == "switch":
            posted[one.name] = ["1"] if one.is_on else []
        elif one.widget in ("picks", "bits"):
            posted[one.name] = [choice.value for choice in one.choices if choice.chosen]
        else:
            posted[one.name] = [re.sub("\r?\n", "\r\n", one.value)]
    return posted


@given(configurations())
@settings(max_examples=20, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large], deadline=None)
def test_an_untouched_form_changes_nothing(configuration: Configuration) -> None:
    for service in configuration.services.values():
        found = changes(VirtualService, drawn(service, configuration))
        assert found == {}, found


def bare(value: Any) -> Any:
    """A value as a form gives it: without blanks at the ends of a list's parts, which are slips."""
    return tuple(one.strip() if isinstance(one, str) else one for one in value) if isinstance(value, tuple) else value


@given(configurations(), st.data())
@settings(max_examples=20, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large], deadline=None)
def test_a_form_filled_in_for_another_service_makes_its_settings(
    configuration: Configuration, data: st.DataObject
) -> None:
    """What is typed to turn one service's form into another's is exactly what differs between the two."""
    if len(configuration.services) < 2:
        return
    one, other = list(configuration.services.values())[:2]
    posted = {**drawn(other, configuration), ORIGINAL: drawn(one, configuration)[ORIGINAL]}
    found = changes(VirtualService, posted)
    names = {name for part in service_parts(one) for name in part.names}
    differ = {name for name in names if bare(getattr(one, name)) != bare(getattr(other, name))}
    assert set(found) <= names
    assert set(found) == differ
    assert {name: bare(getattr(other, name)) for name in differ} == found


def test_only_what_differs_from_what_the_form_held_is_a_change() -> None:
    service = VirtualService.make({"index": 1, "address": "192.0.2.1", "port": 80, "service_type": "http"})
    posted = drawn(service, Configuration())
    posted |= {"idle_time": ["1800"], "cache": ["1"], "extra_ports": ["81, 82"], "name": ["  shop "]}
    assert changes(VirtualService, posted) == {
        "idle_time": 1800,
        "cache": True,
        "extra_ports": ("81", "82"),
        "name": "shop",
    }


def test_a_greyed_field_that_is_not_posted_is_no_change() -> None:
    posted = {ORIGINAL: ['{"name":"shop"}'], "name": ["shop"]}
    assert changes(VirtualService, posted) == {}


def test_a_field_that_the_form_did_not_hold_is_not_believed() -> None:
    assert changes(VirtualService, {ORIGINAL: ['{"name":""}'], "name": [""], "idle_time": ["5"]}) == {}


@pytest.mark.parametrize("text", ["", "[]", "{", '{"name": 3}', "null", '{"no_such": "x"}'])
def test_an_original_that_makes_no_sense_gives_no_changes(text: str) -> None:
    assert changes(VirtualService, {ORIGINAL: [text], "name": ["x"], "no_such": ["y"]}) == {}


def test_a_number_that_is_none_is_left_for_the_model_to_refuse() -> None:
    posted = {ORIGINAL: ['{"idle_time":"660"}'], "idle_time": ["soon"]}
    assert changes(VirtualService, posted) == {"idle_time": "soon"}


def test_a_number_that_is_emptied_is_its_default() -> None:
    assert changes(VirtualService, {ORIGINAL: ['{"idle_time":"900"}'], "idle_time": [" "]}) == {"idle_time": 660}


@pytest.mark.parametrize(
    "page", [b"<h1>Sorry</h1>\n", b"a\r\nb\r\n", b"a\rb\r\nc\n", b"\x80\xff", b"data:;base64,x", b""]
)
def test_an_error_page_of_any_bytes_comes_back_untouched(page: bytes) -> None:
    """What a browser shows in a text field it sends with CR LF, whatever was there."""
    declared = VirtualService.declared()["error_page"]
    kept = base64.b64encode(page).decode()
    shown = posted_form(declared, kept)
    sent = re.sub("\r?\n", "\r\n", shown)
    assert changes(VirtualService, {ORIGINAL: [json.dumps({"error_page": shown})], "error_page": [sent]}) == {}
    assert value_of(declared, shown) == kept


def test_a_secret_is_never_drawn_stays_when_empty_and_can_be_taken_away() -> None:
    field = Maker(EndpointForm, dict.fromkeys(EndpointForm.declared(), "") | {"password": "hidden"}).field("password")
    assert field is not None and field.value == "" and "hidden" not in repr(field)
    held = {ORIGINAL: ['{"password":""}']}
    assert changes(EndpointForm, {**held, "password": [""]}) == {}
    assert changes(EndpointForm, {**held, "password": ["new"]}) == {"password": "new"}
    assert changes(EndpointForm, {**held, CLEAR + "password": ["1"]}) == {"password": ""}


def test_a_setting_that_is_not_built_is_not_shown() -> None:
    service = VirtualService.make({"index": 1, "address": "192.0.2.1", "port": 80})
    shown = {one.name for one in Maker(VirtualService, values_of(service)).fields(VirtualService.declared())}
    assert shown
    assert not any(not VirtualService.declared()[name].setting.built for name in shown)
    unbuilt = {name: one.setting.unbuilt for name, one in VirtualService.declared().items() if one.setting.unbuilt}
    for one in Maker(VirtualService, values_of(service)).fields(shown & set(unbuilt)):
        assert not {choice.value for choice in one.choices} & {str(value) for value in unbuilt[one.name]}


def failure_of(service: VirtualService, **wanted: Any) -> OperatorError:
    configuration = Configuration(services={service.index: service})
    with pytest.raises(OperatorError) as caught:
        ChangeService(service.index, wanted).apply(configuration)
    return caught.value


def test_an_error_stands_at_its_field_in_words_of_the_page() -> None:
    service = VirtualService.make({"index": 1, "address": "192.0.2.1", "port": 80})
    errors, above = complaints_of(VirtualService, failure_of(service, idle_time="soon"), shown=lambda name: True)
    assert above is None
    assert errors["idle_time"].message == "“soon” is no whole number"
    assert errors["idle_time"].allowed == "0 to 86400 seconds"
    errors, _ = complaints_of(VirtualService, failure_of(service, idle_time=90_000), shown=lambda name: True)
    assert errors["idle_time"].message.endswith("is out of range")
    errors, above = complaints_of(VirtualService, failure_of(service, ssl_reencrypt=True), shown=lambda name: False)
    assert errors == {} and above is not None
    assert above.message == "Reencrypt needs SSL Acceleration"


def test_names_of_the_api_become_labels() -> None:
    assert plainly(VirtualService, "PassSNI needs SSLReencrypt") == "Pass through SNI hostname needs Reencrypt"
    said = "Persist: 'cookie' reads HTTP requests; the service type must be http"
    assert plainly(VirtualService, said, "persistence") == (
        "“Server Cookie” reads HTTP requests; the service type must be http"
    )
    assert plainly(VirtualService, "HAProxy and HTTP stay what they are") == "HAProxy and HTTP stay what they are"


def test_an_object_that_is_gone_is_still_shown_where_it_is_named() -> None:
    service = VirtualService.make(
        {"index": 1, "address": "192.0.2.1", "port": 80, "check_type": "ldap", "ldap_endpoint": "gone"}
    )
    field = Maker(VirtualService, values_of(service), offers=offers_for(Configuration(), service)).field(
        "ldap_endpoint"
    )
    assert field is not None
    assert [choice.value for choice in field.choices if choice.chosen] == ["gone"]
    assert LdapEndpoint.declared()["name"].setting.label
