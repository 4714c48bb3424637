"""What IPVS has for a service, and how it gets from one state to another."""

from __future__ import annotations

from typing import Any

import pytest

from steelyard.engines.ipvs.virtual_server import (
    MOST_INDEX,
    ONE_PACKET,
    PERSISTENT,
    Identity,
    mark_of,
    our_flags,
    our_index,
    steps,
    wanted,
)
from steelyard.model.errors import EngineRefused
from steelyard.plan.layer4 import ALL_PORTS, Layer4Server, Layer4Service, Persistence, PortRange, Standing

ONE_PORT = (PortRange(first=80, last=80),)


def server(number: int = 1, port: int = 80, **more: Any) -> Layer4Server:
    return Layer4Server(key=f"rs{number}", address=f"10.0.0.{number}", port=port, **more)


def service(**more: Any) -> Layer4Service:
    values: dict[str, Any] = {
        "key": "vs7",
        "protocol": "tcp",
        "address": "192.0.2.1",
        "ports": ONE_PORT,
        "schedule": "wlc",
        "driver": "ipvs",
        "servers": (server(1), server(2, weight=3)),
    }
    return Layer4Service(**{**values, **more})


def weights(of: Layer4Service, standings: Any = None) -> dict[str, int]:
    found = wanted(of, standings or {})
    return {found.servers[at]: one.weight for at, one in found.destinations.items()}


def test_flags_and_marks_say_whose_and_which() -> None:
    for index in (1, 7, MOST_INDEX):
        assert our_index(our_flags(index) | PERSISTENT | ONE_PACKET) == index
        assert mark_of(index) >> 28 == 5
    assert our_index(PERSISTENT) is None
    assert len({mark_of(1), mark_of(2), mark_of(MOST_INDEX)}) == 3


def test_a_number_without_room_is_refused() -> None:
    with pytest.raises(EngineRefused, match="4194303"):
        wanted(service(key=f"vs{MOST_INDEX + 1}"), {})


@pytest.mark.parametrize(
    ("more", "by_address"),
    [
        ({}, False),
        ({"servers": (server(1, 8080),)}, False),
        ({"persistence": Persistence(seconds=60)}, False),
        ({"persistence": Persistence(seconds=60), "servers": (server(1, 8080),)}, True),
        ({"persistence": Persistence(seconds=60), "ports": (ALL_PORTS,), "servers": (server(1, 0),)}, False),
        ({"protocol": "udp", "persistence": Persistence(seconds=60, kind="sip")}, True),
    ],
)
def test_a_mark_is_the_rule_and_an_address_where_the_kernel_demands_it(more: Any, by_address: bool) -> None:
    identity = wanted(service(**more), {}).virtual.identity

    if by_address:
        assert (identity.address, identity.port, identity.mark) == ("192.0.2.1", 80, 0)
    else:
        assert identity == Identity(False, mark=mark_of(7))


def test_only_schedules_that_weigh_get_weights() -> None:
    assert weights(service()) == {"rs1": 1000, "rs2": 3}
    for schedule in ("rr", "lc", "sh"):
        assert weights(service(schedule=schedule)) == {"rs1": 1, "rs2": 1}


def test_weights_that_move_weigh_under_every_schedule() -> None:
    moving = service(schedule="lc", weights_by_health=True)

    assert wanted(moving, {}).virtual.schedule == "wlc"
    assert weights(moving, {("vs7", "rs1"): Standing(weight=40)}) == {"rs1": 40, "rs2": 1}


@pytest.mark.parametrize(
    ("more", "standings"),
    [
        ({"servers": (server(1, enabled=False), server(2))}, {}),
        ({}, {("vs7", "rs1"): Standing(up=False)}),
        ({"checked": True}, {("vs7", "rs2"): Standing()}),
    ],
)
def test_disabled_failed_and_unchecked_servers_take_no_clients(more: Any, standings: Any) -> None:
    found = weights(service(**more), standings)

    assert found["rs1"] == 0
    assert found["rs2"] > 0


def test_a_disabled_service_is_closed_and_has_no_sorry_server() -> None:
    sorry = Layer4Server(key="sorry", address="10.0.0.9", port=80)
    closed = wanted(service(enabled=False, sorry=sorry), {})

    assert not closed.open
    assert set(weights(service(enabled=False, sorry=sorry)).values()) == {0}


def test_the_sorry_server_takes_clients_where_nobody_else_does() -> None:
    sorry = Layer4Server(key="sorry", address="10.0.0.9", port=80)
    down = {("vs7", name): Standing(up=False) for name in ("rs1", "rs2")}

    assert weights(service(sorry=sorry))["sorry"] == 0
    assert weights(service(sorry=sorry), down)["sorry"] == 1


def test_a_sorry_server_may_be_one_of_the_real_servers() -> None:
    sorry = Layer4Server(key="sorry", address="10.0.0.1", port=80)

    assert weights(service(sorry=sorry)) == {"rs1": 1000, "rs2": 3}
    down = {("vs7", name): Standing(up=False) for name in ("rs1", "rs2")}
    assert weights(service(sorry=sorry), down) == {"rs1": 1, "rs2": 0}


def test_one_packet_only_for_udp_that_expects_no_answer_and_sip() -> None:
    def flags(**more: Any) -> int:
        return wanted(service(**more), {}).virtual.flags & (ONE_PACKET | PERSISTENT)

    assert flags(protocol="udp", idle=1) == ONE_PACKET
    assert flags(protocol="udp", idle=60) == 0
    assert flags(idle=1) == 0
    assert flags(protocol="udp", persistence=Persistence(seconds=60, kind="sip")) == ONE_PACKET | PERSISTENT


def test_steps_bring_new_servers_before_old_ones_go() -> None:
    old, new = wanted(service(), {}), wanted(service(schedule="lc", servers=(server(2), server(3))), {})
    words = [str(step) for step in steps((old.virtual, old.destinations), (new.virtual, new.destinations))]

    assert words == [
        "IPVS: set vs7 (mark 0x50000007), lc",
        "IPVS: set 10.0.0.2:80 of vs7, weight 1",
        "IPVS: add 10.0.0.3:80 of vs7, weight 1",
        "IPVS: remove 10.0.0.1:80 of vs7",
    ]
    assert not [*steps((old.virtual, old.destinations), (old.virtual, dict(old.destinations)))]
    assert [step.action for step in steps((old.virtual, old.destinations), None)] == ["remove"]
