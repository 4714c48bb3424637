"""Which addresses real servers see, and with which address what they start leaves: real packets, IPv4 and IPv6.

Two arms: the client outside, behind nothing; the balancer is the gateway of the real servers inside. One real server
has a second network of its own, and a host outside is what real servers connect to.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import pytest
from tests.support.haproxy_binaries import NAMES, require
from tests.support.namespaces import Lab, Namespace, one_arm, two_arms, wait_until
from tests.support.steelyard_process import SteelyardProcess

pytestmark = [pytest.mark.network, pytest.mark.needs("ip", "nft", "net_admin", "haproxy")]

V4, V6, OTHER = "192.0.2.10", "2001:db8:1::10", "192.0.2.20"
CLIENT, CLIENT6 = "192.0.2.100", "2001:db8:1::100"
PORT = 8080


class Site:
    """A Steelyard in the balancer's namespace, with one of the HAProxy binaries."""

    def __init__(self, lab: Lab, binary: str) -> None:
        two_arms(lab, servers=2)
        self.client, self.balancer = lab.hosts["client"], lab.hosts["balancer"]
        self.balancer.ip(
            f"addr add {V4}/32 dev eth0", f"addr add {OTHER}/32 dev eth0", f"addr add {V6}/128 dev eth0 nodad"
        )
        # where packets to elsewhere leave; nobody answers there, but real servers reach the client outside
        self.balancer.ip("route add default via 192.0.2.254", "route add default via 2001:db8:1::fe")
        self.reals: list[Namespace] = [lab.hosts["real1"], lab.hosts["real2"]]
        for number, real in enumerate(self.reals, start=1):
            for address in (f"10.0.0.1{number}", f"2001:db8:2::1{number}"):
                real.answer(address, PORT)
        for address in (CLIENT, CLIENT6):
            for port in (25, 443, 8443):
                self.client.answer(address, port)
        with self.balancer.inside():
            self.steelyard = SteelyardProcess(haproxy=binary).start()
            self._native, self._loadmaster = self.steelyard.native, self.steelyard.loadmaster

    def native(self, method: str, path: str, body: Any = None, *, refused: bool = False) -> Any:
        with self.balancer.inside():
            answer = self._native.request(method, path, json=body)
        assert (answer.status_code >= 300) is refused, answer.text
        return answer.json() if answer.content else None

    def loadmaster(self, command: str, **parameters: Any) -> Any:
        with self.balancer.inside():
            return self._loadmaster.must(command, **parameters)

    def close(self) -> None:
        with self.balancer.inside():
            self.steelyard.stop()

    @contextlib.contextmanager
    def service(self, port: int = 80, **settings: Any) -> Iterator[dict[str, Any]]:
        address = settings.get("address", V4)
        start = "2001:db8:2::1" if ":" in address else "10.0.0.1"
        servers = [{"address": f"{start}{number}", "port": PORT} for number in (1, 2)]
        body = {"address": address, "port": port, "check_type": "none", "service_type": "gen", "servers": servers}
        made = self.native("POST", "/virtual-services", {**body, **settings})["object"]
        try:
            self.settle()
            yield made
        finally:
            self.native("DELETE", f"/virtual-services/{made['index']}")

    def change(self, made: dict[str, Any], **settings: Any) -> None:
        self.native("PATCH", f"/virtual-services/{made['index']}", settings)
        self.settle()

    def settle(self) -> None:
        wait_until(lambda: not self.native("GET", "/status")["reload_pending"])

    def clients(self, address: str = V4, port: int = 80, *, by: Namespace | None = None) -> set[str]:
        """Whom the real servers see when they are asked twice, so that both are."""
        return {(by or self.client).ask(address, port, timeout=3).client for _ in range(2)}

    def table(self) -> str:
        done = self.balancer.run("nft", "list", "table", "inet", "steelyard_sources", check=False)
        return done.stdout


@pytest.fixture(scope="module", params=NAMES)
def site(request: pytest.FixtureRequest) -> Iterator[Site]:
    binary = require(request.param)
    with Lab() as lab:
        made = Site(lab, binary)
        try:
            yield made
        finally:
            made.close()


@pytest.mark.requirement("S4-18")
@pytest.mark.parametrize(
    ("address", "client", "inside"), [(V4, CLIENT, "10.0.0.1"), (V6, CLIENT6, "2001:db8:2::1")], ids=["IPv4", "IPv6"]
)
def test_the_table_of_decisions(site: Site, address: str, client: str, inside: str) -> None:
    with site.service(address=address) as made:
        assert site.clients(address) == {inside}, "this host's own address, unless something else is asked for"
        site.change(made, subnet_originating=False)
        assert site.clients(address) == {inside}, "it is on for all services"
        site.loadmaster("set", param="subnetorigin", value=0)
        site.settle()
        try:
            assert site.clients(address) == {address}
            site.change(made, subnet_originating=True)
            assert site.clients(address) == {inside}
            site.change(made, subnet_originating=False, transparent=True)
            assert site.clients(address) == {client}
            site.change(made, subnet_originating=True)
            assert site.clients(address) == {client}
            assert site.clients(address, by=site.reals[0]) == {inside}, "a client on the real servers' own network"
        finally:
            site.loadmaster("set", param="subnetorigin", value=1)
        site.loadmaster("set", param="transparent", value=0)
        site.settle()
        assert site.clients(address) == {inside}
        site.loadmaster("set", param="transparent", value=1)
    assert not site.table()


def test_servers_that_come_and_go_at_run_time(site: Site) -> None:
    made = site.loadmaster("addvs", vs=V4, port=81, prot="tcp", vstype="gen", checktype="none", transparent="y")
    index = made.text("Index")
    assert made.text("Transparent") == "Y"
    site.loadmaster("addrs", vs=index, rs="10.0.0.11", rsport=PORT)
    site.settle()
    assert site.clients(port=81) == {CLIENT}
    site.loadmaster("addrs", vs=index, rs="10.0.0.12", rsport=PORT)
    wait_until(lambda: {site.client.ask(V4, 81).role for _ in range(2)} == {"real1", "real2"})
    assert site.clients(port=81) == {CLIENT}
    assert "10.0.0.12 . 8080" in site.table()
    site.loadmaster("delvs", vs=index)
    assert not site.table()
    assert "proto 83" not in site.balancer.run("ip", "rule").stdout


def test_sub_services_follow_the_same_rules(site: Site) -> None:
    real = [{"address": "10.0.0.11", "port": PORT}]
    with site.service(82, servers=[]) as made:
        sub = site.native("POST", f"/virtual-services/{made['index']}/sub-services", {})["object"]
        path = f"/virtual-services/{sub['index']}"
        site.native("PATCH", path, {"transparent": True, "check_type": "none"})
        site.native("POST", f"{path}/real-servers", real[0])
        site.settle()
        wait_until(lambda: site.clients(port=82) == {CLIENT})


def test_real_servers_that_are_clients(site: Site) -> None:
    """From an address that is not of the real servers' network: that server's own loopback."""
    with site.service(transparent=True, servers=[{"address": "10.9.0.1", "port": PORT}]):
        real = site.reals[0]
        real.ip("addr add 10.9.0.1/32 dev lo")
        site.balancer.ip("route add 10.9.0.1/32 via 10.0.0.11")
        answering = real.answer("10.9.0.1", PORT)
        assert site.clients() == {CLIENT}
        site.loadmaster("set", param="rsarelocal", value=1)
        with real.connect(V4, 80, source="10.9.0.1", timeout=3) as connection:
            connection.sendall(b"?")
            assert connection.recv(400).split()[1] == b"10.0.0.1"
        site.loadmaster("set", param="rsarelocal", value=0)
        answering.close()
        site.balancer.ip("route del 10.9.0.1/32")


@pytest.mark.requirement("S1-13", "S1-14")
def test_server_nat_by_the_services_address(site: Site) -> None:
    real = site.reals[0]

    def leaves(port: int, address: str = CLIENT) -> str:
        return real.ask(address, port, timeout=3).client

    assert leaves(25) == "10.0.0.11", "nobody has asked for anything"
    with site.service(25, use_for_snat=True) as first:
        assert leaves(25) == V4
        assert leaves(8443) == V4
        with site.service(443, address=OTHER, use_for_snat=True):
            assert [leaves(port) for port in (25, 443, 8443)] == [V4, OTHER, V4]
        with site.service(443, address=V6, use_for_snat=True):
            assert leaves(443, CLIENT6) == V6
        assert leaves(443) == V4
        site.loadmaster("set", param="snat", value=0)
        assert leaves(25) == "10.0.0.11"
        said = site.native("PATCH", f"/virtual-services/{first['index']}", {"use_for_snat": True})
        assert said
        site.change(first, use_for_snat=False)
        refusal = site.native("PATCH", f"/virtual-services/{first['index']}", {"use_for_snat": True}, refused=True)
        assert refusal["error"]["field"] == "use_for_snat"
        assert "snat" in refusal["error"]["remedy"]
        site.loadmaster("set", param="snat", value=1)
    assert leaves(25) == "10.0.0.11"
    assert not site.table()


def test_alternate_addresses_in_turn(site: Site) -> None:
    site.balancer.ip("addr add 10.0.0.21/32 dev eth1", "addr add 10.0.0.22/32 dev eth1")
    sources = ["10.0.0.21", "10.0.0.22"]
    with site.service() as made:
        refusal = site.native(
            "PATCH", f"/virtual-services/{made['index']}", {"local_bind_addresses": sources}, refused=True
        )
        assert "localbind" in refusal["error"]["remedy"]
        site.loadmaster("set", param="localbind", value=1)
        refusal = site.native(
            "PATCH", f"/virtual-services/{made['index']}", {"local_bind_addresses": ["10.0.0.99"]}, refused=True
        )
        assert "not an address of this host" in refusal["error"]["message"]
        site.loadmaster("modvs", vs=made["index"], localbindaddrs=" ".join(sources))
        assert site.loadmaster("showvs", vs=made["index"]).text("LocalBindAddrs") == " ".join(sources)
        site.settle()
        seen = [site.client.ask(V4, 80) for _ in range(8)]
        assert {one.client for one in seen} == set(sources)
        assert {one.role for one in seen} == {"real1", "real2"}
        with site.service(91, transparent=True, servers=[{"address": "10.0.0.12", "port": PORT + 1}]) as other:
            server = {"address": "10.0.0.11", "port": PORT}
            path = f"/virtual-services/{other['index']}/real-servers"
            assert "share real server 10.0.0.11:8080" in str(site.native("POST", path, server, refused=True))
        site.loadmaster("set", param="localbind", value=0)
        site.settle()
        assert site.clients() == {"10.0.0.1"}
    site.balancer.ip("addr del 10.0.0.21/32 dev eth1", "addr del 10.0.0.22/32 dev eth1")


def test_a_real_server_on_this_host_itself(site: Site) -> None:
    answering = site.balancer.answer("10.0.0.1", PORT)
    with site.service(92, transparent=True, servers=[{"address": "10.0.0.1", "port": PORT}]):
        seen = site.client.ask(V4, 92, timeout=3)
        assert (seen.role, seen.client) == ("balancer", CLIENT)
        assert site.client.ask("10.0.0.1", PORT, timeout=3).client == CLIENT, "past Steelyard"
    answering.close()


def test_what_excludes_transparency(site: Site) -> None:
    web = {"service_type": "http", "esp_enabled": True, "allowed_hosts": "a.example"}
    body = {"address": V4, "port": 83, "transparent": True, **web}
    said = site.native("POST", "/virtual-services", body, refused=True)
    assert said["error"]["field"] == "transparent"
    secure = {"service_type": "http", "ssl_acceleration": True, "ssl_reencrypt": True, "transparent": True}
    with site.service(84, **secure) as made:
        assert made["transparent"] is True, "it is kept, and comes back when re-encryption goes"
        assert [one["field"] for one in made["warnings"] if "Transparency" in one["message"]] == ["transparent"]
        assert not site.table()
        site.change(made, ssl_reencrypt=False)
        assert "10.0.0.11 . 8080" in site.table()


@pytest.mark.requirement("S4-17")
def test_a_managed_host_hides_what_its_real_servers_start(site: Site) -> None:
    """The last one: from here on Steelyard owns the network, and server NAT is on by default."""
    real = site.reals[0]
    site.native("PUT", "/network/managed", {"managed": True})
    assert real.ask(CLIENT, 25, timeout=3).client == "10.0.0.11", "it is in no service"
    with site.service(93):
        assert real.ask(CLIENT, 25, timeout=3).client == "192.0.2.1"
        # replies to clients at layer 4 are no connections of the real server's
        site.loadmaster("set", param="snat", value=0)
        assert real.ask(CLIENT, 25, timeout=3).client == "10.0.0.11"
        site.loadmaster("set", param="snat", value=1)


@pytest.mark.requirement("S1-04")
def test_one_arm_where_real_servers_answer_by_another_router() -> None:
    service = {"address": "10.0.0.50", "port": 80, "check_type": "none", "service_type": "gen"}
    service |= {"subnet_originating": False, "servers": [{"address": "10.0.0.11", "port": PORT}]}
    with Lab() as lab:
        one_arm(lab, servers=1)
        balancer, client = lab.hosts["balancer"], lab.hosts["client"]
        balancer.ip("addr add 10.0.0.50/32 dev eth0")
        lab.hosts["real1"].answer("10.0.0.11", PORT)
        with balancer.inside(), SteelyardProcess() as steelyard:
            native = steelyard.native
            assert native.request("POST", "/virtual-services?wait=true", json=service).status_code < 300
            seen = client.ask("10.0.0.50", 80)
            assert (seen.role, seen.client) == ("real1", "10.0.0.2")
            off = {"subnet_originating": False}
            assert native.request("PATCH", "/parameters/network?wait=true", json=off).status_code < 300
            wait_until(lambda: client.ask("10.0.0.50", 80).client == "10.0.0.50")
            assert native.request("GET", "/status").json()["problems"] == []
            assert not (steelyard.state_dir / "run" / "netd.pid").exists(), "it needs no privilege"
