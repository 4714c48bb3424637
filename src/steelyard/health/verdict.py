"""The rules that turn answers into verdicts. Pure.

- An answer is final for its cycle: a wrong code or greeting is down at once. Only silence, which an answer without an
  end is too, and a connection that fails are repeated.
- The first good answer is up.
- 2xx is always good. 301, 302 and 401 are good too, unless a list of codes replaces them. 403 is down.
- A pattern applies to bodies of 2xx answers only; other good codes are up without it.
- A server that nobody has checked yet is treated as down; one whose checks are off as up.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Literal

from steelyard.health.transcript import Outcome
from steelyard.plan.health import Check

State = Literal["unknown", "up", "down", "unchecked"]

#: Good besides 2xx when the operator gives no list (LoadMaster, "HTTP or HTTPS Protocol Health Checking").
DEFAULT_CODES = (301, 302, 401)
#: How much of a body a pattern sees.
PATTERN_BYTES = 4096
_BODIED = ("GET", "POST", "OPTIONS")


def carries(state: State) -> bool:
    """True when a server in this state may get traffic."""
    return state in ("up", "unchecked")


def again(outcome: Outcome, attempt: int, attempts: int) -> bool:
    """True when the cycle asks once more after this attempt (counted from 1)."""
    return outcome in (Outcome.SILENT, Outcome.FAILED) and attempt < attempts


def verdict(outcome: Outcome) -> Literal["up", "down"] | None:
    """What the last attempt of a cycle says; None means that the cycle proves nothing and the verdict stays."""
    match outcome:
        case Outcome.GOOD:
            return "up"
        case Outcome.BAD | Outcome.SILENT | Outcome.FAILED:
            return "down"
        case Outcome.UNASKED:
            return None


def good_code(status: int, codes: tuple[int, ...]) -> bool:
    """True when an HTTP status is good; `codes` empty means the default list."""
    return 200 <= status <= 299 or status in (codes or DEFAULT_CODES)


def wants_body(check: Check, status: int) -> bool:
    """True when the answer has to be matched against the check's pattern."""
    return check.pattern is not None and check.method in _BODIED and 200 <= status <= 299


@lru_cache(maxsize=4096)
def answered(status: int, phrase: str, codes: tuple[int, ...]) -> tuple[Outcome, str]:
    """Outcome and reason of an answer with this status, before any pattern is looked at."""
    words = f"answered {status} {phrase}".rstrip()
    if good_code(status, codes):
        return Outcome.GOOD, words
    good = ", ".join(str(code) for code in codes or DEFAULT_CODES)
    return Outcome.BAD, f"{words}; good are 200-299, {good}"
