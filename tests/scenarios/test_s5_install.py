"""The first hours of an appliance for a pool's web services: address, names, gateway, what the guides ask for first."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import httpx
import pytest
from tests.scenarios.pages import Pages
from tests.scenarios.web_services import GATEWAY, LB, SERVERS, WEB, WebServices
from tests.support.namespaces import wait_until

pytestmark = [pytest.mark.network, pytest.mark.needs("ip", "nft", "net_admin", "haproxy", "dnsmasq")]

FIRST = "192.168.1.110/24"
#: what templates for Lync count on, where LoadMaster's menu has it
WANTED = {
    "Enable Server NAT": ("network", {"server_nat": False}),
    "Subnet Originating Requests": ("network", {"subnet_originating": True}),
    "Drop Connections on RS Failure": ("layer7", {"drop_on_failure": True}),
    "L7 Connection Drain Time": ("layer7", {"drain_time": 86_400}),
}


@pytest.fixture(scope="module")
def bed() -> Iterator[WebServices]:
    with WebServices(address=FIRST) as made:
        made.begin(admin_address="0.0.0.0")
        yield made


def applied(pages: Pages, path: str, **typed: str) -> int:
    """Fill in the form of a page, look at what it would do, and do that; the status of the answer."""
    review = pages.send(path, "review", **typed)
    return pages._send("POST", path, data={**review.fields, "_step": "apply"}).status_code


class PagesInside(Pages):
    """The pages as somebody in the pool's network has them, at the address they have now."""

    def __init__(self, bed: WebServices, address: str) -> None:
        assert bed.steelyard is not None
        self._from = bed.inside
        listening, bed.steelyard.admin_address = bed.steelyard.admin_address, address
        try:
            super().__init__(bed)
        finally:
            bed.steelyard.admin_address = listening

    def _send(self, method: str, path: str, **more: Any) -> httpx.Response:
        with self._from.inside():
            return self._client.request(method, path, **more)


@pytest.mark.requirement("S5-06")
def test_s5_06_the_first_address_is_changed_on_the_interfaces_page(bed: WebServices) -> None:
    assert bed.steelyard is not None
    path, port = "/interfaces/of/eth0", bed.steelyard.admin_port
    with closing(PagesInside(bed, FIRST.partition("/")[0])) as pages:
        assert pages.get(path).fields["address"] == [FIRST]
        review = pages.send(path, "review", address=f"{LB}/24")
        answer = pages._send("POST", path, data={**review.fields, "_step": "apply"})
    assert answer.headers["location"] == f"https://{LB}:{port}/interfaces", "before the address has gone"
    wait_until(lambda: bed.lb.addresses("eth0") == [f"{LB}/24"], 10)
    with closing(PagesInside(bed, LB)) as pages:
        # the change is still being made when the first page at the new address is asked for
        wait_until(lambda: "The network was changed, and goes back in" in pages.get("/interfaces").text, 10)
        typed = {"csrf": token(pages, "/interfaces"), "do": "keep", "back": "/interfaces"}
        assert pages._send("POST", "/network/waiting", data=typed).status_code == 303
        assert "goes back in" not in pages.get("/interfaces").text


def token(pages: Pages, path: str) -> str:
    """What a page's forms carry."""
    found = re.search(r'<meta name="csrf" content="([^"]+)">', pages.get(path).markup)
    assert found is not None
    return found[1]


@pytest.mark.requirement("S5-07")
def test_s5_07_the_short_host_name_is_on_every_page(bed: WebServices) -> None:
    pages = Pages(bed)
    try:
        assert applied(pages, "/host-dns", host_name="VLM1000") in (200, 303)
        wait_until(lambda: "VLM1000" in pages.get("/").text)
        assert bed.own_host.file("hostname").strip() == "VLM1000"
    finally:
        pages.close()


@pytest.mark.requirement("S5-09")
def test_s5_09_the_default_gateway_is_in_the_kernel(bed: WebServices) -> None:
    bed.loadmaster("set", param="dfltgw", value=GATEWAY)
    bed.loadmaster("listvs")
    assert [one["gateway"] for one in bed.lb.show("route", "show", "default")] == [GATEWAY]
    page = Pages(bed)
    try:
        assert page.get("/default-gateway").fields["default_gateway"] == [GATEWAY]
    finally:
        page.close()
    index = bed.add(WEB, 80, server=SERVERS[0])
    assert bed.fetch(bed.outside, f"http://{WEB}/meet/blank.html").status == 200, "answers find the way out"
    bed.remove(index)


@pytest.mark.requirement("S5-08")
def test_s5_08_real_servers_are_found_by_the_name_server_that_was_set(bed: WebServices) -> None:
    command = ["dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--no-resolv", "--no-hosts", "--user=root"]
    records = [f"--listen-address={GATEWAY}", "--bind-interfaces", f"--address=/fe1.lync.example/{SERVERS[0]}"]
    bed.router.popen(*command, "--pid-file=", *records)
    bed.loadmaster("set", param="nameserver", value=GATEWAY)
    bed.loadmaster("listvs")
    assert f"nameserver {GATEWAY}" in bed.own_host.file("resolv.conf")
    index = bed.add(WEB, 8080)
    to = {"vs": WEB, "port": "8080", "prot": "tcp"}
    assert "resolved" in bed.loadmaster_says("addrs", rs="nobody.lync.example", rsport="80", **to).message
    # the name server has just been started
    wait_until(lambda: bed.loadmaster_says("addrs", rs="fe1.lync.example", rsport="80", **to).ok, 10)
    found = bed.native("GET", f"/virtual-services/{index}")["servers"]
    assert [(one["address"], one["dns_name"]) for one in found] == [(SERVERS[0], "fe1.lync.example")]
    bed.remove(index)


@pytest.mark.requirement("S5-11")
def test_s5_11_what_the_guides_ask_for_first_is_missed_until_it_is_set(bed: WebServices) -> None:
    template = "/templates/Lync%202010%20Front%20End%20DNS"
    for section, values in (("network", {"server_nat": True, "subnet_originating": False}),):
        bed.native("PATCH", f"/parameters/{section}", values)
    missed = bed.native("GET", template)["warnings"]
    assert len(missed) == len(WANTED)
    for label, (section, values) in WANTED.items():
        (warning,) = (one for one in missed if one.startswith(label))
        assert "System Configuration > Miscellaneous Options > " in warning
        bed.native("PATCH", f"/parameters/{section}", values)
        missed = bed.native("GET", template)["warnings"]
        assert warning not in missed
    assert missed == []


@pytest.mark.requirement("S5-03", "S5-10")
def test_s5_10_a_new_card_is_no_matter_and_one_of_another_name_is_told(bed: WebServices) -> None:
    index = bed.add(WEB, 80, server=SERVERS, check_type="http", check_url="/meet/blank.html")
    assert bed.steelyard is not None
    # another hardware address, as after a move to another machine
    bed.steelyard.kill9()
    bed.lb.ip("link set eth0 address 02:00:00:00:19:68")
    bed.begin_again()
    bed.wait_for(index, "Up")
    assert not bed.native("GET", "/status")["problems"]
    assert bed.fetch(bed.inside, f"http://{WEB}/meet/blank.html").status == 200
    # another name
    bed.steelyard.kill9()
    bed.lb.ip("link set eth0 down", "link set eth0 name ens5", "addr flush dev ens5", "link set ens5 up")
    bed.begin_again()
    (problem,) = bed.native("GET", "/status")["problems"]
    assert "eth0" in problem
    # given up, the host's own tools set the address, and what is found is taken over
    bed.native("PUT", "/network/managed", {"managed": False})
    bed.lb.ip(f"addr add {LB}/24 dev ens5")
    bed.native("PUT", "/network/managed", {"managed": True})
    wait_until(lambda: bed.lb.addresses("ens5") == [f"{LB}/24", f"{WEB}/32"], 10)
    bed.wait_for(index, "Up")
    assert bed.fetch(bed.inside, f"http://{WEB}/meet/blank.html").status == 200
    assert not bed.native("GET", "/status")["problems"]
