"""An edge pool behind one balancer with one arm in each of two networks: external services, internal ones, A/V edge.

    internet 203.0.113.0/24: cli-ext .10, router .254
    perimeter 172.16.0.0/24: router .254, lb .1 (sip .41, wc .42, av .43), edges: access .11 .12, wc .21 .22, av .31 .32
    internal 192.168.2.0/24: lb .1 (LyncEdgePool .40), edges .11 .12, fe .100

The edges' default gateway is the router; what they send from their A/V addresses goes by the balancer.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import expect
from tests.scenarios.bed import Bed, browser, wait_until
from tests.support.namespaces import Answering, Namespace, Seen

pytestmark = [pytest.mark.network, pytest.mark.needs("ip", "nft", "net_admin", "haproxy")]

CLIENT = "203.0.113.10"
LB = "172.16.0.1"
SIP, WC, AV = "172.16.0.41", "172.16.0.42", "172.16.0.43"
POOL = "192.168.2.40"
EXTERNAL = {
    "EDE Access SIP": (SIP, 5061, 1),
    "EDE Access Remote": (SIP, 443, 1),
    "EDE Conf": (WC, 443, 2),
    "EDE AV TCP": (AV, 443, 3),
    "EDE AV UDP": (AV, 3478, 3),
}
INTERNAL = {"EDI SIP": 5061, "EDI Auth": 5062, "EDI HTTP": 443, "EDI Conf": 3478}
NAT_PATH = "System Configuration > Miscellaneous Options > Network Options > Enable Server NAT"
#: how much longer than it should a verdict may take on a machine that does other things, too
_BUSY = 4.0


class Perimeter:
    """The edge pool, set up by what an administrator has: LoadMaster's API and the command line."""

    def __init__(self, bed: Bed) -> None:
        self.bed = bed
        for name in ("internet", "perimeter", "internal"):
            bed.side(name)
        bed.plug(bed.lb, "perimeter", f"{LB}/24")
        bed.host("router", forwards=True, internet="203.0.113.254/24", perimeter="172.16.0.254/24")
        self.client = bed.host("cli-ext", internet=f"{CLIENT}/24", gateway="203.0.113.254")
        self.front_end = bed.host("fe", internal="192.168.2.100/24")
        self.edges = [self._edge(number) for number in (1, 2)]
        self.answering: dict[str, dict[int, Answering]] = {}
        for number, edge in enumerate(self.edges, start=1):
            for address, ports in (
                (f"172.16.0.1{number}", (443, 5061)),
                (f"172.16.0.2{number}", (443,)),
                (f"172.16.0.3{number}", (443, 3478)),
                (f"192.168.2.1{number}", (443, 3478, 4443, 5061, 5062, 8057)),
            ):
                self.answering[address] = bed.serve(edge, address, *ports)
        for port in (443, 3478, 5000):
            self.client.answer(CLIENT, port)
        bed.start()
        bed.loadmaster("set", param="dfltgw", value="172.16.0.254")
        bed.native("POST", "/network/confirm")
        #: what is offered after the second network card is put into the running machine
        bed.plug(bed.lb, "internal")
        (self.offered,) = (one for one in bed.native("GET", "/network")["interfaces"] if one["name"] == "eth1")
        bed.loadmaster("modiface", interface="1", addr="192.168.2.1/24")
        # whoever still reaches it confirms the change by the next command
        bed.loadmaster("showiface", interface="1")
        bed.native("POST", "/templates/Lync 2010 Edge External/prerequisites")
        self.said = bed.cli("template", "use", "Lync 2010 Edge External", f"sip={SIP}", f"wc={WC}", f"av={AV}")
        for name, (_, port, network) in EXTERNAL.items():
            index = bed.named(name)
            for number in (1, 2):
                bed.loadmaster("addrs", vs=index, rs=f"172.16.0.{network}{number}", rsport=port)
        bed.loadmaster("addvs", vs=POOL, port=5061, prot="tcp", template="Lync 2010 Edge Internal")
        for name, port in INTERNAL.items():
            for number in (1, 2):
                bed.loadmaster("addrs", vs=bed.named(name), rs=f"192.168.2.1{number}", rsport=port)
        # its clients and its servers are in one network: these would answer those past the balancer
        bed.native("PATCH", f"/virtual-services/{bed.named('EDI Conf')}", {"layer4_source_nat": True})
        self.wait_until_well()

    def _edge(self, number: int) -> Namespace:
        addresses = [f"172.16.0.{network}{number}/24" for network in (1, 2, 3)]
        made = self.bed.host(
            f"edge{number}", perimeter=addresses, internal=f"192.168.2.1{number}/24", gateway="172.16.0.254"
        )
        made.ip(
            "route add 172.16.0.0/24 dev eth0 table 100",
            f"route add default via {LB} table 100",
            f"rule add from 172.16.0.3{number} lookup 100",
        )
        return made

    def wait_until_well(self) -> None:
        def well() -> bool:
            found = self.bed.native("GET", "/status")["services"]
            return all(server["status"] == "Up" for one in found for server in one["servers"])

        wait_until(well, 15)
        self.bed.settle()

    def leaves(self, port: int, *, udp: bool = False) -> str:
        """With which address a peer sees what the first A/V edge begins."""
        edge = self.edges[0]
        return (edge.ask_udp if udp else edge.ask)(CLIENT, port, source="172.16.0.31", timeout=3).client

    def row(self, name: str) -> dict[str, Any]:
        (found,) = (one for one in self.bed.native("GET", "/status")["services"] if one["name"] == name)
        return dict(found)

    @contextlib.contextmanager
    def cut_off(self, edge: Namespace) -> Iterator[None]:
        """Within, a server is gone with all its addresses, as when its power is."""
        edge.ip("link set eth0 down", "link set eth1 down")
        try:
            yield
        finally:
            edge.ip("link set eth0 up", "link set eth1 up", "route replace default via 172.16.0.254")
            edge.ip("route replace 172.16.0.0/24 dev eth0 table 100", f"route replace default via {LB} table 100")
            self.wait_until_well()


@pytest.fixture(scope="module")
def site() -> Iterator[Perimeter]:
    with Bed() as bed:
        yield Perimeter(bed)


@pytest.mark.requirement("S1-03")
def test_s1_03_a_card_that_is_put_in_later_is_offered_and_configured(site: Perimeter) -> None:
    assert (site.offered["addresses"], site.offered["up"]) == ([], True)
    assert site.bed.loadmaster("showiface", interface="1").text("Interface/IPAddress") == "192.168.2.1/24"
    assert "192.168.2.1/24" in site.bed.lb.addresses("eth1")


@pytest.mark.requirement("S1-02", "S1-05", "S1-06", "S1-07", "S1-08")
def test_s1_02_internal_and_external_services_of_one_balancer_at_once(site: Perimeter) -> None:
    for name, (address, port, network) in EXTERNAL.items():
        ask = site.client.ask_udp if port == 3478 else site.client.ask
        seen = ask(address, port)
        assert seen.own in (f"172.16.0.{network}1", f"172.16.0.{network}2"), name
        assert seen.own_port == port
        addresses = [one["address"] for one in site.row(name)["servers"]]
        assert addresses == [f"172.16.0.{network}1", f"172.16.0.{network}2"]
    for name, port in INTERNAL.items():
        ask = site.front_end.ask_udp if port == 3478 else site.front_end.ask
        assert ask(POOL, port).own in ("192.168.2.11", "192.168.2.12"), name
        assert [one["address"] for one in site.row(name)["servers"]] == ["192.168.2.11", "192.168.2.12"]
    for port in (8057, 4443):
        with pytest.raises(ConnectionRefusedError):
            site.front_end.ask(POOL, port)
    listed = {one.findtext("VSAddress") for one in site.bed.loadmaster("listvs").data.iter("VS")}
    assert listed == {SIP, WC, AV, POOL}


@pytest.mark.requirement("S1-08", "S1-11")
def test_s1_08_the_av_edge_has_a_tcp_and_a_udp_service_on_one_address(site: Perimeter) -> None:
    bed = site.bed
    tcp, udp = (bed.loadmaster("showvs", vs=bed.named(name)) for name in ("EDE AV TCP", "EDE AV UDP"))
    assert [tcp.text(name) for name in ("VSAddress", "VSPort", "Protocol", "Layer")] == [AV, "443", "tcp", "7"]
    assert [udp.text(name) for name in ("VSAddress", "VSPort", "Protocol", "Layer")] == [AV, "3478", "udp", "4"]
    # media need the client's address, by either protocol
    assert site.client.ask(AV, 443).client == site.client.ask_udp(AV, 3478).client == CLIENT
    with bed.service(AV, 3478, server=["172.16.0.31", "172.16.0.32"], name="STUN by TCP"):
        assert site.client.ask(AV, 3478).role in ("edge1", "edge2")
        assert site.client.ask_udp(AV, 3478).role in ("edge1", "edge2")
        same = [one for one in bed.native("GET", "/virtual-services") if (one["address"], one["port"]) == (AV, 3478)]
        assert {one["protocol"] for one in same} == {"tcp", "udp"}


@pytest.mark.requirement("S1-04")
def test_s1_04_one_arm_with_another_router_as_the_servers_gateway(site: Perimeter) -> None:
    for edge in site.edges:
        assert [one["gateway"] for one in edge.show("route", "show", "default")] == ["172.16.0.254"]
    seen = site.client.ask(SIP, 443)
    assert seen.client == LB, "the server answers the balancer, not the client on a third network"
    assert site.bed.loadmaster("showvs", vs=site.bed.named("EDE Access Remote")).text("Transparent") == "N"


@pytest.mark.requirement("S1-10")
def test_s1_10_address_port_and_protocol_tell_services_apart(site: Perimeter) -> None:
    on_443 = [one for one in site.bed.native("GET", "/virtual-services") if one["port"] == 443]
    assert {one["address"] for one in on_443} == {SIP, WC, AV, POOL}
    said = site.bed.refused("POST", "/virtual-services", {"address": WC, "port": 443, "protocol": "tcp"})
    assert f"tcp/{WC}:443" in said["message"]
    answer = site.bed.loadmaster_says("addvs", vs=WC, port=443, prot="tcp")
    assert not answer.ok
    assert "exist" in answer.message


@pytest.mark.requirement("S1-09")
def test_s1_09_one_address_of_a_server_fails_alone(site: Perimeter) -> None:
    bed = site.bed
    sip, conf, tcp, udp = (bed.named(f"EDE {name}") for name in ("Access SIP", "Conf", "AV TCP", "AV UDP"))
    site.edges[0].ip("addr del 172.16.0.31/24 dev eth0")
    try:
        bed.wait_for_server(tcp, "172.16.0.31:443", "Down")
        bed.wait_for_server(udp, "172.16.0.31:3478", "Down")
        assert set(bed.servers(sip).values()) == set(bed.servers(conf).values()) == {"Up"}
        assert {site.row(name)["status"] for name in EXTERNAL} == {"Up"}
        assert site.client.ask(AV, 443).own == "172.16.0.32"
    finally:
        site.edges[0].ip("addr add 172.16.0.31/24 dev eth0")
        site.wait_until_well()


@pytest.mark.requirement("S1-01")
def test_s1_01_the_first_server_is_dead_and_clients_know_its_services_address_alone(site: Perimeter) -> None:
    bed, name = site.bed, "EDE Access Remote"
    index = bed.named(name)
    checks = bed.native("GET", "/parameters/checks")
    cycle = checks["interval"] + checks["timeout"] * checks["retries"]
    assert site.row(name)["servers"][0]["address"] == "172.16.0.11"
    with site.cut_off(site.edges[0]):
        died = time.monotonic()
        wait_until(lambda: bed.servers(index)["172.16.0.11:443"] == "Down", 15)
        assert time.monotonic() - died < cycle + _BUSY
        # each a client of its own: none has a record
        answered = [site.client.ask(SIP, 443, timeout=2).role for _ in range(6)]
        assert answered == ["edge2"] * 6
        assert site.row(name)["status"] == "Up"
        shown = bed.loadmaster("showvs", vs=index)
        assert shown.text("Status") == "Up"
        assert [one.findtext("Status") for one in shown.data.iter("Rs")] == ["Down", "Up"]


@pytest.mark.requirement("S1-14")
def test_s1_14_what_the_av_edge_begins_leaves_with_the_services_address(site: Perimeter) -> None:
    bed = site.bed
    services = [bed.named("EDE AV TCP"), bed.named("EDE AV UDP")]
    ways = [(443, False), (5000, False), (3478, True), (5000, True)]

    def sources() -> set[str]:
        return {site.leaves(port, udp=udp) for port, udp in ways}

    assert sources() == {AV}
    for index in services:
        bed.loadmaster("modvs", vs=index, useforsnat=0)
    assert sources() == {LB}
    bed.loadmaster("set", param="snat", value=0)
    assert sources() == {"172.16.0.31"}
    bed.loadmaster("set", param="snat", value=1)
    for index in services:
        bed.loadmaster("modvs", vs=index, useforsnat=1)
    assert sources() == {AV}


@pytest.mark.requirement("S1-15")
def test_s1_15_a_services_choice_survives_the_global_switch(site: Perimeter) -> None:
    bed = site.bed
    index = bed.named("EDE AV TCP")

    def kept() -> str | None:
        return bed.loadmaster("showvs", vs=index).text("UseforSnat")

    assert kept() == "Y"
    bed.loadmaster("set", param="snat", value=0)
    assert kept() == "Y", "it is kept, without effect"
    assert site.leaves(5000) == "172.16.0.31"
    bed.loadmaster("set", param="snat", value=1)
    assert kept() == "Y"
    assert site.leaves(5000) == AV


def nat_rules(site: Perimeter) -> list[str]:
    """The kernel's rules about what real servers begin; others of the table keep transparent connections apart."""
    done = site.bed.lb.run("nft", "list", "chain", "inet", "steelyard_sources", "leaving", check=False)
    return [line.strip() for line in done.stdout.splitlines() if "oifname" in line]


@pytest.mark.requirement("S1-08", "S1-12", "S1-13", "S1-17")
@pytest.mark.browser
@pytest.mark.needs("chromium")
@pytest.mark.timeout(180)
def test_s1_12_server_nat_in_the_web_interface(site: Perimeter) -> None:
    bed = site.bed
    index = bed.add("172.16.0.49", 25, server=["172.16.0.11"], name="mail")
    switched_on = nat_rules(site)
    assert [line for line in switched_on if "snat" in line] and [line for line in switched_on if "masquerade" in line]
    try:
        with browser(bed) as rig, rig.screen() as screen:
            page = screen.open("/menu/System Configuration/Miscellaneous Options/Network Options")
            switch = page.get_by_label("Enable Server NAT", exact=True)
            expect(switch).to_be_checked()
            page.locator("#row-server_nat .switch").click()
            page.get_by_role("button", name="Review changes").click()
            page.get_by_role("button", name="Apply", exact=True).click()
            expect(page.locator("#notices")).to_contain_text("applied")
            assert bed.native("GET", "/parameters/network")["server_nat"] is False
            assert not nat_rules(site)

            page = screen.open(f"/virtual-services/{index}")
            row = page.locator("#row-use_for_snat")
            expect(row.locator("input[type=checkbox]")).to_be_disabled()
            expect(row).to_contain_text("needs server NAT, which is off for all services")

            page = screen.open("/templates/of/Lync 2010 Edge External")
            expect(page.locator(".notice.warn")).to_contain_text(f"Enable Server NAT should be on ({NAT_PATH})")

            bed.loadmaster("set", param="snat", value=1)
            page = screen.open(f"/virtual-services/{index}")
            row = page.locator("#row-use_for_snat")
            expect(row.locator("input[type=checkbox]")).to_be_enabled()
            expect(row).not_to_contain_text("needs server NAT, which")
            assert nat_rules(site) == switched_on

            page = screen.open("/virtual-services")
            for address in (SIP, WC, AV, POOL):
                expect(page.locator("#rows")).to_contain_text(address)
            for name, layer in (("EDE AV TCP", "L7"), ("EDE AV UDP", "L4")):
                expect(page.locator(f"#vs{bed.named(name)} td[data-label=Layer]")).to_have_text(layer)
    finally:
        bed.loadmaster("set", param="snat", value=1)
        bed.remove(index)


@pytest.mark.requirement("S1-13", "S1-17")
def test_s1_17_a_template_says_what_it_counts_on_and_where_that_is(site: Perimeter) -> None:
    bed = site.bed
    places = {"sip": "172.16.0.51", "wc": "172.16.0.52", "av": "172.16.0.53"}
    bed.loadmaster("set", param="snat", value=0)
    try:
        shown = bed.cli("template", "show", "Lync 2010 Edge External")
        assert f"Enable Server NAT should be on ({NAT_PATH})" in " ".join(shown.split())
        said = bed.refused("POST", "/templates/Lync 2010 Edge External/services", {"addresses": places})
        assert "EDE AV TCP" in said["message"]
        assert "Enable Server NAT" in said["remedy"]
        assert NAT_PATH in said["remedy"]
        with bed.service("172.16.0.49", 25, server="172.16.0.11") as index:
            said = bed.refused("PATCH", f"/virtual-services/{index}", {"use_for_snat": True})
            assert (said["field"], NAT_PATH in said["remedy"]) == ("use_for_snat", True)
            assert not bed.loadmaster_says("modvs", vs=index, useforsnat=1).ok
        bed.native("POST", "/templates/Lync 2010 Edge External/prerequisites")
        assert bed.native("GET", "/parameters/network")["server_nat"] is True
        found = bed.native("POST", "/templates/Lync 2010 Edge External/services", {"addresses": places})
        assert found["object"]["warnings"] == []
        inside = bed.native("GET", "/templates/Lync 2010 Edge Internal")
        assert inside["warnings"] == [], "both sides of the pool may be on one balancer"
        bed.remove(*(one["index"] for one in found["object"]["services"]))
    finally:
        bed.loadmaster("set", param="snat", value=1)


@pytest.mark.requirement("S1-16")
def test_s1_16_the_templates_of_the_edge_speak_of_edge_servers(site: Perimeter) -> None:
    named = [one for one in site.bed.native("GET", "/templates") if "Edge" in one["name"] and "Lync" in one["name"]]
    assert len(named) >= 4
    for one in named:
        template = site.bed.native("GET", f"/templates/{one['name']}")
        assert all(service["name"].startswith(("EDI", "EDE", "Lync Edge")) for service in template["services"])
        said = f"{template['comment']} {template['next']} {template['text']}"
        assert "Edge" in said
        for wrong in ("Add the Front End", "each Front End", "Front End servers as"):
            assert wrong not in said
    assert "edge servers" in site.said


@pytest.mark.requirement("S1-18")
def test_s1_18_a_balancer_for_each_network_with_a_configuration_of_its_own(site: Perimeter) -> None:
    with Bed(beside=site.bed, role="lb2") as other:
        other.plug(other.lb, "internal", "192.168.2.2/24")
        other.start()
        names = set(site.bed.statuses())
        other.add("192.168.2.60", 5061, server=["192.168.2.11", "192.168.2.12"], name="of the second")
        assert site.front_end.ask("192.168.2.60", 5061).client == "192.168.2.2"
        assert site.front_end.ask(POOL, 5061).client == "192.168.2.1"
        assert set(other.statuses()) == {"of the second"}
        assert set(site.bed.statuses()) == names


@pytest.mark.requirement("S1-19")
def test_s1_19_another_application_is_added_without_touching_the_edge_services(site: Perimeter) -> None:
    bed = site.bed
    before = bed.statuses()
    calls = [site.client.connect(SIP, 5061), site.client.connect(AV, 443), site.front_end.connect(POOL, 5061)]

    def alive() -> list[Seen | str]:
        for one in calls:
            one.sendall(b"?")
        return [one.recv(400).decode() for one in calls]

    first = alive()
    found = bed.native(
        "POST",
        "/templates/Exchange 2013 HTTPS/services?wait=true",
        {"address": "172.16.0.61", "servers": ["172.16.0.11"]},
    )
    made = [one["index"] for one in found["object"]["services"]]
    try:
        assert alive() == first, "the same connections, on the same servers"
        assert {name: status for name, status in bed.statuses().items() if name in before} == before
        # its server here speaks no HTTPS
        bed.change(made[0], check_type="tcp")
        bed.wait_for(made[0], "Up")
        assert site.client.ask("172.16.0.61", 443).role == "edge1"
    finally:
        bed.remove(*made)
    assert alive() == first


@pytest.mark.requirement("S1-20")
def test_s1_20_all_of_it_without_a_shell_and_all_of_it_well(site: Perimeter) -> None:
    """The fixture used nothing but LoadMaster's API, the native API and the command line."""
    assert "5 made" in site.said.replace("Virtual services 1, 2, 3, 4, ", "")
    assert set(site.bed.statuses()) == {*EXTERNAL, *INTERNAL}
    assert set(site.bed.statuses().values()) == {"Up"}
    assert site.bed.native("GET", "/status")["problems"] == []
