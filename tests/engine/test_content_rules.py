"""Content rules that change requests and answers (`reference/behaviour.md`, section 11)."""

from __future__ import annotations

from typing import Any

import pytest
from tests.engine.rig import Rig, Service
from tests.support.clients import Headers, Reply
from tests.support.origin import Origin

from steelyard.model.commands import AddRule
from steelyard.model.content_rule import ADD_HEADER, DELETE_HEADER, MODIFY_URL, REPLACE_HEADER

pytestmark = pytest.mark.engine

#: text that any of the readers on its way could take for something else
NASTY = (
    "100% %[src] %ci",
    'a "quoted" word',
    "it's # no comment",
    "a, b) and (c",
    "back\\slash \\\\ two \\n \\x41",
    "$HOME ${HOME}",
    "{ } [ ] | ; &",
    "}",
    "-m",
    "%",
    "%%",
    "\\",
    "é ü €",
)


def with_rules(rig: Rig, origin: Origin, where: str, *rules: dict[str, Any], **settings: Any) -> Service:
    """A service with these rules, in order, in one of its lists."""
    names = []
    for number, rule in enumerate(rules):
        names.append(f"rule{number}")
        rig.do(AddRule({"name": names[-1], **rule}))
    service = rig.http(origin, check_type="none", **settings)
    service.change(**{where: tuple(names)})
    return service


def asked(service: Service, path: str = "/", headers: Headers = ()) -> Reply:
    reply = service.fetch(path, headers=headers)
    assert reply.status == 200
    return reply


@pytest.mark.parametrize("text", NASTY)
def test_an_added_header_has_just_its_text(rig: Rig, one: Origin, text: str) -> None:
    service = with_rules(rig, one, "request_rules", {"rule_type": ADD_HEADER, "header": "X-New", "replacement": text})
    sent = asked(service, headers={"x-new": "own"}).seen_headers["x-new"]
    assert [value.encode("latin-1").decode() for value in sent] == ["own", text]


def test_an_added_header_may_be_empty(rig: Rig, one: Origin) -> None:
    service = with_rules(rig, one, "request_rules", {"rule_type": ADD_HEADER, "header": "X-New"})
    assert asked(service).seen_headers["x-new"] == [""]


@pytest.mark.parametrize("text", NASTY)
def test_a_replacement_is_just_its_text(rig: Rig, one: Origin, text: str) -> None:
    service = with_rules(
        rig, one, "request_rules",
        {"rule_type": REPLACE_HEADER, "header": "X-Old", "pattern": "old", "replacement": text},
    )  # fmt: skip
    (sent,) = asked(service, headers={"X-Old": "an old one, old"}).seen_headers["x-old"]
    assert sent.encode("latin-1").decode() == f"an {text} one, old"


@pytest.mark.parametrize(
    ("pattern", "replacement", "before", "after"),
    [
        ("b", "X", "abcabc", "aXcabc"),
        ("^b", "X", "abc", "abc"),
        ("^a", "X", "aab", "Xab"),
        ("c$", "X", "abcc", "abcX"),
        ("^.*$", "X", "abc", "X"),
        ("b", "", "abc", "ac"),
        ("a|c", "X", "bca", "bXa"),
        ("/b/", "X", "abc", "aXc"),
        (r"/a\/b/", "X", "a/b", "X"),
        ("(b)(c)", r"\2\1", "abcd", "acbd"),
        ("b(c)?", r"[\0|\1]", "abd", "a[b|]d"),
        ("(?:a)(b)(?P<n>c)", r"<\2>", "xabcy", "x<c>y"),
        (r"(.)\1", r"[\1]", "abccd", "ab[c]d"),
        (r"(.)(.)\2", r"[\2]1", "xyyz", "[y]1z"),
        ("(1)(2)(3)(4)(5)(6)(7)", r"\7\6\5\4\3\2\1", "01234567", "07654321"),
        ("(1)(2)(3)(4)(5)(6)(7)", r"\0-\6", "012345678", "01234567-68"),
        (r"[(](x)[)]", r"\1\\", "a(x)b", "ax\\\\b"),
        (r"\Q(\E(x)", r"\1", "a(x", "ax"),
        ("(?#(no group)(x)", r"\1\1", "axb", "axxb"),
        ("(?i)B", "X", "abc", "aXc"),
        ("a#b c", "X", "1a#b c2", "1X2"),
        ("%", "%%", "5%", "5%%"),
        ('"', "'", 'a"b', "a'b"),
    ],
)
def test_the_first_match_is_replaced_and_the_rest_stays(
    rig: Rig, one: Origin, pattern: str, replacement: str, before: str, after: str
) -> None:
    service = with_rules(
        rig, one, "request_rules",
        {"rule_type": REPLACE_HEADER, "header": "X-H", "pattern": pattern, "replacement": replacement},
    )  # fmt: skip
    assert asked(service, headers={"X-H": before}).seen_headers["x-h"] == [after]


def test_each_line_of_a_header_is_replaced_in(rig: Rig, one: Origin) -> None:
    rule = {"rule_type": REPLACE_HEADER, "header": "X-H", "pattern": "a", "replacement": "b"}
    service = with_rules(rig, one, "request_rules", rule)
    assert asked(service, headers=[("X-H", "aa"), ("x-h", "c"), ("X-h", "ca, a")]).seen_headers["x-h"] == [
        "ba",
        "c",
        "cb, a",
    ]


@pytest.mark.parametrize(
    ("pattern", "left"),
    [
        ("x-one", {"x-two", "y-one"}),
        ("/^X-/", {"y-one"}),
        ("/one$/", {"x-two"}),
        ("X-O.*", {"x-one", "x-two", "y-one"}),
    ],
)
def test_headers_are_deleted_by_name_or_by_expression(rig: Rig, one: Origin, pattern: str, left: set[str]) -> None:
    service = with_rules(rig, one, "request_rules", {"rule_type": DELETE_HEADER, "pattern": pattern})
    sent = asked(service, headers=[("X-One", "1"), ("X-ONE", "2"), ("X-Two", "3"), ("Y-One", "4")]).seen_headers
    assert {name for name in sent if name[:2] in ("x-", "y-") and name[2:] in ("one", "two")} == left


@pytest.mark.parametrize(
    ("pattern", "replacement", "before", "after"),
    [
        ("^/old/(.*)", r"/new/\1", "/old/a?b=c", "/new/a?b=c"),
        ("/x", "/y", "/x/x", "/y/x"),
        (r"\?.*$", "", "/a?b", "/a"),
        ("b=1", "b=2%20", "/a?b=1&b=1", "/a?b=2%20&b=1"),
        ("$", "?more", "/a", "/a?more"),
    ],
)
def test_the_url_is_changed_with_its_query(
    rig: Rig, one: Origin, pattern: str, replacement: str, before: str, after: str
) -> None:
    service = with_rules(
        rig, one, "request_rules", {"rule_type": MODIFY_URL, "pattern": pattern, "replacement": replacement}
    )
    assert asked(service, before).json["url"] == after


def test_rules_run_in_the_order_of_their_list(rig: Rig, one: Origin) -> None:
    add = {"rule_type": ADD_HEADER, "header": "X-H", "replacement": "a"}
    change = {"rule_type": REPLACE_HEADER, "header": "X-H", "pattern": "a", "replacement": "b"}
    service = with_rules(rig, one, "request_rules", add, change)
    assert asked(service).seen_headers["x-h"] == ["b"]
    service.change(request_rules=("rule1", "rule0"))
    assert asked(service).seen_headers["x-h"] == ["a"]


def test_answers_are_changed_too(rig: Rig, one: Origin) -> None:
    one.extra_headers = [("Location", "http://a.example/x"), ("X-Powered-By", "x"), ("Server", "y")]
    service = with_rules(
        rig, one, "response_rules",
        {"rule_type": REPLACE_HEADER, "header": "Location", "pattern": "^http:", "replacement": "https:"},
        {"rule_type": DELETE_HEADER, "pattern": "/^(x-powered-by|server)$/"},
        {"rule_type": ADD_HEADER, "header": "X-Env", "replacement": "50% blue"},
    )  # fmt: skip
    reply = asked(service)
    assert reply.header("location") == "https://a.example/x"
    assert (reply.header("x-powered-by"), reply.header("server"), reply.header("x-env")) == (None, None, "50% blue")


def test_a_flag_of_the_request_is_seen_by_rules_for_the_answer(rig: Rig, one: Origin) -> None:
    service = with_rules(rig, one, "pre_rules", {"header": "X-Test", "pattern": "yes", "set_on_match": 9})
    rig.do(AddRule({"name": "on", "rule_type": 1, "header": "X-On", "replacement": "1", "only_on_flag": 9}))
    rig.do(AddRule({"name": "off", "rule_type": 1, "header": "X-Off", "replacement": "1", "only_on_no_flag": 9}))
    service.change(response_rules=("on", "off"))
    flagged, other = asked(service, headers={"X-Test": "yes"}), asked(service)
    assert (flagged.header("x-on"), flagged.header("x-off")) == ("1", None)
    assert (other.header("x-on"), other.header("x-off")) == (None, "1")


def test_a_request_that_is_to_fail_gets_no_answer(rig: Rig, one: Origin) -> None:
    service = with_rules(rig, one, "pre_rules", {"pattern": r"\.\./", "must_fail": True})
    with pytest.raises(ConnectionError):
        service.fetch("/a/../b")
    assert (one.request_count, asked(service, "/a/b").name) == (0, "one")


def test_a_matching_rule_among_request_rules_sees_what_those_before_it_left(rig: Rig, one: Origin) -> None:
    service = with_rules(
        rig, one, "request_rules",
        {"pattern": "h.example/new", "match_type": "prefix", "include_host": True, "set_on_match": 1},
        {"rule_type": MODIFY_URL, "pattern": "^/old", "replacement": "/new"},
        {"pattern": "h.example/new", "match_type": "prefix", "include_host": True, "set_on_match": 2},
        {"rule_type": ADD_HEADER, "header": "X-Flags", "replacement": "1", "only_on_flag": 1},
        {"rule_type": ADD_HEADER, "header": "X-Flags", "replacement": "2", "only_on_flag": 2},
    )  # fmt: skip
    assert asked(service, "/old", headers={"Host": "H.example:80"}).seen_headers["x-flags"] == ["2"]
    assert asked(service, "/new", headers={"Host": "H.example:80"}).seen_headers["x-flags"] == ["1", "2"]


@pytest.mark.parametrize("text", [*NASTY, "--", "-f", "#", "'", '"'])
@pytest.mark.parametrize("kind", ["exact", "prefix", "postfix"])
def test_a_pattern_is_just_its_text(rig: Rig, one: Origin, text: str, kind: str) -> None:
    service = with_rules(
        rig, one, "pre_rules", {"header": "X-T", "pattern": text, "match_type": kind, "set_on_match": 1}
    )
    rig.do(AddRule({"name": "on", "rule_type": 1, "header": "X-On", "replacement": "1", "only_on_flag": 1}))
    service.change(response_rules=("on",))
    value = text.encode().decode("latin-1")
    assert asked(service, headers={"X-T": value}).header("x-on") == "1"
    for other in ("other", f"{value}x" if kind != "prefix" else f"x{value}"):
        assert asked(service, headers={"X-T": other}).header("x-on") is None
