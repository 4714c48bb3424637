"""A list longer than the window: rows in view change at once, the others soon, and none is forgotten."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import expect
from tests.browser.rig import Rig, Screen

pytestmark = [pytest.mark.browser, pytest.mark.needs("chromium", "haproxy")]

SERVICES, SERVERS = 60, 10


@pytest.fixture(scope="module")
def rig() -> Iterator[Rig]:
    with Rig() as made:
        services = [
            {
                "address": f"127.201.0.{number + 1}",
                "port": 8080,
                "name": f"service {number:02}",
                "service_type": "http",
                "check_type": "none",
                "servers": [{"address": f"127.{202 + server}.0.{number + 1}", "port": 80} for server in range(SERVERS)],
            }
            for number in range(SERVICES)
        ]
        made.steelyard.native.put("/configuration", params={"wait": "true"}, json={"services": services})
        yield made


def test_every_row_gets_its_values_whether_it_is_in_view_or_not(rig: Rig, screen: Screen) -> None:
    page = screen.open("/virtual-services")
    expect(page.locator("#rows > tr")).to_have_count(SERVICES)
    native = rig.steelyard.native
    listed = native.get("/virtual-services").json()
    commands = [
        {"op": "change-server", "service": one["index"], "server": server["index"], "changes": {"enabled": False}}
        for one in listed
        for server in one["servers"]
    ]
    answer = native.post("/batch", params={"wait": "true"}, json={"commands": commands})
    assert answer.status_code == 200, answer.text
    first, last = page.locator("#rows > tr").first, page.locator("#rows > tr").last
    assert last.bounding_box()["y"] > 900 + 400, "it is out of view"  # type: ignore[index]
    for row in (first, last):
        expect(row.locator(".st")).to_have_text("Down")
        expect(row.locator(".rs.off")).to_have_count(SERVERS)
    assert page.evaluate("scrollY") == 0
    expect(page.locator("#rows .rs.off")).to_have_count(SERVICES * SERVERS)
    expect(last.locator(".rs").last).to_have_accessible_name(f"127.211.0.{SERVICES}, Disabled")
    # what is scrolled to between an update and its turn is shown as it is
    last.scroll_into_view_if_needed()
    expect(last.locator(".rs").first).to_have_attribute(
        "title", "127.202.0.60:80: Disabled: disabled by an administrator"
    )
