"""Regular expressions that say no more than a plain text at a place: `^/owa.*` begins with /owa."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Literal

from steelyard.model.content_rule import ContentRule
from steelyard.model.regular_expression import expression

Place = Literal["exact", "prefix", "postfix"]

#: one character that stands for itself; letters and digits have a meaning behind a backslash
_CHARACTER = re.compile(r"\\([^A-Za-z0-9])|([^\\^$.|?*+()\[\]{}])")


@lru_cache(maxsize=32_768)
def literal(pattern: str) -> tuple[Place, str] | None:
    """The text an expression looks for and where, or None when it is more than that."""
    starts = pattern.startswith("^")
    rest = pattern[1:] if starts else pattern
    if rest.startswith(".*"):
        starts, rest = False, rest[2:]
    text = ""
    while (found := _CHARACTER.match(rest)) is not None:
        text += found[1] or found[2]
        rest = rest[found.end() :]
    if not text:
        return None
    if rest == "$":
        return ("exact" if starts else "postfix", text)
    if starts and rest in ("", ".*", ".*$"):
        return "prefix", text
    return None


def plain(rule: ContentRule) -> tuple[Place, str] | None:
    """What a matching rule looks for and where, if it is a plain text."""
    match rule.match_type:
        case "exact":
            return "exact", rule.pattern
        case "prefix":
            return "prefix", rule.pattern
        case "postfix":
            return "postfix", rule.pattern
        case _:
            return literal(expression(rule.pattern))
