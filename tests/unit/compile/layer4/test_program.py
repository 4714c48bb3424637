"""A service as chains and elements: what is in them follows from the service and from what the checks say."""

from __future__ import annotations

from typing import Any

import pytest

from steelyard.compile.layer4.program import program, server_mark, service_mark
from steelyard.plan.layer4 import ALL_PORTS, AddressRange, Layer4Server, Layer4Service, Persistence, PortRange, Standing
from steelyard.plan.nft import Element, Leave, Mark, Program

DOWN = Standing(up=False)


def server(number: int, **more: Any) -> Layer4Server:
    return Layer4Server.model_validate({"key": f"rs{number}", "address": f"10.0.0.{number}", "port": 80, **more})


def service(**more: Any) -> Layer4Service:
    values = {
        **{"key": "vs3", "protocol": "tcp", "address": "192.0.2.1", "ports": [{"first": 80, "last": 81}]},
        **{"schedule": "rr", "driver": "nft", "servers": (server(1), server(2))},
    }
    return Layer4Service.model_validate({**values, **more})


def data(made: Program, where: str) -> dict[tuple[Any, ...], Any]:
    return {element.key: found for element, found in made.elements.items() if element.where == where}


def test_a_service_that_is_gone_has_nothing() -> None:
    assert program(None, {}) == Program()


def test_every_port_is_a_place_and_a_disabled_service_has_none() -> None:
    assert [key[2] for key in data(program(service(), {}), "services4")] == [80, 81]
    off = program(service(enabled=False), {})
    assert not data(off, "services4")
    assert off.chains


def test_the_wildcard_leaves_what_is_at_layer_7() -> None:
    made = program(service(ports=(ALL_PORTS,), spared=(PortRange(first=443, last=443),)), {})
    assert len(data(made, "any_port4")) == 1
    ((key, verdict),) = data(made, "services4").items()
    assert (key[2], verdict) == (443, Leave())


def test_a_port_of_0_keeps_the_one_that_was_asked_for() -> None:
    made = program(service(servers=(server(1, port=0), server(2))), {})
    assert list(data(made, "addresses4")) == [(Mark(0x4C000001),)]
    assert list(data(made, "targets4")) == [(Mark(0x4C000002),)]


def test_servers_that_take_no_clients_have_no_slot() -> None:
    made = program(service(servers=(server(1), server(2), server(3, enabled=False))), {("vs3", "rs2"): DOWN})
    assert list(data(made, "slots").values()) == [server_mark("vs3", "rs1")]
    assert list(data(made, "takes")) == [(server_mark("vs3", "rs1"),)]
    # what is open goes on, and counts
    assert len(data(made, "targets4")) == len(data(made, "opened")) == 3


def test_checked_servers_wait_for_their_first_verdict() -> None:
    checked = service(checked=True)
    assert not data(program(checked, {}), "slots")
    assert len(data(program(checked, {("vs3", "rs1"): Standing()}), "slots")) == 1


def test_weights_that_the_checks_tell_hold_whatever_the_schedule() -> None:
    told = {("vs3", "rs1"): Standing(weight=3), ("vs3", "rs2"): Standing(weight=0)}
    made = program(service(schedule="wrr", weights_by_health=True), told)
    assert set(data(made, "slots").values()) == {server_mark("vs3", "rs1")}
    assert len(data(made, "takes")) == 2, "a weight of nothing leaves recorded clients"


def test_slots_of_services_do_not_meet() -> None:
    one, two = program(service(), {}), program(service(key="vs4", servers=(server(3), server(4))), {})
    assert not one.elements.keys() & {element for element in two.elements if element.where == "slots"}


def test_marks_tell_what_they_stand_for() -> None:
    assert server_mark("vs3", "rs258") == Mark(0x4C000102)
    assert server_mark("vs3", "sorry") == Mark(0x4D000003)
    assert service_mark(service()) == Mark(0x53000003)


def test_the_same_clients_refused_are_the_same_set() -> None:
    refused = (AddressRange(first="10.0.0.1", last="10.0.0.9"),)
    one, two = program(service(refused=refused), {}), program(service(key="vs9", refused=refused), {})
    assert one.networks == two.networks != ()
    assert program(service(), {}).networks == ()


@pytest.mark.parametrize(
    ("protocol", "idle", "name"),
    [("tcp", 660, "tcp4_660"), ("udp", 660, "udp4_30_660"), ("udp", 1, "udp4_1_1"), ("udp", 2, "udp4_30_1")],
)
def test_idle_times_are_the_kernels_time_outs(protocol: str, idle: int, name: str) -> None:
    (found,) = program(service(protocol=protocol, idle=idle), {}).timeouts
    assert found.name == name


def test_source_nat_has_an_address_for_every_server() -> None:
    made = program(service(source_nat="192.0.2.1", persistence=Persistence(seconds=60)), {})
    assert len(data(made, "sources4")) == 2
    assert Element("slots", (3 * 4096,)) in made.elements
