"""Regular expressions of operators: how they are written, whether they are sound, and whether they can blow up."""

from __future__ import annotations

import re


def expression(pattern: str) -> str:
    """The expression itself: LoadMaster writes it between slashes, and takes it without them too."""
    if len(pattern) > 1 and pattern.startswith("/") and pattern.endswith("/"):
        return pattern[1:-1]
    return pattern


def refuse_dangerous(pattern: str) -> str | None:
    """Why a pattern cannot be used, for people; None when it can."""
    try:
        re.compile(expression(pattern))
    except re.error as failure:
        return f"the regular expression does not compile: {failure}"
    return None
