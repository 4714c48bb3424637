"""What content rules are evaluated to is what HAProxy makes of them: every subject, every comparison, every change.

Nine matching rules fit into one service, each with a flag of its own and a rule that tells the origin about it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from tests.engine.rig import Rig
from tests.support.origin import Origin

from steelyard.model.commands import AddRule, Batch
from steelyard.model.content_rule import ADD_HEADER, DELETE_HEADER, MODIFY_URL, REPLACE_HEADER, ContentRule
from steelyard.model.rule_matching import Headers, Request, changed_request, matches

pytestmark = pytest.mark.engine

MATCHING: tuple[dict[str, Any], ...] = (
    {"pattern": "/Shop/", "match_type": "prefix"},
    {"pattern": "/shop/", "match_type": "prefix", "ignore_case": True},
    {"pattern": "/Item", "match_type": "postfix"},
    {"pattern": "/y", "match_type": "postfix", "include_query": True},
    {"pattern": "/Shop/Item", "match_type": "exact"},
    {"pattern": "/Shop/Item", "match_type": "exact", "negate": True},
    {"pattern": "www.example.com/Shop", "match_type": "prefix", "include_host": True},
    {"pattern": r"^www\.example\.com/[a-z]+/item\?", "include_host": True, "include_query": True, "ignore_case": True},
    {"pattern": "op/It"},
    {"pattern": r"/^\/shop\/[a-z]+$/", "ignore_case": True},
    {"pattern": r"^www\.example\.com$", "header": "Host"},
    {"pattern": "WWW.EXAMPLE.COM", "header": "Host", "match_type": "exact"},
    {"pattern": "^two", "header": "X-Tag"},
    {"pattern": "three$", "header": "x-tag"},
    {"pattern": "one", "header": "X-Tag", "match_type": "exact"},
    {"pattern": ".*", "header": "X-None"},
    {"pattern": ".*", "header": "X-None", "negate": True},
    {"pattern": "POST", "header": "method", "match_type": "exact"},
    {"pattern": "^p", "header": "method", "ignore_case": True},
    {"pattern": "127.0.0.64/26", "header": "src-ip"},
    {"pattern": "127.0.0.77", "header": "src-ip", "match_type": "exact"},
    {"pattern": r"^127\.0\.0\.7", "header": "src-ip"},
    {"pattern": "127.0.0.", "header": "src-ip", "match_type": "prefix"},
    {"pattern": "first", "header": "body", "match_type": "prefix"},
    {"pattern": "^second", "header": "body"},
    {"pattern": "second$", "header": "body"},
    {"pattern": r"(?<word>[[:alpha:]]+)\h+\x32\z", "header": "X-Odd"},
    {"pattern": r"(?i)A(?-i)b|c{2}", "header": "X-Odd"},
    {"pattern": r"(?<=a|bc)d(?!e)", "header": "X-Odd"},
    {"pattern": "é", "header": "X-Odd"},
    {"pattern": r"^[^\x00-\x7f]", "header": "X-Odd"},
    {"pattern": r"\Qa.b\E+$", "header": "X-Odd"},
    {"pattern": r"(?<quote>['\"]).*(?P=quote)", "header": "X-Odd"},
    {"pattern": r"a\b.\B", "header": "X-Odd"},
    {"pattern": "#", "header": "X-Odd"},
    {"pattern": "}", "header": "X-Odd", "match_type": "prefix"},
)
ODD = (
    "word 2",
    "ab",
    "Ab",
    "aB",
    "cc",
    "bcd",
    "ade",
    "é",
    "xé",
    "a.bb",
    "axb",
    "'x'",
    "\"'",
    "a -",
    "#1",
    "}",
    "a}",
    "",
)
REQUESTS = (
    Request("POST", "/Shop/Item?id=7&x=/y", (("Host", "WWW.Example.com:8443"),), "127.0.0.77", b"first\nsecond"),
    Request("GET", "/shop/item", (("Host", "www.example.com"), ("X-Tag", "one"), ("x-tag", "two, three")), "127.0.0.7"),
    Request("GET", "/Shop/Item?z", (("Host", "example.com"), ("X-Tag", "three one")), "127.0.0.200"),
    Request("PUT", "/", (("Host", "[2001:DB8::1]:80"), ("X-Tag", "")), "127.0.1.1", b"second"),
    *(Request("GET", "/", (("Host", "x"), ("X-Odd", text)), "127.0.0.1") for text in ODD),
)
CHANGING: tuple[dict[str, Any], ...] = (
    {"rule_type": MODIFY_URL, "pattern": r"^/Shop/(\w+)\?id=(\d+)", "replacement": r"/s/\2/\1?"},
    {"rule_type": MODIFY_URL, "pattern": "shop|item", "replacement": r"<\0>%20"},
    {"rule_type": REPLACE_HEADER, "header": "X-Tag", "pattern": "(t)(h)?", "replacement": r"[\2\1\0]\\%"},
    {"rule_type": REPLACE_HEADER, "header": "x-odd", "pattern": "[ab]+", "replacement": "_"},
    {"rule_type": DELETE_HEADER, "pattern": "x-TAG"},
    {"rule_type": DELETE_HEADER, "pattern": "/^x-o.d$/"},
    {"rule_type": ADD_HEADER, "header": "X-Odd", "replacement": r"\1 %[src]"},
)


def _made(rig: Rig, rules: list[dict[str, Any]]) -> None:
    rig.do(Batch(tuple(AddRule(rule) for rule in rules)))


def _sent(request: Request, port: int) -> dict[str, Any]:
    headers = [(name, value.encode().decode("latin-1")) for name, value in request.headers]
    return {"method": request.method, "headers": headers, "source": request.client, "body": request.body, "port": port}


def _x(headers: Headers) -> Iterator[tuple[str, str]]:
    return ((name.lower(), value) for name, value in headers if name.lower().startswith("x-"))


@pytest.mark.parametrize("first", range(0, len(MATCHING), 9))
def test_a_rule_matches_what_it_is_said_to_match(rig: Rig, one: Origin, first: int) -> None:
    chosen = [{**rule, "name": f"m{n}", "set_on_match": n} for n, rule in enumerate(MATCHING[first : first + 9], 1)]
    telling = [
        {"name": f"t{n}", "rule_type": ADD_HEADER, "header": "X-Flag", "replacement": str(n), "only_on_flag": n}
        for n in range(1, len(chosen) + 1)
    ]
    _made(rig, [*chosen, *telling])
    service = rig.http(one, check_type="none")
    service.change(
        pre_rules=tuple(rule["name"] for rule in chosen), request_rules=tuple(rule["name"] for rule in telling)
    )
    for request in REQUESTS:
        reply = service.fetch(request.target, **_sent(request, service.port))
        assert reply.status == 200
        expected = [str(rule["set_on_match"]) for rule in chosen if matches(ContentRule.make(rule), request)]
        assert reply.seen_headers.get("x-flag", []) == expected, request


@pytest.mark.parametrize("changes", CHANGING, ids=lambda changes: f"{changes['rule_type']}-{changes.get('pattern')}")
def test_a_rule_changes_what_it_is_said_to_change(rig: Rig, one: Origin, changes: dict[str, Any]) -> None:
    rule = {**changes, "name": "change"}
    _made(rig, [rule])
    service = rig.http(one, check_type="none")
    service.change(request_rules=("change",))
    for request in REQUESTS:
        reply = service.fetch(request.target, **_sent(request, service.port))
        assert reply.status == 200
        expected = changed_request(ContentRule.make(rule), request)
        seen = [(name.lower(), value.encode("latin-1").decode()) for name, value in reply.json["headers"]]
        assert sorted(item for item in seen if item[0].startswith("x-")) == sorted(_x(expected.headers))
        assert reply.json["url"] == expected.target
