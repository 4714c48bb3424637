"""A pool of web servers behind TLS, by clicks alone: certificate, service, servers, affinity, re-encryption.

The scenario is S5 of the deployments people know from LoadMaster's guides.
"""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect
from tests.browser.rig import Rig, Screen
from tests.support import certificates
from tests.support.clients import fetch
from tests.support.origin import Origin
from tests.support.ports import free_port

pytestmark = [pytest.mark.browser, pytest.mark.needs("chromium", "haproxy"), pytest.mark.timeout(180)]

#: milliseconds within which a check has been made and its verdict shown, on a machine that is busy with other tests
_CHECKED = 40_000


def go(page: Page, group: str, name: str) -> None:
    """Open a page by the menu."""
    menu = page.get_by_role("navigation", name="Main menu")
    link = menu.get_by_role("link", name=name, exact=True)
    if not link.is_visible():
        menu.get_by_text(group, exact=True).click()
    link.click()


def press(page: Page, name: str) -> None:
    page.get_by_role("button", name=name, exact=True).click()


@pytest.mark.requirement("S5-12", "S5-29", "S5-30", "S5-31", "S5-32", "S5-33", "S5-37", "S5-41")
def test_a_lync_pool_from_nothing_by_clicks(rig: Rig, screen: Screen) -> None:
    inside = certificates.leaf("fe.inside.example", kind="ec")
    public = certificates.leaf("poolweb.example", "meet.example", kind="ec")
    port = free_port()
    rig.steelyard.native.patch("parameters/checks", json={"interval": 3, "timeout": 2, "retries": 1})
    with Origin("fe1", tls=inside.server_context()) as one, Origin("fe2", tls=inside.server_context()) as two:
        for each in (one, two):
            # it asks who one is, and is well
            each.statuses["/abs/handler"] = 401
        page = screen.open("/")

        go(page, "Certificates & Security", "SSL Certificates")
        page.get_by_role("link", name=re.compile("Import")).first.click()
        page.get_by_label("Identifier").fill("LyncWebPool")
        page.get_by_label("or pasted text").fill(public.bundle().decode())
        press(page, "Import")
        expect(page.locator("main")).to_contain_text("LyncWebPool")

        go(page, "Virtual Services", "Add New")
        page.get_by_label("Virtual Address").fill("127.0.0.1")
        page.get_by_label("Port", exact=True).fill(str(port))
        page.get_by_label("Service Name").fill("FE Pool HTTPS")
        page.get_by_label("Service Type").select_option("http")
        page.locator("#row-ssl_acceleration .switch").click()
        page.locator("#row-ssl_reencrypt .switch").click()
        press(page, "Add this Virtual Service")
        expect(page.locator("#section-ssl summary")).to_contain_text(
            "Reencrypt · TLS 1.2 and 1.3 · temporary certificate"
        )

        go(page, "Certificates & Security", "SSL Certificates")
        row = page.get_by_role("row", name=re.compile("LyncWebPool"))
        expect(row).to_contain_text("nothing")
        row.get_by_role("link", name="LyncWebPool").click()
        page.get_by_label("VS to Add").select_option(label=f"FE Pool HTTPS (tcp/127.0.0.1:{port})")
        screen.must_be_accessible()
        press(page, "Add VS")
        page.get_by_role("link", name=re.compile("FE Pool HTTPS")).click()
        expect(page.locator("#section-ssl summary")).to_contain_text("Reencrypt · TLS 1.2 and 1.3 · 1 certificate")

        page.get_by_role("link", name="Add the first real server").click()
        for each in (one, two):
            page.get_by_label("Real Server Address").fill("127.0.0.1")
            page.get_by_label("Port", exact=True).fill(str(each.port))
            press(page, "Add This Real Server")
            expect(page.locator("#notices")).to_contain_text("Real server made")
            expect(page.get_by_label("Real Server Address")).to_have_value("")
        page.locator(".above").click()

        page.get_by_label("Real Server Check Method").select_option("https")
        page.get_by_label("Check URL").fill("/abs/handler")
        page.get_by_label("Persistence Mode").select_option("active-cookie")
        page.get_by_label("Cookie or header name").fill("MS-WSMAN")
        page.get_by_label("Idle Connection Timeout").fill("1800")
        press(page, "Review changes")
        expect(page.locator("#outcome")).to_contain_text("TCP Connection Only")
        press(page, "Apply")
        expect(page.locator("#notices")).to_contain_text("changes applied")

        expect(page.locator("#servers .st")).to_have_text(["Up", "Up"], timeout=_CHECKED)
        expect(page.locator("#servers")).to_contain_text("401", timeout=_CHECKED)
        screen.keep("service")

        url = f"https://127.0.0.1:{port}/mcx"
        first = fetch(url, sni="poolweb.example", ca=public.root)
        assert first.json["tls"], "encrypted again towards the real server"
        cookies = first.cookies
        assert "MS-WSMAN" in cookies
        header = {"Cookie": f"MS-WSMAN={cookies['MS-WSMAN']}"}
        names = {fetch(url, sni="poolweb.example", ca=public.root, headers=header).name for _ in range(6)}
        assert names == {first.name}, "a client that comes back meets the server it began with"

        go(page, "Virtual Services", "View/Modify Services")
        expect(page.get_by_role("row", name=re.compile("FE Pool HTTPS"))).to_contain_text("LyncWebPool")
