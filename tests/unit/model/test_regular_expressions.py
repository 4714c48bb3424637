"""Operators' patterns: what is ordinary passes, what can blow up does not, and all engines read them alike."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from itertools import product

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from tests.support import pcre2
from tests.support.backtracking import Matcher, TooManySteps

from steelyard.model.expression_syntax import NotUnderstood, parse
from steelyard.model.regular_expression import (
    as_python,
    expression,
    group_count,
    refuse_dangerous,
    refuse_dangerous_check,
)

needs_pcre2 = pytest.mark.skipif(not pcre2.available(), reason="libpcre2-8 is missing")

ORDINARY = r"""
/^\/owa.*/
/^\/(api|rpc)\/.*$/
^www\.domain\.com$
/^\/microsoft-server-activesync.*/
/^\/lm_auth_proxy.*$/
/^\/$/
^/api/
//
^https?://([a-z0-9-]+\.)*example\.com(:[0-9]+)?(/.*)?$
^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]{2,63}$
\.(jpe?g|png|gif|css|js)(\?.*)?$
.*\.example\.com.*
^(.*)/foo/(.*)$
(^|; )session=([^;]*)
^/a/.*/b/.*$
^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$
Mozilla/5\.0 \(.*\) AppleWebKit/.*
foo.*bar
^(?:25[0-5]|2[0-4][0-9]|1?[0-9]{1,2})(\.(?:25[0-5]|2[0-4][0-9]|1?[0-9]{1,2})){3}$
^/(?!admin).*$
(?i)^/Portal/
^\s*(\w+)\s*=\s*(\w+)\s*$
[[:alpha:]]+
/users/[^/]+/posts/[^/]+/comments$
^/~[a-z]+(/.*)?$
MSIE [6-9]\.|Trident
^/owa/[0-9a-f-]+@[^/]+/calendar/
(a|b)*
^(?<lang>[a-z]{2})/(?P<rest>.*)$
(?<=a|bc)d
\Qa.b*c\E+
^(['"]).*\1$
(['"]).*\1
a{2}b{3,}c{,
[]a][^]a]
é+
""".strip().splitlines()


@pytest.mark.parametrize("pattern", ORDINARY)
def test_ordinary_patterns_pass(pattern: str) -> None:
    assert refuse_dangerous(pattern) is None
    assert refuse_dangerous(pattern, ignore_case=True) is None
    as_python(pattern)


@pytest.mark.parametrize(
    "pattern",
    [
        r"(a+)+$",
        r"(a*)*b",
        r"(a|a)*b",
        r"(a|aa)+$",
        r"(a|a?)+$",
        r"^(.*a){20}$",
        r"(x+x+)+y",
        r"(.*)*b",
        r"^(\w+\s?)*$",
        r"^(([a-z])+.)+[A-Z]([a-z])+$",
        r"([a-zA-Z0-9]+)*-",
        r"((a+)+b)?c",
        r"a.*b.*c",
        r"^.*a.*b.*c",
        r"\d+\d+\d+x",
        r"^\d+\d+\d+x",
        r"^a*a*xb*b*y",
        r"^[^b]*.{3,40}[^c]*x",
        r"(?=(a+)+b)a",
        r"(a.*)\1.*b",
        r"^(a?){30}a{30}$",
        "a?" * 25 + "a" * 25,
        "(a|b|ab|ba)" * 20 + "$",
        r"((a{1,40}){1,40}){1,40}b",
        r"(a+b|a)*c.*d.*e",
    ],
)
def test_what_can_blow_up_is_refused(pattern: str) -> None:
    assert "can blow up" in (refuse_dangerous(pattern) or "")
    assert "can blow up" in (refuse_dangerous_check(pattern) or "")


def test_case_can_make_the_difference() -> None:
    pattern = r"^([a-z]+|[A-Z]+)*$"
    assert refuse_dangerous(r"^([a-z]|[A-Z])*$") is None
    assert refuse_dangerous(r"^([a-z]|[A-Z])*$", ignore_case=True) is not None
    assert refuse_dangerous(pattern) is not None


def test_newlines_make_what_follows_them_uncertain() -> None:
    pattern = r"^/a.*/b.*/c.*$"
    assert refuse_dangerous(pattern) is None
    assert refuse_dangerous(pattern, lines=True) is not None


def test_python_does_not_skip_starts() -> None:
    assert refuse_dangerous(r".*a.*b") is None
    assert refuse_dangerous_check(r".*a.*b") is not None


@pytest.mark.parametrize(
    ("pattern", "says"),
    [
        ("(a", "unclosed ("),
        ("a)", "unopened )"),
        ("[a", "class of characters ends too early"),
        ("*a", "nothing to repeat"),
        ("{1}", "nothing to repeat"),
        ("a|{2,3}", "nothing to repeat"),
        ("a**", "repeat of a repeat"),
        ("^*", "repeated condition"),
        ("a{3,1}", "wrong way round"),
        ("a{70000}", "more than 65535"),
        ("a{,3}", "lower bound"),
        ("a{1, 3}", "blanks"),
        ("[b-a]", "wrong way round"),
        (r"[a-\d]", "ends with a class"),
        ("a\\", "ends too early"),
        (r"\1(a)", "group 1"),
        (r"(a\1)", "group 1"),
        (r"(a)\10", "two digits"),
        ("(?R)", "not every engine"),
        ("(?1)", "not every engine"),
        ("(?(1)a|b)", "not every engine"),
        ("(?|a|b)", "not every engine"),
        ("(?x) a", "not every engine"),
        ("(*UTF8)a", "verb"),
        (r"\p{L}", "not every engine"),
        (r"a\Kb", "not every engine"),
        (r"\u0041", "not every engine"),
        ("(?<=a+)b", "without a fixed length"),
        ("[[:nothing:]]", "unknown class"),
        ("[.a.]", "outside of a class"),
        ("(?<1a>b)", "wrong name"),
        ("(?<a>b)(?<a>c)", "second group"),
        ("(" * 45 + ")" * 45, "deeper than"),
        ("a\nb", "control character"),
        ("a\x00b", "control character"),
        ("(?:a{1000}){1000}", "too large"),
    ],
)
def test_what_is_wrong_is_named(pattern: str, says: str) -> None:
    assert says in (refuse_dangerous(pattern) or "nothing")


def test_slashes_around_a_pattern_are_not_part_of_it() -> None:
    assert [expression(one) for one in ("/a/", "a", "/a", "a/", "/", "//", r"/\/a\//")] == [
        "a", "a", "/a", "a/", "/", "", r"\/a\/",
    ]  # fmt: skip
    assert group_count(r"/(a)(?:b)(?<c>d)\(/") == 2


ATOMS = st.sampled_from(
    ["a", "b", "ab", "A", ".", "[ab]", "[^a]", r"\w", r"\d", r"\s", "[a-c1]", r"\.", "1", "[[:upper:]]", r"\x61", r"\h"]
)
SIGNS = st.sampled_from(["*", "+", "?", "{2}", "{1,3}", "{2,}", "*?", "+?", "??", "*+", "{0,9}", ""])


def _wider(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    opening = st.sampled_from(["(", "(?:", "(?i:", "(?>", "(?=", "(?!", "(?<n>"])
    group = st.tuples(opening, inner, SIGNS).map(lambda t: f"{t[0]}{t[1]}){'' if t[0] in ('(?=', '(?!') else t[2]}")
    several = st.lists(inner, min_size=2, max_size=4)
    return group | several.map("".join) | several.map("|".join) | st.tuples(inner, st.sampled_from("$")).map("".join)


PATTERNS = st.tuples(
    st.sampled_from(["", "", "^", r"\b", "(?i)"]),
    st.recursive(st.tuples(ATOMS, SIGNS).map("".join), _wider, max_leaves=6),
    st.sampled_from(["", "$", "b", "1$", "x", r"\z", r"\1"]),
).map("".join)
SUBJECTS = st.text(st.sampled_from("abAB1. c\n"), max_size=12).map(str.encode)


@needs_pcre2
@settings(max_examples=600, deadline=None)
@given(pattern=PATTERNS, subject=SUBJECTS, ignore_case=st.booleans())
def test_python_finds_what_pcre2_finds(pattern: str, subject: bytes, ignore_case: bool) -> None:
    assume(refuse_dangerous(pattern, ignore_case=ignore_case) is None)
    found = as_python(pattern, ignore_case=ignore_case).search(subject)
    # slashes at both ends cannot come up here
    assert pcre2.search(pattern, subject, ignore_case=ignore_case) == (found.span() if found is not None else None)


@needs_pcre2
@settings(max_examples=600, deadline=None)
@given(pattern=st.text(st.sampled_from(r"ab()[]{}^$.|?*+\\1,2-:=!<>dwsQEx4P'"), max_size=14))
def test_what_is_accepted_pcre2_compiles(pattern: str) -> None:
    assume(refuse_dangerous(f"/{pattern}/") is None)
    pcre2.search(pattern, b"ab1")


@needs_pcre2
@pytest.mark.parametrize("pattern", ORDINARY)
def test_pcre2_compiles_what_is_ordinary(pattern: str) -> None:
    pcre2.search(expression(pattern), b"/owa/index.html")


def _attacks() -> Iterator[tuple[bytes, bytes]]:
    """Pairs of subjects, the second twice as long, with an end that spoils what has matched so far."""
    for pump, suffix in product(("a", "b", "1", "A", "ab", "a1", "aA"), ("", "\x00", "c\x00")):
        one, two = (f"{pump * times}{suffix}".encode() for times in (16, 32))
        yield one, two


@settings(max_examples=250, deadline=None)
@given(pattern=PATTERNS)
def test_what_is_accepted_costs_no_more_than_the_square(pattern: str) -> None:
    assume(refuse_dangerous(pattern) is None)
    tree = parse(pattern)
    assume(not tree.refers_back)
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(20_000)
    try:
        for pair in _attacks():
            costs = []
            for subject in pair:
                matcher = Matcher(subject, 200_000)
                matcher.search(tree)
                costs.append(matcher.steps)
            # a length twice as large costs four times as much; small lengths cost something besides
            assert costs[1] < 6 * costs[0] + 3_000, (pattern, pair[1], costs)
    except TooManySteps:
        pytest.fail(f"{pattern!r} blows up on {subject!r}")
    finally:
        sys.setrecursionlimit(limit)


def test_the_step_counter_sees_what_blows_up() -> None:
    matcher = Matcher(b"a" * 30 + b"!", 100_000)
    with pytest.raises(TooManySteps):
        matcher.search(parse("(a+)+$"))


def test_the_longest_patterns_are_judged_quickly() -> None:
    for pattern in (
        "(a|b)?" * 41,
        ".*" * 125,
        "[a-z]{1,4}" * 25,
        "(" * 39 + "a" + ")?" * 39,
        "a{0,9}" * 41,
        "(a*b?)" * 41,
    ):
        assert len(pattern) <= 250
        refuse_dangerous(pattern)


def test_a_pattern_of_a_check_is_one_for_python_too() -> None:
    assert refuse_dangerous_check("^(yes|no)$") is None
    for pattern in ("(?<a>b)", r"\h", r"\z", "(a"):
        with pytest.raises(re.error):
            re.compile(pattern.encode())
        assert "not a regular expression" in (refuse_dangerous_check(pattern) or "")


def test_only_what_is_understood_becomes_a_pattern() -> None:
    with pytest.raises(NotUnderstood):
        as_python("(?R)")
