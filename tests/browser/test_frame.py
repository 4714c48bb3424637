"""What only a browser shows of the frame, Home and the list: live values, keys, themes, widths, accessibility."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import expect
from tests.browser.hostile import STRUCK, plant
from tests.browser.rig import Rig, Screen
from tests.support.clients import fetch
from tests.support.origin import Origin
from tests.support.ports import free_port

pytestmark = [pytest.mark.browser, pytest.mark.needs("chromium", "haproxy"), pytest.mark.timeout(400)]

LONG = "A service whose name goes on for as long as sixty characters do"


@pytest.fixture(scope="module")
def shop(rig: Rig) -> Iterator[tuple[int, Origin, Origin]]:
    """A service with two real servers, beside one that is down, one that is off and one with a long name."""
    rig.steelyard.native.patch("parameters/checks", json={"interval": 2, "timeout": 1, "retries": 1})
    rig.clear()
    one = rig.origin("127.0.5.1")
    two, *more = (rig.origin(f"127.0.5.{number}", one.port) for number in range(2, 6))
    index = rig.service("shop", one, two, address="127.0.6.1", port=free_port("127.0.6.1"))
    rig.service("old", one, enabled=False, address="127.0.6.2")
    rig.service(LONG, *more, address="127.0.6.3", extra_ports=[str(free_port("127.0.6.3"))])
    rig.service("empty", address="127.0.6.4")
    yield index, one, two


def test_a_real_server_that_fails_turns_red_without_a_reload(
    rig: Rig, screen: Screen, shop: tuple[int, Origin, Origin]
) -> None:
    index, one, two = shop
    page = screen.open("/virtual-services")
    page.evaluate("window.untouched = true")
    row = page.locator(f"#vs{index}")
    status = row.locator(".st")
    expect(status).to_have_text("Up")
    expect(row.locator(".rs.up")).to_have_count(2)
    page.locator("#filter").focus()
    two.refuse()
    failed = row.locator(".rs", has_text=two.address)
    expect(failed).to_have_class(re.compile("down"))
    expect(failed).to_have_accessible_name(f"{two.address}, Down")
    expect(failed).to_have_attribute("title", re.compile("refused"))
    expect(status).to_have_text("Up")
    one.refuse()
    expect(status).to_have_text("Down")
    expect(status).to_have_class(re.compile("down"))
    expect(page.locator('[data-live="count.Down"]')).to_have_text("2 down")
    assert page.evaluate("window.untouched && document.activeElement.id") == "filter"
    assert float(page.evaluate("document.body.dataset.liveTook")) < 100
    screen.keep("virtual-services-down")

    page = screen.open("/")
    attention = page.locator('[data-live="attention"]')
    expect(attention).to_contain_text("shop")
    expect(page.locator('[data-live="overall"]')).to_have_text("2 services down")
    one.resume()
    two.resume()
    expect(attention).not_to_contain_text("shop")
    expect(page.locator('[data-live="overall"]')).to_have_text("1 service down")
    screen.keep("home")


def test_what_another_administrator_adds_comes_into_the_list(
    rig: Rig, screen: Screen, shop: tuple[int, Origin, Origin]
) -> None:
    page = screen.open("/virtual-services")
    page.evaluate("window.untouched = true")
    revision = page.locator('[data-live="revision"]').inner_text()
    index = rig.service("newcomer", shop[1])
    expect(page.locator(f"#vs{index}")).to_contain_text("newcomer")
    expect(page.locator('[data-live="revision"]')).not_to_have_text(revision)
    rig.steelyard.native.delete(f"virtual-services/{index}")
    expect(page.locator(f"#vs{index}")).to_have_count(0)
    assert page.evaluate("window.untouched")


def test_filter_sort_and_back(rig: Rig, screen: Screen, shop: tuple[int, Origin, Origin]) -> None:
    page = screen.open("/virtual-services")
    page.locator("#filter").press_sequentially("shop")
    expect(page.locator("#rows > tr")).to_have_count(1)
    expect(page).to_have_url(re.compile("q=shop"))
    assert page.evaluate("document.activeElement.id") == "filter", "typing goes on"
    page.get_by_role("link", name="Show all").click()
    expect(page.locator("#rows > tr")).to_have_count(4)
    page.get_by_role("columnheader", name="Name").get_by_role("link").click()
    expect(page.locator("th[aria-sort=ascending]")).to_have_text("Name")
    expect(page.locator("#rows > tr").first).to_contain_text(LONG)
    assert page.evaluate("document.activeElement.id") == "sort-name", "the keyboard stays where it was"
    page.get_by_role("columnheader", name="Name").get_by_role("link").click()
    expect(page.locator("#rows > tr").first).to_contain_text("shop")
    page.go_back()
    expect(page.locator("th[aria-sort=ascending]")).to_have_text("Name")
    page.locator(".choices .st.down").click()
    expect(page.locator("#rows > tr")).to_have_count(1)
    expect(page.locator("#rows > tr")).to_contain_text("empty")


def test_the_keyboard_is_enough(rig: Rig, screen: Screen, shop: tuple[int, Origin, Origin]) -> None:
    page = screen.open("/")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to content")).to_be_focused()
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"
    page.keyboard.press("/")
    field = page.get_by_role("combobox", name="Find")
    expect(field).to_be_focused()
    page.keyboard.type("view/modify")
    found = page.get_by_role("option")
    expect(found.first).to_contain_text("View/Modify Services")
    screen.must_be_accessible()
    screen.keep("search")
    page.keyboard.press("ArrowDown")
    expect(found.first).to_have_attribute("aria-selected", "true")
    page.keyboard.press("Enter")
    expect(page).to_have_title(re.compile("Virtual Services"))
    page.keyboard.press("/")
    page.keyboard.type(shop[1].address)
    expect(page.get_by_role("option").first).to_contain_text("Real server")
    page.keyboard.press("Escape")
    expect(page.locator("#found")).to_be_hidden()


def test_dark_and_light_are_chosen_and_kept(rig: Rig, screen: Screen, shop: tuple[int, Origin, Origin]) -> None:
    page = screen.open("/")
    background = "getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(background)
    page.get_by_role("button", name="Dark or light").click()
    dark = page.evaluate(background)
    assert dark != light
    page.reload()
    assert page.evaluate(background) == dark
    with rig.screen(theme="dark") as other:
        assert other.open("/").evaluate(background) == dark, "the system's choice without one of one's own"


#: pages that no entry of the menu leads to by itself
FURTHER = (
    *("/search?q=shop", "/password", "/nothing-here", "/api-keys", "/menu/System Configuration/Network Options"),
    *("/acme/accounts/of/letsencrypt", "/acme/dns-providers/add", "/acme/parameters", "/revocation-lists"),
    *("/interfaces/managed", "/interfaces/safety", "/webhook-options", "/event-options", "/events/edge-logs"),
    *("/ocsp/tls-sessions", "/admin-access/tls"),
)


#: what a narrow window or a dark look may break
LOOKS_MATTER = ["color-contrast", "scrollable-region-focusable", "target-size"]


@pytest.mark.timeout(400)
def test_every_page_of_the_menu_is_accessible_and_fits_in_every_look(
    rig: Rig, shop: tuple[int, Origin, Origin]
) -> None:
    """Each is opened once; the window and the look change around it. None takes text for markup."""
    index = rig.service("hostile", shop[1], address="127.0.6.5")
    assert len(plant(rig, index)) >= 15
    service = rig.steelyard.native.get(f"virtual-services/{shop[0]}").json()
    for _ in range(100):
        fetch(f"http://{service['address']}:{service['port']}/bytes/20000")
    with rig.screen() as screen:
        page = screen.open("/")
        addresses = page.eval_on_selector_all("nav a", "all => all.map(each => each.getAttribute('href'))")
        assert "/virtual-services" in addresses
        found: list[str] = []
        newest = rig.steelyard.native.get("status").json()["revision"]
        for path in (
            *(*addresses, f"/virtual-services/{shop[0]}", *FURTHER),
            *(f"/virtual-services/{index}", f"/history/{newest}", "/templates/of/hostile", "/limits/rules/hostile"),
            *("/content-rules/hostile_path", "/content-rules/hostile_header", "/certificates/requests/hostile"),
        ):
            screen.open(path)
            name = path.strip("/").partition("?")[0].replace("/", "-") or "home"
            for width, theme, rules in ((1280, "light", None), (390, "dark", LOOKS_MATTER)):
                screen.look(width, theme)
                found += [f"{width} {theme} {one}" for one in (*screen.barriers(rules), *screen.sideways())]
                screen.keep(f"{name}-{width}")
            found += screen.troubles()
            found += [f"{page.url} takes text for markup"] * page.evaluate(STRUCK)
            screen.complaints.clear()
        assert not found, "\n".join(found)
    with rig.screen(signed_in=False) as screen:
        screen.open("/sign-in")
        for width, theme in ((1280, "light"), (390, "light"), (390, "dark"), (1280, "dark")):
            screen.look(width, theme)
            screen.must_be_accessible()
            screen.keep(f"sign-in-{width}-{theme}")
        assert screen.page.get_by_label("I accept").count() and not screen.page.evaluate(STRUCK)
    rig.steelyard.native.patch("parameters/administration", json={"banner": ""}).raise_for_status()


def test_on_a_phone_the_menu_is_a_drawer(rig: Rig, shop: tuple[int, Origin, Origin]) -> None:
    with rig.screen(width=390) as screen:
        page = screen.open("/")
        entry = page.get_by_role("navigation").get_by_role("link", name="View/Modify Services")
        expect(entry).to_be_hidden()
        page.get_by_role("button", name="Main menu").click()
        expect(entry).to_be_visible()
        screen.must_be_accessible()
        screen.keep("drawer-390")
        page.keyboard.press("Escape")
        expect(entry).to_be_hidden()
        page.get_by_role("button", name="Main menu").click()
        entry.click()
        expect(page).to_have_title(re.compile("Virtual Services"))
        expect(page.locator("#rows")).to_contain_text("shop")


def test_without_the_control_plane_values_are_marked_stale_and_one_stays_signed_in(
    rig: Rig, screen: Screen, shop: tuple[int, Origin, Origin]
) -> None:
    page = screen.open("/virtual-services?q=shop")
    expect(page.locator("[data-stale]")).to_be_hidden()
    rig.steelyard.kill9()
    expect(page.locator("[data-stale]")).to_contain_text("Not live for")
    page.locator("th a", has_text="Name").click()
    expect(page.locator("#notices")).to_contain_text("does not answer")
    rig.steelyard.start()
    expect(page.locator("[data-stale]")).to_be_hidden()
    page.locator("th a", has_text="Name").click()
    expect(page).to_have_url(re.compile("sort=name"))
    page.reload()
    expect(page.locator("#rows .name")).to_have_text("shop")
    # the browser says itself that the stream was refused
    screen.complaints.clear()
