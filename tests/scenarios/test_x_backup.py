"""A whole deployment by clicks alone, then a backup, a factory reset and a restore: it behaves as before.

The deployment is the one of web services of a Front End pool with TLS in the middle: the chain's intermediate, the
pool's certificate, HTTP and HTTPS for clients inside and outside, affinity by the server's own cookie, global options.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Page, expect
from tests.browser.rig import Rig
from tests.scenarios.site import wait_until
from tests.support.certificates import authority, leaf
from tests.support.clients import fetch
from tests.support.origin import Origin
from tests.support.ports import free_port

pytestmark = [pytest.mark.browser, pytest.mark.needs("chromium", "haproxy"), pytest.mark.timeout(240)]

ROOT = authority("Backup Root")
MIDDLE = authority("Backup Issuing", issuer=ROOT)
POOL = leaf("poolweb.example", "meet.example", issuer=MIDDLE, kind="ec")
INSIDE = leaf("fe.inside.example", kind="ec")
SECRET, AFTERWARDS = "kept in a safe place", "a new beginning"
#: milliseconds a start takes on a machine that is busy with other tests
_STARTED = 60.0


@pytest.fixture(scope="module")
def rig() -> Iterator[Rig]:
    with Rig() as made:
        yield made


def go(page: Page, group: str, name: str) -> None:
    """Open a page by the menu."""
    menu = page.get_by_role("navigation", name="Main menu")
    link = menu.get_by_role("link", name=name, exact=True)
    if not link.is_visible():
        menu.get_by_text(group, exact=True).click()
    link.click()


def press(page: Page, name: str) -> None:
    page.get_by_role("button", name=name, exact=True).click()


class Deployment:
    """Two Front Ends, and where Steelyard serves them."""

    def __init__(self, rig: Rig, stack: ExitStack) -> None:
        self.rig = rig
        self.plain, self.secure, self.outside = free_port(), free_port(), free_port()
        addresses = {"fe1": "127.0.0.41", "fe2": "127.0.0.42"}
        self.ends = [
            stack.enter_context(Origin(name, address=at, tls=INSIDE.server_context())) for name, at in addresses.items()
        ]
        self.webs = [stack.enter_context(Origin(name, address=at)) for name, at in addresses.items()]
        for number, each in enumerate(self.ends, 1):
            each.statuses["/abs/handler"] = 401
            each.set_cookies = [f"Session=of-fe{number}-{id(each)}"]
        for each in self.webs:
            each.statuses["/abs/handler"] = 403

    def behaviour(self) -> dict[str, Any]:
        """What clients see: certificate and chain, which server follows a cookie, what a server is told."""
        urls = [f"https://127.0.0.1:{port}/mcx" for port in (self.secure, self.outside)]
        found: dict[str, Any] = {}
        for url in urls:
            first = fetch(url, sni="poolweb.example", ca=ROOT)
            cookie = first.header("set-cookie") or ""
            again = {
                fetch(url, sni="meet.example", ca=ROOT, headers={"Cookie": cookie.partition(";")[0]}).name
                for _ in range(4)
            }
            found[url] = (first.fingerprint, first.json["tls"], again == {first.name}, first.seen_headers["host"])
        plain = fetch(f"http://127.0.0.1:{self.plain}/root.crt")
        found["plain"] = (plain.status, plain.json["tls"])
        status = self.rig.steelyard.native.get("status").json()["services"]
        found["status"] = {one["name"]: one["status"] for one in status}
        return found


def service(page: Page, name: str, port: int, origins: list[Origin], check: str, url: str, *, secure: bool) -> None:
    go(page, "Virtual Services", "Add New")
    page.get_by_label("Virtual Address").fill("127.0.0.1")
    page.get_by_label("Port", exact=True).fill(str(port))
    page.get_by_label("Service Name").fill(name)
    page.get_by_label("Service Type").select_option("http")
    if secure:
        page.locator("#row-ssl_acceleration .switch").click()
        page.get_by_role("checkbox", name="LyncWebPool").check()
        page.locator("#row-ssl_reencrypt .switch").click()
    press(page, "Add this Virtual Service")
    page.get_by_role("link", name="Add the first real server").click()
    for origin in origins:
        page.get_by_label("Real Server Address").fill(origin.address)
        page.get_by_label("Port", exact=True).fill(str(origin.port))
        press(page, "Add This Real Server")
        expect(page.locator("#notices")).to_contain_text("Real server made")
        expect(page.get_by_label("Real Server Address")).to_have_value("")
    page.locator(".above").click()
    page.get_by_label("Real Server Check Method").select_option(check)
    page.get_by_label("Check URL").fill(url)
    if secure:
        page.get_by_label("Persistence Mode").select_option("cookie")
        page.get_by_label("Cookie or header name").fill("Session")
    page.get_by_label("Idle Connection Timeout").fill("1800")
    press(page, "Review changes")
    press(page, "Apply")
    expect(page.locator("#notices")).to_contain_text("changes applied")


def all_up(rig: Rig) -> bool:
    status = rig.steelyard.native.get("status").json()["services"]
    return len(status) == 3 and all(one["status"] == "Up" for one in status)


@pytest.fixture
def deployment(rig: Rig) -> Iterator[Deployment]:
    with ExitStack() as stack:
        yield Deployment(rig, stack)


@pytest.mark.requirement("X-01")
def test_x_01_a_deployment_made_by_clicks_is_the_same_after_backup_reset_and_restore(
    rig: Rig, deployment: Deployment, tmp_path: Path
) -> None:
    rig.steelyard.native.patch("parameters/checks", json={"interval": 2, "timeout": 1, "retries": 1})
    with rig.screen() as screen:
        page = screen.open("/")
        go(page, "Certificates & Security", "Intermediate Certs")
        page.get_by_label("Name", exact=True).fill("Issuing.pem")
        page.get_by_label("or pasted text").fill(MIDDLE.pem.decode())
        press(page, "Import")
        expect(page.locator("main")).to_contain_text("Backup Issuing")
        go(page, "Certificates & Security", "SSL Certificates")
        page.get_by_role("link", name="Import Certificate").click()
        page.get_by_label("Identifier").fill("LyncWebPool")
        page.locator("#file").set_input_files(
            {"name": "pool.pfx", "mimeType": "application/x-pkcs12", "buffer": POOL.pkcs12(b"password", chain=False)}
        )
        page.get_by_label("Pass phrase").fill("password")
        press(page, "Import")
        expect(page.locator("main")).to_contain_text("LyncWebPool")
        page.goto(f"{rig.steelyard.url}/templates/of/Lync Internal 2013 DNS/prerequisites")
        press(page, "Set them")
        ends, webs = deployment.ends, deployment.webs
        service(page, "FE Pool HTTPS", deployment.secure, ends, "https", "/abs/handler", secure=True)
        service(page, "FE Pool HTTP", deployment.plain, webs, "http", "/meet/blank.html", secure=False)
        service(page, "FE Pool External", deployment.outside, ends, "https", "/abs/handler", secure=True)
        wait_until("all are up", lambda: all_up(rig), _STARTED)
        before, configured = deployment.behaviour(), rig.steelyard.native.get("configuration").json()
        assert all(value[2] for url, value in before.items() if url.startswith("https"))

        go(page, "System Configuration", "Backup/Restore")
        page.get_by_label("Password of the backup").fill(SECRET)
        page.get_by_label("The same again").fill(SECRET)
        with page.expect_download() as download:
            press(page, "Create Backup File")
        file = tmp_path / "everything.steelyard"
        download.value.save_as(file)
        assert POOL.key_pem.split(b"\n")[1] not in file.read_bytes()

        go(page, "System Configuration", "Factory Reset")
        page.get_by_label("New password of bal").fill(AFTERWARDS)
        page.get_by_label("The same again").fill(AFTERWARDS)
        page.get_by_label(re.compile("Type reset")).fill("reset")
        press(page, "Reset to factory settings")
        expect(page.locator("#outcome")).to_contain_text("Everything is reset")
    old, rig.steelyard.password = rig.steelyard.password, AFTERWARDS
    rig.forget_sign_in()
    wait_until("it is empty", lambda: _services(rig) == [], _STARTED)
    with pytest.raises(OSError):
        fetch(f"http://127.0.0.1:{deployment.plain}/", timeout=1)

    with rig.screen(signed_in=False) as screen:
        rig.sign_in(screen)
        page = screen.open("/backup")
        for password, outcome in (("another one", "password"), (SECRET, "What the file changes")):
            page.get_by_label("Backup File", exact=True).set_input_files(file)
            page.get_by_label("Password, if it was made with one").fill(password)
            page.locator("form", has_text="Restore Backup").get_by_role("button", name="Review").click()
            expect(page.locator("main")).to_contain_text(outcome)
        press(page, "Restore")
        expect(page.get_by_label("Password")).to_be_visible()
    rig.steelyard.password = old
    wait_until("all are up", lambda: all_up(rig), _STARTED)
    assert rig.steelyard.native.get("configuration").json() == configured
    assert deployment.behaviour() == before


def _services(rig: Rig) -> list[object] | None:
    try:
        answer = rig.steelyard.native.get("virtual-services")
    except httpx.TransportError:  # it starts anew
        return None
    return list(answer.json()) if answer.status_code == 200 else None
