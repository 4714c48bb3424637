"""The host's network as pages: shown everywhere, changed where it is managed, and the change that waits."""

from __future__ import annotations

import time

import pytest
from tests.support.fake_appliance import PASSWORD
from tests.support.web_forms import fields_of
from tests.unit.web.rig import Browser

from steelyard.appliance.kernel_plane import Waiting
from steelyard.model.commands import AddService, AddUser, ChangeInterface
from steelyard.model.configuration import Configuration
from steelyard.model.errors import HostLacks


@pytest.fixture
def browser() -> Browser:
    return Browser()


@pytest.fixture
def managed(browser: Browser) -> Browser:
    assert browser.post("/interfaces/managed", {}).headers["location"] == "/interfaces"
    return browser


def configured(browser: Browser) -> Configuration:
    return browser.appliance.configuration


def answered(browser: Browser, path: str) -> None:
    """Look at what a change does, and say yes."""
    assert "What changes" in browser.get(path)
    assert browser.post(path, {}).status_code == 303


def test_a_network_of_another_tool_is_shown_and_not_changed(browser: Browser) -> None:
    page = browser.get("/interfaces")
    assert "Managed by another tool" in page
    assert "192.0.2.5/24" in page
    assert "VLAN 7 on eth0" in page
    assert "Modify" not in page.split("<main")[1]
    for path, shown in (
        ("/host-dns", ("192.0.2.53", "example.com", "web1.example.com", "lb1")),
        ("/default-gateway", ("192.0.2.1",)),
        ("/routes", ("10.0.0.0/8", "192.0.2.254")),
    ):
        text = browser.get(path)
        assert "Manage it here" in text
        assert all(one in text for one in shown)
    assert "another tool owns it" in browser.get("/routes/change?destination=10.1.0.0/16&gateway=192.0.2.9")
    form = browser.form("/interfaces/of/eth0")
    assert "address" not in form, "nothing can be typed"


def test_it_is_taken_over_as_it_is_after_a_look(browser: Browser) -> None:
    page = browser.get("/interfaces/managed")
    assert "nothing changes now" in page
    assert browser.post("/interfaces/managed", {}).status_code == 303
    found = configured(browser)
    assert found.host.managed
    assert found.interfaces["eth0"].address == "192.0.2.5/24"
    assert "Managed here" in browser.get("/interfaces")
    answered(browser, "/interfaces/managed")
    assert not configured(browser).host.managed


def test_an_interface_is_changed_after_a_review(managed: Browser) -> None:
    assert managed.apply("/interfaces/of/eth0", mtu="1400").status_code == 303
    assert configured(managed).interfaces["eth0"].mtu == 1400
    refused = managed.send("/interfaces/of/eth0", "review", address="192.0.2.999/24")
    assert 'id="error-address"' in refused.text


@pytest.mark.requirement("S4-35", "S4-36")
def test_addresses_vlans_and_bonds_come_and_go(managed: Browser) -> None:
    change = "/interfaces/of/eth0/change"
    answered(managed, f"{change}?do=add-address&address=192.0.2.60/24")
    assert "192.0.2.60/24" in configured(managed).interfaces["eth0"].addresses
    assert "Missing" not in managed.get("/interfaces")
    assert "not there" in managed.get("/interfaces")
    answered(managed, f"{change}?do=remove-address&address=192.0.2.60/24")
    assert "192.0.2.60/24" not in configured(managed).interfaces["eth0"].addresses
    asked = managed.get(f"{change}?do=add-vlan&vlan=70")
    assert "HAProxy goes on as it is" in asked
    assert "goes back by itself after 1 min unless confirmed" in asked
    answered(managed, f"{change}?do=add-vlan&vlan=70")
    assert configured(managed).interfaces["eth0.70"].vlan == 70
    assert "Missing" in managed.get("/interfaces")
    answered(managed, "/interfaces/of/eth0.70/change?do=remove")
    assert "eth0.70" not in configured(managed).interfaces
    for wrong in ("add-vlan&vlan=9999", "add-vlan&vlan=x", "add-address&address=nowhere", "remove"):
        assert "That cannot be done now" in managed.get(f"{change}?do={wrong}")
    assert managed.client.get(f"{change}?do=nothing").status_code == 404
    assert managed.client.get("/interfaces/of/eth9").status_code == 404


def test_routes_names_and_gateways_come_and_go(managed: Browser) -> None:
    answered(managed, "/routes/change?destination=10.20.0.0/16&gateway=192.0.2.9")
    assert configured(managed).routes["10.20.0.0/16"].gateway == "192.0.2.9"
    page = managed.get("/routes")
    assert "Missing" in page
    assert "There" in page, "the one that was taken over"
    answered(managed, "/routes/change?do=remove&destination=10.20.0.0/16")
    answered(managed, "/host-dns/names?address=192.0.2.77&names=db1.example.com+db1")
    assert configured(managed).hosts["192.0.2.77"].names == ("db1.example.com", "db1")
    answered(managed, "/host-dns/names?do=remove&address=192.0.2.77")
    assert "192.0.2.77" not in configured(managed).hosts
    assert managed.apply("/default-gateway", default_gateway="192.0.2.2").status_code == 303
    assert configured(managed).host.default_gateway == "192.0.2.2"
    assert managed.apply("/host-dns", host_name="lb7", name_servers="192.0.2.53").status_code == 303
    assert (configured(managed).host.host_name, configured(managed).host.name_servers) == ("lb7", ("192.0.2.53",))


def test_an_address_of_a_service_leads_to_it(managed: Browser) -> None:
    managed.execute(AddService({"address": "192.0.2.6", "port": 80, "name": "shop"}))
    assert 'href="/virtual-services/1">shop</a>' in managed.get("/interfaces")


def test_a_change_that_waits_is_asked_for_on_every_page(managed: Browser) -> None:
    assert "goes back in" not in managed.get("/")
    managed.appliance.waiting = Waiting(7, "generation", time.time() + 42)
    for path in ("/", "/virtual-services", "/interfaces", "/history"):
        page = managed.get(path)
        assert "goes back in" in page
        assert 'data-waiting="4' in page
        assert "Keep it" in page
    answer = managed.post("/network/waiting", {"do": "keep", "back": "/history"})
    assert answer.headers["location"] == "/history"
    assert "goes back in" not in managed.get("/")
    managed.appliance.waiting = Waiting(7, "generation", time.time() + 42)
    away = managed.post("/network/waiting", {"do": "undo", "back": "//elsewhere.example/"})
    assert away.headers["location"] == "/interfaces"
    assert "was taken back" in managed.get("/")
    managed.post("/network/waiting", {"do": "keep"})
    assert "No change of the network waits" in managed.get("/")


def test_who_may_not_changes_nothing(managed: Browser) -> None:
    managed.execute(AddUser("viewer", managed.appliance.hash_password(PASSWORD)))
    viewer = Browser(managed.appliance, "viewer")
    managed.appliance.waiting = Waiting(7, "generation", time.time() + 42)
    page = viewer.get("/interfaces")
    assert "goes back in" in page
    assert "Keep it" not in page
    assert "Leave to another tool" not in page
    assert viewer.post("/network/waiting", {"do": "keep"}).status_code == 403
    assert viewer.post("/interfaces/managed", {}).status_code == 403
    assert viewer.client.get("/interfaces/of/eth0/change?do=add-vlan&vlan=5").status_code == 403


def test_a_host_that_does_not_tell_says_so(browser: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    async def lacks() -> None:
        raise HostLacks("The kernel does not tell about the network", lacks="netlink", remedy="Let it use netlink")

    monkeypatch.setattr(browser.appliance, "network", lacks)
    for path in ("/interfaces", "/host-dns", "/default-gateway", "/routes"):
        assert "The kernel does not tell about the network" in browser.get(path)


def test_how_long_a_change_waits_is_set(browser: Browser) -> None:
    assert browser.apply("/interfaces/safety", confirm_seconds="120").status_code == 303
    assert configured(browser).host.confirm_seconds == 120


def test_a_browser_is_sent_to_the_new_address_before_the_old_one_goes(managed: Browser) -> None:
    path, address = "/interfaces/of/eth0", "192.0.2.9/24"
    form = {**managed.form(path), "address": address}
    review = managed.client.post(path, data={**form, "_step": "review"})
    reviewed = {**fields_of(review.text), "_step": "apply"}
    # one who came by another way, a name for example, stays
    elsewhere = managed.client.post(path, data=reviewed, headers={"Host": "lb1.example.com"})
    assert elsewhere.headers["location"] == "/interfaces"
    managed.post("/network/waiting", {"do": "undo"})
    managed.execute(ChangeInterface("eth0", {"address": "192.0.2.5/24"}))
    form = {**managed.form(path), "address": address}
    review = managed.client.post(path, data={**form, "_step": "review"})
    moved = managed.client.post(
        path, data={**fields_of(review.text), "_step": "apply"}, headers={"Host": "192.0.2.5:8443"}
    )
    assert moved.headers["location"] == "https://192.0.2.9:8443/interfaces"
    assert configured(managed).interfaces["eth0"].address == address
