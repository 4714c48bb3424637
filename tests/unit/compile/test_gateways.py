"""Gateways of services' own become rules and routes."""

from __future__ import annotations

from typing import Any, Literal

from steelyard.compile.network.gateways import FIRST_TABLE, with_gateways
from steelyard.model.real_server import RealServer
from steelyard.model.virtual_service import VirtualService
from steelyard.plan.network import NetworkPlan

GATEWAY = "192.0.2.2"


def service(**more: Any) -> VirtualService:
    values: dict[str, Any] = {
        "index": 7,
        "address": "192.0.2.1",
        "port": 80,
        "service_type": "gen",
        "force_l7": not more.get("force_l4", False),
        "default_gateway": GATEWAY,
        "check_type": "icmp",
        "servers": (
            RealServer(index=1, address="10.0.0.1", port=80),
            RealServer(index=2, address="10.0.0.2", port=8080),
        ),
    }
    return VirtualService(**{**values, **more})


def planned(one: VirtualService, layer: Literal[4, 7] = 7, *, default_only: bool = False) -> NetworkPlan:
    return with_gateways(NetworkPlan(), [(one, layer)], default_only=default_only)


def words(plan: NetworkPlan) -> list[str]:
    return [str(rule) for rule in plan.rules.values()]


def test_a_service_without_a_gateway_needs_nothing() -> None:
    network = NetworkPlan()
    assert with_gateways(network, [(service(default_gateway=""), 7)], default_only=False) is network


def test_answers_at_layer_7_are_known_by_address_and_ports() -> None:
    plan = planned(service(extra_ports=("82-84",)))

    assert [(one.destination, one.gateway, one.table) for one in plan.routes.values()] == [
        ("0.0.0.0/0", GATEWAY, FIRST_TABLE + 7)
    ]
    assert words(plan) == [
        "packets from 192.0.2.1/32 tcp port 80-80 by table 254, its default route aside",
        f"packets from 192.0.2.1/32 tcp port 80-80 by table {FIRST_TABLE + 7}",
        "packets from 192.0.2.1/32 tcp port 82-84 by table 254, its default route aside",
        f"packets from 192.0.2.1/32 tcp port 82-84 by table {FIRST_TABLE + 7}",
    ]
    assert len({rule.priority for rule in plan.rules.values()}) == 2


def test_attached_networks_are_passed_over_when_default_routes_alone_are_used() -> None:
    assert words(planned(service(), default_only=True)) == [
        f"packets from 192.0.2.1/32 tcp port 80-80 by table {FIRST_TABLE + 7}"
    ]


def test_answers_at_layer_4_are_known_by_the_real_server_too() -> None:
    found = words(planned(service(force_l4=True, extra_ports=("82",)), 4, default_only=True))

    assert [one.split(" by ")[0] for one in found] == [
        "packets from 192.0.2.1/32 tcp port 80-80",
        "packets from 192.0.2.1/32 tcp port 82-82",
        "packets from 10.0.0.1/32 tcp port 80-80",
        "packets from 10.0.0.1/32 tcp port 82-82",
        "packets from 10.0.0.2/32 tcp port 8080-8080",
    ]


def test_real_servers_that_answer_directly_are_none_of_it() -> None:
    servers = (
        RealServer(index=1, address="10.0.0.1", port=80, forward="route"),
        RealServer(index=2, address="10.0.0.2", port=80),
    )
    found = words(planned(service(force_l4=True, servers=servers), 4, default_only=True))

    assert [one.split(" by ")[0] for one in found] == [
        "packets from 192.0.2.1/32 tcp port 80-80",
        "packets from 10.0.0.2/32 tcp port 80-80",
    ]
