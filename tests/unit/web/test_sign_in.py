"""Signing in and out, one-time passwords, tokens of writes, roles, what other sites may ask."""

from __future__ import annotations

import re

import pytest
from starlette.testclient import TestClient
from tests.support.fake_appliance import PASSWORD, FakeAppliance
from tests.unit.web.rig import Browser

from steelyard.model.commands import AddService, AddUser, ChangePassword, RemoveUser, SetParameters
from steelyard.observe.events.log import Query
from steelyard.web.app import build_web_app
from steelyard.web.frame import COOKIE
from steelyard.web.sign_in import inside


def fields_of(page: str) -> dict[str, str]:
    """The hidden fields of a page's forms."""
    return dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', page))


def outside(appliance: FakeAppliance | None = None) -> TestClient:
    return TestClient(
        build_web_app(appliance or FakeAppliance()), base_url="https://lb1.example", follow_redirects=False
    )


def with_user(name: str, *permissions: str, one_time: bool = False) -> FakeAppliance:
    appliance = FakeAppliance()
    browser = Browser(appliance)
    browser.execute(AddUser(name, appliance.hash_password(PASSWORD), permissions, one_time))
    return appliance


def test_pages_ask_to_sign_in_first_and_go_on_where_one_was() -> None:
    client = outside()
    answer = client.get("/virtual-services?q=web")
    assert (answer.status_code, answer.headers["location"]) == (303, "/sign-in?next=/virtual-services%3Fq%3Dweb")
    page = client.get(answer.headers["location"])
    fields = fields_of(page.text)
    answer = client.post("/sign-in", data={**fields, "user": "bal", "password": PASSWORD})
    assert (answer.status_code, answer.headers["location"]) == (303, "/virtual-services?q=web")


@pytest.mark.parametrize("path", ["//evil.example", "/\\evil.example", "https://evil.example", "/\n/evil", ""])
def test_signing_in_never_leads_to_another_site(path: str) -> None:
    assert inside(path) == "/"


def test_the_cookie_is_for_this_host_tls_and_the_server_alone() -> None:
    answer = outside().post("/sign-in", data={"user": "bal", "password": PASSWORD})
    cookie = answer.headers["set-cookie"]
    assert cookie.startswith("__Host-")
    assert all(part in cookie for part in ("HttpOnly", "Secure", "SameSite=strict", "Path=/"))
    assert "Domain" not in cookie


def test_wrong_passwords_are_locked_out_told_and_logged() -> None:
    appliance = FakeAppliance()
    client = outside(appliance)
    statuses = [client.post("/sign-in", data={"user": "bal", "password": f"wrong {n}"}).status_code for n in range(3)]
    assert statuses == [401, 401, 429]
    locked = client.post("/sign-in", data={"user": "bal", "password": PASSWORD})
    assert locked.status_code == 429, "not even with the right password"
    assert "Too many wrong passwords" in locked.text
    appliance.events().log.flush()
    assert [event.kind for event in appliance.events().log.find(Query(kinds=("sign_in_locked",)))] == ["sign_in_locked"]


def test_a_name_that_does_not_exist_gets_the_same_answer() -> None:
    client = outside()
    known, unknown = (client.post("/sign-in", data={"user": name, "password": "wrong"}) for name in ("bal", "bob"))
    assert known.status_code == unknown.status_code == 401
    assert known.text.replace("bal", "bob") == unknown.text


def test_what_was_typed_comes_back_as_text() -> None:
    answer = outside().post("/sign-in", data={"user": '"><script>alert(1)</script>', "password": "x"})
    assert "<script>alert" not in answer.text


def test_a_one_time_password_has_to_be_changed_before_anything_else() -> None:
    appliance = with_user("ann", one_time=True)
    browser = Browser(appliance, "ann")
    answer = browser.client.get("/virtual-services")
    assert answer.headers["location"] == "/password?next=/virtual-services"
    fields = fields_of(browser.get("/password?next=/virtual-services"))
    for new, again, error in (
        ("short", "short", "short"),
        ("long enough", "long enuogh", "differ"),
        (PASSWORD, PASSWORD, "another one"),
    ):
        answer = browser.client.post("/password", data={**fields, "old": PASSWORD, "new": new, "again": again})
        assert answer.status_code == 422
        assert error in answer.text
    answer = browser.client.post(
        "/password", data={**fields, "old": PASSWORD, "new": "new secret", "again": "new secret"}
    )
    assert (answer.status_code, answer.headers["location"]) == (303, "/virtual-services")
    assert "Your password was changed" in browser.get("/virtual-services")
    assert appliance.authenticate("ann", "new secret") is not None
    assert not appliance.configuration.user("ann").one_time_password


def test_changing_the_password_needs_the_old_one() -> None:
    browser = Browser(with_user("ann"), "ann")
    fields = fields_of(browser.get("/password"))
    answer = browser.client.post(
        "/password", data={**fields, "old": "not it", "new": "new secret", "again": "new secret"}
    )
    assert answer.status_code == 422
    assert "not your present password" in answer.text


def test_a_password_changed_elsewhere_ends_the_session() -> None:
    appliance = with_user("ann")
    browser = Browser(appliance, "ann")
    browser.get("/")
    Browser(appliance).execute(ChangePassword("ann", appliance.hash_password("something else")))
    assert browser.client.get("/").status_code == 303


def test_signing_out_ends_the_session_on_the_server() -> None:
    browser = Browser()
    token = browser.client.cookies[COOKIE]
    fields = fields_of(browser.get("/"))
    answer = browser.client.post("/sign-out", data={"csrf": fields["csrf"]})
    assert answer.headers["location"] == "/sign-in"
    browser.client.cookies.set(COOKIE, token, domain="lb1.example")
    assert browser.client.get("/").status_code == 303


@pytest.mark.parametrize("token", ["", "wrong", "é"])
def test_a_write_without_the_sessions_token_is_refused(token: str) -> None:
    browser = Browser()
    answer = browser.client.post("/sign-out", data={"csrf": token})
    assert answer.status_code == 409
    assert browser.client.get("/").status_code == 200, "and nothing happened"


def test_the_token_may_come_as_a_header() -> None:
    browser = Browser()
    token = fields_of(browser.get("/"))["csrf"]
    assert browser.client.post("/sign-out", headers={"X-CSRF-Token": token}).status_code == 303


def test_a_write_of_a_session_that_has_ended_says_that_it_was_lost() -> None:
    client = outside()
    answer = client.post("/sign-out", headers={"Referer": "https://lb1.example/virtual-services"})
    assert answer.headers["location"] == "/sign-in?next=/virtual-services&lost=1"
    assert "not carried out" in client.get(answer.headers["location"]).text


def test_a_part_of_a_page_asked_for_too_late_sends_the_browser_to_sign_in() -> None:
    answer = outside().get(
        "/search?q=x", headers={"HX-Request": "true", "HX-Current-URL": "https://lb1.example/virtual-services?q=a"}
    )
    assert (answer.status_code, answer.headers["hx-redirect"]) == (401, "/sign-in?next=/virtual-services%3Fq%3Da")


def test_idle_sessions_end_after_the_time_that_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    browser = Browser()
    browser.execute(SetParameters("administration", {"idle_seconds": 60}))
    now = [1_800_000_000.0]
    monkeypatch.setattr("steelyard.web.visit.time.time", lambda: now[0])
    monkeypatch.setattr("steelyard.web.sign_in.time.time", lambda: now[0])
    browser.client.post("/sign-in", data={"user": "bal", "password": PASSWORD})
    now[0] += 59
    browser.get("/")
    now[0] += 61
    answer = browser.client.get("/")
    assert "has ended" in browser.client.get(answer.headers["location"]).text


def test_the_last_sign_in_and_failures_since_are_told() -> None:
    appliance = FakeAppliance()
    Browser(appliance)
    client = outside(appliance)
    client.post("/sign-in", data={"user": "bal", "password": "wrong"})
    appliance.events().log.flush()
    assert "Last sign-in:" in (page := Browser(appliance).get("/"))
    assert "1 failed attempt since then" in page


def test_a_banner_has_to_be_accepted() -> None:
    appliance = FakeAppliance()
    Browser(appliance).execute(SetParameters("administration", {"banner": "Only for <b>staff</b>."}))
    client = outside(appliance)
    assert "Only for &lt;b&gt;staff&lt;/b&gt;." in client.get("/sign-in").text
    refused = client.post("/sign-in", data={"user": "bal", "password": PASSWORD})
    assert (refused.status_code, "Accept the text" in refused.text) == (422, True)
    accepted = client.post("/sign-in", data={"user": "bal", "password": PASSWORD, "accepted": "1"})
    assert accepted.status_code == 303


@pytest.mark.parametrize(("mode", "status"), [("navigate", 200), ("cors", 403), ("no-cors", 403)])
def test_another_site_may_lead_here_and_nothing_more(mode: str, status: int) -> None:
    browser = Browser()
    headers = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": mode, "Sec-Fetch-Dest": "document"}
    answer = browser.client.get("/virtual-services", headers=headers)
    assert answer.status_code == status
    assert "Virtual Services" not in answer.text
    assert ("refresh" in answer.text) == (mode == "navigate"), "the page loads itself again, as this site's own"
    assert browser.client.post("/sign-out", headers=headers).status_code == 403


def test_writes_of_another_origin_are_refused_by_browsers_that_say_no_more() -> None:
    client = outside()
    data = {"user": "bal", "password": PASSWORD}
    assert client.post("/sign-in", data=data, headers={"Origin": "https://evil.example"}).status_code == 403
    assert client.post("/sign-in", data=data, headers={"Origin": "null"}).status_code == 403
    assert client.post("/sign-in", data=data, headers={"Origin": "https://lb1.example"}).status_code == 303


def test_nobody_sends_much_before_signing_in() -> None:
    body = b"user=bal&password=" + b"x" * 100_000
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    assert outside().post("/sign-in", content=body, headers=headers).status_code == 413


def test_every_answer_has_a_strict_policy_and_is_not_kept() -> None:
    browser = Browser()
    for path in ("/", "/sign-in", "/nothing-here", "/virtual-services"):
        answer = browser.client.get(path)
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["x-frame-options"] == "DENY"
        for part in ("<style", " style=", "onclick=", "onload=", "javascript:"):
            assert part not in answer.text, (path, part)


def test_static_files_are_kept_for_ever_under_their_digest() -> None:
    browser = Browser()
    page = browser.get("/")
    address = page.partition('<link rel="stylesheet" href="')[2].partition('"')[0]
    answer = browser.client.get(address)
    assert answer.headers["content-type"].startswith("text/css")
    assert "immutable" in answer.headers["cache-control"]
    assert browser.client.get(address.replace("/static/", "/static/0")).status_code == 404
    assert browser.client.get("/static/x/../../app.py").status_code == 404


@pytest.mark.parametrize("permissions", [(), ("real",), ("rules",), ("certs",), ("users",)])
def test_reading_is_for_all_and_the_road_decides_about_writes(permissions: tuple[str, ...]) -> None:
    browser = Browser(with_user("ann", *permissions), "ann")
    browser.execute(AddService({"address": "192.0.2.10", "port": 80, "name": "shop"}))
    assert "shop" in browser.get("/virtual-services")
    assert 'href="/virtual-services/add">Add New</a>' not in browser.get("/virtual-services").partition("<main")[2]


def test_a_page_that_does_not_exist_is_said_to_those_who_are_signed_in() -> None:
    answer = Browser().client.get("/nothing-here")
    assert (answer.status_code, "There is nothing here" in answer.text) == (404, True)


def test_a_bug_shows_no_traceback() -> None:
    appliance = FakeAppliance()
    browser = Browser(appliance)
    client = TestClient(browser.client.app, base_url="https://lb1.example", raise_server_exceptions=False)
    client.cookies = browser.client.cookies
    appliance.history = None  # type: ignore[assignment, method-assign] - anything that is not foreseen
    answer = client.get("/")
    assert (answer.status_code, "its log says more" in answer.text, "Traceback" in answer.text) == (500, True, False)


def test_a_user_that_is_removed_is_out_at_once() -> None:
    appliance = with_user("ann")
    browser = Browser(appliance, "ann")
    browser.get("/")
    browser.execute(RemoveUser("ann"))
    assert browser.client.get("/").status_code == 303
