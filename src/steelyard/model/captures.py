"""A regular expression that finds its first match in a text, as one that matches the whole text around it too.

HAProxy's rules that replace by an expression put their text in place of the whole value (2.6 and 2.8,
`http_replace_hdrs`), so what stands before and after the match has to be matched and put back. That takes groups, of
which there are nine: those that nothing refers to are not counted, and the others move on by what stands before.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from steelyard.model.regular_expression import expression

#: groups that a replacement can name
_MOST = 9

_TOKEN = re.compile(
    r"""(?P<quoted> \\Q .*? (?: \\E | \Z ) )
      | (?P<comment> \( \? \# [^)]* \) )
      | \\ (?P<back> [1-9] )
      | (?P<escape> \\ . )
      | (?P<set> \[ \^? \]? (?: \[ : \^? [a-z]+ : \] | \\ . | [^\]\\] )* \] )
      | \( \? P = (?P<back_name> \w+ ) \)
      | \( \? (?: P? < (?P<angled> [A-Za-z_] \w* ) > | ' (?P<ticked> \w+ ) ' )
      | (?P<special> \( \? )
      | (?P<kept> \( )
      | (?P<other> . )""",
    re.VERBOSE | re.DOTALL,
)
_REFERENCE = re.compile(r"\\([0-9])")


@dataclass(frozen=True)
class Around:
    """`pattern` matches the whole text; the text that is put in its place is `before`, the replacement, `after`.

    `groups` says which group of `pattern` is each one that the replacement names; others stand for nothing.
    """

    pattern: str
    before: str
    after: str
    groups: dict[int, int]


def references(replacement: str) -> set[int]:
    r"""The groups that a replacement names: \1 to \9, and \0 for the whole match."""
    return {int(digit) for digit in _REFERENCE.findall(replacement)}


def refuse_captures(pattern: str, replacement: str) -> str | None:
    """Why a replacement cannot be made, for people; None when it can."""
    # one group each for what stands before and after
    room = _MOST - 2 - (0 in references(replacement))
    if len(_needed(expression(pattern), references(replacement))) > room:
        return f"the replacement and the pattern may refer to {room} different groups at most"
    return None


def around(pattern: str, replacement: str) -> Around:
    """The expression that finds the first match, with the groups that the replacement names."""
    named = references(replacement)
    whole = 0 in named
    text, numbers = _renumbered(expression(pattern), named, 2 if whole else 1)
    last = max(numbers.values(), default=2 if whole else 1) + 1
    groups = {number: new for number, new in numbers.items() if number in named}
    if whole:
        groups[0] = 2
    opening = "(" if whole else "(?:"
    return Around(f"^(.*?){opening}{text})(.*)$", r"\1", f"\\{last}", groups)


def _needed(text: str, named: set[int]) -> set[int]:
    """Numbers of the groups that something refers to."""
    names: dict[str, int] = {}
    found, count = set[int](), 0
    for token in _TOKEN.finditer(text):
        name = token["angled"] or token["ticked"]
        if name or token["kept"]:
            count += 1
            if name:
                names[name] = count
            if count in named:
                found.add(count)
        elif token["back"]:
            found.add(int(token["back"]))
        elif token["back_name"] in names:
            found.add(names[token["back_name"]])
    return found


def _renumbered(text: str, named: set[int], before: int) -> tuple[str, dict[int, int]]:
    """The expression with only the groups that are needed, and their numbers after `before` others."""
    needed = _needed(text, named)
    names: dict[str, int] = {}
    numbers: dict[int, int] = {}
    parts: list[str] = []
    count = 0
    for token in _TOKEN.finditer(text):
        part = token[0]
        name = token["angled"] or token["ticked"]
        if name or token["kept"]:
            count += 1
            if name:
                names[name] = count
            if count in needed:
                numbers[count] = before + len(numbers) + 1
            part = "(" if count in needed else "(?:"
        elif token["back"] or token["back_name"] in names:
            number = int(token["back"]) if token["back"] else names[token["back_name"]]
            # a reference is not to run into a digit that follows it
            part = f"(?:\\{numbers[number]})" if number in numbers else part
        elif token["quoted"] and not part.endswith(r"\E"):
            part += r"\E"
        parts.append(part)
    return "".join(parts), numbers


__all__ = ["Around", "around", "references", "refuse_captures"]
