"""The first start of a new appliance in a browser: three steps, by the keyboard too, at both widths, dark and light."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import expect
from tests.browser.rig import Rig, Screen
from tests.support.clients import fetch
from tests.support.namespaces import wait_until
from tests.support.steelyard_process import SteelyardProcess

pytestmark = [pytest.mark.browser, pytest.mark.needs("chromium", "haproxy"), pytest.mark.timeout(300)]

NEW = "a password of my own"


@pytest.fixture(scope="module")
def rig() -> Iterator[Rig]:
    """A Steelyard that nobody has set up, with the password its first start has shown."""
    steelyard = SteelyardProcess(password_given=False)
    with steelyard, Rig(steelyard) as made:
        shown = re.search(r"One-time password, shown only now: (\w+)", steelyard.log)
        assert shown is not None
        steelyard.password = shown.group(1)
        yield made


@pytest.fixture(scope="module")
def screen(rig: Rig) -> Iterator[Screen]:
    """One page for all steps: they follow each other."""
    with rig.screen(signed_in=False) as made:
        yield made
        made.must_be_clean()


def _looks(screen: Screen, name: str) -> None:
    """At both widths, dark and light: nothing sideways, nothing that keeps anybody out."""
    for width in (1280, 390):
        for theme in ("light", "dark"):
            screen.look(width, theme)
            assert not screen.sideways()
            if (width, theme) in ((1280, "dark"), (390, "light")):
                screen.must_be_accessible()
            screen.keep(f"first-start-{name}-{width}-{theme}")
    screen.look(1280, "light")


def test_nothing_is_there_before_it(rig: Rig, screen: Screen) -> None:
    assert fetch(f"{rig.steelyard.url}/access/listvs").status == 401
    assert rig.steelyard.native.get("virtual-services").status_code == 403
    page = screen.open("/")
    expect(page.get_by_text("First start")).to_be_visible()
    _looks(screen, "sign-in")
    page.get_by_label("User").fill("bal")
    page.get_by_label("Password").fill(rig.steelyard.password)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Licence")).to_be_visible()


@pytest.mark.requirement("S2-09", "S5-05")
def test_the_licence_by_the_keyboard_alone(screen: Screen) -> None:
    page = screen.page
    _looks(screen, "licence")
    expect(page.locator("[aria-current=step]")).to_contain_text("Licence")
    button = page.get_by_role("button", name="Accept and go on")
    button.click()
    expect(page.get_by_role("heading", name="Licence")).to_be_visible()
    page.get_by_role("region", name="Text of the licence").focus()
    page.keyboard.press("End")
    # not by Playwright's own waiting, which the policy of the page does not let evaluate anything
    wait_until(lambda: page.evaluate("document.querySelector('.licence').scrollTop > 0"))
    page.keyboard.press("Tab")
    expect(page.get_by_label("I accept the licence")).to_be_focused()
    page.keyboard.press("Space")
    page.keyboard.press("Tab")
    expect(button).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Choose a password")).to_be_visible()


@pytest.mark.requirement("S4-16", "S5-05")
def test_the_password(rig: Rig, screen: Screen) -> None:
    page = screen.page
    expect(page.get_by_label("New password", exact=True)).to_be_focused()
    page.keyboard.type(NEW)
    page.keyboard.press("Tab")
    page.keyboard.type("another one")
    page.keyboard.press("Enter")
    expect(page.get_by_text("The two passwords differ.")).to_be_visible()
    _looks(screen, "password")
    # the step is known when somebody comes back
    screen.open("/virtual-services")
    page.get_by_label("New password", exact=True).fill(NEW)
    page.get_by_label("New password again").fill(NEW)
    page.get_by_role("button", name="Set the password and go on").click()
    expect(page.get_by_role("heading", name="Addresses")).to_be_visible()
    rig.steelyard.password = NEW
    assert rig.steelyard.native.get("virtual-services").status_code == 200


@pytest.mark.requirement("S2-09")
def test_the_addresses_and_home(screen: Screen) -> None:
    page = screen.page
    address = page.get_by_label(re.compile("Network side"))
    if address.count():
        # of the host these tests run on: only what cannot be is sent
        address.fill("192.0.2.300/24")
        page.get_by_label("Manage this host's network here").check()
        page.get_by_role("button", name="Apply and finish").click()
        expect(page.get_by_text("is no address with a prefix length")).to_be_visible()
        _looks(screen, "addresses")
        page.get_by_role("button", name="Leave them as they are").click()
    else:
        _looks(screen, "addresses")
        page.get_by_role("button", name="Finish").click()
    expect(page.get_by_text("Steelyard is set up.")).to_be_visible()
    expect(page).to_have_title(re.compile("Home"))
    screen.open("/first-start/licence")
    expect(page).to_have_title(re.compile("Home"))


def test_a_restart_does_not_begin_it_again(rig: Rig, screen: Screen) -> None:
    rig.steelyard.restart()
    assert rig.steelyard.native.get("setup").json()["first_step"] == ""
