"""A pool's web services: plain at first, then with TLS in the middle so that a cookie can be read."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from tests.scenarios.pages import Pages
from tests.scenarios.web_services import (
    EXTERNAL,
    GATEWAY,
    LB,
    ORGANISATION,
    POOL,
    PUBLIC,
    PUBLISHED,
    ROOT,
    SERVERS,
    USERS,
    WEB,
    WebServices,
    named,
    spread,
)

from steelyard.lab.client import SignIn
from steelyard.lab.web_site import MOBILITY_COOKIE, MOBILITY_PATH, TICKET_HEADER

pytestmark = [pytest.mark.network, pytest.mark.needs("ip", "nft", "net_admin", "haproxy")]

POOLWEB = f"https://{named('poolweb')}"
SECURE: dict[str, Any] = {
    "service_type": "http",
    "ssl_acceleration": True,
    "ssl_reencrypt": True,
    "certificates": ["LyncWebPool"],
    "check_type": "https",
    "check_url": "/abs/handler",
}
BY_COOKIE: dict[str, Any] = {**SECURE, "persistence": "cookie", "cookie": MOBILITY_COOKIE}
PUBLISHED_BY_COOKIE: dict[str, Any] = {
    **SECURE,
    "certificates": ["Public"],
    "persistence": "active-cookie",
    "cookie": "MS-WSMAN",
}


@pytest.fixture(scope="module")
def bed() -> Iterator[WebServices]:
    with WebServices() as made:
        made.begin()
        made.native("PATCH", "/parameters/host", {"default_gateway": "192.168.1.1"})
        made.native("POST", "/network/confirm")
        made.native("POST", "/certificates", {"name": "LyncWebPool", "pem": POOL.bundle().decode()})
        made.native("POST", "/certificates", {"name": "Public", "pem": PUBLIC.bundle().decode()})
        yield made


@pytest.fixture(autouse=True)
def _only_what_the_test_makes(bed: WebServices) -> None:
    bed.stale = True


def must_be(done: SignIn) -> None:
    assert done.ok, done.failed


# --- plain


@pytest.mark.requirement("S5-02")
def test_s5_02_the_pool_keeps_its_addresses_and_the_web_name_moves_to_the_balancer(bed: WebServices) -> None:
    before = [bed.web(f"{POOLWEB}/lab/seen", source=one, at=SERVERS[0]) for one in USERS]
    assert spread(before) == {"fe1"}
    index = bed.web_pool()["FE Pool HTTPS"]
    bed.wait_for(index, "Up")
    after = [bed.web(f"{POOLWEB}/lab/seen", source=one) for one in USERS]
    assert spread(after) == {"fe1", "fe2"}
    # SIP goes to the servers themselves, by the names DNS gives
    done = bed.user(leave_out=frozenset({"mobility", "presentation"})).sign_in()
    assert done.ok and done.step("SIP register").server == "fe1", done
    assert bed.servers(index) == {f"{one}:443": "Up" for one in SERVERS}


@pytest.mark.requirement("S5-12")
def test_s5_12_https_is_up_by_the_answer_401_and_forbidden_over_http_it_is_down(bed: WebServices) -> None:
    common = {"address": WEB, "check_url": "/abs/handler", "persistence": "src"}
    made = bed.services(
        common | {"name": "FE Pool HTTPS", "port": 443, "check_type": "https"},
        common | {"name": "FE Pool HTTP", "port": 80, "check_type": "http"},
    )
    https, plain = made.values()
    bed.wait_for(https, "Up")
    bed.wait_for(plain, "Down")
    assert bed.web(f"{POOLWEB}/abs/handler").status == 401
    rows = {one["index"]: one for one in bed.native("GET", "/status")["services"]}
    assert all("401" in one["reason"] for one in rows[https]["servers"]), rows[https]
    assert all("403" in one["reason"] for one in rows[plain]["servers"]), rows[plain]


@pytest.mark.requirement("S5-13", "S5-14")
def test_s5_13_another_check_url_brings_port_80_up(bed: WebServices) -> None:
    plain = bed.service("FE Pool HTTP", WEB, 80, check_type="http", check_url="/abs/handler")
    bed.wait_for(plain, "Down")
    bed.loadmaster("modvs", vs=WEB, port="80", prot="tcp", CheckUrl="/meet/blank.html")
    bed.wait_for(plain, "Up")


@pytest.mark.requirement("S5-14")
def test_s5_14_telephones_get_the_root_certificate_over_port_80(bed: WebServices) -> None:
    made = bed.web_pool()
    for index in made.values():
        bed.wait_for(index, "Up")
    reply = bed.web(f"http://{named('poolweb')}/CertProv/CertProvisioningService.svc")
    assert reply.header("content-type") == "application/x-x509-ca-cert"
    assert reply.body == ROOT.der
    must_be(bed.user().phone())


@pytest.mark.requirement("S5-16", "S5-41")
def test_s5_16_the_list_of_services_shows_both_up(bed: WebServices) -> None:
    made = bed.web_pool()
    for index in made.values():
        bed.wait_for(index, "Up")
    pages = Pages(bed)
    try:
        rows = {row[2]: " ".join(row) for row in pages.get("/virtual-services").table if len(row) > 4}
        found = {name: row for key, row in rows.items() for name in made if name in key or name in row}
        assert set(found) == set(made) and all("Up" in row for row in found.values()), rows
    finally:
        pages.close()


@pytest.mark.requirement("S5-17", "S5-42")
def test_s5_17_external_web_services_have_an_address_of_their_own_that_the_firewall_leads_to(bed: WebServices) -> None:
    # the balancer's own cookie, as Microsoft asks for: every page of a browser is held together by it
    at = {"address": EXTERNAL}
    plain_check = {"check_type": "http", "check_url": "/meet/blank.html"}
    made = bed.services(
        at | {"name": "FE Ext HTTPS", "port": 4443} | PUBLISHED_BY_COOKIE,
        at | {"name": "FE Ext HTTP", "port": 8080} | plain_check,
    )
    https, plain = made.values()
    bed.wait_for(https, "Up")
    bed.wait_for(plain, "Up")
    must_be(bed.user_outside().sign_in())
    url = f"https://{named('lyncweb')}/lab/seen"
    seen = bed.fetch(bed.outside, url, connect_to=(PUBLISHED, 443), ca=ROOT)
    assert (seen.json["site"], seen.json["local"][1]) == ("external", 4443)


@pytest.mark.requirement("S5-22")
def test_s5_22_without_mobility_services_that_pass_tls_on_are_enough(bed: WebServices) -> None:
    for index in bed.web_pool().values():
        bed.wait_for(index, "Up")
    leave_out = frozenset({"mobility", "presentation"})
    must_be(bed.user(leave_out=leave_out).sign_in())
    seen = bed.web(f"{POOLWEB}/lab/seen", ca=ROOT)
    assert seen.json["tls"] and seen.json["sni"] == named("poolweb")


# --- why TLS ends here


@pytest.mark.requirement("S5-18", "S5-19")
def test_s5_18_a_cookie_can_be_the_record_only_where_it_can_be_read(bed: WebServices) -> None:
    plain = bed.service("FE Pool HTTPS", WEB, 443, persistence="src")
    error = bed.refused("PATCH", f"/virtual-services/{plain}", {"persistence": "cookie", "cookie": "Set_Me"})
    assert error["field"] == "persistence", error
    said = bed.loadmaster_says("modvs", vs=WEB, port="443", prot="tcp", Persist="cookie", Cookie="Set_Me")
    assert not said.ok
    for mode in ("cookie-src", "active-cookie", "active-cook-src", "cookie-hash", "url", "host", "super"):
        assert bed.asked("PATCH", f"/virtual-services/{plain}", {"persistence": mode, "cookie": "Set_Me"})[0] == 422
    for mode in ("none", "src"):
        bed.native("PATCH", f"/virtual-services/{plain}?dry_run=true", {"persistence": mode})
    bed.change(plain, **BY_COOKIE)
    assert bed.native("GET", f"/virtual-services/{plain}")["persistence"] == "cookie"


@pytest.mark.requirement("S5-20", "S5-35", "S5-37")
def test_s5_20_who_comes_back_with_the_cookie_meets_the_server_that_gave_it(bed: WebServices) -> None:
    index = bed.service("FE Ext HTTPS", EXTERNAL, 4443, **{**BY_COOKIE, "certificates": ["Public"]})
    bed.wait_for(index, "Up")
    ticket = {TICKET_HEADER: _ticket()}
    url = f"https://{named('lyncweb')}:4443{MOBILITY_PATH}/sessions"
    kept: dict[str, str] = {}
    for user in USERS[:6]:
        began = bed.web(url, source=user, at=EXTERNAL, method="POST", headers=ticket)
        assert began.status == 201, began.text
        assert began.json["tls"], "encrypted again towards the Front End"
        session = began.json["session"]
        kept[session] = began.json["server"]
        assert began.cookies == {MOBILITY_COOKIE: session}, "the Front End's own cookie, and none besides"
    assert set(kept.values()) == {"fe1", "fe2"}
    for number, (session, server) in enumerate(kept.items()):
        # the phone has moved to another network meanwhile: another address, a new connection
        elsewhere = USERS[-1 - number]
        for _ in range(3):
            again = bed.web(
                f"{url}/{session}", source=elsewhere, at=EXTERNAL, headers=ticket, cookies={MOBILITY_COOKIE: session}
            )
            assert (again.status, again.json["server"]) == (200, server), again.text
    # without the cookie it is as lost as it would be without the balancer's help
    alone = [bed.web(f"{url}/{session}", source=one, at=EXTERNAL, headers=ticket).status for one in USERS[:6]]
    assert 410 in alone


def _ticket() -> str:
    return ORGANISATION.ticket(ORGANISATION.accounts[0])


@pytest.mark.requirement("S5-21")
def test_s5_21_offloaded_the_server_is_spoken_to_in_plain_text_reencrypted_by_tls(bed: WebServices) -> None:
    offload = bed.service(
        "offloaded",
        WEB,
        443,
        server_port=80,
        **{**SECURE, "ssl_reencrypt": False, "check_type": "http", "check_url": "/meet/blank.html"},
    )
    bed.wait_for(offload, "Up")
    plain = bed.web(f"{POOLWEB}/lab/seen", ca=ROOT)
    assert (plain.json["tls"], plain.json["local"][1]) == (False, 80)
    bed.native("DELETE", f"/virtual-services/{offload}")
    again = bed.service("bridged", WEB, 443, **SECURE)
    bed.wait_for(again, "Up")
    bridged = bed.web(f"{POOLWEB}/lab/seen", ca=ROOT)
    assert (bridged.json["tls"], bridged.json["local"][1]) == (True, 443)


@pytest.mark.requirement("S5-35", "S5-36")
def test_s5_35_any_cookie_name_is_taken_and_the_timeout_shown(bed: WebServices) -> None:
    index = bed.service("FE Pool HTTPS", WEB, 443, **SECURE)
    error = bed.refused("PATCH", f"/virtual-services/{index}", {"persistence": "cookie"})
    assert error["field"] == "cookie" and "needs a name" in error["message"]
    bed.native("PATCH", f"/virtual-services/{index}?dry_run=true", {"persistence": "cookie", "cookie": "LyncMobility"})
    bed.loadmaster("modvs", vs=WEB, port="443", prot="tcp", Persist="cookie", Cookie="Set_Me")
    shown = bed.loadmaster("showvs", vs=WEB, port="443", prot="tcp")
    assert (shown.text("Cookie"), shown.text("PersistTimeout")) == ("Set_Me", "360"), shown


@pytest.mark.requirement("S5-38")
def test_s5_38_transparency_has_no_effect_with_reencrypt_and_comes_back_without(bed: WebServices) -> None:
    index = bed.service("FE Pool HTTPS", WEB, 443, **{**SECURE, "transparent": True})
    bed.wait_for(index, "Up")
    assert bed.native("GET", f"/virtual-services/{index}")["transparent"] is True
    seen = bed.web(f"{POOLWEB}/lab/seen", ca=ROOT).json
    assert seen["peer"][0] == LB, "what is stored is on, what is in force is off"
    pages = Pages(bed)
    try:
        page = pages.get(f"/virtual-services/{index}")
        assert "No effect at present: Reencrypt is on, and real servers then see this host" in page.text
        bed.change(index, ssl_reencrypt=False)
        page = pages.get(f"/virtual-services/{index}")
        assert page.fields["transparent"] == ["1"] and "No effect at present: Reencrypt is on" not in page.text
        bed.change(index, transparent=False, ssl_reencrypt=True)
        assert "transparent" not in pages.get(f"/virtual-services/{index}").rows, "nothing to switch on either"
    finally:
        pages.close()


@pytest.mark.requirement("S5-39", "S5-40")
def test_s5_40_a_transparent_service_needs_the_servers_to_answer_through_the_balancer(bed: WebServices) -> None:
    """A telephone's sign-in hangs at the root certificate while the servers' gateway is another."""
    made = bed.web_pool()
    for index in made.values():
        bed.wait_for(index, "Up")
    plain = made["FE Pool HTTP"]
    bed.change(plain, transparent=True)
    # telephones are in a network of their own; clients of the servers' network never see their address go on
    phone = bed.user(host=bed.outside.inside, source=None, timeout=1.0, leave_out=frozenset({"SIP register"}))
    hangs = phone.phone()
    assert hangs.failed is not None and hangs.failed.name == "root certificate", hangs
    assert "no answer" in hangs.failed.says
    for name in bed.front_ends:
        bed.lab.hosts[name].ip(f"route replace default via {LB}")
    patient = replace(phone, timeout=10.0)
    try:
        must_be(patient.phone())
        url = f"http://{named('poolweb')}/lab/seen"
        assert bed.fetch(bed.outside, url, connect_to=(WEB, 80)).json["peer"][0] == "203.0.113.10"
    finally:
        for name in bed.front_ends:
            bed.lab.hosts[name].ip(f"route replace default via {GATEWAY}")
    bed.change(plain, transparent=False)
    must_be(patient.phone())


@pytest.mark.requirement("S5-43")
def test_s5_43_the_name_that_clients_use_arrives_as_it_was_sent(bed: WebServices) -> None:
    index = bed.service("FE Pool HTTPS", WEB, 443, **SECURE)
    bed.wait_for(index, "Up")
    for host in ("poolweb.lync.example", "PoolWeb.Lync.example", "poolweb.lync.example:443"):
        seen = bed.web(f"{POOLWEB}/lab/seen", headers={"Host": host}).json
        assert seen["host"] == host


@pytest.mark.requirement("S5-44", "S5-41")
def test_s5_44_without_lyncdiscoverinternal_those_inside_use_the_reverse_proxy(bed: WebServices) -> None:
    https = bed.service("FE Ext HTTPS", EXTERNAL, 4443, **{**BY_COOKIE, "certificates": ["Public"]})
    bed.wait_for(https, "Up")
    names = bed.names(discover=False)
    without = bed.user(names=names).sign_in()
    assert without.failed is not None and "lyncdiscoverinternal.lync.example has no address" in without.failed.says
    # the device asks for the other name then, and is led out and in again
    hairpin = bed.user(names=names, inside=False, leave_out=frozenset({"SIP register", "presentation", "dial-in page"}))
    must_be(hairpin.sign_in())
