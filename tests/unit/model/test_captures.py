"""Expressions around the first match: what they match, and where the groups are then."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from steelyard.model.captures import around, refuse_captures

PATTERNS = (
    "a",
    "(a)",
    "(a)(b)?",
    "a|b",
    "(a|b)(c)",
    r"(.)\1",
    "(?:a)(b)",
    "(?P<n>a)b(?P=n)",
    "[(](a)",
    r"\((b)",
    "^a",
    "c$",
)
PATTERNS += ("((a)b)", "a(?=b)(b)", "(?<=a)(b)", "[]()](a)", "(a)(?#(x)(b)", r"[^\](](b)")


def _put(pattern: str, replacement: str, text: str) -> str:
    """What a rule that puts its text in place of the whole value makes of it."""
    found = around(pattern, replacement)
    match = re.search(found.pattern, text)
    if match is None:
        return text
    groups = found.groups

    def group(reference: re.Match[str]) -> str:
        return match[groups[int(reference[1])]] or "" if int(reference[1]) in groups else ""

    before, after = match[int(found.before[1:])], match[int(found.after[1:])]
    return before + re.sub(r"\\([0-9])", group, replacement) + after


def _wanted(pattern: str, replacement: str, text: str) -> str:
    def group(match: re.Match[str], number: int) -> str:
        return (match[number] or "") if number <= (match.re.groups) else ""

    return re.sub(
        pattern,
        lambda match: re.sub(r"\\([0-9])", lambda one: group(match, int(one[1])), replacement),
        text,
        count=1,
    )


@given(
    st.sampled_from(PATTERNS),
    st.lists(st.sampled_from((r"\0", r"\1", r"\2", "-", "x")), max_size=5).map("".join),
    st.text("abc()]", max_size=8),
)
def test_the_first_match_alone_is_replaced(pattern: str, replacement: str, text: str) -> None:
    assert refuse_captures(pattern, replacement) is None
    assert _put(pattern, replacement, text) == _wanted(pattern, replacement, text)


def test_groups_that_nothing_names_are_not_counted() -> None:
    pattern = "".join(f"({letter})" for letter in "abcdefghijkl")
    assert refuse_captures(pattern, r"\1\9") is None
    assert _put(pattern, r"\9\1", "abcdefghijkl") == "ia"


@pytest.mark.parametrize(("replacement", "fits"), [(r"\1\2\3\4\5\6\7", True), (r"\0\1\2\3\4\5\6", True)])
def test_seven_references_fit(replacement: str, fits: bool) -> None:
    assert (refuse_captures("(a)" * 9, replacement) is None) is fits


@pytest.mark.parametrize("replacement", [r"\1\2\3\4\5\6\7\8", r"\0\1\2\3\4\5\6\7"])
def test_more_references_than_there_is_room_for_are_refused(replacement: str) -> None:
    problem = refuse_captures("(a)" * 9, replacement)
    assert problem is not None
    assert "groups at most" in problem
