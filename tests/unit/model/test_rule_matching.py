"""What content rules make of requests, evaluated without an engine."""

from __future__ import annotations

from typing import Any

import pytest

from steelyard.model.content_rule import ContentRule
from steelyard.model.rule_matching import (
    Request,
    changed_body,
    changed_headers,
    changed_request,
    flags_after,
    is_refused,
    matches,
)

REQUEST = Request(
    "POST",
    "/Shop/Item?id=7&x=/y",
    (("Host", "WWW.Example.com:8443"), ("X-Tag", "one"), ("x-tag", "two, three"), ("Cookie", "a=1; b=2")),
    "192.0.2.77",
    b"first\nsecond",
)


def rule(pattern: str = "x", **settings: Any) -> ContentRule:
    return ContentRule.make({"name": "one", "pattern": pattern, **settings})


@pytest.mark.parametrize(
    ("pattern", "settings", "expected"),
    [
        ("/Shop/", {"match_type": "prefix"}, True),
        ("/shop/", {"match_type": "prefix"}, False),
        ("/shop/", {"match_type": "prefix", "ignore_case": True}, True),
        ("/Item", {"match_type": "postfix"}, True),
        ("/y", {"match_type": "postfix"}, False),
        ("/y", {"match_type": "postfix", "include_query": True}, True),
        ("/Shop/Item", {"match_type": "exact"}, True),
        ("/Shop/Item?id=7&x=/y", {"match_type": "exact", "include_query": True}, True),
        ("www.example.com/Shop", {"match_type": "prefix", "include_host": True}, True),
        ("www.example.com/Shop/Item?id", {"match_type": "prefix", "include_host": True, "include_query": True}, True),
        ("8443", {"include_host": True}, False),
        ("op/It", {}, True),
        ("^op", {}, False),
        (r"/^\/shop\/[a-z]+$/", {"ignore_case": True}, True),
        (r"/^\/shop\/[a-z]+$/", {"ignore_case": True, "negate": True}, False),
        (r"^www\.example\.com$", {"header": "Host"}, True),
        ("WWW.EXAMPLE.COM", {"header": "host", "match_type": "exact"}, True),
        ("^two", {"header": "X-Tag"}, True),
        ("one", {"header": "x-tag", "match_type": "exact"}, True),
        ("four", {"header": "X-Tag"}, False),
        (".*", {"header": "X-None"}, False),
        (".*", {"header": "X-None", "negate": True}, True),
        ("POST", {"header": "method", "match_type": "exact"}, True),
        ("post", {"header": "method", "match_type": "exact"}, False),
        ("192.0.2.64/26", {"header": "src-ip"}, True),
        ("192.0.2.77", {"header": "src-ip", "match_type": "exact"}, True),
        ("192.0.2.7", {"header": "src-ip"}, False),
        (r"^192\.0\.2\.7", {"header": "src-ip"}, True),
        ("192.0.", {"header": "src-ip", "match_type": "prefix"}, True),
        ("2001:db8::/32", {"header": "src-ip"}, False),
        ("first", {"header": "body", "match_type": "prefix"}, True),
        ("second$", {"header": "body"}, True),
        ("^second", {"header": "body"}, False),
    ],
)
def test_what_matches(pattern: str, settings: dict[str, Any], expected: bool) -> None:
    assert matches(rule(pattern, **settings), REQUEST) is expected
    other = {**settings, "negate": not settings.get("negate", False)}
    assert matches(rule(pattern, **other), REQUEST) is not expected


def test_only_the_beginning_of_a_body_is_looked_at() -> None:
    late = Request(body=b"a" * 16 * 1024 + b"needle")
    assert not matches(rule("needle", header="body"), late)


def test_an_ipv6_host_loses_its_port_alone() -> None:
    request = Request(headers=(("Host", "[2001:DB8::1]:80"),))
    assert matches(rule("[2001:db8::1]", header="Host", match_type="exact"), request)


def test_bytes_that_are_no_text_can_be_matched() -> None:
    request = Request(target=b"/\xff\xe9".decode("utf-8", "surrogateescape"))
    assert matches(rule(r"^/\xff"), request)
    assert not matches(rule("é"), request)


def test_flags_keep_rules_back_and_are_set() -> None:
    after = flags_after(rule("/Shop", set_on_match=3), REQUEST, frozenset())
    assert after == {3}
    assert not matches(rule("/Shop", only_on_flag=3), REQUEST)
    assert matches(rule("/Shop", only_on_flag=3), REQUEST, after)
    assert not matches(rule("/Shop", only_on_no_flag=3), REQUEST, after)
    assert not matches(rule("none", only_on_no_flag=3, negate=True), REQUEST, after)
    assert flags_after(rule("none", set_on_match=4), REQUEST, after) == after


def test_a_rule_that_fails_on_match_refuses() -> None:
    assert is_refused(rule("/Shop", must_fail=True), REQUEST)
    assert not is_refused(rule("/none", must_fail=True), REQUEST)
    assert not is_refused(rule("/Shop"), REQUEST)


def test_headers_are_added_deleted_and_replaced() -> None:
    headers = (("X-A", "aXbX"), ("x-a", "X"), ("Y", "X"))
    added = ContentRule.make({"name": "one", "rule_type": 1, "header": "X-A", "replacement": r"\1 %"})
    assert changed_headers(added, headers) == (*headers, ("X-A", r"\1 %"))
    assert changed_headers(rule("x-A", rule_type=2), headers) == (("Y", "X"),)
    assert changed_headers(rule("/^X-/", rule_type=2), headers) == (("Y", "X"),)
    assert changed_headers(rule("x", rule_type=2), headers) == headers
    replaced = rule("(b)?X", rule_type=3, header="x-a", replacement=r"<\1|\0>")
    assert changed_headers(replaced, headers) == (("X-A", "a<|X>bX"), ("x-a", "<|X>"), ("Y", "X"))
    kept_back = rule("x", rule_type=3, header="x-a", replacement="", only_on_flag=1)
    assert changed_headers(kept_back, headers) == headers


def test_the_url_is_changed_with_its_query() -> None:
    changed = changed_request(rule(r"^/Shop/(\w+)\?id=(\d+)", rule_type=4, replacement=r"/s/\2/\1?"), REQUEST)
    assert changed.target == "/s/7/Item?&x=/y"
    assert changed.headers == REQUEST.headers


def test_every_match_in_a_body_is_replaced() -> None:
    replaced = rule("(a+)b", rule_type=5, ignore_case=True, replacement=r"[\1]")
    assert changed_body(replaced, b"aab AB b") == b"[aa] [A] b"
    assert changed_body(replaced, b"ab", frozenset({1})) == b"[a]"
    assert changed_body(rule("x?", rule_type=5, replacement="-"), b"axb") == b"a-b"
