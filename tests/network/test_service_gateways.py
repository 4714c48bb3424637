"""Gateways of services' own: answers leave by them, at layer 4 and 7, and what else there is goes its usual way.

The balancer has two routers on its clients' network. Its default route is the first one, which knows no way to the far
client and loses packets for it; the second one does. The near client is on the network itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from tests.support.namespaces import Lab, Namespace, Seen, wait_until
from tests.support.steelyard_process import SteelyardProcess

pytestmark = [pytest.mark.network, pytest.mark.needs("ip", "nft", "net_admin", "haproxy")]

V4, V6 = "192.0.2.10", "2001:db8:1::10"
GATEWAY, GATEWAY6 = "192.0.2.2", "2001:db8:1::2"
PORT = 8080
_SHORT = 0.4


class Site:
    """Two routers, a client behind the second one, a client next to them, the balancer and a real server."""

    def __init__(self, lab: Lab) -> None:
        self.near, self.far = lab.host("near"), lab.host("far")
        self.balancer, self.real = lab.host("balancer", forwards=True), lab.host("real")
        first, self.second = lab.host("first"), lab.host("second", forwards=True)
        lab.network(
            "outside",
            (self.balancer, "eth0", ("192.0.2.9/24", "2001:db8:1::9/64", f"{V4}/32", f"{V6}/128")),
            (first, "eth0", ("192.0.2.1/24", "2001:db8:1::1/64")),
            (self.second, "eth0", ("192.0.2.2/24", "2001:db8:1::2/64")),
            (self.near, "eth0", ("192.0.2.100/24",)),
        )
        lab.wire(self.second, "eth1", self.far, "eth0")
        lab.wire(self.balancer, "eth1", self.real, "eth0")
        self.second.ip("addr add 198.51.100.1/24 dev eth1", "addr add 2001:db8:9::1/64 dev eth1 nodad")
        self.far.ip("addr add 198.51.100.100/24 dev eth0", "addr add 2001:db8:9::100/64 dev eth0 nodad")
        self.far.ip("route add default via 198.51.100.1", "route add default via 2001:db8:9::1")
        self.balancer.ip("addr add 10.0.0.1/24 dev eth1", "addr add 2001:db8:2::1/64 dev eth1 nodad")
        self.real.ip("addr add 10.0.0.11/24 dev eth0", "addr add 2001:db8:2::11/64 dev eth0 nodad")
        for host, gateway, gateway6 in (
            (self.balancer, "192.0.2.1", "2001:db8:1::1"),
            (self.real, "10.0.0.1", "2001:db8:2::1"),
        ):
            host.ip(f"route add default via {gateway}", f"route add default via {gateway6}")
        for address in ("10.0.0.11", "2001:db8:2::11"):
            for port in (PORT, PORT + 1):
                self.real.answer(address, port)
        with self.balancer.inside():
            self.steelyard = SteelyardProcess().start()
            self._native = self.steelyard.native
            self._loadmaster = self.steelyard.loadmaster
        # its answers to the near client are lost, so that nothing of them can come by a way that is not meant
        self.near.ip("route add 10.0.0.0/24 via 192.0.2.9")
        self.second.ip("route add blackhole 192.0.2.100/32")
        self.second.sysctl("ipv4/conf/all/send_redirects", 0)
        self.second.sysctl("ipv4/conf/eth0/send_redirects", 0)

    def native(self, method: str, path: str, body: Any = None, *, refused: bool = False) -> Any:
        with self.balancer.inside():
            answer = self._native.request(method, path, json=body)
        assert (answer.status_code >= 300) is refused, answer.text
        return answer.json() if answer.content else None

    def loadmaster(self, command: str, **parameters: Any) -> Any:
        with self.balancer.inside():
            return self._loadmaster.must(command, **parameters)

    def add(self, port: int, **settings: Any) -> int:
        six = settings.get("address") == V6
        server = {"address": "2001:db8:2::11" if six else "10.0.0.11", "port": PORT}
        body = {"address": V4, "port": port, "check_type": "none", "service_type": "gen", "servers": [server]}
        return self.native("POST", "/virtual-services", {**body, **settings})["object"]["index"]

    def change(self, index: int, **settings: Any) -> None:
        self.native("PATCH", f"/virtual-services/{index}", settings)

    def settle(self) -> None:
        wait_until(lambda: not self.native("GET", "/status")["reload_pending"])

    def close(self) -> None:
        with self.balancer.inside():
            self.steelyard.stop()


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    with Lab() as lab:
        made = Site(lab)
        try:
            yield made
        finally:
            made.close()


def reached(host: Namespace, port: int, address: str = V4, *, udp: bool = False, wait: float = 3.0) -> Seen | None:
    try:
        return (host.ask_udp if udp else host.ask)(address, port, timeout=wait)
    except TimeoutError:
        return None


@pytest.mark.requirement("S4-49")
@pytest.mark.parametrize(
    ("port", "settings"),
    [
        (80, {}),
        (81, {"force_l4": True}),
        (82, {"protocol": "udp"}),
        (83, {"address": V6, "force_l4": True}),
        (84, {"address": V6}),
    ],
    ids=["layer 7", "layer 4", "udp", "ipv6 at layer 4", "ipv6"],
)
def test_answers_leave_by_the_services_own_gateway(site: Site, port: int, settings: dict[str, Any]) -> None:
    udp, address = settings.get("protocol") == "udp", settings.get("address", V4)
    gateway = GATEWAY6 if address == V6 else GATEWAY
    index = site.add(port, **settings)
    site.settle()
    assert reached(site.far, port, address, udp=udp, wait=_SHORT) is None
    site.change(index, default_gateway=gateway)
    assert reached(site.far, port, address, udp=udp) is not None
    if address == V4:
        assert reached(site.near, port, udp=udp) is not None, "clients on the network are reached directly"
    site.native("DELETE", f"/virtual-services/{index}")


@pytest.mark.requirement("S4-51")
def test_other_services_of_the_address_keep_their_way(site: Site) -> None:
    one = site.add(90, default_gateway=GATEWAY)
    other = site.add(91)
    site.settle()
    assert reached(site.far, 90) is not None
    assert reached(site.far, 91, wait=_SHORT) is None
    for index in (one, other):
        site.native("DELETE", f"/virtual-services/{index}")


def test_default_routes_alone_when_that_is_asked_for(site: Site) -> None:
    one, two = site.add(92, default_gateway=GATEWAY), site.add(93, default_gateway=GATEWAY, force_l4=True)
    site.loadmaster("set", param="onlydefaultroutes", value=1)
    site.settle()
    for port in (92, 93):
        assert reached(site.far, port) is not None, "real servers are still reached"
        assert reached(site.near, port, wait=_SHORT) is None, "the answer went to the gateway, which loses it here"
    site.loadmaster("set", param="onlydefaultroutes", value=0)
    assert reached(site.near, 92) is not None
    assert reached(site.near, 93) is not None
    for index in (one, two):
        site.native("DELETE", f"/virtual-services/{index}")


def test_strict_routing_takes_packets_by_the_interface_that_has_their_address(site: Site) -> None:
    inside = [site.add(98, address="10.0.0.1"), site.add(99, address="10.0.0.1", force_l4=True)]
    outside = site.add(98)
    site.settle()
    assert reached(site.near, 98, "10.0.0.1") is not None
    assert reached(site.near, 99, "10.0.0.1") is not None
    site.loadmaster("set", param="routefilter", value=1)
    assert reached(site.near, 98, "10.0.0.1", wait=_SHORT) is None
    assert reached(site.near, 99, "10.0.0.1", wait=_SHORT) is None
    assert reached(site.near, 98) is not None
    assert reached(site.real, 98, "10.0.0.1") is not None
    site.loadmaster("set", param="routefilter", value=0)
    assert reached(site.near, 98, "10.0.0.1") is not None
    assert "steelyard_strict" not in site.balancer.run("nft", "list", "tables").stdout
    for index in (*inside, outside):
        site.native("DELETE", f"/virtual-services/{index}")


def test_the_host_forwards_for_services_alone_when_that_is_asked_for(site: Site) -> None:
    site.near.answer("192.0.2.100", 80)
    at4 = site.add(100, force_l4=True)
    assert reached(site.near, PORT, "10.0.0.11") is not None, "by way of the balancer, past its services"
    site.native("PATCH", "/parameters/access", {"restrict_forwarding": True})
    assert reached(site.near, PORT, "10.0.0.11", wait=_SHORT) is None
    assert reached(site.near, 100) is not None
    assert reached(site.real, 80, "192.0.2.100") is not None, "what a real server begins"
    site.native("DELETE", f"/virtual-services/{at4}")
    assert reached(site.real, 80, "192.0.2.100", wait=_SHORT) is None, "it is a real server no more"
    site.native("PATCH", "/parameters/access", {"restrict_forwarding": False})
    assert reached(site.near, PORT, "10.0.0.11") is not None
    assert "steelyard_forwarding" not in site.balancer.run("nft", "list", "tables").stdout


def rules(site: Site) -> list[str]:
    """What our rules of policy routing are about."""
    lines = site.balancer.run("ip", "rule").stdout.splitlines()
    return [line.split(":")[1].split(" lookup")[0].strip() for line in lines if "proto 83" in line]


def test_loadmasters_api_says_and_takes_it(site: Site) -> None:
    index = site.loadmaster("addvs", vs=V4, port=94, prot="tcp", defaultgw=GATEWAY).text("Index")
    assert site.loadmaster("showvs", vs=index).text("DefaultGW") == GATEWAY
    assert rules(site) == [f"from {V4} ipproto tcp sport 94"] * 2
    site.loadmaster("modvs", vs=index, defaultgw="")
    assert rules(site) == []
    assert not site.balancer.show("route", "show", "table", str(0x53590000 + int(index)))
    site.loadmaster("delvs", vs=index)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"default_gateway": "2001:db8:1::2"}, "address family"),
        ({"default_gateway": V4}, "own address"),
        ({"default_gateway": "nowhere"}, "address"),
        ({"default_gateway": GATEWAY, "port": 0, "force_l4": True}, "wildcard"),
        ({"default_gateway": "172.16.0.1"}, "172.16.0.1"),
    ],
)
def test_what_cannot_be_is_refused_by_name(site: Site, settings: dict[str, Any], says: str) -> None:
    body = {"address": V4, "port": 95, "check_type": "none", "service_type": "gen", **settings}
    answer = site.native("POST", "/virtual-services", body, refused=True)
    assert says in str(answer)


def test_services_that_share_a_servers_port_share_the_gateway(site: Site) -> None:
    one = site.add(96, default_gateway=GATEWAY, force_l4=True)
    server = [{"address": "10.0.0.11", "port": PORT}]
    body = {"address": V4, "port": 97, "check_type": "none", "service_type": "gen", "force_l4": True}
    said = site.native("POST", "/virtual-services", {**body, "servers": server}, refused=True)
    assert "share real server 10.0.0.11" in str(said)
    site.native("DELETE", f"/virtual-services/{one}")
