"""Certificates ordered by ACME, OCSP and revocation lists as pages."""

from __future__ import annotations

import io
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.support import certificates
from tests.support.fake_appliance import PASSWORD, FakeAppliance
from tests.support.web_forms import fields_of
from tests.unit.web.rig import Browser

from steelyard.appliance.stapling import Stapling
from steelyard.model.acme_problem import AuthorityRefused
from steelyard.model.certificate import read_certificates
from steelyard.model.commands import AddIntermediates, AddService, AddUser, ChangeAcmeCertificate, ChangeService
from steelyard.model.configuration import Configuration
from steelyard.web.pages import acme

ACCOUNT = "/acme/accounts/of/letsencrypt"


@pytest.fixture
def browser(monkeypatch: pytest.MonkeyPatch) -> Iterator[Browser]:
    # an order of the authority in memory takes as long as the machine is busy
    monkeypatch.setattr(acme, "_PATIENCE_SECONDS", 60)
    found = Browser(FakeAppliance())
    found.execute(AddService({"address": "192.0.2.10", "port": 80, "name": "shop", "service_type": "http"}))
    with found.client:
        yield found


@pytest.fixture
def registered(browser: Browser) -> Browser:
    answer = browser.post(f"{ACCOUNT}/register", {"email": "ops@example.com", "agree_terms": "1"})
    assert answer.status_code == 303
    return browser


def configured(browser: Browser) -> Configuration:
    return browser.appliance.configuration


def order(browser: Browser, name: str = "shop", **typed: Any) -> Any:
    settings: dict[str, Any] = {"domains": "shop.example\nwww.shop.example", "automatic": None, **typed}
    return browser.send("/acme/certificates/add", "apply", name=name, **settings)


# ------------------------------------------------------------------------------------------------------------- accounts


def test_the_first_page_leads_to_a_registration_and_then_to_an_order(browser: Browser) -> None:
    page = browser.get("/acme")
    assert "Register with Let's Encrypt" in page
    assert "Order Certificate" not in page
    refused = browser.post(f"{ACCOUNT}/register", {"email": "ops@example.com"})
    assert refused.status_code == 303
    assert "https://ca.example/terms" in browser.get(ACCOUNT)
    assert not configured(browser).acme_accounts
    browser.post(f"{ACCOUNT}/register", {"email": "ops@example.com", "agree_terms": "1"})
    assert configured(browser).acme_accounts["letsencrypt"].registered
    assert "Order the first certificate" in browser.get("/acme")
    assert "ops@example.com" in browser.get("/acme")


def test_another_authority_is_named_with_its_binding_and_its_key_is_never_shown(browser: Browser) -> None:
    answer = browser.send(
        "/acme/accounts/add",
        "apply",
        name="own",
        directory_url="https://ca.example/directory",
        kid="k1",
        hmac="c2VjcmV0LWhtYWMta2V5",
    )
    assert answer.headers["location"] == "/acme/accounts/of/own"
    page = browser.get("/acme/accounts/of/own")
    assert "c2VjcmV0" not in page
    assert configured(browser).acme_accounts["own"].hmac_place
    assert browser.apply("/acme/accounts/of/own", email="new@example.com").status_code == 303
    assert configured(browser).acme_accounts["own"].email == "new@example.com"
    assert configured(browser).acme_accounts["own"].hmac_place, "what is not typed stays"
    again = browser.send("/acme/accounts/add", "apply", name="own", directory_url="https://other.example/")
    assert again.headers["location"] == "/acme/accounts/of/own"
    assert configured(browser).acme_accounts["own"].directory_url == "https://ca.example/directory"
    assert "Forget" in browser.get("/acme/accounts/of/own")
    browser.post("/acme/accounts/of/own/remove", {})
    assert "own" not in configured(browser).acme_accounts


# --------------------------------------------------------------------------------------------------------------- orders


def test_a_certificate_is_ordered_shown_and_renewed_no_more(registered: Browser) -> None:
    browser = registered
    form = browser.form("/acme/certificates/add")
    assert form["proof"] == ["1"], "the service that could answer is chosen"
    assert order(browser).headers["location"] == "/acme/certificates/of/shop"
    made = configured(browser).acme_certificates["shop"]
    assert (made.domains, made.challenge_services) == (("shop.example", "www.shop.example"), (1,))
    assert "Not ordered yet" in browser.get("/acme")
    answer = browser.post("/acme/certificates/of/shop/order", {})
    assert answer.headers["location"] == "/acme/certificates/of/shop"
    page = browser.get("/acme/certificates/of/shop")
    assert "Certificate shop was issued." in page
    assert "shop" in configured(browser).certificates
    assert "Valid" in browser.get("/acme")
    browser.post("/acme/certificates/of/shop/remove?keep=1", {})
    assert not configured(browser).acme_certificates
    assert "shop" in configured(browser).certificates


def test_a_certificate_that_a_service_uses_is_not_removed(registered: Browser) -> None:
    browser = registered
    order(browser)
    browser.post("/acme/certificates/of/shop/order", {})
    browser.execute(ChangeService(1, {"ssl_acceleration": True, "certificates": ("shop",)}))
    assert ">shop</a>" in browser.get("/acme/certificates/of/shop")
    assert "That cannot be done now" in browser.get("/acme/certificates/of/shop/remove")
    browser.post("/acme/certificates/of/shop/remove", {})
    assert "shop" in configured(browser).certificates


def test_an_order_that_fails_says_why_and_what_to_do(registered: Browser) -> None:
    browser = registered
    order(browser)
    browser.appliance.authorities.objects["order"] = AuthorityRefused(
        "the authority allows no more orders <b>", remedy="Wait an hour", code="rateLimited"
    )
    browser.post("/acme/certificates/of/shop/order", {})
    page = browser.get("/acme/certificates/of/shop")
    assert 'role="alert"' in page
    assert "The authority allows no more orders &lt;b&gt;" in page
    assert "Wait an hour" in page
    assert "Failed" in browser.get("/acme")


def test_a_dry_run_proves_the_names_and_changes_nothing(registered: Browser) -> None:
    browser = registered
    order(browser)
    revision = browser.appliance.snapshot().revision
    browser.post("/acme/certificates/of/shop/rehearse", {})
    assert "The dry run was good" in browser.get("/acme/certificates/of/shop")
    assert browser.appliance.snapshot().revision == revision


def test_a_wildcard_needs_a_dns_provider_and_the_form_asks_for_it(registered: Browser) -> None:
    browser = registered
    assert "dns_provider" not in browser.form("/acme/certificates/add")
    refused = order(browser, "wild", domains="*.shop.example")
    assert refused.status_code == 200
    assert "is a wildcard" in refused.text
    form = {**fields_of(refused.text), "proof": "0"}
    drawn = browser.post("/acme/certificates/add", form, htmx=True)
    assert "dns_provider" in fields_of(drawn.text)
    made = browser.send("/acme/dns-providers/add", "apply", name="hook", program="add-record")
    assert made.status_code == 303
    assert configured(browser).dns_providers["hook"].program == "add-record"
    drawn = browser.post("/acme/certificates/add", form, htmx=True)
    browser.post("/acme/certificates/add", {**fields_of(drawn.text), "dns_provider": "hook", "_step": "apply"})
    assert configured(browser).acme_certificates["wild"].dns_provider == "hook"
    assert "That cannot be done now" in browser.get("/acme/dns-providers/of/hook/remove")


def test_a_list_of_ways_stays_when_something_else_is_changed(registered: Browser) -> None:
    browser = registered
    browser.execute(AddService({"address": "192.0.2.11", "port": 80, "name": "other", "service_type": "http"}))
    order(browser, proof="1")
    browser.execute(ChangeAcmeCertificate("shop", {"challenge_services": (1, 2)}))
    assert browser.form("/acme/certificates/of/shop")["proof"] == ["1 2"]
    assert browser.apply("/acme/certificates/of/shop", key_type="ec-p256").status_code == 303
    made = configured(browser).acme_certificates["shop"]
    assert (made.challenge_services, made.key_type) == ((1, 2), "ec-p256")


def test_a_dns_provider_shows_what_its_kind_uses_and_never_its_key(browser: Browser) -> None:
    form = browser.form("/acme/dns-providers/add")
    assert "program" in form
    assert "server" not in form
    drawn = browser.post("/acme/dns-providers/add", {**form, "kind": "rfc2136"}, htmx=True)
    fields = fields_of(drawn.text)
    assert "server" in fields
    assert "program" not in fields
    typed = {"name": "dns", "server": "192.0.2.53", "key_name": "steelyard", "key": "c2VjcmV0", "_step": "apply"}
    assert browser.post("/acme/dns-providers/add", {**fields, **typed}).status_code == 303
    assert configured(browser).dns_providers["dns"].key_place
    assert "c2VjcmV0" not in browser.get("/acme/dns-providers/of/dns")
    assert browser.apply("/acme/dns-providers/of/dns", ttl="30").status_code == 303
    assert configured(browser).dns_providers["dns"].key_place


def test_live_values_say_how_orders_stand(registered: Browser) -> None:
    browser = registered
    order(browser)
    page = browser.get("/acme")
    assert 'data-live="acme.shop.cell"' in page
    assert "/live/acme" in page


def test_who_may_not_sees_no_buttons_and_is_refused(browser: Browser) -> None:
    browser.execute(AddUser("viewer", browser.appliance.hash_password(PASSWORD)))
    viewer = Browser(browser.appliance, "viewer")
    page = viewer.get(ACCOUNT)
    assert "Register" not in page.replace("Registered", "").replace("Registration", "")
    assert viewer.post(f"{ACCOUNT}/register", {"agree_terms": "1"}).status_code == 403


def test_the_time_of_renewal_is_a_parameter(browser: Browser) -> None:
    assert browser.apply("/acme/parameters", renew_days="20").status_code == 303
    assert configured(browser).acme.renew_days == 20


# ----------------------------------------------------------------------------------------------------------------- OCSP


def test_ocsp_is_set_and_stapling_is_shown(browser: Browser) -> None:
    assert "Stapling is off" in browser.get("/ocsp")
    assert browser.apply("/ocsp", stapling="1", ocsp_server="ocsp.example").status_code == 303
    assert (configured(browser).tls.stapling, configured(browser).tls.ocsp_server) == (True, "ocsp.example")
    now = datetime.now(UTC)
    browser.appliance.staplings = (
        Stapling("good", "http://a.example", now, now + timedelta(hours=5), now, now + timedelta(hours=1)),
        Stapling("bad", "http://b.example", failures=2, trouble="no answer in 5 s <b>"),
        Stapling("silent", "", never="the certificate names no responder"),
    )
    page = browser.get("/ocsp")
    assert "Stapled" in page
    assert "Failing" in page
    assert "no answer in 5 s &lt;b&gt;" in page
    assert "names no responder" in page
    assert browser.apply("/ocsp/tls-sessions", session_tickets=None).status_code == 303
    assert not configured(browser).tls.session_tickets


def send_list(browser: Browser, content: bytes, **fields: str) -> Any:
    token = fields_of(browser.get("/virtual-services/add"))["csrf"][0]
    return browser.client.post(
        "/revocation-lists", data={"csrf": token, **fields}, files={"file": ("clients.crl", io.BytesIO(content))}
    )


def test_a_revocation_list_comes_is_replaced_and_goes(browser: Browser, tmp_path: Path) -> None:
    root = certificates.authority("Clients")
    refused = send_list(browser, certificates.revocation_list(root))
    assert refused.status_code == 422
    assert "no certificate here signed it" in refused.text
    browser.execute(AddIntermediates("clients-ca", read_certificates(root.pem)))
    assert send_list(browser, certificates.revocation_list(root)).status_code == 303
    page = browser.get("/revocation-lists")
    assert "clients-ca" in page
    assert "Counts" in page
    assert send_list(browser, b"nonsense", name="clients").status_code == 422
    assert send_list(browser, certificates.revocation_list(root), name="clients").status_code == 303
    assert "replaced" in browser.get("/revocation-lists")
    browser.post("/revocation-lists/clients/remove", {})
    assert not configured(browser).revocation_lists
