"""The pictures of docs/images: main screens of an appliance that looks like one in use.

    STEELYARD_SCREENSHOTS=docs/images python -m pytest tests/browser/test_pictures.py

makes them anew. Nothing else needs them, so without the variable nothing is made.
"""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect
from tests.browser.rig import Rig
from tests.support import certificates
from tests.support.clients import fetch

pytestmark = [
    pytest.mark.browser,
    pytest.mark.needs("chromium", "haproxy", "low_ports"),
    pytest.mark.timeout(400),
    pytest.mark.skipif("STEELYARD_SCREENSHOTS" not in os.environ, reason="pictures are made when they are asked for"),
]

MEET, SHOP, MAIL = "127.0.8.10", "127.0.8.20", "127.0.8.30"
#: what is opened, the picture's name, and what must be seen before it is taken
PAGES = {
    "home": ("/", "Services up"),
    "virtual-services": ("/virtual-services", "Shop"),
    "real-servers": ("/real-servers", "127.0.9.1"),
    "content-rules": ("/content-rules", "images"),
    "certificates": ("/certificates", "meet_public"),
    "templates": ("/templates", "Lync"),
    "use-template": ("/templates/use", "Lync"),
    "statistics": ("/statistics", "Shop"),
    "statistics-graphs": ("/statistics/graphs", "hour"),
    "history": ("/history", "bal"),
    "events": ("/events", "RS"),
    "map": ("/map", "Shop"),
    "limits": ("/limits", "198.51.100.0/24"),
    "access-lists": ("/access-lists", "203.0.113.0/24"),
    "users": ("/users", "operator"),
    "interfaces": ("/interfaces", "of this host"),
    "backup": ("/backup", "backup"),
}


@pytest.fixture(scope="module")
def site(rig: Rig) -> Iterator[int]:
    """Services of three kinds with one real server down; the index of the shop."""
    native = rig.steelyard.native
    native.patch("parameters/checks", json={"interval": 3, "timeout": 1, "retries": 1}).raise_for_status()
    rig.clear()
    servers = [rig.origin(f"127.0.9.{number}", 8080) for number in range(1, 5)]
    pair = certificates.leaf("meet.contoso.example", "dialin.contoso.example", "lyncdiscover.contoso.example")
    body = {"name": "meet_public", "pem": pair.bundle().decode()}
    native.post("certificates", json=body).raise_for_status()
    native.post("rules", json={"name": "images", "match_type": "prefix", "pattern": "/images/"}).raise_for_status()
    rewrite = {"name": "old_paths", "rule_type": 4, "pattern": "^/shop/(.*)", "replacement": "/\\1"}
    native.post("rules", json=rewrite).raise_for_status()
    members = [{"address": one.address, "port": one.port} for one in servers]
    common = {"service_type": "http", "check_type": "http", "check_url": "/", "persistence": "super-src"}
    shop = native.post(
        "virtual-services",
        json={"address": SHOP, "port": 80, "name": "Shop", "servers": members, **common, "schedule": "lc"},
    ).json()["object"]["index"]
    tls = {"ssl_acceleration": True, "certificates": ["meet_public"], "allow_http2": True}
    meet = {"address": MEET, "port": 443, "name": "Lync Reverse Proxy", "servers": members[:3], **common, **tls}
    native.post("virtual-services", json=meet).raise_for_status()
    mail = {"address": MAIL, "port": 25, "name": "Mail in", "service_type": "gen", "check_type": "tcp"}
    native.post("virtual-services", json={**mail, "servers": members[2:]}).raise_for_status()
    native.post(
        "virtual-services",
        json={
            "address": MEET,
            "port": 80,
            "name": "To HTTPS",
            "error_code": 302,
            "error_url": "https://%h%s",
            "service_type": "http",
        },
    )
    limit = {"network": "198.51.100.0/24", "limit": 50}
    native.put("limits/clients/requests_per_second", json=limit).raise_for_status()
    native.post("access-lists/all/block", json={"address": "203.0.113.0/24", "comment": "scanners"}).raise_for_status()
    user = {"name": "operator", "password": "Long-enough-1", "permissions": ["real"]}
    native.post("users", json=user).raise_for_status()
    stop = threading.Event()

    def visit() -> None:
        number = 0
        while not stop.wait(0.01):
            number += 1
            fetch(f"http://{SHOP}/page{number % 7}", source=f"127.0.10.{number % 40 + 1}")

    traffic = threading.Thread(target=visit)
    traffic.start()
    servers[2].refuse()
    try:
        yield shop
    finally:
        stop.set()
        traffic.join()


def test_main_screens(rig: Rig, site: int) -> None:
    with rig.screen() as screen:
        page = screen.open("/virtual-services")
        expect(page.locator("#rows a.rs.down", has_text="127.0.9.3")).to_have_count(3, timeout=30_000)
        for name, (path, shown) in PAGES.items():
            screen.open(path)
            expect(page.locator("main")).to_contain_text(re.compile(shown, re.IGNORECASE))
            screen.keep(f"{name}-1280")
        screen.open(f"/virtual-services/{site}")
        screen.keep("virtual-services-1-1280")
        review(page)
        screen.keep("review-1280")
        screen.open("/explain")
        page.get_by_label("URL").fill(f"http://{SHOP}/images/logo.png")
        page.get_by_role("button", name="Explain").click()
        expect(page.locator("main")).to_contain_text("real server")
        screen.keep("explain-1280")
        for name in ("home", "virtual-services"):
            screen.look(390, "light")
            screen.open(PAGES[name][0])
            expect(page.locator("main")).to_contain_text(PAGES[name][1])
            screen.keep(f"{name}-390")
        screen.look(1280, "dark")
        screen.open("/virtual-services")
        expect(page.locator("#rows")).to_contain_text("Shop")
        screen.keep("virtual-services-dark-1280")
        screen.must_be_clean()


def review(page: Page) -> None:
    """A change that is looked at before it is applied."""
    page.get_by_label("Idle Connection Timeout").fill("900")
    page.keyboard.press("Tab")
    page.get_by_role("button", name="Review changes", exact=True).click()
    expect(page.locator("#outcome")).to_contain_text("900")
