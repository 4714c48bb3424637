"""Two arms, install to test: the services made of templates, who reaches them, and by which way answers leave."""

from __future__ import annotations

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

import pytest
from tests.scenarios.bed import wait_until
from tests.scenarios.two_arm import (
    FRONT_ENDS,
    INSIDE,
    INTERNAL_SERVICES,
    OFFICE,
    OFFICE_PUBLIC,
    OFFICE_SERVERS,
    POOL,
    ROUTER,
    SERVICES,
    WEB,
    WEB_PUBLIC,
    TwoArm,
    gateways,
)
from tests.support.clients import Connection
from tests.support.namespaces import Namespace

pytestmark = [pytest.mark.network, pytest.mark.needs("ip", "nft", "net_admin", "haproxy")]

_SHORT = 0.4


@pytest.fixture(scope="module")
def bed() -> Iterator[TwoArm]:
    with TwoArm() as made:
        made.start()
        made.build()
        made.settle()
        for name in SERVICES:
            made.wait_for(made.named(name), "Up")
        yield made


@pytest.fixture(autouse=True)
def configuration(bed: TwoArm) -> Iterator[None]:
    """Every test finds what `build` made, and leaves it so."""
    before = bed.native("GET", "/configuration")
    yield
    if bed.native("GET", "/configuration") != before:
        bed.native("PUT", "/configuration?wait=true", before)
        bed.settle()


def service(bed: TwoArm, name: str) -> dict[str, Any]:
    found: dict[str, Any] = bed.native("GET", f"/virtual-services/{bed.named(name)}")
    return found


def servers(bed: TwoArm, name: str) -> set[tuple[str, int]]:
    return {(one["address"], one["port"]) for one in service(bed, name)["servers"]}


# --- what the templates made


@pytest.mark.requirement("X-02")
def test_x_02_everything_is_made_of_three_templates_in_seven_calls(bed: TwoArm) -> None:
    assert bed.calls == 7


@pytest.mark.requirement("S4-25", "S4-27", "S4-46", "S4-48")
def test_s4_46_the_services_there_should_be_are_there_and_up(bed: TwoArm) -> None:
    statuses = bed.statuses()
    assert {name: statuses.get(name) for name in SERVICES} == dict.fromkeys(SERVICES, "Up")
    assert {service(bed, name)["address"] for name in INTERNAL_SERVICES} == {POOL}, "one template, one address"
    for name in SERVICES:
        assert set(bed.servers(bed.named(name)).values()) == {"Up"}


@pytest.mark.requirement("S4-45", "S4-47")
def test_s4_47_real_servers_get_the_ports_of_the_template(bed: TwoArm) -> None:
    ports = {
        "Lync Internal WebSvc HTTP": 80,
        "Lync Internal WebSvc HTTPS HLB Only": 443,
        "Lync Internal Front-End DCOM": 135,
        "Lync Internal Front-End SIP": 5061,
    }
    for name, port in ports.items():
        assert servers(bed, name) == {(address, port) for address in FRONT_ENDS.values()}
    assert servers(bed, "Office Web App Servers") == {(address, 443) for address in OFFICE_SERVERS.values()}


@pytest.mark.requirement("S4-26", "S4-39", "S4-42")
def test_s4_39_the_reverse_proxy_is_on_the_port_that_was_asked_for(bed: TwoArm) -> None:
    found = service(bed, "Lync Reverse Proxy HTTPS")
    assert (found["address"], found["port"]) == (WEB, 4443)
    assert (found["persistence"], found["schedule"]) == ("super-src", "lc")
    shown = bed.loadmaster("showvs", vs=found["index"])
    assert [shown.text(one) for one in ("Persist", "Schedule", "VSPort")] == ["super-src", "lc", "4443"]
    assert bed.browse(bed.outside, "https://lyncweb.example.com/").name in {f"{one} external" for one in FRONT_ENDS}
    answer = bed.fetch(bed.firewall, f"https://{WEB}:4443/", sni="lyncweb.example.com")
    assert answer.json["local"][1] == 4443, "without the firewall's address translation, too"


@pytest.mark.requirement("S4-02")
def test_s4_02_ports_80_and_443_of_the_internet_are_8080_and_4443_of_the_servers(bed: TwoArm) -> None:
    plain = bed.fetch(bed.outside, f"http://{WEB_PUBLIC}/meet/blank.html")
    assert (plain.status, plain.json["local"][1], plain.json["tls"]) == (200, 8080, False)
    secure = bed.browse(bed.outside, "https://meet.example.com/")
    assert (secure.status, secure.json["local"][1], secure.json["tls"]) == (200, 4443, True)


@pytest.mark.requirement("S4-41", "S4-70")
def test_s4_70_office_web_apps_are_decrypted_and_encrypted_again(bed: TwoArm) -> None:
    found = service(bed, "Office Web App Servers")
    assert (found["address"], found["port"], found["certificates"]) == (OFFICE, 443, ["public"])
    seen = bed.browse(bed.outside, "https://wac.example.com/wv/page")
    assert seen.json["tls"] and seen.json["local"][1] == 443
    assert seen.name in OFFICE_SERVERS


@pytest.mark.requirement("S4-66")
def test_s4_66_names_and_paths_reach_the_servers_as_a_client_sent_them(bed: TwoArm) -> None:
    seen = bed.browse(bed.outside, "https://lyncweb.example.com/Scheduler?x=%2F1", headers={"X-Kept": "a"})
    assert seen.json["url"] == "/Scheduler?x=%2F1"
    assert (seen.seen_headers["host"], seen.seen_headers["x-kept"]) == (["lyncweb.example.com"], ["a"])


# --- the networks


@pytest.mark.requirement("S4-09", "S4-34")
def test_s4_34_an_address_of_a_service_is_on_the_interface_and_answers_to_arp(bed: TwoArm) -> None:
    assert {"203.0.113.1/24", f"{WEB}/32", f"{OFFICE}/32"} <= set(bed.lb.addresses("eth0"))
    assert f"{POOL}/32" in bed.lb.addresses("eth1")
    (card,) = (one["address"] for one in bed.lb.show("link", "show", "dev", "eth0"))
    bed.firewall.ip("neigh flush dev eth1")
    bed.fetch(bed.outside, f"http://{WEB_PUBLIC}/")
    bed.fetch(bed.outside, f"http://{OFFICE_PUBLIC}/")
    known = {one["dst"]: one.get("lladdr") for one in bed.firewall.show("neigh", "show", "dev", "eth1")}
    assert (known[WEB], known[OFFICE]) == (card, card), "several addresses of one card"


@pytest.mark.requirement("S4-37")
def test_s4_37_an_address_of_no_local_network_is_refused_with_those_there_are(bed: TwoArm) -> None:
    error = bed.refused("POST", "/virtual-services", {"address": "172.30.0.5", "port": 443})
    assert error["field"] == "address"
    assert "203.0.113.0/24 (eth0)" in error["message"] and "192.168.1.0/24 (eth1)" in error["message"]
    assert error["remedy"]
    bed.native("POST", "/network/interfaces/eth1/addresses", {"address": "172.30.0.1/24"})
    with bed.service("172.30.0.5", 443):
        assert "172.30.0.5/32" in bed.lb.addresses("eth1"), "once the range is there it is taken"


@pytest.mark.requirement("S4-38")
def test_s4_38_a_firewall_translates_the_public_address(bed: TwoArm) -> None:
    assert f"{WEB_PUBLIC}/32" in bed.firewall.addresses("eth0")
    assert f"{WEB_PUBLIC}/32" not in bed.lb.addresses("eth0")
    assert bed.fetch(bed.outside, f"https://{WEB_PUBLIC}/", sni="lyncweb.example.com").status == 200


@pytest.mark.requirement("S4-40")
def test_s4_40_the_pool_is_reached_inside_by_an_address_of_its_own(bed: TwoArm) -> None:
    assert service(bed, "Lync Internal WebSvc HTTPS HLB Only")["address"] == POOL
    for host in (bed.near, bed.office):
        answer = bed.browse(host, "https://lyncwebint.example.com/")
        assert answer.name.endswith(" internal")
        assert answer.fingerprint == INSIDE.fingerprint, "passed through, not decrypted"


@pytest.mark.requirement("S4-18")
def test_s4_18_servers_see_the_balancers_own_address_in_their_network(bed: TwoArm) -> None:
    seen = bed.browse(bed.outside, "https://lyncweb.example.com/").json["peer"][0]
    assert seen == "192.168.1.43"
    https = bed.named("Lync Internal WebSvc HTTPS HLB Only")
    bed.change(https, subnet_originating=False)
    assert bed.browse(bed.near, "https://lyncwebint.example.com/").json["peer"][0] == seen, "it is on for all of them"
    bed.loadmaster("set", param="subnetorigin", value=0)
    bed.settle()
    seen = bed.browse(bed.near, "https://lyncwebint.example.com/").json["peer"][0]
    assert seen == POOL, "the address of the service"


@pytest.mark.requirement("S4-68")
def test_s4_68_another_network_of_the_hypervisor_needs_no_change_here(bed: TwoArm) -> None:
    switch = bed.lab.hosts["net-perimeter"]
    ports = [one["ifname"] for one in switch.show("link", "show", "master", "br0")]
    revision = bed.native("GET", "/status")["revision"]
    switch.ip("link add br1 type bridge", "link set br1 up", *(f"link set {port} master br1" for port in ports))
    assert bed.browse(bed.outside, "https://lyncweb.example.com/").status == 200
    assert bed.native("GET", "/status")["revision"] == revision


# --- gateways of services


def reaches(bed: TwoArm, port: int, timeout: float = 3.0) -> bool:
    """Whether a client in the offices gets a connection to a port of the pool's address."""
    try:
        bed.office.connect(POOL, port, timeout=timeout).close()
    except (TimeoutError, ConnectionError):
        return False
    return True


@pytest.mark.requirement("S4-49", "S4-51", "S4-53")
def test_s4_49_answers_of_a_service_leave_by_its_own_gateway(bed: TwoArm) -> None:
    """Those of the others go by the default gateway of the host, which is in the perimeter and loses them."""
    http = bed.named(INTERNAL_SERVICES[0])
    assert {service(bed, name)["default_gateway"] for name in INTERNAL_SERVICES} == {ROUTER}, "four of them at once"
    strayed = bed.strayed()
    assert all(reaches(bed, port) for port in (80, 443, 135, 5061))
    assert bed.strayed() == strayed
    bed.change(http, default_gateway="")
    assert not reaches(bed, 80, _SHORT)
    assert bed.strayed() > strayed, "the answers went to the firewall"
    assert reaches(bed, 5061), "a gateway is one service's own"
    assert bed.browse(bed.outside, "https://lyncweb.example.com/").status == 200, "others use the host's"
    bed.loadmaster("modvs", vs=http, defaultgw=ROUTER)
    assert bed.loadmaster("showvs", vs=http).text("DefaultGW") == ROUTER
    assert reaches(bed, 80)


@pytest.mark.requirement("S4-50")
def test_s4_50_a_gateway_that_is_in_no_local_network_is_refused(bed: TwoArm) -> None:
    http = bed.named(INTERNAL_SERVICES[0])
    error = bed.refused("PATCH", f"/virtual-services/{http}", {"default_gateway": "10.20.0.1"})
    assert error["field"] == "default_gateway"
    assert "192.168.1.0/24 (eth1)" in error["message"]
    assert "no local network" in bed.loadmaster_says("modvs", vs=http, defaultgw="10.20.0.1").message
    assert "loop" in bed.refused("PATCH", f"/virtual-services/{http}", {"default_gateway": POOL})["message"]
    refused = bed.refused("POST", "/batch", gateways([http], "10.20.0.1"))
    assert refused["field"] == "default_gateway"


@pytest.mark.requirement("S4-72")
def test_s4_72_there_is_one_default_route_and_it_is_the_perimeters(bed: TwoArm) -> None:
    (only,) = bed.lb.show("route", "show", "default")
    assert (only["gateway"], only["dev"]) == ("203.0.113.254", "eth0")


# --- who is sent where


@pytest.mark.requirement("S4-03")
def test_s4_03_the_next_client_meets_the_server_with_the_fewest_open_connections(bed: TwoArm) -> None:
    """One connection each is open on two servers; clients without a record go to the third until it has as many."""
    sip = bed.named("Lync Internal Front-End SIP")
    bed.change(sip, persistence="none", persistence_timeout=0)
    bed.settle()
    with ExitStack() as stack:

        def connected() -> str:
            connection = stack.enter_context(bed.near.connect(POOL, 5061))
            connection.sendall(b"hello\n")
            return connection.recv(100).decode().split(":")[0]

        assert {connected() for _ in FRONT_ENDS} == set(FRONT_ENDS), "equals take turns"
        more = stack.enter_context(bed.near.connect(POOL, 5061))
        more.sendall(b"hello\n")
        busiest = more.recv(100).decode().split(":")[0]
        assert busiest not in {connected() for _ in range(2)}


@pytest.mark.requirement("S4-06")
def test_s4_06_a_client_that_reconnects_for_every_request_stays_with_its_server(bed: TwoArm) -> None:
    url = "https://lyncweb.example.com/"
    agent = {"User-Agent": "Lync mobile", "Connection": "close"}
    assert len({bed.browse(bed.outside, url, headers=agent).name for _ in range(50)}) == 1


@pytest.mark.requirement("S4-43")
def test_s4_43_the_record_is_of_the_agent_and_of_the_address(bed: TwoArm) -> None:
    url = "https://lyncweb.example.com/"
    met: dict[tuple[str, str], set[str]] = {}
    for _ in range(2):
        for source in ("198.51.100.10", "198.51.100.11"):
            for agent in ("one", "two"):
                reply = bed.browse(bed.outside, url, headers={"User-Agent": agent}, source=source)
                met.setdefault((source, agent), set()).add(reply.name)
    assert all(len(names) == 1 for names in met.values()), "each has a server of its own"
    assert len(set.union(*met.values())) > 1


@pytest.mark.requirement("S4-65")
def test_s4_65_parallel_requests_of_a_client_for_slides_meet_one_server(bed: TwoArm) -> None:
    agent = {"User-Agent": "Lync PowerPoint"}
    page = bed.browse(bed.outside, "https://wac.example.com/p/page", headers=agent)
    with ExitStack() as stack:
        with bed.outside.inside():
            opened = [
                stack.enter_context(Connection(OFFICE_PUBLIC, 443, tls=True, sni="wac.example.com")) for _ in range(6)
            ]
        with ThreadPoolExecutor(len(opened)) as pool:
            names = list(pool.map(lambda one: one.request("/p/slide.png", headers=agent).name, opened))
    assert set(names) == {page.name}


@pytest.mark.requirement("S4-19", "S4-22")
def test_s4_19_clients_of_a_failed_server_are_cut_off_and_come_back_elsewhere(bed: TwoArm) -> None:
    """The check asks port 5061; the connection is one to port 80, where the server itself goes on."""
    http = bed.named("Lync Internal WebSvc HTTP")

    def connected() -> tuple[Connection, str]:
        with bed.near.inside():
            made = Connection(POOL, 80)
        return made, made.request("/").name.split()[0]

    connection, mine = connected()
    failing = bed.signalling[mine, 5061]
    failing.refuse(cut=True)
    try:
        bed.wait_for_server(http, f"{FRONT_ENDS[mine]}:80", "Down")
        connection.socket.settimeout(5)
        assert connection.socket.recv(10) == b"", "the balancer closed it"
        connection.close()
        again, other = connected()
        assert other != mine
        bed.native("PATCH", "/parameters/layer7", {"drop_on_failure": False})
        bed.settle()
        last = bed.signalling[other, 5061]
        last.refuse(cut=True)
        try:
            bed.wait_for_server(http, f"{FRONT_ENDS[other]}:80", "Down")
            assert again.request("/").name.split()[0] == other, "kept when the option is off"
        finally:
            last.resume()
        again.close()
    finally:
        failing.resume()
        bed.wait_for_server(http, f"{FRONT_ENDS[mine]}:80", "Up")
    for name in (*INTERNAL_SERVICES, "Lync Reverse Proxy HTTPS"):
        wait_until(lambda name=name: set(bed.servers(bed.named(name)).values()) == {"Up"}, 15)


# --- the addresses of the acceptance test


@pytest.mark.parametrize(
    ("url", "inside", "site"),
    [
        pytest.param(
            "https://dialin.example.com/", False, "external", marks=pytest.mark.requirement("S4-54"), id="s4_54"
        ),
        pytest.param(
            "https://lyncweb.example.com/PersistentChat/RM/",
            False,
            "external",
            marks=pytest.mark.requirement("S4-55"),
            id="s4_55",
        ),
        pytest.param(
            "https://lyncwebint.example.com/PersistentChat/RM/",
            True,
            "internal",
            marks=pytest.mark.requirement("S4-56"),
            id="s4_56",
        ),
        pytest.param(
            "https://lyncweb.example.com/Scheduler",
            False,
            "external",
            marks=pytest.mark.requirement("S4-57"),
            id="s4_57",
        ),
        pytest.param(
            "https://lyncwebint.example.com/Scheduler",
            True,
            "internal",
            marks=pytest.mark.requirement("S4-58"),
            id="s4_58",
        ),
        pytest.param(
            "https://lyncweb.example.com/WebTicket/WebTicketService.svc",
            False,
            "external",
            marks=pytest.mark.requirement("S4-60"),
            id="s4_60",
        ),
        pytest.param(
            "https://meet.example.com/", False, "external", marks=pytest.mark.requirement("S4-61"), id="s4_61"
        ),
        pytest.param(
            "https://lyncwebint.example.com/WebTicket/WebTicketService.svc",
            True,
            "internal",
            marks=pytest.mark.requirement("S4-62"),
            id="s4_62",
        ),
    ],
)
def test_s4_54_to_62_the_addresses_of_the_acceptance_test(bed: TwoArm, url: str, inside: bool, site: str) -> None:
    host: Namespace = bed.office if inside else bed.outside
    answer = bed.browse(host, url)
    assert (answer.status, answer.name.split()[1]) == (200, site)
    assert answer.seen_headers["host"] == [url.split("/")[2]]


@pytest.mark.requirement("S4-59")
def test_s4_59_office_web_apps_answer_with_their_discovery_document(bed: TwoArm) -> None:
    answer = bed.browse(bed.outside, "https://wac.example.com/hosting/discovery/")
    assert (answer.status, answer.header("content-type")) == (200, "text/xml")
    assert b"wopi-discovery" in answer.body


@pytest.mark.requirement("S4-31", "S4-32", "S4-63")
def test_s4_63_every_published_name_verifies_with_the_chain_up_to_the_root(bed: TwoArm) -> None:
    """Clients know the root alone: leaf and intermediate come from here, though they were imported apart."""
    answer = bed.browse(bed.outside, "https://lyncdiscover.example.com/")
    assert re.search(r"lyncweb\.example\.com", answer.json["_links"]["user"]["href"])
    for name in ("lyncweb", "meet", "dialin", "wac"):
        assert bed.browse(bed.outside, f"https://{name}.example.com/").status == 200
    with pytest.raises(OSError, match=r"(?i)certificate|hostname"):
        bed.browse(bed.outside, "https://lyncweb.example.com/", ca=INSIDE)
    names = {one["name"] for one in bed.native("GET", "/certificates")}
    assert "public" in names and "issuing" in {one["name"] for one in bed.native("GET", "/intermediates")}


@pytest.mark.requirement("S4-64")
def test_s4_64_every_service_bears_half_an_hour_of_silence(bed: TwoArm) -> None:
    """That a stream which says something now and then is never cut is shown by tests/engine/test_streams.py."""
    for name in SERVICES:
        assert service(bed, name)["idle_time"] == 1800
    url = "https://lyncweb.example.com/sleep?ms=500"
    assert bed.browse(bed.outside, url).seconds >= 0.5


@pytest.mark.requirement("S4-35")
def test_s4_35_a_vlan_has_an_id_from_1_to_4094_and_a_name_of_its_port(bed: TwoArm) -> None:
    """That it carries packets, and that there is none twice, is shown where a kernel has VLANs."""
    place = "/network/interfaces/eth1/vlans"
    for tag in (0, 4095, "ten"):
        error = bed.refused("POST", place, {"vlan": tag})
        assert error["field"] == "vlan"
        assert "1 to 4094" in error["message"]
    would = bed.native("POST", f"{place}?dry_run=true", {"vlan": 10})
    assert would["operations"] == ["make interface eth1.10, VLAN 10 on eth1"]
    assert "1 to 4094" in bed.loadmaster_says("addvlan", interface="1", vlanid="4095").message
