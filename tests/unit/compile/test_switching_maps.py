"""Rules that are looked up: what is found is what the rules would choose one by one."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.content_rules import first_match, requests, rules

from steelyard.compile.haproxy.literals import literal
from steelyard.compile.haproxy.switching_maps import Choice, Run, reachable, segments
from steelyard.emit.haproxy.words import quote_entry
from steelyard.model.content_rule import ContentRule
from steelyard.model.rule_matching import Request, matches


def _sample(expression: str, asked: Request) -> str:
    """What HAProxy makes of a sample expression of ours."""
    base, *converters = expression.split(",")
    value = {
        "var(txn.host)": asked.host,
        "path": asked.path,
        "pathq": asked.target,
        "var(txn.host_path)": asked.host + asked.path,
        "var(txn.host_pathq)": asked.host + asked.target,
    }[base]
    return value.lower() if converters == ["lower"] else value


def _looked_up(run: Run, asked: Request) -> str | None:
    """The value HAProxy finds: the longest beginning, the first end or expression in order."""
    value = _sample(run.kind.sample, asked)
    entries = run.lookup.entries
    match run.kind.comparison:
        case "exact":
            return dict(entries).get(value)
        case "prefix":
            return max(((len(key), found) for key, found in entries if value.startswith(key)), default=(0, None))[1]
        case "postfix":
            return next((found for key, found in entries if value.endswith(key)), None)
        case _:
            return next((found for key, found in entries if re.search(key, value)), None)


@settings(max_examples=400, deadline=None)
@given(rules(), st.lists(requests(), min_size=1, max_size=20))
def test_lookups_choose_what_the_rules_would_in_their_order(found: list[ContentRule], asked: list[Request]) -> None:
    compiled = list(segments([Choice(rule, rule.name) for rule in found], "vs1"))
    for one in asked:
        backend = None
        for part in compiled:
            if isinstance(part, Run):
                backend = _looked_up(part, one)
            elif matches(part.rule, one):
                backend = part.backend
            if backend is not None:
                break
        expected = first_match(found, one)
        assert backend == (None if expected is None else expected.name), one


@settings(max_examples=200, deadline=None)
@given(rules())
def test_every_entry_can_stand_in_a_lookup(found: list[ContentRule]) -> None:
    for part in segments([Choice(rule, rule.name) for rule in found], "vs1"):
        if isinstance(part, Run):
            assert [quote_entry(key) for key, _ in part.lookup.entries] == [key for key, _ in part.lookup.entries]
            assert len(dict(part.lookup.entries)) == len(part.lookup.entries)


@given(st.lists(st.text("ab", min_size=1, max_size=5), max_size=12), st.text("ab", max_size=8))
def test_of_prefixes_the_longest_that_is_left_is_the_first_there_was(prefixes: list[str], value: str) -> None:
    entries = [(prefix, str(number)) for number, prefix in enumerate(prefixes)]
    first = next((found for prefix, found in entries if value.startswith(prefix)), None)
    left = [(len(prefix), found) for prefix, found in reachable(entries).items() if value.startswith(prefix)]
    assert max(left, default=(0, None))[1] == first


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        (r"^www\.x\.com$", ("exact", "www.x.com")),
        (r"^\/owa.*", ("prefix", "/owa")),
        (r"^\/owa.*$", ("prefix", "/owa")),
        (r"^/owa", ("prefix", "/owa")),
        (r"\.png$", ("postfix", ".png")),
        (r"^.*\.png$", ("postfix", ".png")),
        (r".*\.png$", ("postfix", ".png")),
        (r"^a-b_c\ d~e@f%g!h=i&j,k;l:m'n\"o<p>#q$", ("exact", "a-b_c d~e@f%g!h=i&j,k;l:m'n\"o<p>#q")),
        (r"^\$\^\\$", ("exact", "$^\\")),
    ],
)
def test_an_expression_that_is_a_plain_text_is_seen_as_one(pattern: str, found: tuple[str, str]) -> None:
    assert literal(pattern) == found


_MORE = ("owa", "", "^", "$", "^$", ".*", "^.*", "^.*$", "^a.b$", "^a+$", "^a|b$", "^(a)$", "^[a]$", "^a{2}$", r"^\d$")
_MORE += ("a$b", r"^\Qa.b\E$", r"^\x41$", "(?i)^a$", "^a?", "^a*", "^^a", "^a$$", r"^\bA$", r"^a\\.*b", "a.*")


@pytest.mark.parametrize("pattern", _MORE)
def test_an_expression_that_is_more_stays_one(pattern: str) -> None:
    assert literal(pattern) is None


def test_an_escaped_end_is_a_character() -> None:
    assert literal(r"^a\$") == ("prefix", "a$")


def rule(name: str, pattern: str, **given: object) -> ContentRule:
    return ContentRule.make({"name": name, "pattern": pattern, **given})


def test_hosts_and_paths_one_after_the_other_are_one_lookup_each() -> None:
    found = [rule(f"h{n}", f"^h{n}$", header="HOST") for n in range(3)]
    found += [rule(f"p{n}", f"/p{n}", match_type="prefix") for n in range(3)]
    first, second = segments([Choice(one, f"vs1-{one.name}") for one in found], "vs1")
    assert isinstance(first, Run)
    assert isinstance(second, Run)
    assert first.expression == "var(txn.host),map_str(lookups/vs1-switch-1)"
    assert first.lookup.entries == (("h0", "vs1-h0"), ("h1", "vs1-h1"), ("h2", "vs1-h2"))
    assert second.expression == "path,map_beg(lookups/vs1-switch-2)"


@pytest.mark.parametrize(
    "settings",
    [
        {"negate": True},
        {"must_fail": True},
        {"set_on_match": 1},
        {"only_on_flag": 1},
        {"only_on_no_flag": 1},
        {"header": "User-Agent"},
        {"header": "body"},
        {"header": "method"},
        {"header": "src-ip", "match_type": "regex"},
        {"pattern": "a b"},
        {"pattern": "ä"},
        {"pattern": "#a"},
    ],
)
def test_what_a_lookup_cannot_say_stays_a_rule(settings: dict[str, object]) -> None:
    one = rule("r", **{"pattern": "a", "match_type": "prefix"} | settings)  # type: ignore[arg-type]
    assert list(segments([Choice(one, "b")], "vs1")) == [Choice(one, "b")]
