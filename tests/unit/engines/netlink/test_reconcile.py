"""From what the kernel has to what is wanted: only what is ours, in an order without gaps."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from steelyard.engines.netlink.fake import FakeNetwork
from steelyard.engines.netlink.reconcile import held_only, reconcile
from steelyard.engines.netlink.steps import AddAddress, HandOver, PutRoute, RemoveAddress, RemoveLink, RemoveRoute
from steelyard.plan.network import HeldAddress, HostNetwork, Link, NetworkPlan, Route, Rule

NOTHING = NetworkPlan()


def held(*addresses: str, interface: str = "eth0") -> dict[str, HeldAddress]:
    return {one: HeldAddress(address=one, interface=interface) for one in addresses}


def host(*addresses: str, gateway: str = "", **more: Link) -> HostNetwork:
    routes = [Route(destination="0.0.0.0/0", gateway=gateway)] if gateway else []
    return HostNetwork(
        links={"eth0": Link(name="eth0", addresses=addresses), **more}, routes={one.key: one for one in routes}
    )


def brought(network: FakeNetwork, old: NetworkPlan, new: NetworkPlan) -> list[str]:
    """Run the steps until there is nothing left to do; what was done."""
    before = len(network.done)
    for _ in range(4):
        steps = reconcile(network.read(), old, new)
        if not steps:
            return [str(one) for one in network.done[before:]]
        network.run(steps)
    raise AssertionError(f"it never settles: {steps}")


def test_addresses_of_services_come_and_go_and_those_of_others_stay() -> None:
    network = FakeNetwork("eth0")
    network.foreign("eth0", "192.0.2.1/24")
    plan = NetworkPlan(held=held("192.0.2.50", "2001:db8::50"))
    assert brought(network, NOTHING, plan) == [
        "add address 192.0.2.50/32 to eth0",
        "add address 2001:db8::50/128 to eth0",
    ]
    assert brought(network, plan, plan) == []
    # nothing is known of the plan before, as after the loss of the files
    assert len(brought(network, NOTHING, NOTHING)) == 2
    assert [one.address for one in network.read().addresses] == ["192.0.2.1"]


def test_an_address_the_host_has_anyway_is_neither_added_nor_taken() -> None:
    network = FakeNetwork("eth0")
    network.foreign("eth0", "192.0.2.50/24")
    plan = NetworkPlan(held=held("192.0.2.50"))
    assert brought(network, NOTHING, plan) == [] and brought(network, plan, NOTHING) == []


def test_a_new_address_comes_before_the_old_one_goes_and_the_gateway_is_replaced_in_between() -> None:
    network = FakeNetwork("eth0")
    network.foreign("eth0", "192.0.2.1/24", gateway="192.0.2.254")
    taken = NetworkPlan(host=host("192.0.2.1/24", gateway="192.0.2.254"))
    assert brought(network, NOTHING, taken) == []
    moved = NetworkPlan(host=host("198.51.100.1/24", gateway="198.51.100.254"))
    assert brought(network, taken, moved) == [
        "add address 198.51.100.1/24 to eth0",
        "route 0.0.0.0/0 through 198.51.100.254",
        "remove route 0.0.0.0/0 through 192.0.2.254",
        "remove address 192.0.2.1/24 from eth0",
    ]


def test_what_is_given_up_is_left_to_the_host_but_for_addresses_of_services() -> None:
    network = FakeNetwork("eth0")
    plan = NetworkPlan(host=host("192.0.2.1/24", gateway="192.0.2.254"), held=held("192.0.2.50"))
    brought(network, NOTHING, plan)
    steps = reconcile(network.read(), plan, NOTHING)
    assert [type(one) for one in steps] == [HandOver, RemoveAddress]
    network.run(steps)
    assert reconcile(network.read(), NOTHING, NOTHING) == []
    assert [(one.address, one.mark) for one in network.read().addresses] == [("192.0.2.1", 0)]


def test_packets_leave_by_the_first_address_of_a_network() -> None:
    """An address that went and came again is behind the others, and would not be the source any more."""
    network = FakeNetwork("eth0")
    one = NetworkPlan(host=host("192.0.2.1/24", "192.0.2.7/24"))
    brought(network, NOTHING, one)
    brought(network, one, NetworkPlan(host=host("192.0.2.9/24", "192.0.2.7/24")))
    assert [each.address for each in network.read().addresses] == ["192.0.2.9", "192.0.2.7"]


def test_vlans_and_bonds_are_made_before_their_addresses_and_removed_after() -> None:
    network = FakeNetwork("eth0", "eth1")
    plan = NetworkPlan(
        host=host(
            bnd0=Link(name="bnd0", kind="bond", members=("eth1",), addresses=("10.0.0.1/24",)),
            **{"bnd0.7": Link(name="bnd0.7", kind="vlan", lower="bnd0", tag=7, addresses=("10.0.7.1/24",))},
        )
    )
    words = brought(network, NOTHING, plan)
    assert words.index("make bond bnd0 (active-backup)") < words.index("set eth1 down")
    assert words.index("set eth1 down") < words.index("put eth1 into bnd0") < words.index("set eth1 up")
    assert words.index("make bnd0.7, VLAN 7 on bnd0") < words.index("add address 10.0.7.1/24 to bnd0.7")
    gone = brought(network, plan, NetworkPlan(host=host()))
    assert gone.index("remove interface bnd0.7") < gone.index("remove interface bnd0")
    assert set(network.read().links) == {"eth0", "eth1"}


def test_a_bond_of_another_mode_is_made_anew_and_one_of_others_is_left() -> None:
    network = FakeNetwork("eth0", "eth1")
    bond = Link(name="bnd0", kind="bond", members=("eth1",))
    plan = NetworkPlan(host=host(bnd0=bond))
    brought(network, NOTHING, plan)
    other = NetworkPlan(host=host(bnd0=bond.model_copy(update={"mode": "802.3ad"})))
    steps = reconcile(network.read(), plan, other)
    assert isinstance(steps[0], RemoveLink) and str(steps[1]) == "make bond bnd0 (802.3ad)"


def test_policy_routing_comes_and_goes() -> None:
    network = FakeNetwork("eth0")
    network.foreign("eth0", "192.0.2.1/24")
    route = Route(destination="0.0.0.0/0", gateway="192.0.2.99", table=500)
    rule = Rule(source="192.0.2.50/32", table=500, priority=900)
    plan = NetworkPlan(held=held("192.0.2.50"), routes={route.key: route}, rules={rule.key: rule})
    brought(network, NOTHING, plan)
    assert [(one.gateway, one.table) for one in network.read().routes] == [("192.0.2.99", 500)]
    # rules first, so that no packet meets an empty table
    assert brought(network, plan, NOTHING)[0] == "no longer route packets from 192.0.2.50/32 by table 500"
    assert (network.read().routes, network.read().rules) == ((), ())


def test_addresses_of_services_alone_need_no_look_at_the_kernel() -> None:
    old, new = NetworkPlan(held=held("192.0.2.50")), NetworkPlan(held=held("192.0.2.51"))
    assert held_only(old, new) == [
        AddAddress("eth0", "192.0.2.51", 32, held=True),
        RemoveAddress("eth0", "192.0.2.50", 32),
    ]


ADDRESSES = st.lists(
    st.sampled_from(["192.0.2.1/24", "192.0.2.2/24", "198.51.100.1/24", "2001:db8::1/64"]), unique=True
)
PLANS = st.builds(
    lambda services, own, managed, gateway: NetworkPlan(
        held=held(*services),
        host=host(*own, gateway="192.0.2.254" if gateway and "192.0.2.1/24" in own else "") if managed else None,
    ),
    st.lists(st.sampled_from(["192.0.2.50", "192.0.2.51", "2001:db8::50"]), unique=True),
    ADDRESSES,
    st.booleans(),
    st.booleans(),
)


@given(PLANS, PLANS)
def test_whatever_was_before_the_plan_is_reached_and_then_there_is_nothing_to_do(
    old: NetworkPlan, new: NetworkPlan
) -> None:
    network = FakeNetwork("eth0")
    brought(network, NOTHING, old)
    brought(network, old, new)
    present = network.read()
    wanted = {(one.address, 128 if ":" in one.address else 32) for one in new.held.values()}
    there = {(one.address, one.prefix) for one in present.addresses}
    assert wanted <= there
    if new.host is not None:
        own = {(one.partition("/")[0], int(one.partition("/")[2])) for one in new.host.links["eth0"].addresses}
        assert there == wanted | own
        assert {one.gateway for one in present.routes} == {one.gateway for one in new.host.routes.values()}
    assert not [one for one in reconcile(present, new, new) if not isinstance(one, PutRoute | RemoveRoute)]
