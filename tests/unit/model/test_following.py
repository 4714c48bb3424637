"""Port following: which service may follow which, and what is refused because of it."""

from __future__ import annotations

from typing import Any

import pytest

from steelyard.model.commands import AddServer, AddService, ChangeService, Declare, RemoveService
from steelyard.model.configuration import Configuration
from steelyard.model.errors import ConflictError, OperatorError


def _settings(port: int, **settings: Any) -> dict[str, Any]:
    servers = [{"address": f"10.0.0.{n}", "port": port} for n in (1, 2)]
    data = {"address": "192.0.2.1", "port": port, "service_type": "http", "persistence": "src", "servers": servers}
    return data | settings


def _three() -> Configuration:
    configuration = Configuration()
    for port in (80, 81, 82):
        configuration = AddService(_settings(port)).apply(configuration).configuration
    return configuration


def _change(configuration: Configuration, index: int, **changes: Any) -> Configuration:
    return ChangeService(index, changes).apply(configuration).configuration


def test_two_may_follow_each_other_and_a_third_may_follow_one_of_them() -> None:
    configuration = _change(_three(), 1, follow_vs=2)
    configuration = _change(configuration, 2, follow_vs=1)
    configuration = _change(configuration, 3, follow_vs=1)
    assert [service.follow_vs for service in configuration.services.values()] == [2, 1, 1]


def test_a_longer_circle_is_refused() -> None:
    configuration = _change(_change(_three(), 1, follow_vs=2), 2, follow_vs=3)
    with pytest.raises(OperatorError, match="circle: 3 -> 1 -> 2"):
        _change(configuration, 3, follow_vs=1)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"follow_vs": 2}, "cannot follow itself"),
        ({"follow_vs": 9}, "no such virtual service"),
        ({"follow_vs": 1, "persistence": "url"}, "same persistence mode"),
        ({"follow_vs": 1, "persistence_mask": 24}, "same persistence mode"),
        ({"follow_vs": 1, "persistence": "none"}, "both need persistence"),
    ],
)
def test_what_cannot_be_followed(changes: dict[str, Any], why: str) -> None:
    with pytest.raises(OperatorError, match=why) as refusal:
        _change(_three(), 2, **changes)
    assert refusal.value.field == "follow_vs"


def test_other_servers_or_another_address_family_are_refused() -> None:
    configuration = AddServer(1, {"address": "10.0.0.9", "port": 80}).apply(_three()).configuration
    with pytest.raises(OperatorError, match=r"10\.0\.0\.9 in one alone"):
        _change(configuration, 2, follow_vs=1)
    wide = AddService(_settings(83, address="2001:db8::1")).apply(_three()).configuration
    with pytest.raises(OperatorError, match="IPv6"):
        _change(wide, 4, follow_vs=1)


def test_real_servers_change_in_one_after_the_other() -> None:
    configuration = _change(_three(), 2, follow_vs=1)
    for service in (1, 2):
        change = AddServer(service, {"address": "10.0.0.3", "port": 80})
        configuration = change.apply(configuration).configuration
    assert len(configuration.service(2).servers) == 3


@pytest.mark.parametrize("command", [ChangeService(1, {"persistence": "url"}), RemoveService(1)])
def test_what_would_break_it_names_both(command: Any) -> None:
    configuration = _change(_three(), 2, follow_vs=1)
    with pytest.raises(ConflictError) as refusal:
        command.apply(configuration)
    assert "192.0.2.1:80" in refusal.value.message
    assert "192.0.2.1:81" in refusal.value.message
    assert refusal.value.field == "follow_vs"
    # a name for the same cookie, or the time-out, breaks nothing
    _change(configuration, 1, persistence_timeout=600)


def test_services_that_follow_each_other_can_be_declared() -> None:
    configuration = _change(_change(_three(), 1, follow_vs=2), 2, follow_vs=1)
    services = [_settings(80, follow_vs=2), _settings(81, follow_vs=1), _settings(82)]
    declared = Declare(services).apply(configuration).configuration
    assert declared.services == configuration.services
    with pytest.raises(OperatorError) as refusal:
        Declare([_settings(80, follow_vs=3), _settings(81)]).apply(configuration)
    assert refusal.value.position == "services[0]"
