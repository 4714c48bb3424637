"""A plain backtracking matcher that counts its steps: the cost of a pattern without any engine's shortcuts."""

from __future__ import annotations

from collections.abc import Callable

from steelyard.model.expression_cost import begins_with_anything
from steelyard.model.expression_syntax import (
    Assertion,
    BackReference,
    Bytes,
    Choice,
    Expression,
    Group,
    Look,
    Node,
    Repeat,
    Sequence,
)

Then = Callable[[int], bool]


class TooManySteps(Exception):
    """More steps than allowed."""


class Matcher:
    """Searches one subject. References back are not followed: they match nothing."""

    def __init__(self, subject: bytes, most: int) -> None:
        self._subject = subject
        self._most = most
        self.steps = 0

    def search(self, expression: Expression) -> bool:
        """Whether the pattern is found anywhere; one that begins with `.*` is tried at the start alone, as PCRE does.

        Subjects hold no newline, after which PCRE would try again.
        """
        starts = 1 if begins_with_anything(expression) else len(self._subject) + 1
        return any(self._match(expression.tree, at, lambda _: True) for at in range(starts))

    def _match(self, tree: Node, at: int, then: Then) -> bool:
        self.steps += 1
        if self.steps > self._most:
            raise TooManySteps
        match tree:
            case Bytes(members):
                return at < len(self._subject) and bool(members >> self._subject[at] & 1) and then(at + 1)
            case Sequence(parts):
                return self._sequence(parts, at, then)
            case Choice(parts):
                return any(self._match(part, at, then) for part in parts)
            case Repeat():
                return self._repeat(tree, 0, at, then)
            case Group(part, _, atomic):
                return self._atomic(part, at, then) if atomic else self._match(part, at, then)
            case Look(part, ahead, negated):
                found = ahead and self._match(part, at, lambda _: True)
                return found != negated and then(at)
            case Assertion(kind):
                return self._holds(kind, at) and then(at)
            case BackReference():
                return False

    def _sequence(self, parts: tuple[Node, ...], at: int, then: Then) -> bool:
        if not parts:
            return then(at)
        return self._match(parts[0], at, lambda after: self._sequence(parts[1:], after, then))

    def _atomic(self, part: Node, at: int, then: Then) -> bool:
        ends: list[int] = []

        def remember(after: int) -> bool:
            ends.append(after)
            return True

        return self._match(part, at, remember) and then(ends[-1])

    def _repeat(self, tree: Repeat, done: int, at: int, then: Then) -> bool:
        if tree.mode == "+":
            return self._atomic(Repeat(tree.part, tree.least, tree.most, ""), at, then)

        def again() -> bool:
            if tree.most is not None and done >= tree.most:
                return False
            return self._match(
                tree.part,
                at,
                lambda after: (after > at or done < tree.least) and self._repeat(tree, done + 1, after, then),
            )

        def leave() -> bool:
            return done >= tree.least and then(at)

        return leave() or again() if tree.mode == "?" else again() or leave()

    def _holds(self, kind: str, at: int) -> bool:
        if kind in ("begin", "line begin"):
            return at == 0
        if kind in ("end", "line end", "very end"):
            return at == len(self._subject)
        inside = [self._is_word(at - 1), self._is_word(at)]
        return (inside[0] != inside[1]) == (kind == "word")

    def _is_word(self, at: int) -> bool:
        return 0 <= at < len(self._subject) and (chr(self._subject[at]).isalnum() or self._subject[at] == 0x5F)
