"""From trying one rule out one gets to what all rules of a service make of the same request."""

from __future__ import annotations

import html
import re
from urllib.parse import parse_qs, urlsplit

from tests.unit.web.rig import Browser

from steelyard.model.commands import AddRule, AddService, AttachRule, RulePlace


def chains(page: str) -> list[dict[str, str]]:
    found = re.findall(r'href="(/[^"]*explain[^"]*service=[^"]*)"', page)
    return [{name: values[0] for name, values in parse_qs(urlsplit(html.unescape(one)).query).items()} for one in found]


def test_the_request_goes_along_to_every_service_that_uses_the_rule() -> None:
    browser = Browser()
    for number in (50, 51, 52):
        settings = {"address": f"192.0.2.{number}", "port": 80, "name": f"shop{number}", "service_type": "http"}
        browser.execute(AddService(settings))
    browser.execute(AddRule({"name": "flagged", "rule_type": 0, "pattern": "^/a"}))
    for index in (1, 2):
        browser.execute(AttachRule(RulePlace(index, "pre"), "flagged"))
    assert chains(browser.get("/content-rules/flagged")) == []
    asked = "method=POST&target=/a?b=1%262&host=shop.example&client=198.51.100.7&headers=X-One: 1%0AX-Two: 2"
    found = chains(browser.get(f"/content-rules/flagged?{asked}"))
    assert [one["service"] for one in found] == ["1", "2"]
    assert {
        "url": "http://shop.example/a?b=1&2",
        "method": "POST",
        "client": "198.51.100.7",
        "headers": "X-One: 1\nX-Two: 2",
    }.items() <= found[0].items()
    browser.get("/explain?service=1&url=http://shop.example/a")
