"""What of a change of the host's network may cut an administrator off."""

from __future__ import annotations

import pytest

from steelyard.diff.kernel import describe_network, may_cut_off
from steelyard.plan.kernel import KernelPlan
from steelyard.plan.network import HeldAddress, HostNetwork, Link, NetworkPlan, Route


def plan(*addresses: str, gateway: str = "", held: str = "", mtu: int = 0, names: tuple[str, ...] = ()) -> KernelPlan:
    routes = [Route(destination="0.0.0.0/0", gateway=gateway)] if gateway else []
    host = HostNetwork(
        links={"eth0": Link(name="eth0", addresses=addresses, mtu=mtu)},
        routes={one.key: one for one in routes},
        name_servers=names,
    )
    services = {held: HeldAddress(address=held, interface="eth0")} if held else {}
    return KernelPlan(network=NetworkPlan(held=services, host=host))


BEFORE = plan("192.0.2.1/24", gateway="192.0.2.254")
NOT_MANAGED = KernelPlan()


@pytest.mark.parametrize(
    ("after", "may"),
    [
        (plan("192.0.2.1/24", gateway="192.0.2.254"), False),
        (plan("192.0.2.1/24", "198.51.100.1/24", gateway="192.0.2.254"), False),
        (plan("192.0.2.1/24", gateway="192.0.2.254", held="192.0.2.50", names=("192.0.2.53",)), False),
        (NOT_MANAGED, False),
        (plan("192.0.2.2/24", gateway="192.0.2.254"), True),
        (plan("192.0.2.1/25", gateway="192.0.2.254"), True),
        (plan("192.0.2.1/24"), True),
        (plan("192.0.2.1/24", gateway="192.0.2.253"), True),
        (plan("192.0.2.1/24", gateway="192.0.2.254", mtu=1400), True),
        (plan(gateway="192.0.2.254"), True),
    ],
)
def test_what_is_only_added_takes_nothing_away(after: KernelPlan, may: bool) -> None:
    assert may_cut_off(BEFORE, after) is may


def test_a_port_that_goes_into_a_new_bond_may() -> None:
    host = BEFORE.network.host
    assert host is not None
    bond = Link(name="bnd0", kind="bond", members=("eth1",))
    bonded = KernelPlan(network=NetworkPlan(host=host.model_copy(update={"links": {**host.links, "bnd0": bond}})))
    assert may_cut_off(BEFORE, bonded)


def test_a_dry_run_reads_in_the_order_in_which_it_would_be_done() -> None:
    after = plan("198.51.100.1/24", gateway="198.51.100.254", held="198.51.100.50", names=("192.0.2.53",))
    assert describe_network(BEFORE.network, after.network)[:6] == (
        "add address 198.51.100.1/24 to eth0",
        "add address 198.51.100.50 to eth0",
        "route 0.0.0.0/0 through 198.51.100.254",
        "remove address 192.0.2.1/24 from eth0",
        "use the name servers 192.0.2.53",
    )
    assert describe_network(after.network, after.network) == ()
