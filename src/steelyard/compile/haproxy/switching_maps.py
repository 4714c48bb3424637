"""Content rules that are looked up in a file instead of being evaluated one by one.

Rules that follow each other, look at the same thing and compare in the same way become one lookup, whose values are the
backends: one more entry is a runtime operation, and texts that are the same or begin the same stand in a tree, so ten
thousand cost what ten do. What is found must be what the rules would choose in their order:

- of equal texts the first rule counts;
- HAProxy finds the longest text that a value begins with (2.6 and 2.8, `map_beg`), so a text is left out when an
  earlier one begins it: of two that both fit, the longer is then the earlier;
- ends and expressions are a list that HAProxy reads in order (`map_end`, `map_reg`).

A lookup takes its key as one word and has no flags, so case is taken out of both sides, or said in the expression. A
rule with flags, a negation or a header of many lines stays a rule of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from steelyard.compile.haproxy.literals import plain
from steelyard.compile.haproxy.matching import has_no_case, ignores_case, subject
from steelyard.model.content_rule import ContentRule
from steelyard.model.regular_expression import expression
from steelyard.plan.haproxy import Lookup, lookup_path

_MAPS = {"exact": "map_str", "prefix": "map_beg", "postfix": "map_end", "regex": "map_reg"}
_ORDERED = frozenset({"postfix", "regex"})


@dataclass(frozen=True)
class Kind:
    """What rules of one lookup have in common. `sample` is the expression of what they look at."""

    sample: str
    comparison: str


@dataclass(frozen=True)
class Choice:
    """A rule and the backend that it selects."""

    rule: ContentRule
    backend: str


@dataclass(frozen=True)
class Run:
    """Choices that one lookup makes."""

    kind: Kind
    lookup: Lookup

    @property
    def expression(self) -> str:
        """The sample expression of the backend that is found."""
        return f"{self.kind.sample},{_MAPS[self.kind.comparison]}({lookup_path(self.lookup.name)})"


def segments(choices: Iterable[Choice], service: str) -> Iterator[Run | Choice]:
    """The choices in their order: runs of those a lookup can make, and the others. Names begin with the service's."""
    number = 0
    kind: Kind | None = None
    entries: list[tuple[str, str]] = []
    for choice in choices:
        found = _entry(choice.rule)
        if found is not None and found[0] == kind:
            entries.append((found[1], choice.backend))
            continue
        if kind is not None:
            number += 1
            yield _run(kind, entries, f"{service}-switch-{number}")
        kind, entries = None, []
        if found is None:
            yield choice
        else:
            kind, entries = found[0], [(found[1], choice.backend)]
    if kind is not None:
        yield _run(kind, entries, f"{service}-switch-{number + 1}")


def _run(kind: Kind, entries: list[tuple[str, str]], name: str) -> Run:
    kept = reachable(entries) if kind.comparison == "prefix" else _first(entries)
    return Run(kind, Lookup(name, tuple(kept.items()), ordered=kind.comparison in _ORDERED))


def _first(entries: Iterable[tuple[str, str]]) -> dict[str, str]:
    kept: dict[str, str] = {}
    for key, value in entries:
        kept.setdefault(key, value)
    return kept


def reachable(entries: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Prefixes without those that an earlier one begins: every value with such a prefix is the earlier one's."""
    kept: dict[str, str] = {}
    for key, value in entries:
        if not any(key[:length] in kept for length in range(1, len(key) + 1)):
            kept[key] = value
    return kept


def _entry(rule: ContentRule) -> tuple[Kind, str] | None:
    """Where a rule can be looked up, and its key."""
    if rule.negate or rule.must_fail or rule.set_on_match or rule.only_on_flag or rule.only_on_no_flag:
        return None
    if rule.header and not has_no_case(rule):
        return None
    sample, lowers = subject(rule), ignores_case(rule)
    text = plain(rule)
    if text is None:
        comparison, key = "regex", expression(rule.pattern)
        # the option is written first, so no key begins with a number sign
        key = f"(?i){key}" if lowers else f"(?:{key})" if key.startswith("#") else key
    else:
        comparison, key = text
        key = key.lower() if lowers else key
        sample = f"{sample},lower" if lowers and not has_no_case(rule) else sample
    if not key or not key.isascii() or " " in key or key.startswith("#"):
        return None
    return Kind(sample, comparison), key
