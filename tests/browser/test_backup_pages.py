"""Backup, factory reset and restore by a person at the web interface: afterwards clients get what they got before."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Page, expect
from tests.browser.rig import Rig
from tests.scenarios.site import wait_until
from tests.support.certificates import authority, leaf
from tests.support.clients import Reply, fetch
from tests.support.ports import free_port

pytestmark = [pytest.mark.browser, pytest.mark.needs("chromium", "haproxy"), pytest.mark.timeout(180)]

PASSWORD = "a pass phrase of the file"
AFTERWARDS = "after the reset 1"


def _answer(port: int) -> Reply | None:
    try:
        return fetch(f"https://127.0.0.1:{port}/")
    except OSError:
        return None


def _is_up(port: int) -> bool:
    found = _answer(port)
    return found is not None and found.status == 200


def _choose(page: Page, file: Path, password: str) -> None:
    page.get_by_label("Backup File", exact=True).set_input_files(file)
    page.get_by_label("Password, if it was made with one").fill(password)
    page.locator("form", has=page.get_by_label("Backup File", exact=True)).get_by_role("button", name="Review").click()


def test_everything_is_saved_cleared_and_brought_back(rig: Rig, tmp_path: Path) -> None:
    one, trusted = rig.origin(), leaf("desk.example", issuer=authority("Desk Root"))
    port, native = free_port(), rig.steelyard.native
    native.post("certificates", json={"name": "desk", "pem": trusted.bundle().decode()}).raise_for_status()
    rig.service("desk", one, port=port, ssl_acceleration=True, certificates=["desk"])
    wait_until("it serves", lambda: _is_up(port), 20)
    before = native.get("configuration").json()
    file = tmp_path / "everything.steelyard"

    with rig.screen() as screen:
        page = screen.open("/menu/System Configuration > System Administration > Backup/Restore")
        expect(page.get_by_role("heading", level=1)).to_have_text("Backup/Restore")
        page.get_by_label("Password of the backup").fill(PASSWORD)
        page.get_by_label("The same again").fill(PASSWORD)
        with page.expect_download() as download:
            page.get_by_role("button", name="Create Backup File", exact=True).click()
        download.value.save_as(file)
        assert file.read_bytes().startswith(b"STEELYARD-BACKUP 1\n")
        screen.must_be_accessible()

        page = screen.open("/factory-reset")
        screen.must_be_accessible()
        page.get_by_label("New password of bal").fill(AFTERWARDS)
        page.get_by_label("The same again").fill(AFTERWARDS)
        page.get_by_label("Type reset to go on").fill("reset")
        page.get_by_role("button", name="Reset to factory settings").click()
        expect(page.get_by_role("heading", name="Everything is reset")).to_be_visible()
        screen.must_be_accessible()
        wait_until("traffic has ended", lambda: _answer(port) is None, 20)

        wait_until("it is up again", lambda: _answers(rig), 30)
        page.get_by_role("link", name="Sign in").click()
        page.get_by_label("User").fill("bal")
        page.get_by_label("Password").fill(AFTERWARDS)
        page.get_by_role("button", name="Sign in").click()
        page.wait_for_url(lambda url: "sign-in" not in url)
        page = screen.open("/backup")
        _choose(page, file, "not the right one")
        expect(page.get_by_role("alert")).to_contain_text("does not open the backup")
        _choose(page, file, PASSWORD)
        expect(page.locator("#outcome")).to_contain_text("desk")
        expect(page.locator("#outcome")).to_contain_text("you are asked to sign in again")
        assert PASSWORD not in page.content()
        screen.must_be_accessible()
        page.locator("#outcome").get_by_role("button", name="Restore", exact=True).click()
        page.wait_for_url("**/sign-in**")
        rig.forget_sign_in()
        rig.sign_in(screen)
        expect(page.get_by_role("heading", level=1)).to_be_visible()
        page = screen.open("/history")
        expect(page.locator("main")).to_contain_text("restore a backup of revision")
    wait_until("it serves again", lambda: _is_up(port), 20)
    found = _answer(port)
    assert found is not None
    assert found.fingerprint == trusted.fingerprint
    assert rig.steelyard.native.get("configuration").json() == before


def _answers(rig: Rig) -> bool:
    try:
        return fetch(rig.steelyard.url + "/sign-in").status == 200
    except OSError:
        return False
