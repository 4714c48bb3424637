"""The first start as a value, and the commands that lead through it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from steelyard.model.commands import (
    AcceptLicence,
    AddUser,
    ChangePassword,
    FinishFirstStart,
    ManageNetwork,
    Restore,
    SetUpNetwork,
)
from steelyard.model.configuration import Configuration, from_documents, objects_of, stored_document
from steelyard.model.errors import OperatorError
from steelyard.model.first_start import FirstStart
from steelyard.model.network import Interface
from steelyard.model.user import ADMINISTRATOR


def new() -> Configuration:
    made = AddUser(ADMINISTRATOR, "scrypt$00$00", one_time=True).apply(Configuration()).configuration
    return replace(made, first_start=FirstStart(unfinished=True, licence_due=True))


def taken_over(*addresses: str) -> Configuration:
    interfaces = tuple(
        Interface.make({"name": f"eth{number}", "number": number, "address": own})
        for number, own in enumerate(addresses)
    )
    return ManageNetwork(True, interfaces).apply(Configuration()).configuration


def after(configuration: Configuration, **said: Any) -> Configuration:
    return SetUpNetwork("eth0", **said).apply(configuration).configuration


def test_the_steps_follow_each_other() -> None:
    found = new()
    assert found.first_step == "licence"
    found = AcceptLicence().apply(found).configuration
    assert found.first_step == "password"
    with pytest.raises(OperatorError, match="one time"):
        FinishFirstStart().apply(found)
    found = ChangePassword(ADMINISTRATOR, "scrypt$00$01").apply(found).configuration
    assert found.first_step == "addresses"
    assert FinishFirstStart().apply(found).configuration.first_step == ""


def test_a_state_of_an_earlier_release_is_set_up() -> None:
    assert from_documents({}).first_step == ""
    one_time = AddUser(ADMINISTRATOR, "scrypt$00$00", one_time=True).apply(Configuration()).configuration
    assert one_time.first_step == "", "what it has to change it changes as ever"


def test_it_is_kept_with_the_configuration_and_not_rolled_back() -> None:
    stored: dict[str, dict[str, Any]] = {}
    for kind, key, value in objects_of(new()):
        document = stored_document(kind, value)
        if document is not None:
            stored.setdefault(kind, {})[key] = document
    assert from_documents(stored) == new()
    done = replace(new(), first_start=FirstStart())
    assert Restore(1, new()).apply(done).configuration.first_step == ""


def test_what_is_not_said_stays() -> None:
    before = taken_over("192.0.2.5/24", "10.0.0.5/24")
    assert after(before) == before
    found = after(before, farm_side="eth1", farm_address="10.0.0.6/24", host={"host_name": "edge"})
    assert [one.address for one in found.interfaces.values()] == ["192.0.2.5/24", "10.0.0.6/24"]
    assert (found.host.host_name, found.host.default_gateway) == ("edge", "")


@pytest.mark.parametrize(
    ("own", "gateway", "field"),
    [
        ("192.0.2.5/24", "192.0.2.1", "default_gateway"),
        ("2001:db8::5/64", "2001:DB8::1", "default_gateway6"),
    ],
)
def test_the_gateway_is_of_the_family_it_is_written_in(own: str, gateway: str, field: str) -> None:
    before = taken_over(own)
    found = after(before, gateway=gateway)
    assert getattr(found.host, field) == gateway.lower()
    assert getattr(after(found, gateway="").host, field) == ""


@pytest.mark.parametrize("gateway", ["10.0.0.1", "192.0.2.5", "nobody", "2001:db8::1", "0.0.0.0"])
def test_a_gateway_elsewhere_is_refused_with_what_is_allowed(gateway: str) -> None:
    with pytest.raises(OperatorError) as refused:
        after(taken_over("192.0.2.5/24", "10.0.0.5/24"), gateway=gateway)
    assert refused.value.field == "default_gateway" and "192.0.2.0/24" in str(refused.value.allowed)


@pytest.mark.parametrize(
    ("said", "field"),
    [
        ({"network_address": "192.0.2.255/24"}, "network_address"),
        ({"farm_side": "eth1", "farm_address": "10.0.0.5"}, "farm_address"),
        ({"farm_side": "eth0", "farm_address": "10.0.0.5/24"}, "farm_side"),
        ({"host": {"name_servers": ("x",)}}, "name_servers"),
    ],
)
def test_a_refusal_says_which_answer_it_is(said: dict[str, Any], field: str) -> None:
    with pytest.raises(OperatorError) as refused:
        after(taken_over("192.0.2.5/24", "10.0.0.5/24"), **said)
    assert refused.value.field == field


def test_a_network_of_another_tool_is_taken_over_first_or_not_touched() -> None:
    with pytest.raises(OperatorError, match="does not manage"):
        after(Configuration(), network_address="192.0.2.6/24")
    take_over = ManageNetwork(True, (Interface.make({"name": "eth0", "number": 0, "address": "192.0.2.5/24"}),))
    found = after(Configuration(), network_address="192.0.2.6/24", take_over=take_over)
    assert found.host.managed and found.interfaces["eth0"].address == "192.0.2.6/24"
