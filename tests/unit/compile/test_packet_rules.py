"""Strict routing and what the host forwards, from a configuration."""

from __future__ import annotations

from dataclasses import replace

import pytest

from steelyard.compile.network.packet_rules import PacketRuleCompiler
from steelyard.emit.nft.forwarding import forwarding_text
from steelyard.emit.nft.strict import strict_text
from steelyard.model.configuration import Configuration
from steelyard.model.network import Interface
from steelyard.model.parameters import AccessParameters, NetworkParameters
from steelyard.model.real_server import RealServer
from steelyard.model.virtual_service import VirtualService
from steelyard.plan.network import NetworkPlan


@pytest.fixture
def configuration() -> Configuration:
    servers = (
        RealServer(index=1, address="10.0.0.11", port=80),
        RealServer(index=2, address="10.0.0.12", port=80),
        RealServer(index=3, address="172.16.0.1", port=80),
    )
    service = VirtualService(index=1, address="192.0.2.1", port=80, servers=servers)
    return replace(Configuration(), services={1: service})


def test_nothing_is_asked_of_the_kernel_by_default(configuration: Configuration) -> None:
    network = NetworkPlan()
    assert PacketRuleCompiler().applied(network, configuration) is network


def test_real_servers_begin_connections_and_their_neighbours_where_they_are_known(configuration: Configuration) -> None:
    compiler = PacketRuleCompiler()
    filtered = replace(configuration, access=AccessParameters(restrict_forwarding=True))
    assert compiler.applied(NetworkPlan(), filtered).forwards == ("10.0.0.11/32", "10.0.0.12/32", "172.16.0.1/32")
    known = replace(filtered, interfaces={"eth1": Interface(name="eth1", number=1, address="10.0.0.1/24")})
    assert compiler.applied(NetworkPlan(), known).forwards == ("10.0.0.0/24", "172.16.0.1/32")


def test_strict_routing_is_of_its_own(configuration: Configuration) -> None:
    strict = replace(configuration, network=NetworkParameters(strict_routing=True))
    plan = PacketRuleCompiler().applied(NetworkPlan(), strict)
    assert (plan.strict, plan.forwards) == (True, None)
    assert not plan.empty


def test_their_tables_are_made_anew_or_removed_in_one_transaction() -> None:
    assert strict_text(False) == "add table inet steelyard_strict\ndelete table inet steelyard_strict\n"
    assert strict_text(True).startswith(strict_text(False))
    assert forwarding_text(None).splitlines()[-1] == "delete table inet steelyard_forwarding"
    lines = forwarding_text(("10.0.0.0/24", "2001:db8::/64")).splitlines()
    assert lines[-2:] == [
        "add rule inet steelyard_forwarding forward ip saddr 10.0.0.0/24 accept",
        "add rule inet steelyard_forwarding forward ip6 saddr 2001:db8::/64 accept",
    ]
    with pytest.raises(ValueError, match="network"):
        forwarding_text(("10.0.0.0/24; drop",))
