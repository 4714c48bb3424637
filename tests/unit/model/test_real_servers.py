"""Real servers: numbers that are never used twice, and what a service may hold."""

from __future__ import annotations

import pytest
from tests.unit.model.making import HTTP, SERVER, TCP, apply

from steelyard.model.commands import (
    AddServer,
    AddService,
    ChangeServer,
    DuplicateService,
    EnableAddress,
    RemoveServer,
    RemoveService,
)
from steelyard.model.errors import ConflictError, NotFound, OperatorError

BASE = apply(
    AddService({**HTTP, "servers": [SERVER, {**SERVER, "port": 8081}]}), AddService({**TCP, "servers": [SERVER]})
)


def test_numbers_are_unique_over_the_appliance_and_never_used_again() -> None:
    numbers = [server.index for service in BASE.services.values() for server in service.servers]
    assert numbers == [1, 2, 3]
    after = apply(RemoveServer(2, 3), AddServer(2, SERVER), to=BASE)
    assert [server.index for server in after.services[2].servers] == [4]
    again = apply(RemoveService(1), RemoveService(2), AddService({**HTTP, "servers": [SERVER]}), to=after)
    assert [server.index for server in again.services[1].servers] == [5]
    assert apply(DuplicateService(1, port=90), to=again).services[2].servers[0].index == 6


def test_a_number_cannot_be_chosen() -> None:
    assert apply(AddServer(1, {**SERVER, "port": 9, "index": 77}), to=BASE).services[1].servers[-1].index == 4
    with pytest.raises(OperatorError) as caught:
        apply(ChangeServer(1, 1, {"index": 7}), to=BASE)
    assert caught.value.field == "index"


def test_an_address_and_port_are_in_a_service_once() -> None:
    for command in (AddServer(1, SERVER), ChangeServer(1, 2, {"port": 8080})):
        with pytest.raises(OperatorError) as caught:
            apply(command, to=BASE)
        assert caught.value.field == "servers"
        assert "10.0.0.1:8080" in caught.value.message
    assert apply(AddServer(2, {**SERVER, "port": 8081}), to=BASE)


def test_only_the_changed_server_is_a_new_value() -> None:
    after = apply(ChangeServer(1, 2, {"weight": 5}), to=BASE)
    assert after.services[1].servers[0] is BASE.services[1].servers[0]
    assert after.services[1].servers[1].weight == 5
    assert after.services[2] is BASE.services[2]


def test_a_change_that_changes_nothing_gives_the_very_same_configuration() -> None:
    assert ChangeServer(1, 2, {"weight": "1000"}).apply(BASE).configuration is BASE


@pytest.mark.parametrize("address", ["0.0.0.0", "::", "", "host", "10.0.0.1:80", "224.0.0.1"])
def test_what_is_the_address_of_no_server_is_refused(address: str) -> None:
    """HAProxy would take the unspecified address as "where the client was going": a service that calls itself."""
    with pytest.raises(OperatorError) as caught:
        apply(AddServer(1, {**SERVER, "address": address}), to=BASE)
    assert caught.value.field == "address"


def test_an_error_in_a_list_says_which() -> None:
    with pytest.raises(OperatorError) as caught:
        apply(AddService({**HTTP, "servers": [SERVER, {**SERVER, "weight": 0}]}))
    assert caught.value.position == "servers[1]"
    assert caught.value.field == "weight"


def test_an_address_is_switched_everywhere_at_once() -> None:
    off = apply(EnableAddress("10.0.0.1", enabled=False), to=BASE)
    assert not any(server.enabled for service in off.services.values() for server in service.servers)
    on = apply(EnableAddress("10.0.0.1", enabled=True), to=off)
    assert on.services == BASE.services
    assert EnableAddress("10.0.0.1", enabled=True).apply(on).configuration is on


def test_an_address_is_recognised_however_it_is_written() -> None:
    base = apply(AddServer(1, {"address": "2001:db8::1", "port": 80}), to=BASE)
    off = apply(EnableAddress("2001:DB8:0::1", enabled=False), to=base)
    assert not off.services[1].servers[-1].enabled


@pytest.mark.parametrize("address", ["10.9.9.9", "nonsense", ""])
def test_an_address_that_no_service_has_is_unknown(address: str) -> None:
    with pytest.raises(NotFound):
        apply(EnableAddress(address, enabled=False), to=BASE)


def test_what_is_not_there_is_named() -> None:
    for command in (ChangeServer(1, 3, {}), RemoveServer(1, 3), ChangeServer(1, 99, {})):
        with pytest.raises(NotFound) as caught:
            apply(command, to=BASE)
        assert caught.value.what == "RS"


def test_a_conflict_of_the_service_is_none_of_the_servers() -> None:
    with pytest.raises(ConflictError):
        apply(AddService({**HTTP, "servers": [SERVER]}), to=BASE)
