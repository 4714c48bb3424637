"""Tasks on the pages of the appliance itself: a password that no page holds, a test event, an order that fails."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect
from tests.browser.rig import Rig, Screen
from tests.support.ports import free_port

pytestmark = [pytest.mark.browser, pytest.mark.needs("chromium", "haproxy"), pytest.mark.timeout(180)]


def test_a_typed_password_survives_the_review_and_is_never_on_the_page(rig: Rig, screen: Screen) -> None:
    page = screen.open("/email-options")
    page.get_by_label("SMTP Server").fill("127.0.0.1")
    page.get_by_label("Authorization Password").fill("open sesame")
    page.keyboard.press("Tab")
    # the form is drawn anew after each field
    expect(page.locator(".bar .count")).to_have_text("2 changes")
    page.get_by_role("button", name="Review changes", exact=True).click()
    expect(page.locator("#outcome")).to_contain_text("Authorization Password")
    assert "open sesame" not in page.content()
    page.get_by_role("button", name="Apply", exact=True).click()
    expect(page.locator("#notices")).to_contain_text("2 changes applied")
    expect(page.get_by_label("Authorization Password")).to_have_value("")
    shown = rig.steelyard.native.get("parameters/email").json()
    assert shown["server"] == "127.0.0.1"
    assert "open sesame" not in str(shown)
    page.get_by_role("button", name="Send a test event").click()
    expect(page.locator("#notices")).to_contain_text(re.compile("test event"))
    screen.open("/events")
    expect(page.locator("#events")).to_contain_text("test")


def test_an_authority_that_does_not_answer_is_said_with_what_to_do(rig: Rig, screen: Screen) -> None:
    page = screen.open("/acme/accounts/add")
    page.get_by_label("Account", exact=True).fill("nobody")
    page.get_by_label("Directory URL").fill(f"https://127.0.0.1:{free_port()}/directory")
    page.get_by_role("button", name="Add Account", exact=True).click()
    expect(page.get_by_role("heading", level=1)).to_have_text("nobody")
    page.get_by_role("button", name="Register", exact=True).click()
    expect(page.locator("#notices .notice.down")).to_be_visible()
    expect(page.locator("#registration")).to_contain_text("Not registered")
    screen.must_be_accessible()
    page.get_by_role("link", name="Forget").click()
    page.get_by_role("button", name="Forget it").click()
    expect(page.locator("#notices")).to_contain_text("was forgotten")
