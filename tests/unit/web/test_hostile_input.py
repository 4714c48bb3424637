"""Text of operators and of others stays text: into every field of every form goes what a browser would run."""

from __future__ import annotations

import pytest
from tests.support.web_forms import fields_of
from tests.unit.web.rig import Browser

from steelyard.model.commands import AddRule, AddServer, AddService, AttachRule, CreateSubService, RulePlace
from steelyard.observe.status import Verdict

HOSTILE = "\"'><img src=x onerror=alert(1)></textarea><script>alert(1)</script>{{7*7}}"
_RUN = ("<img src=x", "<script>alert")
_OWN = {"csrf", "_original", "_revision", "_reviewed"}

FORMS = (
    "/virtual-services/add",
    "/virtual-services/1",
    "/virtual-services/1/copy",
    "/virtual-services/1/add-check",
    "/virtual-services/1/real-servers/add",
    "/virtual-services/1/real-servers/1",
    "/virtual-services/2/sub-services/add",
    "/virtual-services/2/slots/2",
    "/virtual-services/3",
    "/add/content-rule",
    "/content-rules/one",
    "/check-parameters",
    "/check-parameters/adaptive",
    "/layer7-configuration",
    "/afe-configuration",
    "/network-options",
    "/access-lists",
    "/limits",
    "/add/limit-rule",
    "/add/cipher-set",
    "/add/ldap-endpoint",
)


@pytest.fixture(scope="module")
def browser() -> Browser:
    found = Browser()
    found.execute(
        AddService({"address": "192.0.2.1", "port": 80, "service_type": "http"}),
        AddServer(1, {"address": "10.0.0.1", "port": 80}),
        AddService({"address": "192.0.2.2", "port": 80}),
        CreateSubService(2),
        AddRule({"name": "one", "pattern": HOSTILE, "match_type": "prefix"}),
        AttachRule(RulePlace(1, "pre"), "one"),
    )
    found.appliance.verdicts["vs1/rs1"] = Verdict("down", HOSTILE)
    found.appliance.checks = [
        {
            "started": 1.0, "duration_ms": 1.0, "connect_ms": None, "sent": HOSTILE, "received": HOSTILE,
            "outcome": "bad", "reason": HOSTILE, "attempt": 1, "attempts": 1, "check": HOSTILE,
        }
    ]  # fmt: skip
    return found


@pytest.mark.parametrize("path", FORMS)
def test_what_is_typed_into_a_form_is_drawn_as_text(browser: Browser, path: str) -> None:
    held = fields_of(browser.get(path))
    typed = {name: HOSTILE for name in held if name not in _OWN}
    assert typed
    for step in ("draft", "review"):
        answer = browser.post(path, {**held, **typed, "_step": step}, htmx=step == "draft")
        assert answer.status_code == 200
        assert not any(one in answer.text for one in _RUN), path


@pytest.mark.parametrize("name", ["_original", "_revision", "_reviewed", "_open", "_step"])
def test_what_a_form_carries_along_is_not_believed(browser: Browser, name: str) -> None:
    answer = browser.post("/virtual-services/1", {**browser.form("/virtual-services/1"), name: HOSTILE})
    assert answer.status_code == 200
    assert not any(one in answer.text for one in _RUN)


@pytest.mark.parametrize(
    "path",
    [
        "/virtual-services/1",
        "/virtual-services/1/members",
        "/virtual-services/1/real-servers/1",
        "/virtual-services/1/real-servers/1/checks",
        "/content-rules",
        "/content-rules/one",
        "/content-rules?q=%3Cimg%20src%3Dx%3E",
        "/content-rules/one?target=/%3Cimg%20src%3Dx%3E&client=192.0.2.1&headers=a:%3Cimg%20src%3Dx%3E",
        "/real-servers?q=%3Cimg%20src%3Dx%3E",
        "/access-lists?client=%3Cimg%20src%3Dx%3E&q=%3Cimg%20src%3Dx%3E",
        "/virtual-services/1/real-servers/add?address=%22%3E%3Cimg%20src%3Dx%3E",
        "/add/content-rule?like=%3Cimg%20src%3Dx%3E",
        "/add/cipher-set?like=%3Cimg%20src%3Dx%3E",
    ],
)
def test_what_others_said_is_drawn_as_text(browser: Browser, path: str) -> None:
    page = browser.get(path)
    assert not any(one in page for one in (*_RUN, "<img src=x>"))


def test_comments_of_access_lists_are_text(browser: Browser) -> None:
    entries = "203.0.113.7 # <img src=x onerror=alert(1)>"
    browser.post("/access-lists/change", {"scope": "0", "list": "block", "do": "add", "entries": entries})
    page = browser.get("/access-lists")
    assert "&lt;img src=x" in page
    assert "<img src=x" not in page
