"""Layer-4 services the whole way: asked for through the APIs, carried by the kernel, checked, counted, explained."""

from __future__ import annotations

import contextlib
import os
import signal
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from tests.support.api_clients import LoadMasterClient, NativeClient
from tests.support.namespaces import Lab, Namespace, two_arms, wait_until
from tests.support.steelyard_process import SteelyardProcess

pytestmark = [pytest.mark.network, pytest.mark.needs("ip", "nft", "net_admin", "haproxy")]

V4, V6 = "192.0.2.10", "2001:db8:1::10"
PORT, CHECKED = 8080, 8081


class Site:
    """A Steelyard in the balancer's namespace, its clients and its real servers."""

    def __init__(self, lab: Lab) -> None:
        two_arms(lab, servers=2)
        self.client, self.balancer = lab.hosts["client"], lab.hosts["balancer"]
        self.balancer.ip(f"addr add {V4}/32 dev eth0", f"addr add {V6}/128 dev eth0 nodad")
        # Steelyard is to switch it on itself
        self.balancer.sysctl("ipv4/ip_forward", 0)
        self.balancer.sysctl("ipv6/conf/all/forwarding", 0)
        self.balancer.sysctl("ipv4/ping_group_range", "0 2147483647")
        self.reals: list[Namespace] = [lab.hosts["real1"], lab.hosts["real2"]]
        for number, real in enumerate(self.reals, start=1):
            for address in (f"10.0.0.1{number}", f"2001:db8:2::1{number}"):
                real.answer(address, PORT)
        #: what checks ask, by the number of the server
        self.checked = {number: self.reals[number - 1].answer(f"10.0.0.1{number}", CHECKED) for number in (1, 2)}
        with self.balancer.inside():
            self.steelyard = SteelyardProcess().start()
            self._native: NativeClient = self.steelyard.native
            self._loadmaster: LoadMasterClient = self.steelyard.loadmaster

    def native(self, method: str, path: str, body: Any = None) -> Any:
        with self.balancer.inside():
            answer = self._native.request(method, path, json=body)
        assert answer.status_code < 300, answer.text
        return answer.json()

    def loadmaster(self, command: str, **parameters: Any) -> Any:
        with self.balancer.inside():
            return self._loadmaster.must(command, **parameters)

    def close(self) -> None:
        with self.balancer.inside():
            self.steelyard.stop()

    def add(self, **settings: Any) -> dict[str, Any]:
        body = {"address": V4, "port": 80, "check_type": "tcp", "check_interval": 1, "check_timeout": 1, **settings}
        made: dict[str, Any] = self.native("POST", "/virtual-services", body)["object"]
        return made

    @contextlib.contextmanager
    def failed(self, number: int) -> Iterator[None]:
        """Within, the checks of a real server fail; what is open stays open."""
        self.checked[number].close()
        try:
            yield
        finally:
            self.checked[number] = self.reals[number - 1].answer(f"10.0.0.1{number}", CHECKED)

    def settle(self) -> None:
        """Return when HAProxy has what was asked for."""
        wait_until(lambda: not self.native("GET", "/status")["reload_pending"])

    def remove(self, service: dict[str, Any]) -> None:
        self.native("DELETE", f"/virtual-services/{service['index']}")

    def roles(self, times: int = 4, *, address: str = V4, port: int = 80, udp: bool = False) -> Counter[str]:
        ask = self.client.ask_udp if udp else self.client.ask
        return Counter(ask(address, port).role for _ in range(times))


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    with Lab() as lab:
        made = Site(lab)
        try:
            yield made
        finally:
            made.close()


def servers(family: int = 4) -> list[dict[str, Any]]:
    start = "10.0.0.1" if family == 4 else "2001:db8:2::1"
    return [{"address": f"{start}{number}", "port": PORT} for number in (1, 2)]


@contextlib.contextmanager
def service(site: Site, **settings: Any) -> Iterator[dict[str, Any]]:
    made = site.add(**settings)
    try:
        yield made
    finally:
        site.remove(made)


def state(site: Site, made: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = site.native("GET", f"/virtual-services/{made['index']}")
    return found


def test_a_tcp_service_moves_between_the_layers_and_says_where_it_is(site: Site) -> None:
    with service(site, servers=servers(), service_type="gen") as made:
        assert site.roles() == {"real1": 2, "real2": 2}
        assert state(site, made)["layer"]["number"] == 7
        site.native("PATCH", f"/virtual-services/{made['index']}", {"force_l4": True})
        layer = state(site, made)["layer"]
        assert (layer["title"], layer["carried_by"]) == ("Operating at Layer 4", "nftables")
        assert "ForceL4" in layer["reason"]
        assert {site.client.ask(V4, 80).client for _ in range(2)} == {"192.0.2.100"}
        shown = site.loadmaster("showvs", vs=made["index"])
        assert [shown.text(name) for name in ("Layer", "ForceL4", "ForceL7")] == ["4", "Y", "N"]
        site.loadmaster("modvs", vs=made["index"], forcel7="1")
        assert site.loadmaster("showvs", vs=made["index"]).text("Layer") == "7"

        def haproxy_answers() -> bool:
            """No client is refused meanwhile. One that the kernel has connected then loses its connection, and hears so
            when it sends something.
            """
            with site.client.connect(V4, 80) as connection:
                connection.settimeout(1)
                with contextlib.suppress(ConnectionResetError, TimeoutError):
                    connection.sendall(b"?")
                    return "192.0.2.100" not in connection.recv(400).decode()
            return False

        wait_until(haproxy_answers)


def test_udp_and_ipv6_through_loadmasters_api(site: Site) -> None:
    made = site.loadmaster("addvs", vs=V4, port=5353, prot="udp", checktype="icmp")
    index = made.text("Index")
    assert [made.text(name) for name in ("Layer", "ForceL7", "VStype", "Protocol")] == ["4", "N", "gen", "udp"]
    for number in (1, 2):
        site.loadmaster("addrs", vs=index, rs=f"10.0.0.1{number}", rsport=PORT)
    wait_until(lambda: site.loadmaster("showvs", vs=index).text("Status") == "Up", 8)
    assert site.roles(port=5353, udp=True) == {"real1": 2, "real2": 2}
    site.loadmaster("delvs", vs=index)
    with pytest.raises(OSError):
        site.client.ask_udp(V4, 5353, timeout=0.5)
    with service(site, address=V6, force_l4=True, servers=servers(6), service_type="gen"):
        assert site.roles(address=V6) == {"real1": 2, "real2": 2}


def test_every_port_that_no_other_service_has(site: Site) -> None:
    everything = site.loadmaster("addvs", vs=V4, port="*", prot="tcp")
    index = everything.text("Index")
    assert [everything.text(name) for name in ("VSPort", "Layer", "CheckType")] == ["*", "4", "icmp"]
    site.loadmaster("addrs", vs=index, rs="10.0.0.11", rsport="*")
    wait_until(lambda: site.loadmaster("showvs", vs=V4, port="*", prot="tcp").text("Status") == "Up", 8)
    assert site.client.ask(V4, PORT).own == "10.0.0.11"
    with service(site, servers=servers()[1:], service_type="gen"):
        # HAProxy's, on the same address
        site.settle()
        assert site.roles() == {"real2": 4}
        assert site.client.ask(V4, PORT).role == "real1"
    site.loadmaster("delvs", vs=index)


CHECKS = {"check_port": CHECKED, "check_retries": 1}


def test_a_failed_server_gets_no_client_and_its_connections_end_when_that_is_asked_for(site: Site) -> None:
    settings = {"persistence": "src", "force_l4": True, "service_type": "gen", **CHECKS}
    with service(site, servers=servers(), **settings) as made:
        home = site.client.ask(V4, 80).role
        number = int(home[-1])
        kept = site.client.connect(V4, 80)

        def answers() -> bool:
            kept.sendall(b"?")
            said: bytes = kept.recv(400)
            return said.decode().startswith(home)

        assert answers()
        with site.failed(number):
            wait_until(lambda: list(site.roles(1)) != [home], 8)
            others = site.roles()
            assert list(others) == [f"real{3 - number}"]
            wait_until(lambda: "Down" in [one["status"] for one in state(site, made)["servers"]])
            assert answers()
        wait_until(lambda: state(site, made)["reason"].startswith("2 of 2"), 8)
        # clients do not move back
        assert site.roles() == others
        site.native("PATCH", "/parameters/layer7", {"drop_on_failure": True})

        def cut() -> bool:
            try:
                return not answers()
            except ConnectionResetError:
                return True

        try:
            with site.failed(number):
                wait_until(cut, 8)
                assert "Down" in [one["status"] for one in state(site, made)["servers"]]
        finally:
            site.native("PATCH", "/parameters/layer7", {"drop_on_failure": False})


def test_what_is_disabled_gets_nothing_and_the_whole_service_refuses(site: Site) -> None:
    with service(site, servers=servers(), force_l4=True, service_type="gen") as made:
        first = made["servers"][0]["index"]
        path = f"/virtual-services/{made['index']}"
        site.native("PATCH", f"{path}/real-servers/{first}", {"enabled": False})
        assert site.roles() == {"real2": 4}
        site.native("PATCH", path, {"standby_address": "10.0.0.11", "standby_port": PORT})
        site.native("PATCH", f"{path}/real-servers/{made['servers'][1]['index']}", {"enabled": False})
        assert site.roles() == {"real1": 4}
        site.native("PATCH", path, {"standby_address": ""})
        with pytest.raises(ConnectionRefusedError):
            site.client.ask(V4, 80)


@pytest.mark.requirement("S4-05")
def test_counters_and_records_reach_both_apis(site: Site) -> None:
    with service(site, servers=servers(), force_l4=True, service_type="gen", persistence="src") as made:
        (home,) = site.roles(5)

        def found() -> dict[str, Any]:
            listed = site.native("GET", "/statistics")["services"]
            return next(one for one in listed if one["index"] == made["index"])

        def server() -> dict[str, Any]:
            return next(one for one in found()["servers"] if one["address"].endswith(home[-1]))

        wait_until(lambda: server()["total_connections"] == 5)
        counted = server()
        assert counted["packets"] > 5 * 8
        assert counted["bytes_in"] > 5 * 40 < counted["bytes_out"]
        assert counted["persistence_entries"] == 1
        shown = site.loadmaster("stats").data
        (record,) = (one for one in shown.findall("Vs") if one.findtext("Index") == str(made["index"]))
        assert int(record.findtext("TotalPkts") or 0) > 5 * 8
        assert int(record.findtext("TotalConns") or 0) >= 5


def test_the_kernel_goes_on_without_the_control_plane_and_follows_the_checks(site: Site) -> None:
    settings = {"force_l4": True, "service_type": "gen", "persistence": "src", **CHECKS}
    with service(site, servers=servers(), **settings) as made:
        (home,) = site.roles()
        number = int(home[-1])
        kept = site.client.connect(V4, 80)
        site.steelyard.kill9()
        assert list(site.roles()) == [home]
        with site.failed(number):
            wait_until(lambda: list(site.roles(1)) == [f"real{3 - number}"], 8)
        with site.balancer.inside():
            site.steelyard.restart()
        wait_until(lambda: state(site, made)["reason"].startswith("2 of 2"), 8)
        assert list(site.roles()) == [f"real{3 - number}"], "its record has moved"
        kept.sendall(b"?")
        assert kept.recv(400).decode().startswith(home)


def test_the_kernel_keeps_everything_when_the_process_that_writes_it_is_killed(site: Site) -> None:
    settings = {"force_l4": True, "service_type": "gen", "persistence": "src"}
    with service(site, servers=servers(), **settings) as made:
        (home,) = site.roles()
        kept = site.client.connect(V4, 80)
        pid_file = site.steelyard.state_dir / "run" / "netd.pid"
        first = pid_file.read_text()
        os.kill(int(first), signal.SIGKILL)
        assert list(site.roles()) == [home]
        wait_until(lambda: pid_file.exists() and pid_file.read_text() not in ("", first), 15)
        site.native("PATCH", f"/virtual-services/{made['index']}", {"idle_time": 90})
        assert list(site.roles()) == [home]
        kept.sendall(b"?")
        assert kept.recv(400).decode().startswith(home)


@pytest.mark.parametrize(
    ("settings", "field"),
    [
        ({"force_l4": True, "ssl_acceleration": True}, "ssl_acceleration"),
        ({"force_l4": True, "service_type": "http", "persistence": "cookie", "cookie": "a"}, "persistence"),
        ({"force_l4": True, "force_l7": True}, "force_l4"),
        ({"protocol": "udp", "force_l7": True}, "force_l7"),
        ({"protocol": "udp", "check_type": "http"}, "check_type"),
        ({"port": 0, "extra_ports": ["81"]}, "extra_ports"),
        ({"force_l4": True, "servers": [{"address": "2001:db8:2::11", "port": 80}]}, "servers"),
        ({"layer4_source_nat": True}, "layer4_source_nat"),
        ({"force_l4": True, "bandwidth": 100}, "bandwidth"),
    ],
)
def test_what_cannot_be_is_refused_by_name(site: Site, settings: dict[str, Any], field: str) -> None:
    with site.balancer.inside():
        answer = site.steelyard.native.request(
            "POST", "/virtual-services", json={"address": V4, "port": 99, **settings}
        )
    assert answer.status_code == 422, answer.text
    assert answer.json()["error"]["field"] == field


def test_least_connection_goes_to_haproxy_here_and_udp_is_told_what_is_missing(site: Site) -> None:
    with service(site, servers=servers(), force_l4=True, service_type="gen", schedule="lc") as made:
        layer = state(site, made)["layer"]
        if layer["carried_by"] == "IPVS":
            pytest.skip("this kernel has IPVS")
        assert (layer["number"], layer["carried_by"]) == (7, "HAProxy")
        assert "IPVS" in layer["reason"]
        with contextlib.ExitStack() as stack:
            # all are open at once: who has fewer does not depend on when HAProxy hears that a client has gone
            held = [stack.enter_context(site.client.connect(V4, 80)) for _ in range(4)]
            for connection in held:
                connection.sendall(b"?")
            roles = Counter(connection.recv(400).decode().split()[0] for connection in held)
        assert roles == {"real1": 2, "real2": 2}
    with site.balancer.inside():
        answer = site.steelyard.native.request(
            "POST", "/virtual-services", json={"address": V4, "port": 99, "protocol": "udp", "schedule": "lc"}
        )
    assert answer.status_code >= 400
    assert "IPVS" in answer.json()["error"]["message"]


def test_access_lists_hold_and_an_explanation_says_what_the_kernel_would_do(site: Site) -> None:
    settings = {"force_l4": True, "service_type": "gen", "persistence": "src"}
    with service(site, servers=servers(), **settings) as made:

        def explained() -> dict[str, Any]:
            asked = {"service": made["index"], "client": "192.0.2.100"}
            found: dict[str, Any] = site.native("POST", "/explain", {"url": f"http://{V4}/", **asked})
            return found

        site.settle()
        before = explained()
        assert before["result"]["kind"] == "candidates"
        assert "nftables" in before["steps"][0]["says"]
        (home,) = site.roles()
        after = explained()["result"]
        assert (after["kind"], [one["address"] for one in after["servers"]]) == ("server", [f"10.0.0.1{home[-1]}"])
        path = f"/access-lists/{made['index']}/block"
        site.native("PUT", path, {"entries": [{"address": "192.0.2.96/28"}]})
        with pytest.raises(OSError):
            site.client.ask(V4, 80, timeout=1)
        assert explained()["result"]["kind"] == "closed"
        assert site.balancer.ask(V4, 80).role == home, "only those in the list are refused"


def test_nothing_of_ours_stays_in_the_kernel(site: Site) -> None:
    assert site.native("GET", "/virtual-services") == []
    assert "elements" not in site.balancer.run("nft", "list", "map", "inet", "steelyard_layer4", "services4").stdout
    assert site.balancer.run("cat", "/proc/sys/net/ipv4/ip_forward").stdout.strip() == "0"
