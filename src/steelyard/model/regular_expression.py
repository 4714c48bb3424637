"""Regular expressions of operators: how they are written, whether they are sound, and whether they can blow up."""

from __future__ import annotations

import re
from functools import lru_cache

from steelyard.model.expression_cost import why_too_slow
from steelyard.model.expression_syntax import (
    ALL,
    NEWLINE,
    WORD,
    Assertion,
    BackReference,
    Bytes,
    ByteSet,
    Choice,
    Expression,
    Group,
    Look,
    Node,
    NotUnderstood,
    Repeat,
    Sequence,
    parse,
)

_CONTROL = re.compile(r"[\x00-\x1f\x7f\x85\u2028\u2029]")
#: as many as there can be rules
_KEPT = 32_768


def expression(pattern: str) -> str:
    """The expression itself: LoadMaster writes it between slashes, and takes it without them too."""
    if is_between_slashes(pattern):
        return pattern[1:-1]
    return pattern


def is_between_slashes(pattern: str) -> bool:
    """Whether a pattern is written as LoadMaster writes regular expressions."""
    return len(pattern) > 1 and pattern.startswith("/") and pattern.endswith("/")


@lru_cache(maxsize=_KEPT)
def refuse_dangerous(
    pattern: str, *, ignore_case: bool = False, lines: bool = False, only_matches: bool = False
) -> str | None:
    """Why a pattern cannot be used by HAProxy, for people; None when it can.

    `lines`: subjects may hold newlines. `only_matches`: nothing is replaced, so HAProxy keeps no groups but those with
    a name (2.6 and 2.8), and their numbers mean nothing.
    """
    if _CONTROL.search(pattern):
        return "the regular expression holds a control character"
    try:
        found = parse(expression(pattern), ignore_case=ignore_case)
    except NotUnderstood as failure:
        return f"the regular expression does not compile: {failure}"
    if only_matches and found.refers_by_number:
        return (
            "the regular expression refers to a group by its number, which a rule that only matches does not keep;"
            " give the group a name: (?<name>...) and (?P=name)"
        )
    slow = why_too_slow(found, lines=lines, skips_start=True)
    if slow is not None:
        return f"the regular expression can blow up: {slow}"
    return None


@lru_cache(maxsize=_KEPT)
def refuse_dangerous_check(pattern: str) -> str | None:
    """Why a pattern cannot be used by the checking process, which has Python look for it in the lines of an answer."""
    if _CONTROL.search(pattern):
        return "holds a control character"
    try:
        # on bytes, where `\u0041` and `(?u)` are errors
        re.compile(pattern.encode())
    except (re.error, ValueError, OverflowError, RecursionError) as failure:
        return f"is not a regular expression: {failure}"
    try:
        found = parse(pattern)
    except NotUnderstood as failure:
        return f"is not a regular expression that can be judged: {failure}"
    slow = why_too_slow(found, lines=True, skips_start=False)
    return None if slow is None else f"is a regular expression that can blow up: {slow}"


def group_count(pattern: str) -> int:
    """How many groups a pattern has. Raises `NotUnderstood`."""
    return parse(expression(pattern)).groups


@lru_cache(maxsize=_KEPT)
def as_python(pattern: str, *, ignore_case: bool = False) -> re.Pattern[bytes]:
    """The pattern for Python, matching the bytes that PCRE matches. Raises `NotUnderstood` or `re.error`."""
    return re.compile(_spelled(parse(expression(pattern), ignore_case=ignore_case).tree))


_ASSERTIONS = {
    "begin": rb"\A",
    "line begin": rb"(?m:^)",
    "end": rb"(?=\n?\Z)",
    "line end": rb"(?m:$)",
    "very end": rb"\Z",
    "word": rb"\b",
    "not word": rb"\B",
}


def _spelled(tree: Node) -> bytes:
    """The tree in Python's spelling, with nothing that depends on options."""
    if isinstance(tree, Bytes):
        return _class(tree.members)
    if isinstance(tree, Sequence):
        return b"".join(_spelled(part) for part in tree.parts)
    if isinstance(tree, Choice):
        return b"(?:" + b"|".join(_spelled(part) for part in tree.parts) + b")"
    if isinstance(tree, Repeat):
        most = b"" if tree.most is None else b"%d" % tree.most
        return b"(?:%b){%d,%b}%b" % (_spelled(tree.part), tree.least, most, tree.mode.encode())
    if isinstance(tree, Group):
        opening = b"(?>" if tree.atomic else b"(?:" if tree.number is None else b"("
        return opening + _spelled(tree.part) + b")"
    if isinstance(tree, Assertion):
        return _ASSERTIONS[tree.kind]
    if isinstance(tree, BackReference):
        return b"(?:(?%b:\\%d))" % (b"i" if tree.ignore_case else b"", tree.number)
    return _look(tree)


def _look(tree: Look) -> bytes:
    """Python wants one length behind, PCRE one for each alternative."""
    if tree.ahead:
        return (b"(?!" if tree.negated else b"(?=") + _spelled(tree.part) + b")"
    parts = tree.part.parts if isinstance(tree.part, Choice) else (tree.part,)
    if tree.negated:
        return b"".join(b"(?<!" + _spelled(part) + b")" for part in parts)
    return b"(?:" + b"|".join(b"(?<=" + _spelled(part) + b")" for part in parts) + b")"


def _class(members: ByteSet) -> bytes:
    if members == ALL & ~NEWLINE:
        return b"[^\\n]"
    if members == WORD:
        return rb"\w"
    if members and members & (members - 1) == 0:
        return re.escape(bytes((members.bit_length() - 1,)))
    ranges: list[bytes] = []
    byte = 0
    while byte < 256:
        if not members >> byte & 1:
            byte += 1
            continue
        last = byte
        while last < 255 and members >> (last + 1) & 1:
            last += 1
        ranges.append(b"\\x%02x" % byte if last == byte else b"\\x%02x-\\x%02x" % (byte, last))
        byte = last + 1
    if not ranges:
        return b"(?!)"
    return b"[" + b"".join(ranges) + b"]"


__all__ = [
    "Expression",
    "NotUnderstood",
    "as_python",
    "expression",
    "group_count",
    "is_between_slashes",
    "refuse_dangerous",
    "refuse_dangerous_check",
]
