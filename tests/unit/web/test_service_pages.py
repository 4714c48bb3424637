"""The pages of services: what a person sees, changes, reviews and applies. Without a browser, as plain forms."""

from __future__ import annotations

import re
from typing import Any

import pytest
from tests.support.fake_appliance import FakeAppliance
from tests.support.web_forms import disabled_fields, fields_of
from tests.unit.web.rig import Browser

from steelyard.health.weight_status import WeightStatus
from steelyard.model.commands import (
    AddRule,
    AddServer,
    AddService,
    AddUser,
    AttachRule,
    ChangeService,
    CreateSubService,
    RulePlace,
    SetPermissions,
)
from steelyard.model.errors import EngineRefused
from steelyard.model.template import read_templates
from steelyard.model.virtual_service import VirtualService
from steelyard.observe.statistics import Statistics, TrafficCounters
from steelyard.observe.status import Verdict

ONE = "/virtual-services/1"


@pytest.fixture
def browser() -> Browser:
    found = Browser()
    found.execute(
        AddService({"address": "192.0.2.1", "port": 80, "name": "shop", "persistence": "src", "service_type": "http"}),
        AddServer(1, {"address": "10.0.0.1", "port": 8080}),
        AddServer(1, {"address": "10.0.0.2", "port": 8080}),
    )
    return found


def service(browser: Browser, index: int = 1) -> VirtualService:
    return browser.appliance.configuration.service(index)


# -------------------------------------------------------------------- modify


def test_the_page_has_loadmasters_title_and_sections(browser: Browser) -> None:
    page = browser.get(ONE)
    assert "Properties for tcp/192.0.2.1:80 (Id:1) - Operating at Layer 7" in page
    sections = re.findall(r'<details class="card section" id="section-(\w+)"', page)
    assert sections[:3] == ["basic", "standard", "ssl"]
    assert {"advanced", "limits", "esp", "checks"} <= set(sections)
    assert 'id="servers"' in page
    assert 'id="rules"' in page


def test_an_untouched_page_has_nothing_to_review(browser: Browser) -> None:
    answer = browser.send(ONE, "review")
    assert "No setting is changed" in answer.text
    assert browser.appliance.executed[3:] == []


def test_a_change_is_reviewed_and_applied(browser: Browser) -> None:
    reviewed = browser.send(ONE, "review", idle_time="1800", schedule="lc")
    assert "Review: 2 changes" in reviewed.text
    assert "was 660 s" in reviewed.text
    assert service(browser).idle_time == 660
    answer = browser.post(ONE, {**fields_of(reviewed.text), "_step": "apply"})
    assert answer.status_code == 303
    assert answer.headers["location"] == ONE
    assert (service(browser).idle_time, service(browser).schedule) == (1800, "lc")
    assert browser.appliance.executed[-1] == ChangeService(1, {"idle_time": 1800, "schedule": "lc"})
    assert "2 changes applied: revision" in browser.get(ONE)


def test_nothing_is_applied_that_was_not_reviewed(browser: Browser) -> None:
    assert "Review: 1 change" in browser.send(ONE, "apply", idle_time="1800").text
    reviewed = fields_of(browser.send(ONE, "review", idle_time="1800").text)
    assert "Review: 1 change" in browser.post(ONE, {**reviewed, "idle_time": "5", "_step": "apply"}).text
    assert service(browser).idle_time == 660


def test_an_error_stands_at_its_field_and_what_was_typed_stays(browser: Browser) -> None:
    answer = browser.send(ONE, "review", idle_time="soon", name="shop two")
    assert re.search(r'id="error-idle_time"><b>“soon” is no whole number.</b>', answer.text)
    held = fields_of(answer.text)
    assert held["idle_time"] == ["soon"]
    assert held["name"] == ["shop two"]
    assert 'aria-invalid="true"' in answer.text
    assert "Not applied" in answer.text


def test_what_the_engine_refuses_is_shown_in_its_words(browser: Browser) -> None:
    browser.appliance.broken = EngineRefused("HAProxy refuses it", words="parsing [vs1:3]: <unknown>")
    reviewed = browser.send(ONE, "review", idle_time="1800")
    answer = browser.post(ONE, {**fields_of(reviewed.text), "_step": "apply"})
    assert "HAProxy refuses it." in answer.text
    assert "parsing [vs1:3]: &lt;unknown&gt;" in answer.text
    assert fields_of(answer.text)["idle_time"] == ["1800"]


def test_a_field_that_a_choice_needs_is_there_with_the_error(browser: Browser) -> None:
    assert "cookie" not in browser.form(ONE)
    answer = browser.send(ONE, "review", persistence="header")
    assert 'id="error-cookie"' in answer.text
    held = fields_of(answer.text)
    reviewed = browser.post(ONE, {**held, "cookie": "X-Session", "_step": "review"})
    browser.post(ONE, {**fields_of(reviewed.text), "_step": "apply"})
    assert (service(browser).persistence, service(browser).cookie) == ("header", "X-Session")


def test_a_touched_field_draws_the_form_again(browser: Browser) -> None:
    """What htmx sends when a field was touched: no button."""
    fields = {**browser.form(ONE), "ssl_acceleration": "1"}
    answer = browser.post(ONE, fields, htmx=True)
    assert "tls_type" in fields_of(answer.text)
    assert "tls_type" not in fields
    assert "1 change" in answer.text
    assert "Review: " not in answer.text
    gone = browser.post(ONE, {**fields_of(answer.text), "service_type": "gen"}, htmx=True)
    assert "esp_enabled" in disabled_fields(gone.text)
    assert "the service type must be http" in gone.text


def test_a_barred_switch_is_not_switched_off_by_being_greyed(browser: Browser) -> None:
    browser.execute(AddRule({"name": "one", "pattern": "x"}), AttachRule(RulePlace(1, "pre"), "one"))
    page = browser.get(ONE)
    assert "service_type" in disabled_fields(page)
    browser.apply(ONE, name="other")
    assert (service(browser).name, service(browser).service_type) == ("other", "http")


def test_a_stale_form_says_who_changed_what_and_is_reviewed_on_top_of_it(browser: Browser) -> None:
    form = browser.send(ONE, "review", idle_time="1800")
    browser.execute(ChangeService(1, {"schedule": "lc"}))
    answer = browser.post(ONE, {**fields_of(form.text), "_step": "apply"})
    assert answer.status_code == 200
    assert "Somebody has changed the configuration since you opened this page" in answer.text
    assert "by <b>bal</b>" in answer.text
    assert service(browser).idle_time == 660
    answer = browser.post(ONE, {**fields_of(answer.text), "_step": "apply"})
    assert answer.status_code == 303
    # the other one's change is not taken back
    assert (service(browser).idle_time, service(browser).schedule) == (1800, "lc")


def test_the_review_says_who_is_affected_in_numbers(browser: Browser) -> None:
    browser.appliance.sample = Statistics(
        at=1.0, period=1.0, services={1: TrafficCounters(active_connections=7, persistence_entries=412)}
    )
    answer = browser.send(ONE, "review", persistence="super-src")
    assert "412 clients with a record are placed anew" in answer.text
    answer = browser.send(ONE, "review", enabled=None)
    assert "7 open connections go on until they end" in answer.text


def test_who_may_only_read_sees_and_cannot_change(browser: Browser) -> None:
    browser.execute(AddUser("reader", browser.appliance.hash_password("only reading")))
    reader = Browser(browser.appliance, "reader", "only reading")
    page = reader.get(ONE)
    assert "another permission" in page
    assert "Add New</a></div></header>" not in page
    held = {**reader.form(ONE), **{name: text for name, text in browser.form(ONE).items() if name != "csrf"}}
    assert reader.send(ONE, "review", idle_time="5", form=held).status_code == 403
    browser.execute(SetPermissions("reader", ("vs",)))
    assert reader.apply(ONE, idle_time="5").status_code == 303


def test_texts_of_operators_are_escaped(browser: Browser) -> None:
    browser.execute(
        AddRule({"name": "x", "pattern": "<script>alert(1)</script>"}), AttachRule(RulePlace(1, "pre"), "x")
    )
    browser.appliance.verdicts["vs1/rs1"] = Verdict("down", "<img src=x onerror=alert(1)>")
    page = browser.get(ONE)
    assert "<script>alert" not in page
    assert "<img" not in page
    assert "&lt;img" in page


# -------------------------------------------------------------- add and remove


def test_a_service_is_added_at_once(browser: Browser) -> None:
    answer = browser.send("/virtual-services/add", "apply", address="192.0.2.9", port="443", name="api")
    assert answer.headers["location"] == "/virtual-services/2"
    assert (service(browser, 2).port, service(browser, 2).service_type) == (443, "gen")
    typed = {"address": "192.0.2.9", "port": "8443", "service_type": "http", "ssl_acceleration": "1"}
    more = browser.send("/virtual-services/add", "apply", **typed)
    assert "ssl_reencrypt" in more.text
    browser.post("/virtual-services/add", {**fields_of(more.text), "_step": "apply"})
    assert service(browser, 3).ssl_acceleration
    assert service(browser, 3).is_http


@pytest.mark.parametrize(
    ("typed", "field"),
    [
        ({"address": "", "port": "80"}, "address"),
        ({"address": "192.0.2.1", "port": "80"}, "port"),
        ({"address": "192.0.2.1", "port": "99999"}, "port"),
        ({"address": "192.0.2.3", "port": "80", "name": "<b>"}, "name"),
    ],
)
def test_a_service_that_cannot_be_is_refused_at_its_field(browser: Browser, typed: dict[str, Any], field: str) -> None:
    answer = browser.send("/virtual-services/add", "apply", **typed)
    assert f'id="error-{field}"' in answer.text
    assert len(browser.appliance.configuration.services) == 1


def test_a_service_is_copied(browser: Browser) -> None:
    answer = browser.send(f"{ONE}/copy", "apply", port="81")
    assert answer.headers["location"] == "/virtual-services/2"
    assert [server.address for server in service(browser, 2).servers] == ["10.0.0.1", "10.0.0.2"]


def test_a_service_is_removed_after_a_question(browser: Browser) -> None:
    page = browser.get(f"{ONE}/remove")
    assert "Delete shop (tcp/192.0.2.1:80)?" in page
    assert 1 in browser.appliance.configuration.services
    revision = re.search(r'name="_revision" value="(\d+)"', page)
    assert revision is not None
    browser.execute(ChangeService(1, {"name": "renamed"}))
    stale = browser.post(f"{ONE}/remove", {"_revision": revision[1]})
    assert "Somebody has changed" in stale.text
    assert 1 in browser.appliance.configuration.services
    revision = re.search(r'name="_revision" value="(\d+)"', stale.text)
    assert revision is not None
    assert browser.post(f"{ONE}/remove", {"_revision": revision[1]}).headers["location"] == "/virtual-services"
    assert 1 not in browser.appliance.configuration.services


def test_a_service_that_is_gone_is_not_found(browser: Browser) -> None:
    for path in ("/virtual-services/9", "/virtual-services/9/real-servers/add", f"{ONE}/real-servers/77"):
        assert browser.client.get(path).status_code == 404


# ---------------------------------------------------------------- real servers


def test_a_real_server_is_added_and_the_form_is_ready_for_the_next(browser: Browser) -> None:
    answer = browser.send(f"{ONE}/real-servers/add", "apply", address="10.0.0.3", port="8080", weight="50")
    assert answer.headers["location"] == f"{ONE}/real-servers/add"
    assert service(browser).servers[-1].weight == 50
    answer = browser.send(f"{ONE}/real-servers/add", "apply", address="10.0.0.3", port="8080")
    assert "already in the service" in answer.text


def test_a_real_server_is_added_by_name(browser: Browser) -> None:
    browser.send(f"{ONE}/real-servers/add", "apply", address="localhost", port="8081")
    server = service(browser).servers[-1]
    assert (server.address, server.dns_name) == ("127.0.0.1", "localhost")
    answer = browser.send(f"{ONE}/real-servers/add", "apply", address="no such name", port="8081")
    assert 'id="error-address"' in answer.text


def test_a_real_server_is_changed_disabled_enabled_and_removed(browser: Browser) -> None:
    assert browser.apply(f"{ONE}/real-servers/1", weight="10", critical="1").status_code == 303
    assert (service(browser).servers[0].weight, service(browser).servers[0].critical) == (10, True)
    browser.post(f"{ONE}/real-servers/1/state", {"enabled": ""})
    assert not service(browser).servers[0].enabled
    assert "drains: clients it knows may come" in browser.get(ONE)
    browser.post(f"{ONE}/real-servers/1/state", {"enabled": "1"})
    assert service(browser).servers[0].enabled
    browser.post(f"{ONE}/real-servers/1/remove", {})
    assert [server.index for server in service(browser).servers] == [2]


def test_the_table_shows_state_reason_and_connections(browser: Browser) -> None:
    browser.appliance.verdicts["vs1/rs1"] = Verdict("up", "GET / gave 200 in 12 ms", since=1.0)
    browser.appliance.verdicts["vs1/rs2"] = Verdict("down", "connection refused", since=1.0)
    browser.appliance.sample = Statistics(at=1.0, period=1.0, servers={(1, 1): TrafficCounters(active_connections=38)})
    for path in (ONE, f"{ONE}/members"):
        page = browser.get(path)
        assert "GET / gave 200 in 12 ms" in page
        assert "connection refused" in page
        assert ">38<" in page
        assert f"{ONE}/real-servers/2/checks" in page


def test_the_last_checks_of_a_server_are_shown(browser: Browser) -> None:
    browser.appliance.checks = [
        {
            "started": 1.0,
            "duration_ms": 12.3,
            "connect_ms": None,
            "sent": "GET / HTTP/1.0",
            "received": "HTTP/1.1 <b>500</b>",
            "outcome": "bad",
            "reason": "500 is no good answer",
            "attempt": 1,
            "attempts": 2,
            "check": "",
        }
    ] * 30
    page = browser.get(f"{ONE}/real-servers/1/checks")
    assert page.count("500 is no good answer") == 20
    assert "&lt;b&gt;500" in page
    assert "attempt 1 of 2" in page


def test_a_machine_is_switched_off_in_all_its_services(browser: Browser) -> None:
    browser.execute(
        AddService({"address": "192.0.2.2", "port": 80, "name": "api"}),
        AddServer(2, {"address": "10.0.0.1", "port": 1}),
    )
    page = browser.get("/real-servers?q=api")
    assert "10.0.0.1" in page
    assert "10.0.0.2" not in page
    assert "Disable 10.0.0.1 in every virtual service?" in browser.get("/real-servers/10.0.0.1/disable")
    browser.post("/real-servers/10.0.0.1/disable", {})
    assert not any(one.servers[0].enabled for one in browser.appliance.configuration.services.values())
    browser.post("/real-servers/10.0.0.1/enable", {})
    assert all(one.servers[0].enabled for one in browser.appliance.configuration.services.values())


# --------------------------------------------------------------------------------- sub-services, rules


def test_sub_services_are_added_weighed_and_removed() -> None:
    browser = Browser()
    browser.execute(AddService({"address": "192.0.2.1", "port": 80}))
    answer = browser.send(f"{ONE}/sub-services/add", "apply", name="images")
    assert answer.headers["location"] == "/virtual-services/2"
    assert service(browser, 2).service_type == "http"
    page = browser.get(ONE)
    assert "SubVSs" in page
    slot = service(browser).slots[0].index
    browser.apply(f"{ONE}/slots/{slot}", weight="7")
    assert service(browser).slots[0].weight == 7
    browser.post(f"{ONE}/slots/{slot}/state", {"enabled": ""})
    assert not service(browser).slots[0].enabled
    sub = browser.get("/virtual-services/2")
    assert "Properties for sub-service of 1 (Id:2)" in sub
    held = fields_of(sub)
    assert "address" not in held
    assert "ssl_acceleration" not in held
    assert browser.apply("/virtual-services/2", idle_time="5").status_code == 303
    browser.post("/virtual-services/2/remove", {})
    assert service(browser).slots == ()


def test_a_server_is_added_to_every_sub_service() -> None:
    browser = Browser()
    browser.execute(AddService({"address": "192.0.2.1", "port": 80}), CreateSubService(1), CreateSubService(1))
    path = "/virtual-services/2/real-servers/add"
    browser.send(path, "apply", address="10.0.0.1", port="80", to_all="1")
    assert [len(service(browser, index).servers) for index in (2, 3)] == [1, 1]


def test_rules_are_attached_moved_and_detached(browser: Browser) -> None:
    browser.execute(AddRule({"name": "a", "pattern": "a"}), AddRule({"name": "b", "pattern": "b"}))
    for name in ("a", "b"):
        browser.post(f"{ONE}/rules", {"list": "pre", "rule": name, "do": "attach"})
    assert service(browser).pre_rules == ("a", "b")
    browser.post(f"{ONE}/rules", {"list": "pre", "rule": "b", "do": "up"})
    assert service(browser).pre_rules == ("b", "a")
    browser.post(f"{ONE}/rules", {"list": "pre", "rule": "b", "do": "down"})
    assert service(browser).pre_rules == ("a", "b")
    browser.post(f"{ONE}/rules", {"list": "pre", "rule": "a", "do": "detach"})
    assert service(browser).pre_rules == ("b",)
    answer = browser.post(f"{ONE}/rules", {"member": "1", "rule": "default", "do": "attach", "back": "member"})
    assert answer.headers["location"] == f"{ONE}/real-servers/1"
    assert service(browser).servers[0].rules == ("default",)
    assert browser.post(f"{ONE}/rules", {"list": "nonsense", "rule": "a", "do": "attach"}).status_code == 422


def test_every_page_of_services_is_drawn_for_an_empty_appliance() -> None:
    browser = Browser(FakeAppliance())
    for path in ("/virtual-services/add", "/real-servers", "/content-rules", "/add/content-rule"):
        assert browser.get(path)


def test_further_checks_are_added_changed_and_removed(browser: Browser) -> None:
    added = browser.send(f"{ONE}/add-check", "apply", name="db", check_type="tcp", check_port="5432")
    assert added.headers["location"] == f"{ONE}#further-checks"
    assert service(browser).further_checks[0].check_port == 5432
    assert "a server is up when every check is good" in browser.get(ONE)
    browser.apply(f"{ONE}/checks/db", check_port="5433")
    assert service(browser).further_checks[0].check_port == 5433
    browser.apply(ONE, check_mode="any")
    assert service(browser).check_mode == "any"
    browser.post(f"{ONE}/checks/db/remove", {})
    assert service(browser).further_checks == ()


def test_a_service_is_exported_as_a_template_without_its_place(browser: Browser) -> None:
    answer = browser.client.get(f"{ONE}/template.yaml")
    assert answer.headers["content-disposition"] == 'attachment; filename="shop.yaml"'
    (template,) = read_templates(answer.text)
    assert template.content.services[0].settings["persistence"] == "src"
    assert "10.0.0.1" not in answer.text
    assert "192.0.2.1" not in answer.text


def test_a_redirector_is_added(browser: Browser) -> None:
    browser.execute(AddService({"address": "192.0.2.5", "port": 443, "ssl_acceleration": True, "name": "api"}))
    assert "Add a Port 80 Redirector VS" in browser.get("/virtual-services/2")
    assert browser.post("/virtual-services/2/redirector", {"port": "80"}).headers["location"] == "/virtual-services/3"
    assert service(browser, 3).error_code == 302
    assert browser.post("/virtual-services/2/redirector", {"port": "many"}).status_code == 422


def test_weights_that_move_are_shown_as_they_are_now(browser: Browser) -> None:
    status = WeightStatus("adaptive", 1000, 412, 105, 60.0, None, None, None, 1.0, "load 60 %")
    browser.appliance.member_weights = {1: status}
    browser.execute(ChangeService(1, {"schedule": "adaptive"}))
    assert "now 412" in browser.get(ONE)
