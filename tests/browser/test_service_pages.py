"""Whole tasks on the pages of services, by clicks and keys: make one, give it servers, change it, meet errors."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, Route, expect
from tests.browser.rig import Rig, Screen
from tests.support.clients import fetch
from tests.support.ports import free_port

pytestmark = [pytest.mark.browser, pytest.mark.needs("chromium", "haproxy"), pytest.mark.timeout(180)]

#: milliseconds within which a check has been made and its verdict shown, on a machine that is busy with other tests
_CHECKED = 40_000


def touched(page: Page, count: int) -> None:
    """Wait until the bar at the foot counts so many changes."""
    expect(page.locator(".bar .count")).to_have_text("No changes" if not count else re.compile(rf"^{count} change"))


def button(page: Page, name: str) -> None:
    page.get_by_role("button", name=name, exact=True).click()


def outcome(page: Page) -> str:
    panel = page.locator("#outcome")
    expect(panel).to_be_visible()
    expect(panel).to_be_in_viewport()
    return panel.inner_text()


@pytest.mark.requirement("X-07")
def test_from_nothing_to_a_service_that_answers(rig: Rig, screen: Screen) -> None:
    """A service is made, gets a real server, comes up without a reload of the page, and serves."""
    origin, port = rig.origin(), free_port()
    page = screen.open("/")
    page.get_by_role("link", name="Add New").click()
    page.get_by_label("Virtual Address").fill("127.0.0.1")
    page.get_by_label("Port", exact=True).fill(str(port))
    page.get_by_label("Service Name").fill("Web shop")
    page.get_by_label("Service Type").select_option("http")
    screen.must_be_accessible()
    screen.keep("service-add")
    button(page, "Add this Virtual Service")
    expect(page.get_by_role("heading", level=1)).to_have_text("Web shop")
    expect(page.locator(".properties")).to_have_text(
        re.compile(rf"Properties for tcp/127\.0\.0\.1:{port} \(Id:\d+\) - Operating at Layer 7")
    )
    expect(page.locator("#servers")).to_contain_text("No real servers yet")

    page.get_by_role("link", name="Add the first real server").click()
    page.get_by_label("Real Server Address").fill("127.0.0.1")
    page.get_by_label("Port", exact=True).fill(str(origin.port))
    button(page, "Add This Real Server")
    expect(page.locator("#notices")).to_contain_text("Real server made")
    expect(page.get_by_label("Real Server Address")).to_have_value("")
    page.locator(".above").click()
    page.evaluate("window.untouched = true")
    expect(page.locator("#servers .st")).to_have_text("Up", timeout=_CHECKED)
    expect(page.locator("#service-status")).to_have_text("Up", timeout=_CHECKED)
    assert fetch(f"http://127.0.0.1:{port}/").json["name"] == "real server"

    origin.refuse()
    rig.steelyard.native.patch("parameters/checks", json={"interval": 2, "timeout": 1, "retries": 1})
    expect(page.locator("#servers .st")).to_have_text("Down", timeout=_CHECKED)
    expect(page.locator("#service-status")).to_have_text("Down", timeout=_CHECKED)
    assert page.evaluate("window.untouched"), "it turned red without a reload"
    page.locator("#servers .st").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("Last checks of 127.0.0.1")
    expect(page.locator("tbody tr").first).to_contain_text(re.compile("refused"))
    screen.keep("last-checks")
    origin.resume()


def test_a_change_is_reviewed_in_true_numbers_and_applied(rig: Rig, screen: Screen) -> None:
    index = rig.service("reviewed", rig.origin())
    page = screen.open(f"/virtual-services/{index}")
    expect(page.get_by_label("Persistence Timeout")).to_have_count(0)
    page.get_by_label("Persistence Mode").select_option("src")
    touched(page, 1)
    # what the choice brings along is there at once
    expect(page.get_by_label("Persistence Timeout")).to_be_visible()
    page.get_by_label("Idle Connection Timeout").fill("1800")
    page.keyboard.press("Tab")
    touched(page, 2)
    button(page, "Review changes")
    said = outcome(page)
    assert "660 s" in said and "1800 s" in said
    assert "off" in said and "Source IP Address" in said
    assert "HAProxy is reloaded once" in said
    screen.must_be_accessible()
    screen.keep("service-review")
    button(page, "Apply")
    expect(page.locator("#notices")).to_contain_text("2 changes applied: revision")
    settings = rig.steelyard.native.get(f"virtual-services/{index}").json()
    assert (settings["idle_time"], settings["persistence"]) == (1800, "src")
    touched(page, 0)


def test_a_weight_reloads_nothing(rig: Rig, screen: Screen) -> None:
    index = rig.service("weighed", rig.origin(), rig.origin(), schedule="wrr")
    page = screen.open(f"/virtual-services/{index}")
    page.locator("#servers").get_by_role("link", name="Modify").first.click()
    page.get_by_label("Weight").fill("200")
    page.keyboard.press("Enter")
    said = outcome(page)
    assert "no reload" in said
    assert re.search(r"\d+ commands? to the running HAProxy", said)
    button(page, "Apply")
    expect(page.locator("#notices")).to_contain_text("1 change applied")


def test_a_change_is_rolled_back_after_a_look_at_what_that_does(rig: Rig, screen: Screen) -> None:
    native = rig.steelyard.native
    index = rig.service("kept", rig.origin(), schedule="rr")
    before = native.get("status").json()["revision"]
    native.patch(f"virtual-services/{index}", json={"schedule": "lc"}).raise_for_status()
    page = screen.open("/history")
    page.get_by_role("link", name=str(before), exact=True).first.click()
    page.get_by_role("link", name="Roll back to this").click()
    expect(page.locator("main")).to_contain_text("Scheduling Method")
    assert native.get(f"virtual-services/{index}").json()["schedule"] == "lc", "so far it was only looked at"
    button(page, f"Make revision {before} the newest")
    expect(page.locator("#notices")).to_contain_text(f"Rolled back to revision {before}")
    assert native.get(f"virtual-services/{index}").json()["schedule"] == "rr"
    expect(page.locator("main")).to_contain_text(f"rollback to {before}")


def test_errors_stand_at_their_field_and_nothing_is_lost(rig: Rig, screen: Screen) -> None:
    index = rig.service("mistaken", rig.origin())
    page = screen.open(f"/virtual-services/{index}")
    page.get_by_label("Idle Connection Timeout").fill("soon")
    page.get_by_label("Service Name").fill("renamed")
    button(page, "Review changes")
    assert "Not applied" in outcome(page)
    field = page.get_by_label("Idle Connection Timeout")
    expect(field).to_have_attribute("aria-invalid", "true")
    expect(page.locator("#error-idle_time")).to_contain_text("“soon” is no whole number")
    expect(page.get_by_label("Service Name")).to_have_value("renamed")
    screen.must_be_accessible()
    page.locator("#outcome").get_by_role("link", name="Idle Connection Timeout").click()
    expect(field).to_be_in_viewport()
    field.fill("900")
    button(page, "Review changes")
    assert "Review: 2 changes" in outcome(page)
    button(page, "Apply")
    expect(page.get_by_role("heading", level=1)).to_have_text("renamed")


def test_what_an_option_forbids_is_greyed_with_the_reason(rig: Rig, screen: Screen) -> None:
    index = rig.service("greyed", rig.origin(), service_type="gen")
    page = screen.open(f"/virtual-services/{index}")
    page.locator("#section-esp summary").click()
    barred = page.get_by_label("Enable ESP")
    expect(barred).to_be_disabled()
    expect(page.locator("#why-esp_enabled")).to_contain_text("service type must be http")
    expect(page.locator("#f-persistence option[value=cookie]")).to_be_disabled()
    page.get_by_label("Service Type").select_option("http")
    touched(page, 1)
    expect(barred).to_be_enabled()
    expect(page.locator("#section-esp")).to_have_attribute("open", "")


def test_two_administrators_in_conflict(rig: Rig, screen: Screen) -> None:
    """The second is told who changed what, reviews on top of it, and takes nothing back."""
    index = rig.service("contested", rig.origin())
    page = screen.open(f"/virtual-services/{index}")
    page.get_by_label("Idle Connection Timeout").fill("1200")
    button(page, "Review changes")
    assert "Review: 1 change" in outcome(page)
    rig.steelyard.native.patch(f"virtual-services/{index}", json={"schedule": "lc"})
    button(page, "Apply")
    expect(page.locator("#outcome")).to_contain_text("Somebody has changed the configuration")
    said = outcome(page)
    assert "by bal" in said
    assert "least connection" in said
    screen.keep("conflict")
    button(page, "Apply")
    expect(page.locator("#notices")).to_contain_text("1 change applied")
    settings = rig.steelyard.native.get(f"virtual-services/{index}").json()
    assert (settings["idle_time"], settings["schedule"]) == (1200, "lc")


def test_a_real_server_is_drained_and_comes_back(rig: Rig, screen: Screen) -> None:
    index = rig.service("drained", rig.origin(), rig.origin(), persistence="src")
    page = screen.open(f"/virtual-services/{index}")
    row = page.locator("#servers tbody tr").first
    expect(row.locator(".st")).to_have_text("Up", timeout=_CHECKED)
    row.get_by_role("button", name="Disable").click()
    expect(page.locator("#notices")).to_contain_text("is disabled and drains")
    expect(row.locator(".st")).to_have_text("Draining", timeout=_CHECKED)
    row.get_by_role("button", name="Enable").click()
    expect(row.locator(".st")).to_have_text("Up", timeout=_CHECKED)


def test_a_rule_is_made_tried_attached_and_put_in_order(rig: Rig, screen: Screen) -> None:
    index = rig.service("ruled", rig.origin())
    rig.steelyard.native.post("rules", json={"name": "first_of_all", "pattern": "x"})
    page = screen.open("/add/content-rule")
    page.get_by_label("Rule Name").fill("to_images")
    page.get_by_label("Match String").fill("/^\\/images/")
    button(page, "Create Rule")
    expect(page.get_by_role("heading", level=1)).to_have_text("to_images")
    page.locator("#tester").get_by_label("URL").fill("/images/logo.png")
    button(page, "Try")
    expect(page.locator("#tester")).to_contain_text("The rule matches")
    screen.keep("content-rule")
    screen.open(f"/virtual-services/{index}")
    for name in ("first_of_all", "to_images"):
        page.get_by_label("Content matching rules to attach").select_option(name)
        page.locator("#rules form.attach").first.get_by_role("button").click()
        expect(page.locator("#rules .rulelist")).to_contain_text(name)
    button(page, "Move to_images up")
    expect(page.locator("#rules .rulelist li").first).to_contain_text("to_images")
    page.locator("#servers").get_by_role("link", name="Modify").click()
    page.get_by_label("Rule to attach").select_option("default")
    button(page, "Attach")
    expect(page.locator("#rules")).to_contain_text("what no rule matched")


def test_a_service_is_removed_after_a_question(rig: Rig, screen: Screen) -> None:
    index = rig.service("gone soon", rig.origin())
    page = screen.open(f"/virtual-services/{index}")
    page.get_by_role("link", name="Delete", exact=True).first.click()
    expect(page.locator("main")).to_contain_text("gone soon")
    button(page, "Delete")
    expect(page.locator("#notices")).to_contain_text("was deleted")
    assert rig.steelyard.native.get(f"virtual-services/{index}").status_code == 404


def test_the_order_of_a_list_is_set_by_buttons(rig: Rig, screen: Screen) -> None:
    page = screen.open("/add/cipher-set?like=BestPractices")
    page.get_by_label("Name").fill("ordered")
    second = page.locator(".pick .name").nth(1).inner_text()
    page.get_by_role("button", name=f"Move {second} up").click()
    expect(page.locator(".pick .name").first).to_have_text(second)
    button(page, "Save Cipher Set")
    expect(page.locator("#notices")).to_contain_text("Cipher set made")
    found = rig.steelyard.native.get("cipher-sets/ordered").json()
    assert found["ciphers"][0] == second
    rig.steelyard.native.delete("cipher-sets/ordered")


def test_what_is_changed_while_the_form_is_drawn_again_stays(rig: Rig, screen: Screen) -> None:
    """On a slow line an answer comes after the next switch was set and the next word typed."""
    page = screen.open("/virtual-services/add")
    held: list[Route] = []

    def hold_the_first(route: Route) -> None:
        if held:
            route.continue_()
        else:
            held.append(route)

    page.route("**/virtual-services/add", hold_the_first)
    with page.expect_request("**/virtual-services/add"):
        page.get_by_label("Service Type").select_option("http")
    page.locator("#row-ssl_acceleration .switch").click()
    page.get_by_label("Service Name").type("typed meanwhile")
    held[0].continue_()
    page.get_by_label("Virtual Address").click()
    # the answer to the last change has what only TLS needs
    expect(page.locator("#row-ssl_reencrypt")).to_be_visible()
    expect(page.get_by_label("Service Name")).to_have_value("typed meanwhile")
    expect(page.locator("#row-ssl_acceleration input[type=checkbox]")).to_be_checked()
    expect(page.get_by_label("Service Type")).to_have_value("http")


@pytest.mark.parametrize(("width", "theme"), [(1280, "light"), (390, "dark")])
def test_the_pages_fit_and_are_accessible(rig: Rig, width: int, theme: str) -> None:
    native = rig.steelyard.native
    services = {one["name"]: one["index"] for one in native.get("virtual-services").json()}
    if "Long" not in services:
        index = rig.service("Long", *(rig.origin() for _ in range(12)), ssl_acceleration=True, persistence="super")
        native.post("rules", json={"name": "a" * 60, "pattern": "/" + "b" * 200 + "/"})
        native.post(f"virtual-services/{index}/rules", json={"list": "pre", "rule": "a" * 60})
        services["Long"] = index
    index = services["Long"]
    server = native.get(f"virtual-services/{index}").json()["servers"][0]["index"]
    with rig.screen(width=width, theme=theme) as screen:
        for name, path in (
            ("service", f"/virtual-services/{index}"),
            ("real-server", f"/virtual-services/{index}/real-servers/{server}"),
            ("checks", f"/virtual-services/{index}/real-servers/{server}/checks"),
            ("real-server-add", f"/virtual-services/{index}/real-servers/add"),
            ("service-access", f"/virtual-services/{index}/access"),
            ("rule", f"/content-rules/{'a' * 60}"),
        ):
            page = screen.open(path)
            page.evaluate("document.querySelectorAll('details.section').forEach((one) => { one.open = true })")
            screen.must_be_accessible()
            assert not screen.sideways()
            screen.keep(f"{name}-{width}-{theme}")
        screen.must_be_clean()
