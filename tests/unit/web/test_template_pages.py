"""Manage Templates: finding one, reviewing what it makes, using it, importing and deleting one's own."""

from __future__ import annotations

import io
import re

import pytest
from tests.unit.web.rig import Browser


@pytest.fixture
def browser() -> Browser:
    return Browser()


def import_one(browser: Browser, text: bytes) -> int:
    token = re.search(r'<meta name="csrf" content="([^"]+)">', browser.get("/templates"))
    assert token is not None
    files = {"file": ("site.yaml", io.BytesIO(text))}
    return browser.client.post("/templates", data={"csrf": token[1]}, files=files).status_code


def test_one_is_found_reviewed_and_used(browser: Browser) -> None:
    assert "Lync Reverse Proxy 2013" in browser.get("/templates?q=reverse")
    assert "Exchange 2019 IMAP" not in browser.get("/templates?q=reverse")
    page = browser.get("/templates/of/HTTPS Offloaded")
    assert "Assign the certificate" in page
    fields = {"address-": "192.0.2.1", "servers": "10.0.0.1, 10.0.0.2", "name": "Shop"}
    reviewed = browser.post("/templates/of/HTTPS Offloaded", {**fields, "do": "review"})
    assert "Make 2 services" in reviewed.text
    assert 'value="Shop"' in reviewed.text
    assert not browser.appliance.configuration.services
    assert browser.post("/templates/of/HTTPS Offloaded", {**fields, "do": "apply"}).status_code == 303
    assert [len(one.servers) for one in browser.appliance.configuration.services.values()] == [2, 0]


def test_what_it_counts_on_is_warned_of(browser: Browser) -> None:
    assert "Enable Server NAT should be off" in browser.get("/templates/of/Lync Internal 2013 HLB Only")


@pytest.mark.parametrize("fields", [{}, {"address-": "nowhere"}, {"address-": "192.0.2.1", "port": "x"}])
def test_what_is_wrong_is_said_and_nothing_is_made(browser: Browser, fields: dict[str, str]) -> None:
    answer = browser.post("/templates/of/HTTP", {**fields, "do": "apply"})
    assert answer.status_code == 422
    assert 'role="alert"' in answer.text
    assert not browser.appliance.configuration.services


def test_yours_are_imported_and_deleted(browser: Browser) -> None:
    assert import_one(browser, b"{name: Ours, services: [{port: 80}]}") == 303
    assert 'class="tag">yours<' in browser.get("/templates?q=ours")
    assert browser.post("/templates/of/Ours/remove", {}).status_code == 303
    assert "Ours" not in browser.appliance.configuration.templates
    for wrong in (b"\xff", b"- 1", b"{name: HTTP, services: [{port: 80}]}"):
        assert import_one(browser, wrong) == 422


@pytest.mark.requirement("S4-69")
def test_what_it_counts_on_is_set_after_a_look_at_what_changes(browser: Browser) -> None:
    place = "/templates/of/Lync Internal 2013 HLB Only"
    assert "Set them all" in browser.get(place)
    asked = browser.get(f"{place}/prerequisites")
    assert "Set them" in asked
    assert "Global parameters" in asked
    assert browser.appliance.configuration.layer7.drain_time != 86400
    assert browser.post(f"{place}/prerequisites", {}).status_code == 303
    assert browser.appliance.configuration.layer7.drain_time == 86400
    assert "should be" not in browser.get(place)


def test_add_new_offers_every_template(browser: Browser) -> None:
    assert import_one(browser, b"{name: Ours, services: [{port: 80}]}") == 303
    page = browser.get("/virtual-services/add")
    assert "<option>Ours</option>" in page
    assert "<option>Lync Reverse Proxy 2013</option>" in page
    chosen = browser.client.get("/templates/use?name=Lync Reverse Proxy 2013", follow_redirects=True)
    assert "<h1>Lync Reverse Proxy 2013</h1>" in chosen.text
    assert browser.client.get("/templates/use?name=", follow_redirects=True).status_code == 200
    assert browser.client.get("/templates/use?name=None such", follow_redirects=True).status_code == 404
