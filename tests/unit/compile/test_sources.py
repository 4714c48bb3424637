"""Source addresses compiled: words of HAProxy's servers, and the kernel's part."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from steelyard.compile.haproxy.context import ServiceContext
from steelyard.compile.haproxy.sources import source_words
from steelyard.compile.network.sources import Carried, with_sources
from steelyard.emit.nft.sources import sources_text
from steelyard.engines.netlink.present import Present, PresentAddress, PresentRoute
from steelyard.model.configuration import Configuration
from steelyard.model.errors import ConflictError, OperatorError
from steelyard.model.real_server import RealServer
from steelyard.model.sources import SourceSettings, refuse_source_faults
from steelyard.model.virtual_service import VirtualService
from steelyard.netd.sources import surroundings
from steelyard.plan.network import NetworkPlan
from steelyard.plan.sources import Leaving, ServerPorts, SourcesPlan, Surroundings


def service(index: int = 1, *servers: str, **settings: Any) -> VirtualService:
    made = VirtualService.make({"index": index, "address": "192.0.2.10", "port": 80, "service_type": "gen", **settings})
    reals = tuple(
        RealServer.make({"index": index * 10 + number, "address": one, "port": 8080})
        for number, one in enumerate(servers)
    )
    return made.model_copy(update={"servers": reals})


def configuration(*services: VirtualService, **more: Any) -> Configuration:
    made = replace(Configuration(), services={one.index: one for one in services})
    parts = {name: getattr(made, name).model_copy(update=values) for name, values in more.items()}
    return replace(made, **parts)


def plan(*services: VirtualService, **more: Any) -> SourcesPlan:
    carried = [Carried(one, None, 4 if one.force_l4 else 7) for one in services]
    return with_sources(NetworkPlan(), carried, configuration(*services, **more), lambda _: ("10.0.0.0/24",)).sources


CLIENT = ("source", "0.0.0.0", "usesrc", "clientip")
OFF = SourceSettings(subnet_originating=False)
NO_SOR = {"subnet_originating": False}
TRANSPARENT = {"transparent": True}


@pytest.mark.parametrize(
    ("settings", "globally", "server", "words"),
    [
        ({}, SourceSettings(), "10.0.0.11", ()),
        (NO_SOR, SourceSettings(), "10.0.0.11", ()),
        ({}, OFF, "10.0.0.11", ()),
        (NO_SOR, OFF, "10.0.0.11", ("source", "192.0.2.10")),
        (NO_SOR, OFF, "2001:db8::11", ()),
        ({**NO_SOR, "address": "2001:db8::1"}, OFF, "2001:db8::11", ("source", "[2001:db8::1]")),
        ({**NO_SOR, "address": "127.0.0.1"}, OFF, "10.0.0.11", ()),
        ({**NO_SOR, "address": "127.0.0.1"}, OFF, "127.0.0.2", ("source", "127.0.0.1")),
        ({**NO_SOR, "address": "0.0.0.0"}, OFF, "10.0.0.11", ()),
        (TRANSPARENT, SourceSettings(), "10.0.0.11", CLIENT),
        (TRANSPARENT, SourceSettings(transparent=False), "10.0.0.11", ()),
        ({**TRANSPARENT, **NO_SOR}, replace(OFF, transparent=False), "10.0.0.11", ("source", "192.0.2.10")),
        (TRANSPARENT, SourceSettings(), "127.0.0.1", ()),
        (TRANSPARENT, SourceSettings(), "2001:db8::11", ()),
        ({**TRANSPARENT, "ssl_acceleration": True, "ssl_reencrypt": True}, SourceSettings(), "10.0.0.11", ()),
        ({"local_bind_addresses": ("192.0.2.7",)}, SourceSettings(), "10.0.0.11", ()),
        ({"local_bind_addresses": ("192.0.2.7",)}, SourceSettings(alternate=True), "10.0.0.11", CLIENT),
        ({"local_bind_addresses": ("2001:db8::7",)}, SourceSettings(alternate=True), "10.0.0.11", ()),
    ],
)
def test_the_words_of_a_server(
    settings: dict[str, Any], globally: SourceSettings, server: str, words: tuple[str, ...]
) -> None:
    context = ServiceContext(0, 300, None, lua=True, sources=globally)
    assert source_words(service(**settings), None, context, server) == words


def test_ports_that_are_asked_do_not_overlap() -> None:
    one = service(1, "10.0.0.11", transparent=True, standby_address="10.0.0.99")
    two = service(2, "10.0.0.11", transparent=True, address="192.0.2.20", extra_ports=("8000-8100",))
    found = plan(one, two)
    assert found.transparent == (
        ServerPorts(address="10.0.0.11", first=8080, last=8080),
        ServerPorts(address="10.0.0.99", first=80, last=80),
    )
    assert plan(service(1, "10.0.0.11"), service(2, "10.0.0.11", force_l4=True, force_l7=False)).empty


def test_server_nat_goes_by_the_port_where_a_server_is_in_several() -> None:
    one = service(1, "10.0.0.11", "10.0.0.12", use_for_snat=True, extra_ports=("25",))
    two = service(2, "10.0.0.11", use_for_snat=True, address="192.0.2.20", extra_ports=("20-30",))
    found = plan(one, two).leaving

    def at(source: str, first: int = 0, last: int = 0) -> Leaving:
        return Leaving(server="10.0.0.11", source=source, protocol="tcp" if first else None, first=first, last=last)

    assert [one for one in found if one.server == "10.0.0.11"] == [
        at("192.0.2.10", 25, 25),
        at("192.0.2.10", 80, 80),
        at("192.0.2.20", 20, 24),
        at("192.0.2.20", 26, 30),
        at("192.0.2.10"),
    ]
    assert [one for one in found if one.server == "10.0.0.12"] == [Leaving(server="10.0.0.12", source="192.0.2.10")]
    assert plan(one, two, network={"server_nat": False}).empty


def test_where_the_network_is_managed_every_real_server_is_hidden() -> None:
    one, two = service(1, "10.0.0.11", use_for_snat=True), service(2, "10.0.0.12", "10.0.0.11")
    assert plan(one, two).masqueraded == ()
    assert plan(one, two, host={"managed": True}).masqueraded == ("10.0.0.0/24",)


def test_what_cannot_be_is_refused_by_name() -> None:
    empty = configuration()
    with pytest.raises(OperatorError) as refusal:
        refuse_source_faults(empty, configuration(service(use_for_snat=True), network={"server_nat": False}))
    assert refusal.value.field == "use_for_snat"
    with pytest.raises(OperatorError) as refusal:
        refuse_source_faults(empty, configuration(service(local_bind_addresses=("192.0.2.7",))))
    assert refusal.value.field == "local_bind_addresses"
    both = (
        service(1, "10.0.0.11", transparent=True),
        service(2, "10.0.0.11", local_bind_addresses=("192.0.2.7",), address="192.0.2.20"),
    )
    with pytest.raises(ConflictError, match="share real server"):
        refuse_source_faults(empty, configuration(*both, layer7={"alternate_sources": True}))
    with pytest.raises(OperatorError, match="edge filter"):
        service(transparent=True, service_type="http", esp_enabled=True)


def test_surroundings_are_networks_and_ways_out() -> None:
    present = Present(
        addresses=(
            PresentAddress("eth0", "192.0.2.1", 24),
            PresentAddress("eth0", "192.0.2.10", 32),
            PresentAddress("eth0", "192.0.2.130", 25),
            PresentAddress("lo", "127.0.0.1", 8),
            PresentAddress("eth1", "2001:db8:2::1", 64),
        ),
        routes=(PresentRoute("0.0.0.0/0", "192.0.2.254", "eth0", 254, 0, 0),),
    )
    assert surroundings(present) == Surroundings(
        attached=(("192.0.2.0/24", "eth0"), ("2001:db8:2::/64", "eth1")), outward={"4": ("eth0",)}
    )


def test_the_table_says_only_what_is_wanted() -> None:
    here = Surroundings(attached=(("10.0.0.0/24", "eth1"),), outward={"4": ("eth0",)})
    text = sources_text(SourcesPlan(transparent=(ServerPorts(address="10.0.0.11", first=80, last=90),)), here)
    assert "{ 10.0.0.11 . 80-90 }" in text
    assert '{ 10.0.0.0/24 . "eth1" }' in text
    assert "snat" not in text
    assert "servers6" not in text
    assert "others6" not in sources_text(SourcesPlan(masqueraded=("2001:db8::/64",)), here), "there is no way out"
    assert "others4" in sources_text(SourcesPlan(masqueraded=("10.0.0.11/32",)), here)
