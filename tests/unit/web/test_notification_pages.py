"""Who is told of events, the logs of the edge filter, and further pages of parameters."""

from __future__ import annotations

import io
import tarfile

import pytest
from tests.support.fake_appliance import PASSWORD
from tests.support.web_forms import fields_of
from tests.unit.web.rig import Browser

from steelyard.model.commands import AddService, AddUser
from steelyard.model.configuration import Configuration
from steelyard.model.severity import Severity
from steelyard.observe.events.channel import ChannelState
from steelyard.observe.events.log import Query


@pytest.fixture
def browser() -> Browser:
    return Browser()


def configured(browser: Browser) -> Configuration:
    return browser.appliance.configuration


def test_each_way_to_be_told_is_set_on_a_page_of_its_own(browser: Browser) -> None:
    assert browser.apply("/syslog-options", error="log.example.com", protocol="tcp").status_code == 303
    assert (configured(browser).syslog.error, configured(browser).syslog.protocol) == (("log.example.com",), "tcp")
    assert browser.apply("/email-options", server="mail.example.com", password="geheim").status_code == 303
    assert configured(browser).email.password
    assert "geheim" not in browser.get("/email-options")
    reviewed = browser.send("/email-options", "review", password="geheim2")
    assert "geheim2" not in reviewed.text, "no page holds it"
    assert browser.apply("/snmp-options", traps="1", v2_sinks="192.0.2.99").status_code == 303
    assert configured(browser).snmp.v2_sinks == ("192.0.2.99",)
    assert browser.apply("/webhook-options", urls="https://hooks.example/a").status_code == 303
    assert configured(browser).webhook.urls == ("https://hooks.example/a",)
    assert browser.apply("/event-options", kept="5000").status_code == 303
    assert configured(browser).events.kept == 5000


def test_what_cannot_be_is_said_at_its_field(browser: Browser) -> None:
    answer = browser.send("/syslog-options", "review", error="not a host!", info="a.example")
    assert 'id="error-error"' in answer.text
    assert fields_of(answer.text)["error"] == ["not a host!"]


def test_a_test_event_is_sent_and_how_subscribers_are_is_shown(
    browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = browser.post("/test-event", {"severity": "error", "text": "is anybody there", "back": "email-options"})
    assert answer.headers["location"] == "/email-options#told"
    found = browser.appliance.events().log.find(Query(kinds=("test",)))
    assert [(one.severity, one.text) for one in found] == [(Severity.ERROR, "is anybody there")]
    assert "in the log alone" in browser.get("/email-options")
    states = (
        ChannelState("syslog log.example.com", Severity.WARN, "failing", 3, 2, 1, "no route <b>", None),
        ChannelState("email ops@example.com", Severity.INFO, "working", 9, 0, 0, "", 1_700_000_000.0),
    )
    monkeypatch.setattr(browser.appliance.events(), "states", lambda: states)
    page = browser.get("/syslog-options")
    assert "no route &lt;b&gt;" in page
    assert "ops@example.com" not in page
    assert "ops@example.com" in browser.get("/email-options")
    assert "ops@example.com" in browser.get("/event-options")


def test_who_may_only_read_sends_nothing(browser: Browser) -> None:
    browser.execute(AddUser("viewer", browser.appliance.hash_password(PASSWORD)))
    viewer = Browser(browser.appliance, "viewer")
    assert "Send a test event" not in viewer.get("/syslog-options")
    assert viewer.post("/test-event", {"severity": "info"}).status_code == 403


def test_the_logs_of_the_edge_filter_are_read_searched_and_taken_away(browser: Browser) -> None:
    assert "No service keeps this log" in browser.get("/events/edge-logs")
    browser.execute(AddService({"address": "192.0.2.1", "port": 80, "service_type": "http", "esp_logs": 2}))
    assert "Nothing was logged yet" in browser.get("/events/edge-logs")
    files = browser.appliance.edge_files()
    files.append(
        "security",
        [f"2026-01-31T12:00:{second:02}.000Z client=192.0.2.{second} url=/<script>{second}" for second in range(30)],
    )
    page = browser.get("/events/edge-logs?kind=security")
    assert "/&lt;script&gt;29" in page
    assert "<script>29" not in page
    assert "security.log" in page
    found = browser.get("/events/edge-logs?kind=security&q=192.0.2.7+url")
    assert "script&gt;7" in found
    assert "script&gt;8" not in found
    assert "No line holds that" in browser.get("/events/edge-logs?kind=security&q=nowhere")
    answer = browser.client.get("/events/edge-logs/download?kind=security")
    with tarfile.open(fileobj=io.BytesIO(answer.content)) as archive:
        assert archive.getnames() == ["security.log"]
    assert browser.client.get("/events/edge-logs?kind=../../etc/passwd").status_code == 200


def test_options_stand_where_the_menu_of_loadmaster_has_them(browser: Browser) -> None:
    assert browser.apply("/cache-configuration", cache_size="200").status_code == 303
    assert configured(browser).layer7.cache_size == 200
    assert browser.apply("/compression-options", not_compressed=".jpg .png").status_code == 303
    assert browser.apply("/admin-access/tls", admin_cipher_set="BestPractices").status_code == 303
    assert configured(browser).tls.admin_cipher_set == "BestPractices"
    for path in ("System Configuration > Logging Options > Email Options", "Certificates > OCSP Configuration"):
        assert browser.client.get(f"/menu/{path}").status_code == 307
    assert browser.apply("/remote-access", include_wui="1").status_code == 303
    assert configured(browser).access.include_wui
    assert "syslog-options" in browser.get("/search?q=webhook")
    assert "/admin-access/tls" in browser.get("/search?q=WUI+Cipher+Set")
    assert "/default-gateway" in browser.get("/search?q=dfltgw")
