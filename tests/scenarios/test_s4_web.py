"""Two arms, install to test, by clicks: the menu's paths, templates, certificates, services, real servers."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect
from tests.browser.rig import Rig, Screen
from tests.support import certificates
from tests.support.clients import fetch
from tests.support.ports import free_port

from steelyard import __version__

pytestmark = [pytest.mark.browser, pytest.mark.needs("chromium", "haproxy")]

#: milliseconds within which a check has been made and its verdict shown, on a machine that is busy with other tests
_CHECKED = 40_000
_OWN = """
templates:
- {name: Our Pool, comment: Two doors of a pool, services: [{name: Front, port: 4443}, {name: Back, port: 8080}]}
- {name: Our Farm, comment: One door of a farm, services: [{name: Farm, port: 443}]}
"""


@pytest.fixture(scope="module")
def rig() -> Iterator[Rig]:
    with Rig() as made:
        made.steelyard.native.patch("parameters/checks", json={"interval": 2, "timeout": 1, "retries": 1})
        yield made


@pytest.fixture
def screen(rig: Rig) -> Iterator[Screen]:
    with rig.screen() as made:
        yield made
        made.must_be_clean()


def go(page: Page, group: str, name: str) -> None:
    """Open a page by the menu."""
    menu = page.get_by_role("navigation", name="Main menu")
    link = menu.get_by_role("link", name=name, exact=True)
    if not link.is_visible():
        menu.get_by_text(group, exact=True).click()
    link.click()


def press(page: Page, name: str) -> None:
    page.get_by_role("button", name=name, exact=True).click()


# --- where things are

_SHIPPED = ("Lync Reverse Proxy 2013", "Lync Internal 2013 HLB Only", "Lync Office Web Apps Server 2013")


#: paths of the menu, also those of the releases the deployments were written for, and what is found there
_PATHS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("Virtual Services > Add New", ("Virtual Address", "Port", "Protocol", "Service Name", "Use Template")),
    ("Virtual Services > View/Modify Services", ("Virtual Services",)),
    ("Virtual Services > Manage Templates", ("File", "Import", *_SHIPPED)),
    (
        "System Configuration > Miscellaneous Options > Network Options",
        ("Enable Server NAT", "Subnet Originating Requests"),
    ),
    (
        "System Configuration > Miscellaneous Options > L7 Configuration",
        ("Drop Connections on RS Failure", "L7 Connection Drain Time", "L7 Transparency"),
    ),
    ("Certificates > SSL Certificates", ("Import Certificate", "Generate CSR")),
    ("Certificates > Intermediate Certs", ("Name", "or pasted text", "Import")),
    ("System Configuration > Local DNS Configuration > Hostname Configuration", ("Hostname",)),
    ("System Configuration > Local DNS Configuration > DNS Configuration", ("Name servers",)),
    ("System Configuration > Route Management > Default Gateway", ("IPv4", "IPv6")),
    ("System Configuration > Interfaces", ("Hardware address",)),
    ("System Configuration > Interfaces > eth0", ("Interfaces",)),
    ("System Configuration > eth1 > VLAN Configuration", ("Interfaces",)),
    ("Rules & Checking > Content Rules", ("Content Rules",)),
    ("Rules & Checking > Check Parameters", ("Check Interval", "Connect Timeout", "Retry Count")),
    ("Real Servers", ("Real Servers",)),
    ("Statistics > Real Time Statistics", ("Real Time Statistics",)),
    ("System Configuration > Logging Options > Extended Log Files", ("Events",)),
    ("System Configuration > System Administration > Backup/Restore", ("Backup",)),
)


@pytest.mark.requirement("X-03")
def test_x_03_every_menu_path_leads_to_its_options(screen: Screen) -> None:
    missing = []
    for path, labels in _PATHS:
        answer = screen.page.goto(f"{screen.rig.steelyard.url}/menu/{path.replace(' > ', ' / ')}")
        assert answer is not None
        shown = screen.page.locator("main").inner_text()
        missing += [(path, answer.status, label) for label in labels or ("",) if label.lower() not in shown.lower()]
        missing += [(path, answer.status, "")] if answer.status != 200 else []
    assert not missing


@pytest.mark.requirement("S4-67")
def test_s4_67_home_says_version_and_platform(screen: Screen) -> None:
    page = screen.open("/")
    expect(page.locator("main")).to_contain_text(f"Vers: {__version__} (Linux ")


@pytest.mark.requirement("S4-15")
def test_s4_15_the_web_interface_asks_who_one_is(rig: Rig) -> None:
    with rig.screen(signed_in=False) as screen:
        page = screen.open("/virtual-services")
        expect(page).to_have_url(re.compile("^https://.*/sign-in"))
        page.get_by_label("User").fill(rig.steelyard.user)
        page.get_by_label("Password").fill("1fourall")
        press(page, "Sign in")
        expect(page.get_by_role("alert")).to_be_visible()


# --- templates


@pytest.mark.requirement("S4-23", "S4-24", "S4-28")
def test_s4_23_templates_of_a_file_are_imported_used_and_deleted(rig: Rig, screen: Screen) -> None:
    page = screen.open("/")
    go(page, "Virtual Services", "Manage Templates")
    page.get_by_label("File").set_input_files({"name": "ours.yaml", "mimeType": "text/yaml", "buffer": _OWN.encode()})
    press(page, "Import")
    for name, comment in (("Our Pool", "Two doors of a pool"), ("Our Farm", "One door of a farm")):
        expect(page.get_by_role("row", name=re.compile(name))).to_contain_text(comment)
    go(page, "Virtual Services", "Add New")
    offered = page.get_by_label("Use Template").locator("option").all_text_contents()
    assert {"Our Pool", "Our Farm", *_SHIPPED} <= set(offered)
    page.get_by_label("Use Template").select_option("Our Pool")
    press(page, "Open")
    page.get_by_label("Virtual Address").fill("127.0.0.1")
    page.get_by_label("Port of the first service").fill(str(free_port()))
    press(page, "Review")
    expect(page.locator("#outcome")).to_contain_text("Front")
    press(page, "Make 2 services")
    expect(page.locator("#rows")).to_contain_text("Front")
    page.goto(f"{rig.steelyard.url}/templates/of/Our Pool")
    page.get_by_role("link", name="Delete").click()
    press(page, "Delete")
    expect(page.get_by_role("row", name=re.compile("Our Pool"))).to_have_count(0)
    go(page, "Virtual Services", "View/Modify Services")
    expect(page.locator("#rows")).to_contain_text("Back")
    rig.clear()


@pytest.mark.requirement("S4-69")
def test_s4_69_what_the_lync_templates_count_on_is_set_by_one_button(rig: Rig, screen: Screen) -> None:
    page = screen.open("/templates/of/Lync Internal 2013 HLB Only")
    expect(page.locator(".notice.warn")).to_contain_text("Enable Server NAT should be off")
    page.get_by_role("link", name="Set them all").click()
    expect(page.locator(".review")).to_contain_text("86400")
    press(page, "Set them")
    expect(page.locator("#notices")).to_contain_text("is in effect")
    expect(page.locator(".notice.warn")).to_have_count(0)
    native = rig.steelyard.native
    network, layer7 = native.get("parameters/network").json(), native.get("parameters/layer7").json()
    assert (network["server_nat"], network["subnet_originating"]) == (False, True)
    assert (layer7["drop_on_failure"], layer7["drain_time"]) == (True, 86400)
    native.post("rollback", json={"revision": native.get("history").json()[1]["number"]})


@pytest.mark.requirement("S4-17", "S4-18", "S4-20")
def test_s4_20_the_global_options_are_set_where_the_menu_has_them(rig: Rig, screen: Screen) -> None:
    page = screen.open("/")
    go(page, "System Configuration", "L7 Configuration")
    page.get_by_label("L7 Connection Drain Time").fill("86401")
    press(page, "Review changes")
    expect(page.locator("main")).to_contain_text("86400")
    assert rig.steelyard.native.get("parameters/layer7").json()["drain_time"] != 86401
    page.get_by_label("L7 Connection Drain Time").fill("86400")
    press(page, "Review changes")
    press(page, "Apply")
    expect(page.locator("#notices")).to_contain_text("change applied")
    assert rig.steelyard.native.get("parameters/layer7").json()["drain_time"] == 86400
    go(page, "System Configuration", "Network Options")
    page.locator("#row-server_nat .switch").click()
    press(page, "Review changes")
    press(page, "Apply")
    expect(page.locator("#notices")).to_contain_text("change applied")
    assert rig.steelyard.native.get("parameters/network").json()["server_nat"] is False


# --- certificates and services


@pytest.mark.requirement("S4-29", "S4-33")
def test_s4_33_certificates_are_imported_and_several_assigned_to_a_service(rig: Rig, screen: Screen) -> None:
    port = free_port()
    issuer = certificates.authority("Web Issuer")
    meet = certificates.leaf("meet.example.com", issuer=issuer, kind="ec")
    wac = certificates.leaf("wac.example.com", issuer=issuer, kind="ec")
    page = screen.open("/")
    for name, each in (("meet", meet), ("wac", wac)):
        go(page, "Certificates & Security", "SSL Certificates")
        page.get_by_role("link", name="Import Certificate").click()
        page.get_by_label("Identifier").fill(name)
        file = {"name": f"{name}.pfx", "mimeType": "application/x-pkcs12", "buffer": each.pkcs12(b"password")}
        page.locator("#file").set_input_files(file)
        page.get_by_label("Pass phrase").fill("wrong")
        press(page, "Import")
        expect(page.get_by_role("alert")).to_contain_text(re.compile("password|pass phrase"))
        page.locator("#file").set_input_files(file)
        page.get_by_label("Pass phrase").fill("password")
        press(page, "Import")
        expect(page.locator("main")).to_contain_text(name)
    index = rig.service("Two names", rig.origin(), port=port, ssl_acceleration=True, check_type="tcp")
    page = screen.open(f"/virtual-services/{index}")
    page.locator("#section-ssl summary").click()
    for name in ("meet", "wac"):
        page.get_by_role("checkbox", name=re.compile(f"^{name}")).check()
    press(page, "Review changes")
    press(page, "Apply")
    expect(page.locator("#notices")).to_contain_text("applied")
    expect(page.locator("#section-ssl summary")).to_contain_text("2 certificates")
    for name, each in (("meet.example.com", meet), ("wac.example.com", wac)):
        shown = fetch(f"https://127.0.0.1:{port}/", sni=name, ca=issuer)
        assert shown.fingerprint == each.fingerprint
    rig.clear()


@pytest.mark.requirement("S4-42", "S4-44", "S4-45", "S4-52", "S4-71", "X-07")
def test_s4_44_a_service_gets_its_mode_and_three_real_servers_in_a_row(rig: Rig, screen: Screen) -> None:
    port = free_port()
    origins = [rig.origin(f"127.0.0.{number}", port) for number in (21, 22, 23)]
    index = rig.service("Pool", address="127.0.0.1", port=port, check_type="tcp")
    page = screen.open(f"/virtual-services/{index}")
    standard = page.locator("#section-standard")
    if not page.get_by_label("Persistence Mode").is_visible():
        standard.locator("summary").click()
    page.get_by_label("Persistence Mode").select_option(label="Super HTTP and Source IP Address")
    page.get_by_label("Scheduling Method").select_option(label="least connection")
    press(page, "Review changes")
    press(page, "Apply")
    expect(standard.locator("summary")).to_contain_text("least connection · Super HTTP and Source IP Address")

    page.get_by_role("link", name="Add the first real server").click()
    for origin in origins:
        expect(page.get_by_label("Port", exact=True)).to_have_value(str(port))
        page.get_by_label("Real Server Address").fill(origin.address)
        press(page, "Add This Real Server")
        expect(page.locator("#notices")).to_contain_text("Real server made")
        expect(page.get_by_label("Real Server Address")).to_have_value("")
    page.locator(".above").click()
    expect(page.locator("#servers .st")).to_have_text(["Up"] * 3, timeout=_CHECKED)

    other = rig.service("Second pool", port=free_port())
    page = screen.open(f"/virtual-services/{other}/real-servers/add")
    expect(page.locator(".hint", has_text="Known machines")).to_contain_text("127.0.0.22")
    page.get_by_role("link", name="127.0.0.22").click()
    expect(page.get_by_label("Real Server Address")).to_have_value("127.0.0.22")

    page = screen.open(f"/virtual-services/{index}")
    page.locator(".above").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Virtual Services")
    page.evaluate("window.untouched = true")
    row = page.locator(f"#vs{index} .st").first
    expect(row).to_have_class(re.compile(r"\bup\b"))
    green = row.evaluate("one => getComputedStyle(one).color")
    for origin in origins:
        origin.refuse()
    expect(row).to_have_class(re.compile(r"\bdown\b"), timeout=_CHECKED)
    assert row.evaluate("one => getComputedStyle(one).color") != green
    assert page.evaluate("window.untouched"), "it turned red without a reload"
    rig.clear()


@pytest.mark.requirement("S4-49", "S4-50")
def test_s4_49_the_gateway_of_a_service_is_under_its_advanced_properties(rig: Rig, screen: Screen) -> None:
    index = rig.service("Farm", port=free_port(), check_type="none")
    page = screen.open(f"/virtual-services/{index}")
    section = page.locator("details", has=page.locator("summary", has_text="Advanced Properties"))
    section.locator("summary").click()
    field = section.get_by_label("Service Specific Default Gateway")
    field.fill("127.0.0.1")
    press(page, "Review changes")
    expect(section).to_contain_text("is not the address of a host")
    rig.clear()
