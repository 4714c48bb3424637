"""A managed network the whole way: services get their addresses, the operator changes the host, nobody is cut off."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from tests.support.namespaces import Lab, two_arms, wait_until
from tests.support.steelyard_process import SteelyardProcess

pytestmark = [pytest.mark.network, pytest.mark.needs("ip", "net_admin", "haproxy")]

OWN = ["192.0.2.1/24", "2001:db8:1::1/64"]
PORT = 8080


class Site:
    """Steelyard in the balancer's namespace, with one real server behind it."""

    def __init__(self, lab: Lab) -> None:
        two_arms(lab, servers=1)
        self.lab = lab
        self.client, self.balancer = lab.hosts["client"], lab.hosts["balancer"]
        lab.hosts["real1"].answer("10.0.0.11", PORT)
        lab.hosts["real1"].answer("2001:db8:2::11", PORT)
        with self.balancer.inside():
            self.steelyard = SteelyardProcess().start()
            self._native, self._loadmaster = self.steelyard.native, self.steelyard.loadmaster

    def native(self, method: str, path: str, body: Any = None) -> Any:
        status, found = self.asked(method, path, body)
        assert status < 300, found
        return found

    def asked(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        with self.balancer.inside():
            answer = self._native.request(method, path, json=body)
        return answer.status_code, answer.json()

    def loadmaster(self, command: str, **parameters: Any) -> Any:
        with self.balancer.inside():
            return self._loadmaster.must(command, **parameters)

    def addresses(self) -> list[str]:
        return self.balancer.addresses("eth0")

    def restart(self) -> None:
        with self.balancer.inside():
            self.steelyard.restart()
            self._native, self._loadmaster = self.steelyard.native, self.steelyard.loadmaster

    def kill_control_plane(self) -> None:
        self.steelyard.kill9()

    def netd_pid(self) -> int:
        return int((self.steelyard.state_dir / "run" / "netd.pid").read_text())

    def add(self, address: str, server: str) -> int:
        body = {"address": address, "port": 80, "service_type": "gen", "check_type": "none"}
        body["servers"] = [{"address": server, "port": PORT}]
        return int(self.native("POST", "/virtual-services?wait=true", body)["object"]["index"])

    def remove(self, index: int) -> None:
        self.native("DELETE", f"/virtual-services/{index}?wait=true")

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


def test_a_network_of_others_is_read_and_an_address_must_be_there(site: Site) -> None:
    found = site.native("GET", "/network")
    assert (found["managed"], found["waiting"]) == (False, None)
    status, refused = site.asked("POST", "/virtual-services", {"address": "192.0.2.50", "port": 80})
    assert status >= 400 and "192.0.2.50" in refused["error"]["message"]
    # nothing for the kernel, so nothing with privilege runs
    assert not (site.steelyard.state_dir / "run" / "netd.pid").exists()


def test_taking_the_network_over_changes_nothing(site: Site) -> None:
    before = site.balancer.show("addr"), site.balancer.show("route")
    taken = site.native("PUT", "/network/managed", {"managed": True})
    assert not [one for one in taken["operations"] if "eth" in one or "name server" in one], taken
    assert site.native("GET", "/network")["waiting"] is None
    assert [one["name"] for one in site.native("GET", "/network/interfaces")] == ["eth0", "eth1"]
    assert [one["ifname"] for one in site.balancer.show("addr")] == [one["ifname"] for one in before[0]]
    assert site.balancer.show("route") == before[1]


@pytest.mark.requirement("S4-34", "S4-37")
def test_a_service_brings_its_address_and_takes_it_away(site: Site) -> None:
    dry = site.native("POST", "/virtual-services?dry_run=true", {"address": "192.0.2.50", "port": 80})
    assert "add address 192.0.2.50 to eth0" in dry["operations"] and site.addresses() == OWN
    four, six = site.add("192.0.2.50", "10.0.0.11"), site.add("2001:db8:1::50", "2001:db8:2::11")
    assert set(site.addresses()) == {*OWN, "192.0.2.50/32", "2001:db8:1::50/128"}
    assert site.client.ask("192.0.2.50", 80).role == site.client.ask("2001:db8:1::50", 80).role == "real1"
    # a second service of the address keeps it
    second = site.native("POST", "/virtual-services", {"address": "192.0.2.50", "port": 81})["object"]["index"]
    site.remove(four)
    assert "192.0.2.50/32" in site.addresses()
    site.remove(second)
    site.remove(six)
    assert site.addresses() == OWN
    status, refused = site.asked("POST", "/virtual-services", {"address": "203.0.113.9", "port": 80})
    assert status == 422
    assert "203.0.113.9 is on no local network; there are: 192.0.2.0/24 (eth0)" in refused["error"]["message"]


def test_what_haproxy_refuses_leaves_no_address(site: Site) -> None:
    """The address is there before HAProxy listens; when that fails it goes again."""
    with site.balancer.inside(), site.balancer.socket() as stranger:
        stranger.bind(("0.0.0.0", 7777))
        stranger.listen()
        status, refused = site.asked("POST", "/virtual-services", {"address": "192.0.2.60", "port": 7777})
    assert status >= 400 and "7777" in refused["error"]["message"]
    assert site.addresses() == OWN


def test_a_restart_of_everything_but_the_kernel_keeps_the_addresses(site: Site) -> None:
    index = site.add("192.0.2.50", "10.0.0.11")
    with site.client.connect("192.0.2.50", 80) as open_one:
        open_one.sendall(b"?")
        assert open_one.recv(100)
        site.kill_control_plane()
        netd = site.netd_pid()
        site.restart()
        assert site.netd_pid() == netd
        open_one.sendall(b"?")
        assert open_one.recv(100)
    import os
    import signal

    os.kill(netd, signal.SIGKILL)
    wait_until(lambda: site.netd_pid() != netd, 10)
    assert "192.0.2.50/32" in site.addresses()
    wait_until(lambda: not site.native("GET", "/status")["problems"], 10)
    site.remove(index)
    assert site.addresses() == OWN


def test_a_change_that_cuts_off_goes_back_although_the_control_plane_is_dead(site: Site) -> None:
    site.native("PATCH", "/parameters/host", {"confirm_seconds": 5})
    changed = site.native("PATCH", "/network/interfaces/eth0", {"address": "192.0.2.9/24"})
    assert set(site.addresses()) == {"192.0.2.9/24", OWN[1]}
    waiting = site.native("GET", "/network")["waiting"]
    assert waiting["revision"] == changed["revision"] and 0 < waiting["seconds"] <= 5
    status, refused = site.asked("POST", "/network/routes", {"destination": "172.16.0.0/12", "gateway": "10.0.0.99"})
    assert status == 409 and "waits to be confirmed" in refused["error"]["message"]
    site.kill_control_plane()
    wait_until(lambda: set(site.addresses()) == set(OWN), 10)
    site.restart()
    wait_until(lambda: site.native("GET", "/network/interfaces")[0]["address"] == OWN[0])
    assert set(site.addresses()) == set(OWN)
    newest = site.native("GET", "/history")[0]
    assert f"of revision {changed['revision']}, which was not confirmed" in newest["summary"]
    # and what comes next is taken as ever
    site.remove(site.add("192.0.2.50", "10.0.0.11"))


def test_confirmed_it_stays_and_undone_it_goes_at_once(site: Site) -> None:
    site.native("PATCH", "/parameters/host", {"confirm_seconds": 60})
    site.native("POST", "/network/routes", {"destination": "172.16.0.0/12", "gateway": "10.0.0.11"})
    site.native("POST", "/network/confirm")
    site.native("PATCH", "/parameters/host", {"default_gateway": "192.0.2.100"})
    assert [one["gateway"] for one in site.balancer.show("route", "show", "default")] == ["192.0.2.100"]
    site.native("POST", "/network/undo")
    assert site.balancer.show("route", "show", "default") == []
    assert [one["gateway"] for one in site.balancer.show("route", "show", "172.16.0.0/12")] == ["10.0.0.11"]
    status, refused = site.asked("POST", "/network/confirm")
    assert status == 409 and "No change" in refused["error"]["message"]


def test_no_service_stands_on_a_network_that_may_go_back(site: Site) -> None:
    more = {"address": "192.0.2.9/24", "additional": [OWN[1], "198.51.100.1/24"]}
    site.native("PATCH", "/network/interfaces/eth0", more)
    status, refused = site.asked("POST", "/virtual-services", {"address": "198.51.100.50", "port": 80})
    assert status == 409 and "waits to be confirmed, and without it: 198.51.100.50" in refused["error"]["message"]
    index = site.add("192.0.2.50", "10.0.0.11")
    site.native("POST", "/network/undo")
    assert set(site.addresses()) == {*OWN, "192.0.2.50/32"}
    assert site.client.ask("192.0.2.50", 80).role == "real1"
    site.remove(index)


def test_loadmasters_commands_change_the_host_and_the_next_one_confirms(site: Site) -> None:
    site.loadmaster("modiface", interface="1", addr="10.0.0.2/24")
    assert site.balancer.addresses("eth1")[0] == "10.0.0.2/24"
    assert site.native("GET", "/network")["waiting"] is not None
    site.loadmaster("showiface", interface="1")
    assert site.native("GET", "/network")["waiting"] is None
    site.loadmaster("addadditional", interface="1", addr="10.0.0.1/24")
    site.loadmaster("delroute", dest="172.16.0.0/12")
    site.loadmaster("modiface", interface="1", mtu="1400")
    assert site.balancer.show("link", "show", "dev", "eth1")[0]["mtu"] == 1400
    assert site.balancer.show("route", "show", "172.16.0.0/12") == []
    site.loadmaster("listvs")


@pytest.mark.requirement("S1-03")
def test_a_port_that_is_put_in_later_is_offered_and_configured(site: Site) -> None:
    site.lab.wire(site.balancer, "eth2", site.client, "eth2")
    (offered,) = (one for one in site.native("GET", "/network")["interfaces"] if one["name"] == "eth2")
    assert offered["addresses"] == []
    site.client.ip("addr add 198.51.100.100/24 dev eth2")
    site.loadmaster("modiface", interface="2", addr="198.51.100.1/24")
    index = site.add("198.51.100.50", "10.0.0.11")
    assert site.balancer.addresses("eth2") == ["198.51.100.1/24", "198.51.100.50/32"]
    assert site.client.ask("198.51.100.50", 80).role == "real1"
    site.remove(index)
    site.loadmaster("modiface", interface="2", addr="")
    assert site.balancer.addresses("eth2") == []
    site.loadmaster("listvs")


def test_an_earlier_revision_is_the_network_again(site: Site) -> None:
    then = site.native("GET", "/history")[0]["number"]
    site.native("POST", "/network/interfaces/eth0/addresses", {"address": "198.51.100.1/24"})
    assert "198.51.100.1/24" in site.addresses()
    site.native("POST", "/rollback", {"revision": then})
    assert set(site.addresses()) == set(OWN)
    site.native("POST", "/network/confirm")


def test_given_up_the_network_stays_and_what_services_alone_had_goes(site: Site) -> None:
    index = site.add("192.0.2.50", "10.0.0.11")
    site.native("PUT", "/network/managed", {"managed": False})
    assert set(site.addresses()) == set(OWN)
    site.remove(index)
    assert not site.native("GET", "/network")["managed"]
