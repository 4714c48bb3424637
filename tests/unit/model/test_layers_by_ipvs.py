"""Services at layer 4 that need IPVS: where it is there, where it is not, and what it cannot do."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from steelyard.model.layer import layer_of
from steelyard.model.real_server import RealServer
from steelyard.model.virtual_service import VirtualService


def server(**more: Any) -> RealServer:
    return RealServer(**{"index": 1, "address": "10.0.0.1", "port": 80, **more})


def service(**more: Any) -> VirtualService:
    values: dict[str, Any] = {
        "index": 1,
        "address": "192.0.2.1",
        "port": 80,
        "service_type": "gen",
        "force_l4": True,
        "force_l7": False,
        "schedule": "lc",
        "check_type": "icmp",
        "servers": (server(),),
    }
    return VirtualService(**{**values, **more})


def udp(**more: Any) -> VirtualService:
    return service(**{"protocol": "udp", "force_l4": False, **more})


ROUTE = (server(forward="route"),)


@pytest.mark.parametrize(
    "one",
    [
        service(),
        service(schedule="wlc"),
        service(schedule="rr", servers=ROUTE),
        service(schedule="rr", servers=(server(limit=5),)),
        udp(schedule="rr", persistence="udpsip", persistence_timeout=60),
        udp(idle_time=1),
    ],
)
def test_ipvs_carries_what_counts_returns_directly_or_reads_sip(one: VirtualService) -> None:
    layer = layer_of(one, ipvs=True)

    assert (layer.number, layer.carrier, layer.lacks) == (4, "ipvs", "")
    assert "IPVS" in layer.reason


def test_without_it_tcp_falls_back_to_haproxy_and_says_so() -> None:
    layer = layer_of(service(), ipvs=False)

    assert (layer.number, layer.carrier) == (7, "haproxy")
    assert "IPVS" in layer.reason


@pytest.mark.parametrize("one", [udp(), service(schedule="rr", servers=ROUTE)])
def test_without_it_udp_and_direct_return_have_nothing(one: VirtualService) -> None:
    assert "IPVS" in layer_of(one, ipvs=False).lacks


@pytest.mark.parametrize(
    ("make", "field"),
    [
        (lambda: udp(idle_time=2), "idle_time"),
        (lambda: udp(persistence="udpsip", persistence_timeout=60, cookie="From"), "cookie"),
        (lambda: udp(persistence="udpsip", persistence_timeout=60, extra_ports=("5070",)), "extra_ports"),
        (
            lambda: udp(persistence="src", persistence_timeout=60, extra_ports=("81",), servers=(server(port=8080),)),
            "persistence",
        ),
        (lambda: service(schedule="fixed", persistence="src", persistence_timeout=60, servers=ROUTE), "persistence"),
        (lambda: service(schedule="rr", layer4_source_nat=True, servers=ROUTE), "layer4_source_nat"),
        (lambda: service(schedule="rr", force_l4=False, servers=ROUTE), "servers"),
        (lambda: service(schedule="rr", servers=(server(forward="route", port=81),)), "servers"),
    ],
)
def test_what_it_cannot_do_is_refused_by_name(make: Any, field: str) -> None:
    with pytest.raises(ValidationError) as refused:
        make()
    assert field in str(refused.value.errors()[0].get("ctx"))


def test_tcp_that_it_cannot_carry_falls_back() -> None:
    apart = service(persistence="src", persistence_timeout=60, extra_ports=("81",), servers=(server(port=8080),))
    layer = layer_of(apart, ipvs=True)

    assert (layer.number, layer.carrier) == (7, "haproxy")
    assert "another port" in layer.reason
