r"""The syntax of operators' regular expressions: the part that PCRE, PCRE2 and Python read alike, on bytes.

HAProxy compiles patterns with PCRE2 or PCRE, the checking process with Python, and a pattern must mean the same to all
of them. So it is read here into a tree, with every class of characters as a set of bytes, and from the tree come the
analysis of its cost and a spelling that Python cannot read otherwise. What only one of them knows, or what they
understand differently (`{,3}`, recursion, conditions, `\K`, Unicode properties), is refused with its name.
"""

from __future__ import annotations

import string
from dataclasses import dataclass, replace
from typing import Literal, NoReturn

#: a set of bytes: bit n stands for byte n
ByteSet = int

ALL: ByteSet = (1 << 256) - 1


def byte_set(members: bytes | range) -> ByteSet:
    """The set of those bytes."""
    found = 0
    for member in members:
        found |= 1 << member
    return found


NEWLINE = byte_set(b"\n")
_DIGITS = byte_set(string.digits.encode())
_LETTERS = byte_set(string.ascii_letters.encode())
WORD = _DIGITS | _LETTERS | byte_set(b"_")
_SPACE = byte_set(b" \t\n\r\f\v")
_HORIZONTAL = byte_set(b"\t \xa0")
_VERTICAL = byte_set(b"\n\v\f\r\x85")
_CLASSES = {"d": _DIGITS, "w": WORD, "s": _SPACE, "h": _HORIZONTAL, "v": _VERTICAL}
_POSIX = {
    "alpha": _LETTERS,
    "digit": _DIGITS,
    "alnum": _DIGITS | _LETTERS,
    "upper": byte_set(string.ascii_uppercase.encode()),
    "lower": byte_set(string.ascii_lowercase.encode()),
    "word": WORD,
    "space": _SPACE,
    "blank": byte_set(b" \t"),
    "punct": byte_set(string.punctuation.encode()),
    "xdigit": byte_set(string.hexdigits.encode()),
    "cntrl": byte_set(range(32)) | 1 << 127,
    "graph": byte_set(range(33, 127)),
    "print": byte_set(range(32, 127)),
}
_CONTROLS = {"a": 7, "e": 27, "f": 12, "n": 10, "r": 13, "t": 9}
#: PCRE's own limit of a counted repeat
_MOST_REPEATS = 65_535
_DEEPEST = 40

AssertionKind = Literal["begin", "line begin", "end", "line end", "very end", "word", "not word"]


@dataclass(frozen=True, slots=True)
class Bytes:
    """One byte of a set."""

    members: ByteSet


@dataclass(frozen=True, slots=True)
class Sequence:
    """Parts one after the other; none is the empty expression."""

    parts: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Choice:
    """Alternatives, the first that fits counts."""

    parts: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Repeat:
    """A repeated part; `most` None is without end. `mode` is greedy, lazy or possessive, as its sign."""

    part: Node
    least: int
    most: int | None
    mode: Literal["", "?", "+"]


@dataclass(frozen=True, slots=True)
class Group:
    """Brackets. `number` is that of a group whose match is kept; an atomic one gives nothing back."""

    part: Node
    number: int | None = None
    atomic: bool = False


@dataclass(frozen=True, slots=True)
class Look:
    """A condition on what follows or precedes."""

    part: Node
    ahead: bool
    negated: bool


@dataclass(frozen=True, slots=True)
class Assertion:
    """A condition on the place."""

    kind: AssertionKind


@dataclass(frozen=True, slots=True)
class BackReference:
    """What that group matched, once more."""

    number: int
    ignore_case: bool


Node = Bytes | Sequence | Choice | Repeat | Group | Look | Assertion | BackReference


@dataclass(frozen=True)
class Expression:
    """A pattern as a tree, with the number of its groups and whether it refers back to one."""

    tree: Node
    groups: int
    refers_back: bool = False
    #: by `\1`, not by a name
    refers_by_number: bool = False


class NotUnderstood(ValueError):
    """The pattern is wrong, or outside what all engines read alike."""


@dataclass(frozen=True, slots=True)
class _Flags:
    ignore_case: bool
    any_newline: bool = False
    lines: bool = False


def parse(pattern: str, *, ignore_case: bool = False) -> Expression:
    """The tree of a pattern. Raises `NotUnderstood` in words for people, with the place."""
    reader = _Reader(pattern, _Flags(ignore_case))
    tree = reader.choice(0)
    if not reader.done:
        reader.wrong("an unopened )")
    return Expression(tree, reader.groups, reader.refers_back, reader.refers_by_number)


def with_both_cases(members: ByteSet) -> ByteSet:
    """The set with the other case of each ASCII letter."""
    lower, upper = members & _POSIX["lower"], members & _POSIX["upper"]
    return members | (lower >> 32) | (upper << 32)


class _Reader:
    """Reads one pattern from left to right. It works on characters that stand for one byte each."""

    def __init__(self, pattern: str, flags: _Flags) -> None:
        self._text = pattern.encode("utf-8", "surrogatepass").decode("latin-1")
        self._at = 0
        self._flags = flags
        self.groups = 0
        self._names: dict[str, int] = {}
        self._open: set[int] = set()
        self.refers_back = False
        self.refers_by_number = False

    @property
    def done(self) -> bool:
        return self._at >= len(self._text)

    def wrong(self, why: str) -> NoReturn:
        raise NotUnderstood(f"{why} at character {self._at + 1}")

    def _peek(self, text: str) -> bool:
        return self._text.startswith(text, self._at)

    def _take(self, text: str) -> bool:
        if not self._peek(text):
            return False
        self._at += len(text)
        return True

    def _next(self, what: str) -> str:
        if self.done:
            self.wrong(f"{what} ends too early,")
        self._at += 1
        return self._text[self._at - 1]

    def choice(self, depth: int) -> Node:
        """Alternatives up to a closing bracket or the end; options set inside end with them."""
        if depth > _DEEPEST:
            self.wrong(f"brackets nested deeper than {_DEEPEST}")
        outside = self._flags
        parts = [self._sequence(depth)]
        while self._take("|"):
            parts.append(self._sequence(depth))
        self._flags = outside
        return parts[0] if len(parts) == 1 else Choice(tuple(parts))

    def _sequence(self, depth: int) -> Node:
        parts: list[Node] = []
        while not self.done and not self._peek("|") and not self._peek(")"):
            if self._take(r"\Q"):
                quoted, _, _ = self._text[self._at :].partition(r"\E")
                self._at = min(self._at + len(quoted) + 2, len(self._text))
                parts += [
                    self._repeated(self._literal(char)) if i == len(quoted) - 1 else self._literal(char)
                    for i, char in enumerate(quoted)
                ]
                continue
            if self._take(r"\E"):
                continue
            part = self._part(depth)
            if part is not None:
                parts.append(self._repeated(part))
        return parts[0] if len(parts) == 1 else Sequence(tuple(parts))

    def _repeated(self, part: Node) -> Node:
        found = self._quantifier()
        while found is not None:
            if isinstance(part, (Assertion, Look)):
                self.wrong("a repeated condition")
            mode: Literal["", "?", "+"] = "?" if self._take("?") else "+" if self._take("+") else ""
            part = Repeat(part, *found, mode)
            found = self._quantifier()
            if found is not None:
                self.wrong("a repeat of a repeat")
        return part

    def _quantifier(self) -> tuple[int, int | None] | None:
        for sign, limits in (("*", (0, None)), ("+", (1, None)), ("?", (0, 1))):
            if self._take(sign):
                return limits
        if not self._peek("{"):
            return None
        inside, closed, _ = self._text[self._at + 1 :].partition("}")
        low, comma, high = inside.partition(",")
        if not closed or not inside or inside.strip("0123456789,") or inside.count(",") > 1:
            if inside.replace(" ", "") != inside and closed and not inside.replace(" ", "").strip("0123456789,"):
                self.wrong("blanks inside a counted repeat, which engines read differently,")
            return None
        if not low:
            self.wrong("a counted repeat without its lower bound, which engines read differently,")
        least = int(low[:9])
        most = least if not comma else int(high[:9]) if high else None
        if max(least, most or 0) > _MOST_REPEATS:
            self.wrong(f"a repeat of more than {_MOST_REPEATS}")
        if most is not None and most < least:
            self.wrong("a repeat whose bounds are the wrong way round")
        self._at += len(inside) + 2
        return least, most

    def _counts_here(self) -> bool:
        """Whether the brace just read begins a count: with nothing before it, Python reads a brace and PCRE2 fails."""
        self._at -= 1
        before = self._at
        counts = self._quantifier() is not None
        self._at = before + 1
        return counts

    def _literal(self, char: str) -> Bytes:
        return Bytes(self._cased(1 << ord(char)))

    def _cased(self, members: ByteSet) -> ByteSet:
        return with_both_cases(members) if self._flags.ignore_case else members

    def _part(self, depth: int) -> Node | None:
        """The next part; None for an option or a comment."""
        char = self._next("the pattern")
        if char in "*+?":
            self.wrong(f"nothing to repeat before {char}")
        if char == "{" and self._counts_here():
            self.wrong("nothing to repeat before {")
        if char == "(":
            return self._bracket(depth)
        if char == "[":
            return Bytes(self._class())
        if char == ".":
            return Bytes(ALL if self._flags.any_newline else ALL & ~NEWLINE)
        if char == "^":
            return Assertion("line begin" if self._flags.lines else "begin")
        if char == "$":
            return Assertion("line end" if self._flags.lines else "end")
        if char == "\\":
            return self._escaped()
        return self._literal(char)

    def _escaped(self) -> Node:
        char = self._next("an escape")
        kinds: dict[str, AssertionKind] = {
            "A": "begin", "Z": "end", "z": "very end", "b": "word", "B": "not word",
        }  # fmt: skip
        if char in kinds:
            return Assertion(kinds[char])
        if char in "123456789":
            if not self.done and self._text[self._at].isdigit():
                self.wrong("a reference to a group of two digits, which may be a code of a character,")
            self.refers_by_number = True
            return self._reference(int(char))
        if char == "N":
            return Bytes(ALL & ~NEWLINE)
        if char == "R":
            pair = Sequence((Bytes(byte_set(b"\r")), Bytes(byte_set(b"\n"))))
            return Group(Choice((pair, Bytes(_VERTICAL))), atomic=True)
        return Bytes(self._cased(self._set_of(char)))

    def _set_of(self, char: str) -> ByteSet:
        """What an escape stands for, inside a class and outside."""
        if char in _CLASSES:
            return _CLASSES[char]
        if char.lower() in _CLASSES:
            return ALL & ~_CLASSES[char.lower()]
        if char in _CONTROLS:
            return 1 << _CONTROLS[char]
        if char == "x":
            return 1 << self._hexadecimal()
        if char == "0":
            digits = ""
            while len(digits) < 2 and not self.done and self._text[self._at] in "01234567":
                digits += self._next("an escape")
            return 1 << int(digits or "0", 8)
        if char.isascii() and char.isalnum():
            self._at -= 1
            self.wrong(f"\\{char}, which not every engine knows,")
        return 1 << ord(char)

    def _hexadecimal(self) -> int:
        if self._take("{"):
            digits, closed, _ = self._text[self._at :].partition("}")
            self._at += len(digits) + 1
            if not closed or not digits or len(digits) > 2 or digits.strip(string.hexdigits):
                self.wrong("a wrong code of a byte")
            return int(digits, 16)
        digits = self._text[self._at : self._at + 2]
        if len(digits) < 2 or digits.strip(string.hexdigits):
            self.wrong(r"\x without two hexadecimal digits")
        self._at += 2
        return int(digits, 16)

    def _reference(self, number: int) -> BackReference:
        if number > self.groups or number in self._open:
            self.wrong(f"a reference to group {number}, which does not stand whole before it,")
        self.refers_back = True
        return BackReference(number, self._flags.ignore_case)

    def _class(self) -> ByteSet:
        """The set between square brackets; the opening one is read."""
        kind = self._text[self._at : self._at + 1]
        if kind and kind in ":.=" and self._text[self._at + 1 :].partition("]")[0].endswith(kind):
            self.wrong(f"[{kind} {kind}] outside of a class")
        negated = self._take("^")
        found = 0
        first = True
        while first or not self._peek("]"):
            first = False
            low = self._member()
            if isinstance(low, tuple):
                found |= low[0]
                if self._peek("-") and not self._peek("-]"):
                    self.wrong("a range that begins with a class")
                continue
            if self._peek("-") and not self._peek("-]"):
                self._at += 1
                high = self._member()
                if isinstance(high, tuple):
                    self.wrong("a range that ends with a class")
                if high < low:
                    self.wrong("a range the wrong way round")
                found |= self._cased(byte_set(range(low, high + 1)))
            else:
                found |= 1 << low
        self._at += 1
        found = self._cased(found)
        return ALL & ~found if negated else found

    def _member(self) -> int | tuple[ByteSet]:
        """One byte, or a set in a tuple."""
        char = self._next("a class of characters")
        if char == "[" and not self.done and self._text[self._at] in ":.=":
            return self._posix()
        if char != "\\":
            return ord(char)
        char = self._next("an escape")
        if char in "QE":
            self.wrong(f"\\{char} inside a class")
        if char == "b":
            return 8
        if char in "123456789":
            self.wrong("an octal code without its 0")
        found = self._set_of(char)
        return (found,) if char.lower() in _CLASSES else found.bit_length() - 1

    def _posix(self) -> tuple[ByteSet]:
        kind = self._text[self._at]
        name, closed, _ = self._text[self._at + 1 :].partition(f"{kind}]")
        if not closed or kind != ":" or name.removeprefix("^") not in _POSIX:
            self.wrong(f"an unknown class [{kind}")
        self._at += len(name) + 3
        members = _POSIX[name.removeprefix("^")]
        if self._flags.ignore_case:
            members = with_both_cases(members)
        return (ALL & ~members if name.startswith("^") else members,)

    def _bracket(self, depth: int) -> Node | None:
        if self._peek("*"):
            self.wrong("a verb (*...), which not every engine knows,")
        if not self._take("?"):
            return self._kept(depth)
        if self._take("#"):
            _, closed, _ = self._text[self._at :].partition(")")
            if not closed:
                self.wrong("an unclosed comment")
            self._at = self._text.index(")", self._at) + 1
            return None
        for sign, ahead, negated in (("=", True, False), ("!", True, True), ("<=", False, False), ("<!", False, True)):
            if self._take(sign):
                look = Look(self._closed(depth), ahead, negated)
                if not ahead:
                    self._check_widths(look.part)
                return look
        if self._take(":"):
            return Group(self._closed(depth))
        if self._take(">"):
            return Group(self._closed(depth), atomic=True)
        if self._take("P="):
            return self._named_reference()
        for opening, closing in (("P<", ">"), ("<", ">"), ("'", "'")):
            if self._take(opening):
                return self._kept(depth, self._name(closing))
        return self._options(depth)

    def _name(self, closing: str) -> str:
        name, closed, _ = self._text[self._at :].partition(closing)
        if not closed or not name.isascii() or not name.isidentifier() or len(name) > 32:
            self.wrong("a wrong name of a group")
        self._at += len(name) + 1
        return name

    def _named_reference(self) -> Node:
        name = self._name(")")
        if name not in self._names:
            self.wrong(f"a reference to {name}, which is no group before it,")
        return self._reference(self._names[name])

    def _kept(self, depth: int, name: str | None = None) -> Group:
        self.groups += 1
        number = self.groups
        if name is not None:
            if name in self._names:
                self.wrong(f"a second group {name}")
            self._names[name] = number
        self._open.add(number)
        part = self._closed(depth)
        self._open.discard(number)
        return Group(part, number)

    def _closed(self, depth: int) -> Node:
        part = self.choice(depth + 1)
        if not self._take(")"):
            self.wrong("an unclosed (")
        return part

    def _options(self, depth: int) -> Node | None:
        outside = self._flags
        on = True
        while not self.done and self._text[self._at] in "ims-":
            sign = self._next("an option")
            if sign == "-":
                if not on:
                    self.wrong("a wrong option")
                on = False
            elif sign == "i":
                self._flags = replace(self._flags, ignore_case=on)
            elif sign == "m":
                self._flags = replace(self._flags, lines=on)
            else:
                self._flags = replace(self._flags, any_newline=on)
        if self._take(")"):
            return None
        if self._take(":"):
            part = Group(self._closed(depth))
            self._flags = outside
            return part
        self.wrong("(? with something not every engine knows,")

    def _check_widths(self, part: Node) -> None:
        for alternative in part.parts if isinstance(part, Choice) else (part,):
            if width(alternative) is None:
                self.wrong("a look behind at something without a fixed length")


def width(node: Node) -> int | None:
    """How many bytes a part always takes; None when that varies."""
    if isinstance(node, Bytes):
        return 1
    if isinstance(node, (Assertion, Look)):
        return 0
    if isinstance(node, Group):
        return width(node.part)
    if isinstance(node, Sequence):
        widths = [width(part) for part in node.parts]
        return None if None in widths else sum(one for one in widths if one is not None)
    if isinstance(node, Choice):
        found = {width(part) for part in node.parts}
        return found.pop() if len(found) == 1 else None
    if isinstance(node, Repeat):
        one = width(node.part)
        return one * node.least if one is not None and node.least == node.most else None
    return None
