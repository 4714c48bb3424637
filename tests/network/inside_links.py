"""Runs inside user-mode-linux: VLANs and bonds as `steelyard-netd` makes them, with packets through them."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from tests.support.namespaces import Lab, Namespace
from tests.support.uml_inside import scenario, sh, wait_until

from steelyard.engines.netlink.kernel import LocalNetwork
from steelyard.netd.files import NetdFiles
from steelyard.netd.keeper import Keeper
from steelyard.netd.layer4 import Layer4
from steelyard.plan.kernel import KernelPlan
from steelyard.plan.network import HeldAddress, HostNetwork, Link, NetworkPlan, Route

lab = Lab()
balancer, peer = lab.host("balancer"), lab.host("peer")
for number in (0, 1, 2):
    lab.wire(balancer, f"eth{number}", peer, f"eth{number}")
# the other ends: VLAN 10 and 20 on eth0, one switch for what becomes a bond
peer.ip(
    "link add link eth0 name eth0.10 type vlan id 10",
    "link add link eth0 name eth0.20 type vlan id 20",
    "link set eth0.10 up",
    "link set eth0.20 up",
    "addr add 10.10.0.2/24 dev eth0.10",
    "addr add 10.20.0.2/24 dev eth0.20",
    "link add br0 type bridge",
    "link set eth1 master br0",
    "link set eth2 master br0",
    "link set br0 up",
    "addr add 10.30.0.2/24 dev br0",
)
for _address in ("10.10.0.2", "10.20.0.2", "10.30.0.2"):
    peer.answer(_address, 80)


class NoNames:
    def apply(self, wanted: HostNetwork) -> tuple[str, ...]:
        return ()

    def clear(self) -> None:
        pass


def keeper() -> Keeper:
    made = Keeper(LocalNetwork(), Layer4({}), NoNames(), NetdFiles(FILES))
    with balancer.inside():
        made.start()
    return made


FILES = Path(tempfile.mkdtemp())
netd = keeper()


def have(host: HostNetwork, held: dict[str, HeldAddress] | None = None) -> None:
    with balancer.inside():
        netd.replace_plan(KernelPlan(network=NetworkPlan(host=host, held=held or {})), f"g{id(host)}")


def link(name: str, *addresses: str, **more: Any) -> Link:
    return Link(name=name, addresses=addresses, **more)


def network(*links: Link, routes: tuple[Route, ...] = ()) -> HostNetwork:
    return HostNetwork(links={one.name: one for one in links}, routes={one.key: one for one in routes})


def kinds(host: Namespace) -> dict[str, str]:
    return {one["ifname"]: one.get("linkinfo", {}).get("info_kind", "") for one in host.show("link")}


ETH0, ETH1, ETH2 = link("eth0"), link("eth1"), link("eth2")
TEN = link("eth0.10", "10.10.0.1/24", kind="vlan", lower="eth0", tag=10)
TWENTY = link("eth0.20", "10.20.0.1/24", kind="vlan", lower="eth0", tag=20)


@scenario
def vlans() -> dict[str, Any]:
    have(network(ETH0, ETH1, ETH2, TEN, TWENTY), {"10.10.0.50": HeldAddress(address="10.10.0.50", interface="eth0.10")})
    found: dict[str, Any] = {
        "ten": balancer.ask("10.10.0.2", 80).client,
        "twenty": balancer.ask("10.20.0.2", 80).client,
        "held": balancer.addresses("eth0.10"),
        "marked": sh(f"ip -n {balancer.name} link show eth0.10").count("alias steelyard"),
    }
    with balancer.inside():
        netd.repair()
        found["stable"] = [str(one) for one in netd.check(netd.generation, _as_change())]
    # another tag is another VLAN
    moved = TEN.model_copy(update={"tag": 20})
    have(network(ETH0, ETH1, ETH2, moved))
    found["moved"] = balancer.show("link", "show", "dev", "eth0.10")[0]["linkinfo"]["info_data"]["id"]
    have(network(ETH0, ETH1, ETH2))
    found["left"] = sorted(kinds(balancer))
    return found


def _as_change() -> Any:
    from steelyard.plan.kernel import KernelChange

    return KernelChange(network=netd.plan.network.model_copy(update={"host": netd.plan.network.host}))


@scenario
def bond() -> dict[str, Any]:
    balancer.ip("addr add 10.99.0.1/24 dev eth1")
    bond0 = link("bnd0", "10.30.0.1/24", kind="bond", members=("eth1", "eth2"))
    seven = link("bnd0.7", "10.7.0.1/24", kind="vlan", lower="bnd0", tag=7)
    route = Route(destination="172.16.0.0/12", gateway="10.30.0.2")
    have(network(ETH0, ETH1, ETH2, bond0, seven, routes=(route,)))
    found: dict[str, Any] = {
        "mode": balancer.show("link", "show", "dev", "bnd0")[0]["linkinfo"]["info_data"]["mode"],
        "members": sorted(one["ifname"] for one in balancer.show("link") if one.get("master") == "bnd0"),
    }

    def through() -> str:
        try:
            return balancer.ask("10.30.0.2", 80, timeout=1).client
        except OSError:
            return ""

    found["client"] = wait_until(through, 10)
    # one port dies, the other carries on
    active = balancer.show("link", "show", "dev", "bnd0")[0]["linkinfo"]["info_data"]["active_slave"]
    peer.ip(f"link set {active} down")
    found["after"] = wait_until(through, 10)
    peer.ip(f"link set {active} up")
    # a member leaves, the mode changes: the bond is made anew with its address, its VLAN and the route behind it
    have(
        network(
            ETH0, ETH1, ETH2, bond0.model_copy(update={"mode": "802.3ad", "members": ("eth2",)}), seven, routes=(route,)
        )
    )
    found["remade"] = balancer.show("link", "show", "dev", "bnd0")[0]["linkinfo"]["info_data"]["mode"]
    found["free"] = "master" not in balancer.show("link", "show", "dev", "eth1")[0]
    found["seven"] = balancer.addresses("bnd0.7")
    found["route"] = [one["dev"] for one in balancer.show("route", "show", "172.16.0.0/12")]
    return found


@scenario
def restored_after_a_start_of_the_host() -> dict[str, Any]:
    balancer.ip("link del bnd0")
    another = keeper()
    found = {"made": sorted(kinds(balancer)), "addresses": balancer.addresses("bnd0")}
    with balancer.inside():
        another.clear()
    found["cleared"] = sorted(kinds(balancer))
    found["eth1"] = balancer.addresses("eth1")
    return found
