"""A Front End pool: every service behind one address, then SIP by DNS and web services alone behind it."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from playwright.sync_api import expect
from tests.scenarios.bed import Bed, browser, wait_until
from tests.scenarios.front_ends import FRONT_ENDS, Pool, server_of
from tests.support.cgroups import Group, NoGroups, limited
from tests.support.clients import Connection, fetch

pytestmark = [pytest.mark.network, pytest.mark.needs("ip", "nft", "net_admin", "haproxy")]

POOL, WEB, EXTRA, OTHER = "203.0.113.41", "203.0.113.42", "203.0.113.43", "203.0.113.44"
#: of the second appliance
SMALL = "203.0.113.60"
FE1, FE2 = FRONT_ENDS.values()
#: what a Front End of the lab has no role for
UNUSED = 448
WEB_PORTS = {80, 443, 4443, 8080}
#: a moment within which a packet that is answered at all has been
_SHORT = 0.5
_BUSY = 4.0


class Site(Pool):
    """All services of Lync 2010's Front End templates on one address, both servers in each."""

    def __init__(self, bed: Bed) -> None:
        super().__init__(bed, unused=frozenset({UNUSED}))
        bed.loadmaster("addcert", {"cert": "pool", "replace": 0}, body=self.certificate.pem)
        bed.native("POST", "/templates/Lync 2010 Front End/prerequisites")
        servers = [FE1, FE2]
        for template in ("Lync 2010 Front End", "Lync 2010 Front End Optional"):
            body = {"address": POOL, "servers": servers, "certificates": ["pool"]}
            bed.native("POST", f"/templates/{template}/services?wait=true", body)
        self.wait_until_well()

    def wait_until_well(self) -> None:
        def well() -> bool:
            return {name for name, status in self.bed.statuses().items() if status != "Up"} <= {"FE CAC"}

        wait_until(well, 20)
        for name in FRONT_ENDS:
            self.wait_for_members(POOL, name, "Up", but=("FE CAC",))
        self.bed.settle()

    def services(self, address: str) -> dict[int, dict[str, Any]]:
        """The services of an address by their ports."""
        return {one["port"]: one for one in self.bed.native("GET", "/virtual-services") if one["address"] == address}

    def cycle(self) -> float:
        """Seconds within which a server that falls silent is found out."""
        checks = self.bed.native("GET", "/parameters/checks")
        return float(checks["interval"] + checks["timeout"] * checks["retries"])


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    with Bed() as bed:
        yield Site(bed)


@pytest.fixture(autouse=True)
def _clean(site: Site) -> Iterator[None]:
    """What a test that failed has left does not disturb the next one."""
    yield
    strays = [one["index"] for address in (EXTRA, OTHER) for one in site.services(address).values()]
    if strays:
        site.bed.remove(*strays)


@pytest.mark.requirement("S2-01")
def test_s2_01_every_service_of_a_pool_behind_one_address(site: Site) -> None:
    services = site.services(POOL)
    assert set(services) >= {80, 135, 443, 444, 448, 4443, 5060, 5061, 5065, 5069, 5070, 5071, 5072, 5073, 8080}
    for port in (135, 444, 5065, 5067, 5069, 5070, 5073, 5075, 5080):
        said = site.said(POOL, port)
        assert said["server"] in FRONT_ENDS
        assert said["local"][1] == port
    for port in sorted(WEB_PORTS):
        assert server_of(site.web(POOL, port)) in FRONT_ENDS
    signed_in = site.user(POOL).sign_in()
    assert signed_in.ok, signed_in.failed
    phone = site.user(POOL, account=1).phone()
    assert phone.ok, phone.failed


@pytest.mark.requirement("S2-02", "S2-05")
def test_s2_05_what_the_templates_have_and_what_is_no_service_of_lync(site: Site) -> None:
    templates = {one["name"]: one for one in site.bed.native("GET", "/templates") if "Lync 2010" in one["name"]}

    def ports(name: str) -> set[int]:
        found = site.bed.native("GET", f"/templates/{name}")
        return {service["port"] for service in found["services"]}

    assert not {7069, 5074} & set().union(*map(ports, templates))
    # web services need the balancer, whether SIP does or not
    assert {443, 4443} <= ports("Lync 2010 Front End")
    assert ports("Lync 2010 Front End") | ports("Lync 2010 Front End Optional") >= WEB_PORTS
    assert ports("Lync 2010 Front End DNS") == WEB_PORTS


@pytest.mark.requirement("S2-15")
def test_s2_15_a_service_whose_role_is_not_installed_is_down_alone(site: Site) -> None:
    statuses = site.bed.statuses()
    assert statuses.pop("FE CAC") == "Down"
    assert set(statuses.values()) == {"Up"}
    assert len(statuses) >= 15


@pytest.mark.requirement("S2-03")
@pytest.mark.parametrize("layer", ["layer 7", "layer 4"])
def test_s2_03_transparent_with_two_arms_needs_the_balancer_as_gateway(site: Site, layer: str) -> None:
    how = {"force_l4": True} if layer == "layer 4" else {"transparent": True}
    with site.bed.service(OTHER, 5073, server=FE1, **how):
        assert site.said(OTHER, 5073)["peer"][0] == "203.0.113.10"
        site.hosts["fe1"].ip("route replace default via 192.168.1.254")
        try:
            with pytest.raises(TimeoutError), site.client.connect(OTHER, 5073, timeout=_SHORT) as connection:
                connection.sendall(b"?")
                connection.recv(400)
        finally:
            site.hosts["fe1"].ip("route replace default via 192.168.1.43")
        assert site.said(OTHER, 5073)["server"] == "fe1"


@pytest.mark.requirement("S2-04")
def test_s2_04_the_balancer_answers_no_names(site: Site) -> None:
    for address in ("203.0.113.1", "192.168.1.43", POOL):
        host = site.archive if address.startswith("192") else site.client
        with pytest.raises(ConnectionRefusedError):
            host.connect(address, 53)
        with pytest.raises(ConnectionRefusedError):
            host.ask_udp(address, 53, timeout=2)


@pytest.mark.requirement("S2-10", "S2-11", "S2-12")
def test_s2_12_extra_ports_reach_the_same_port_of_the_real_server(site: Site) -> None:
    bed = site.bed
    first, second = (bed.add(EXTRA, port, server=[FE1, FE2], wait=False) for port in (443, 4443))
    try:
        bed.loadmaster("modvs", vs=first, extraports="80")
        bed.loadmaster("modvs", vs=second, extraports="8080")
        bed.settle()
        for port, place in ((443, "internal"), (80, "internal"), (4443, "external"), (8080, "external")):
            reply = site.web(EXTRA, port)
            assert (reply.json["local"][1], reply.header("x-lab-site")) == (port, place)
        shown = bed.loadmaster("showvs", vs=first)
        assert [shown.text(name) for name in ("VSPort", "ExtraPorts")] == ["443", "80"]
    finally:
        bed.remove(first, second)


@pytest.mark.requirement("S2-13")
def test_s2_13_ports_of_one_service_share_a_clients_record(site: Site) -> None:
    with site.bed.service(EXTRA, 443, server=[FE1, FE2], extra_ports=["80", "4443", "8080"], persistence="src"):
        homes = {}
        for last in range(10, 20):
            client = f"203.0.113.{last}"
            homes[client] = {server_of(site.web(EXTRA, port, source=client)) for port in (443, 80, 4443, 8080, 80)}
        assert all(len(found) == 1 for found in homes.values()), homes
        assert set().union(*homes.values()) == set(FRONT_ENDS), "not all of them on one"


@pytest.mark.requirement("S2-14")
def test_s2_14_one_check_for_many_ports_hides_what_services_of_their_own_show(site: Site) -> None:
    bed = site.bed
    checked = {"check_type": "tcp", "server": [FE1, FE2], "wait": False}
    lumped = bed.add(EXTRA, 443, extra_ports=["80"], **checked)
    split = [bed.add(OTHER, port, **checked) for port in (443, 80)]
    try:
        bed.settle()
        for index in (lumped, *split):
            bed.wait_for(index, "Up")
        site.servers["fe1"].close_port(80)
        bed.wait_for_server(split[1], f"{FE1}:80", "Down")
        assert set(bed.servers(lumped).values()) == set(bed.servers(split[0]).values()) == {"Up"}
        assert {server_of(site.web(OTHER, 80)) for _ in range(4)} == {"fe2"}
    finally:
        site.servers["fe1"].open_port(80)
        bed.remove(lumped, *split)
        site.wait_until_well()


@pytest.mark.requirement("S2-17", "S2-18", "S2-19")
def test_s2_17_a_server_that_falls_silent_is_down_everywhere_within_a_cycle(site: Site) -> None:
    with site.unplugged("fe1"):
        died = time.monotonic()
        site.wait_for_members(POOL, "fe1", "Down")
        assert time.monotonic() - died < site.cycle() + _BUSY
        assert site.bed.statuses()["FE SIP"] == "Up"
        with site.unplugged("fe2"):
            wait_until(lambda: set(site.bed.statuses().values()) == {"Down"}, 15)
            shown = site.bed.loadmaster("showvs", vs=site.bed.named("FE SIP"))
            assert shown.text("Status") == "Down"
    site.wait_until_well()


@pytest.mark.requirement("S2-11", "S2-16", "S2-19")
@pytest.mark.browser
@pytest.mark.needs("chromium")
@pytest.mark.timeout(180)
def test_s2_16_a_stopped_server_is_red_in_every_service_and_comes_back_by_itself(site: Site) -> None:
    """A page that stays open, and what the interfaces say meanwhile; extra ports are abbreviated there."""
    bed = site.bed
    more = {443: ["80"], 4443: ["8080", "5061"], 5070: ["5071-5073", "5075", "5076"]}
    made = [bed.add(EXTRA, port, server=[FE1, FE2], extra_ports=ports, wait=False) for port, ports in more.items()]
    with browser(bed) as rig, rig.screen() as screen:
        page = screen.open("/virtual-services")
        for index, shown in zip(made, (f"{EXTRA}:443 +1", f"{EXTRA}:4443 +2", f"{EXTRA}:5070 +5"), strict=True):
            expect(page.locator(f"#vs{index} .addr")).to_have_text(shown)
        rows = [page.locator(f"#vs{bed.named(name)}") for name in ("FE SIP", "FE Web Int", "FE DCOM")]
        for row in rows:
            expect(row.locator(".rs").nth(0)).to_have_class("rs up")
        with site.stopped("fe1"):
            for row in rows:
                expect(row.locator(".rs").nth(0)).to_have_class("rs down")
                expect(row.locator(".rs").nth(0)).to_contain_text(FE1)
                expect(row.locator(".rs").nth(1)).to_have_class("rs up")
                expect(row.locator("td").first).to_contain_text("Up")
            site.wait_for_members(POOL, "fe1", "Down")
            found = site.members(POOL)
            assert {one[FE2] for name, one in found.items() if name != "FE CAC"} == {"Up"}
            assert [name for name, status in bed.statuses().items() if status == "Down"] == ["FE CAC"]
            shown = bed.loadmaster("listvs").data
            down = Counter(one.findtext("Addr") for one in shown.iter("Rs") if one.findtext("Status") == "Down")
            assert down == {FE1: len(found), FE2: 1}, "the second one for the role that is not installed"
            assert site.user(POOL).sign_in().ok
            came_back = time.monotonic()
        site.wait_for_members(POOL, "fe1", "Up", but=("FE CAC",))
        assert time.monotonic() - came_back < site.cycle() + _BUSY
        for row in rows:
            expect(row.locator(".rs").nth(0)).to_have_class("rs up")
        expect(page.locator(f"#vs{bed.named('FE CAC')} td").first).to_contain_text("Down")


@pytest.mark.requirement("S2-23")
def test_s2_23_a_port_belongs_to_one_service_of_an_address(site: Site) -> None:
    bed = site.bed
    made = [bed.add(EXTRA, 443, server=[FE1, FE2], extra_ports=["80"], wait=False)]
    try:
        said = bed.refused("POST", "/virtual-services", {"address": EXTRA, "port": 80})
        assert "80" in said["message"]
        assert f"{EXTRA}:443" in said["message"]
        assert not bed.loadmaster_says("addvs", vs=EXTRA, port=80, prot="tcp").ok
        made.append(bed.add(EXTRA, 8080, server=[FE1, FE2], wait=False))
        said = bed.refused("PATCH", f"/virtual-services/{made[1]}", {"extra_ports": ["80-90"]})
        assert "80" in said["message"]
        bed.native("PATCH", f"/virtual-services/{made[0]}", {"extra_ports": []})
        made.append(bed.add(EXTRA, 80, server=[FE1, FE2], wait=False))
    finally:
        bed.remove(*made)


class Stream(threading.Thread):
    """A long answer over TLS, read as it comes until it is enough."""

    def __init__(self, site: Site, address: str, port: int) -> None:
        super().__init__(daemon=True)
        self.lines: list[dict[str, Any]] = []
        self.failure: Exception | None = None
        self.enough = False
        self._site, self._place = site, (address, port)
        self.start()

    def run(self) -> None:
        request = f"GET /lab/stream?pieces=900&pause_ms=50 HTTP/1.1\r\nHost: {self._site.organisation.pool}\r\n\r\n"
        try:
            with self._site.connected(*self._place) as connection:
                connection.sendall(request.encode())
                for line in connection.makefile("rb"):
                    if line.startswith(b"{"):
                        self.lines.append(json.loads(line))
                    if self.enough:
                        return
        except Exception as failure:
            self.failure = failure


@pytest.mark.requirement("S2-22")
def test_s2_22_extra_ports_become_services_of_their_own_under_running_traffic(site: Site) -> None:
    bed = site.bed
    both = {"server": [FE1, FE2], "persistence": "src", "wait": False}
    made = [bed.add(EXTRA, 443, extra_ports=["80"], **both), bed.add(EXTRA, 4443, extra_ports=["8080"], **both)]
    try:
        bed.settle()
        streams = [Stream(site, EXTRA, port) for port in (443, 4443)]
        with site.connected(EXTRA, 443) as held:
            held.sendall(b"GET /lab/seen HTTP/1.1\r\nHost: a\r\n\r\n")
            assert b"200" in held.recv(8000)
            wait_until(lambda: all(len(one.lines) > 2 for one in streams))
            for index, port in zip(tuple(made), (80, 8080), strict=True):
                bed.native("PATCH", f"/virtual-services/{index}", {"extra_ports": []})
                made.append(bed.add(EXTRA, port, check_type="http", check_url="/meet/blank.html", **both))
            bed.settle()
            changed = [len(one.lines) for one in streams]
            wait_until(lambda: all(len(one.lines) > done + 3 for one, done in zip(streams, changed, strict=True)))
            held.sendall(b"GET /lab/seen HTTP/1.1\r\nHost: a\r\n\r\n")
            assert b"200" in held.recv(8000)
        for one in streams:
            one.enough = True
            one.join(5)
            assert one.failure is None
            assert [line["event"] for line in one.lines] == list(range(1, len(one.lines) + 1)), "nothing is missing"
        assert set(site.services(EXTRA)) == WEB_PORTS
        assert not any(one["extra_ports"] for one in site.services(EXTRA).values())
        for port in WEB_PORTS:
            wait_until(lambda port=port: site.web(EXTRA, port).status == 200, 10)
    finally:
        bed.remove(*made)


@pytest.fixture
def small() -> Iterator[Group]:
    """A gigabyte of memory and one core."""
    with contextlib.ExitStack() as stack:
        try:
            group = stack.enter_context(limited(memory=2**30, processors=1))
        except NoGroups as failure:
            pytest.skip(f"missing: {failure}")
        yield group


@pytest.mark.requirement("S2-07", "S2-08")
def test_s2_07_a_gigabyte_and_one_core_carry_twenty_services(site: Site, small: Group) -> None:
    """A second appliance, with two cards, whose administration is bound to the first before it is started."""
    with Bed(beside=site.bed, role="small") as bed:
        bed.plug(bed.lb, "outside", "203.0.113.2/24")
        bed.plug(bed.lb, "farm", "192.168.1.44/24")
        with small.inside():
            steelyard = bed.start(admin_address="203.0.113.2")
        assert {one.pid for one in steelyard.processes()} <= small.pids
        assert f"203.0.113.2:{steelyard.admin_port}" in steelyard.log
        with site.client.inside():
            assert fetch(f"{steelyard.url}/").status in (200, 302, 303)
        with pytest.raises(ConnectionRefusedError):
            site.archive.connect("192.168.1.44", steelyard.admin_port)
        for template in ("Lync 2010 Front End", "Lync 2010 Front End Optional"):
            body = {"address": SMALL, "servers": [FE1, FE2]}
            bed.native("POST", f"/templates/{template}/services?wait=true", body)
        wait_until(lambda: Counter(bed.statuses().values()) == {"Up": 19, "Down": 1}, 15)
        with ThreadPoolExecutor(8) as pool:
            answered = Counter(pool.map(lambda port: ask_often(site, port), [80, 8080] * 8))
        assert answered == {(200,) * 20: 16}
        shown = bed.loadmaster("stats").data
        assert shown.findtext("CPU/total/User") is not None
        assert shown.findtext("Memory/memused") is not None
        assert small.killed == 0
        assert small.peak < 2**30


def ask_often(site: Site, port: int) -> tuple[int, ...]:
    """The statuses of twenty requests on one connection."""
    with site.client.inside(), Connection(SMALL, port) as connection:
        return tuple(connection.request("/lab/seen").status for _ in range(20))


@pytest.mark.requirement("S2-25")
def test_s2_25_behind_a_firewall_that_hides_its_clients(site: Site) -> None:
    """They all look the same: by address they are one client, by cookie they are eight."""
    sources = [f"10.50.0.{last}" for last in range(11, 19)]
    by_address: Counter[str] = Counter()
    by_cookie: Counter[str] = Counter()
    for source in sources:
        first = site.web(POOL, 443, host=site.hidden, source=source)
        assert first.json["peer"][0] == "192.168.1.43"
        by_address[server_of(first)] += 1
        first = site.web(POOL, 4443, host=site.hidden, source=source)
        by_cookie[server_of(first)] += 1
        for _ in range(2):
            again = site.web(POOL, 4443, host=site.hidden, source=source, cookies=first.cookies)
            assert server_of(again) == server_of(first)
    assert len(by_address) == 1, by_address
    assert by_cookie == {"fe1": 4, "fe2": 4}


@pytest.mark.requirement("S2-20", "S2-21", "S2-24")
def test_s2_20_sip_by_dns_and_web_services_alone_behind_the_balancer(site: Site) -> None:
    """The full pool's address and one for web services at once; then what DNS carries goes from the first one."""
    bed = site.bed
    body = {"address": WEB, "servers": [FE1, FE2], "certificates": ["pool"]}
    found = bed.native("POST", "/templates/Lync 2010 Front End DNS/services?wait=true", body)
    made = [one["index"] for one in found["object"]["services"]]
    for index in made:
        bed.wait_for(index, "Up")
    assert set(site.services(WEB)) == WEB_PORTS
    # names of web services lead to the balancer, the pool's to each Front End in turn
    for server in (FE1, FE2):
        client = site.user(WEB, pool=server, host=site.inside)
        signed_in = client.sign_in()
        assert signed_in.ok, signed_in.failed
        assert signed_in.step("SIP register").server == {FE1: "fe1", FE2: "fe2"}[server]
    with pytest.raises(ConnectionRefusedError):
        site.client.connect(WEB, 5061)
    assert site.user(POOL).sign_in().ok, "the other way goes on beside it"
    bed.remove(*(one["index"] for port, one in site.services(POOL).items() if port not in WEB_PORTS))
    assert set(site.services(POOL)) == WEB_PORTS
    for port in sorted(WEB_PORTS):
        assert site.web(POOL, port).status == 200
    with pytest.raises(ConnectionRefusedError):
        site.client.connect(POOL, 5061)
    assert [one.count for one in site.archived.values()] == [0, 0], "a server that is not balanced is left alone"
    bed.remove(*made)
