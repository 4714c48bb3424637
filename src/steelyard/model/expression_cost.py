"""What a regular expression can cost on the worst input.

HAProxy's engines backtrack: they try one way after the other through the pattern. HAProxy kills itself when one
evaluation holds a thread for a second or two, and a request line of 8 KB is enough for that with a pattern whose cost
grows with the cube of the length (seen with 2.8 and PCRE without its compiler: `z.*y.*x`). So a pattern may cost no
more than the square of the length.

The pattern is made into an automaton whose states are its places. How many ways lead through it for one text is what
the theory of ambiguity counts (Weber and Seidl, 1991): exponentially many when a state comes back to itself on one text
in two ways; of degree d when d times one loop can hand over to another on a text that both can take. Starting anew at
every place of the subject is one more loop, in front of the others. A state from which the rest matches whatever
follows ends the search, so nothing beyond it is ever tried twice.

Counted repeats with a wide range count as endless ones, which is never too mild.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from math import log2

from steelyard.model.expression_syntax import (
    ALL,
    NEWLINE,
    Assertion,
    Bytes,
    ByteSet,
    Choice,
    Expression,
    Group,
    Look,
    Node,
    Repeat,
    Sequence,
    width,
)

_MOST_PLACES = 1_000
#: steps of the analysis: a pattern that needs more is refused; people's patterns need some hundreds
_MOST_STEPS = 150_000
#: 2 ** 12 ways of reading one text in optional parts: with 16 KB of starting places still below a second
_MOST_DOUBTS = 12
#: a counted repeat of a wider range counts as endless
_WIDE = 4

_LESS = "Let each repeat end where the next part begins, as [^/]* does before a slash; or begin the pattern with ^"
EXPONENTIAL = "it can take exponentially long: what is repeated can match the same text in more than one way"
POLYNOMIAL = (
    f"it can take as long as the cube of the length of a request: several repeats can match the same text. {_LESS}"
)
DOUBTFUL = "it can take very long: too many optional parts can match the same text"
TOO_LARGE = "it is too large to be judged: write its counted repeats shorter"


class _TooLarge(Exception):
    """The analysis would take too long."""


#: conditions on the way from one place to the next
_FREE, _AT_END, _CONDITION = range(3)
_ACCEPT = -1
_OUTER = -2


@dataclass
class _Net:
    """Places that take one byte, joined by ways that take none (Thompson's construction)."""

    ways: list[list[tuple[int, str]]] = field(default_factory=list)
    members: dict[int, ByteSet] = field(default_factory=dict)
    after: dict[int, int] = field(default_factory=dict)
    groups: dict[int, Node] = field(default_factory=dict)

    def node(self) -> int:
        self.ways.append([])
        return len(self.ways) - 1

    def join(self, one: int, two: int, condition: str = "") -> None:
        self.ways[one].append((two, condition))

    def add(self, tree: Node, start: int) -> int:
        """Put a part behind `start`; returns where it ends."""
        if isinstance(tree, Bytes):
            return self._place(tree.members, start)
        if isinstance(tree, Sequence):
            for part in tree.parts:
                start = self.add(part, start)
            return start
        if isinstance(tree, Choice):
            end = self.node()
            for part in tree.parts:
                entry = self.node()
                self.join(start, entry)
                self.join(self.add(part, entry), end)
            return end
        if isinstance(tree, Group):
            if tree.number is not None:
                self.groups[tree.number] = tree.part
            return self.add(tree.part, start)
        if isinstance(tree, Repeat):
            return self._repeat(tree, start)
        end = self.node()
        if isinstance(tree, Assertion):
            self.join(start, end, tree.kind)
        elif isinstance(tree, Look):
            # its end leads nowhere: whether the rest matches is not known there
            self.add(tree.part, start)
            self.join(start, end, "look")
        else:
            self.join(self._as_much_as(self.groups.get(tree.number), start), end, "look")
        return end

    def _as_much_as(self, group: Node | None, start: int) -> int:
        """Any text as long as what a group matched; any at all where that length varies."""
        length = None if group is None else width(group)
        if length is None:
            return self._star(Bytes(ALL), start)
        for _ in range(length):
            start = self._place(ALL, start)
        return start

    def _place(self, members: ByteSet, start: int) -> int:
        place = self.node()
        if len(self.members) >= _MOST_PLACES:
            raise _TooLarge
        self.join(start, place)
        self.members[place] = members
        self.after[place] = self.node()
        return self.after[place]

    def _repeat(self, tree: Repeat, start: int) -> int:
        optional = None if tree.most is None or tree.most - tree.least > _WIDE else tree.most - tree.least
        for _ in range(tree.least - 1 if optional is None and tree.least else tree.least):
            start = self.add(tree.part, start)
        if optional is None:
            return self._plus(tree.part, start) if tree.least else self._star(tree.part, start)
        end = self.node()
        for _ in range(optional):
            entry = self.node()
            self.join(start, entry)
            self.join(start, end)
            start = self.add(tree.part, entry)
        self.join(start, end)
        return end

    def _star(self, part: Node, start: int) -> int:
        entry, end = self.node(), self.node()
        self.join(start, entry)
        self.join(entry, end)
        self.join(self._plus(part, entry), end)
        return end

    def _plus(self, part: Node, start: int) -> int:
        entry, again, end = self.node(), self.node(), self.node()
        self.join(start, entry)
        self.join(self.add(part, entry), again)
        self.join(again, entry)
        self.join(again, end)
        return end


@dataclass(frozen=True)
class _Onward:
    """Where one goes from a place: the next places, which of them in two ways, and how the end can be reached."""

    places: frozenset[int]
    double: frozenset[int]
    ends: frozenset[int]


class _Budget:
    """Steps left."""

    def __init__(self) -> None:
        self._left = _MOST_STEPS

    def spend(self, steps: int = 1) -> None:
        self._left -= steps
        if self._left < 0:
            raise _TooLarge


def _onward(net: _Net, start: int, end: int, budget: _Budget, *, at_begin: bool) -> _Onward:
    """All simple ways from a node to places and to the end."""
    counts: dict[int, int] = {}
    ends: set[int] = set()
    on_way: set[int] = set()

    def go(node: int, condition: int) -> None:
        budget.spend()
        if node == end:
            ends.add(condition)
            return
        if node in net.members:
            counts[node] = counts.get(node, 0) + 1
            return
        on_way.add(node)
        for following, kind in net.ways[node]:
            if following in on_way or (kind == "begin" and not at_begin):
                continue
            passed = {"": condition, "begin": condition, "end": max(condition, _AT_END)}.get(kind, _CONDITION)
            go(following, passed)
        on_way.discard(node)

    go(start, _FREE)
    return _Onward(frozenset(counts), frozenset(p for p, count in counts.items() if count > 1), frozenset(ends))


@dataclass(frozen=True)
class _Graph:
    """The automaton: the places that can be tried and fail, and the loop of starting anew."""

    members: Mapping[int, ByteSet]
    following: Mapping[int, tuple[int, ...]]
    double: Mapping[int, frozenset[int]]
    looping: tuple[frozenset[int], ...]

    def common(self, *places: int) -> bool:
        """Whether one byte leads to all of these places."""
        found = ALL
        for place in places:
            found &= self.members[place]
        return bool(found)


def why_too_slow(expression: Expression, *, lines: bool, skips_start: bool) -> str | None:
    """Why a pattern may not be used, None when its worst cost is bounded well enough.

    `lines`: subjects may hold newlines. `skips_start`: the engine knows that a pattern which begins with `.*` need not
    be tried at every place.
    """
    try:
        return _judged(expression, lines=lines, skips_start=skips_start)
    except (_TooLarge, RecursionError):
        return TOO_LARGE


def _plain(tree: Node) -> tuple[int, float]:
    """A bound of the cost of a part, without an automaton: how many endless repeats it has, and as a power of two how
    many other ways lead through it. Only single bytes may be repeated without end.
    """
    if isinstance(tree, Bytes | Assertion):
        return 0, 0
    if isinstance(tree, Sequence | Choice):
        endless, ways = 0, log2(len(tree.parts)) if isinstance(tree, Choice) else 0.0
        for part in tree.parts:
            more_endless, more_ways = _plain(part)
            endless, ways = endless + more_endless, ways + more_ways
        return endless, ways
    if isinstance(tree, Group):
        return _plain(tree.part)
    if isinstance(tree, Repeat):
        if isinstance(tree.part, Bytes):
            return (0, 0) if tree.least == tree.most else (1, 0)
        endless, ways = _plain(tree.part)
        if tree.most == 1:
            return endless, ways + 1
    return 2, 0


def _judged(expression: Expression, *, lines: bool, skips_start: bool) -> str | None:
    endless, ways = _plain(expression.tree)
    if endless < 2 and ways <= _MOST_DOUBTS / 2:
        # most patterns: one repeat at every place of the subject costs the square of its length
        return None
    net = _Net()
    start = net.node()
    end = net.add(expression.tree, start)
    if not net.members:
        return None
    budget = _Budget()
    graph = _graph(net, start, end, budget, lines=lines, anchored=skips_start and begins_with_anything(expression))
    if any(_exponential(graph, loop, budget) for loop in graph.looping):
        return EXPONENTIAL
    if _doubts(graph, budget) > _MOST_DOUBTS:
        return DOUBTFUL
    return POLYNOMIAL if _degree(graph, budget) > 1 else None


def begins_with_anything(expression: Expression) -> bool:
    """Whether a pattern begins with `.*` in whatever brackets. PCRE makes no use of it when a group is referred to."""
    tree = expression.tree
    while not expression.refers_back:
        if isinstance(tree, Sequence) and tree.parts:
            tree = tree.parts[0]
        elif isinstance(tree, Group) and not tree.atomic:
            tree = tree.part
        else:
            break
    if not isinstance(tree, Repeat) or tree.most is not None or tree.least or tree.mode == "+":
        return False
    return isinstance(tree.part, Bytes) and tree.part.members | NEWLINE == ALL


def _graph(net: _Net, start: int, end: int, budget: _Budget, *, lines: bool, anchored: bool) -> _Graph:
    first = _onward(net, start, end, budget, at_begin=True)
    again = _onward(net, start, end, budget, at_begin=False)
    onward = {place: _onward(net, net.after[place], end, budget, at_begin=False) for place in net.members}
    certain = _certain(onward, net.members, lines=lines)
    everything = {place: tuple(one.places) for place, one in onward.items()}
    restarts: set[int] = set() if anchored or _surely(first, certain, net.members, lines=lines) else set(again.places)
    for loop in _loops(everything):
        for place in loop & certain:
            restarts |= onward[place].places
    members = {place: found for place, found in net.members.items() if place not in certain}
    following = {place: tuple(sorted(one.places - certain)) for place, one in onward.items() if place not in certain}
    double = {place: one.double - certain for place, one in onward.items() if place not in certain}
    if restarts - certain:
        members[_OUTER] = ALL
        following[_OUTER] = (_OUTER, *sorted(restarts - certain))
        double[_OUTER] = frozenset()
    return _Graph(members, following, double, tuple(_loops(following)))


def _certain(onward: Mapping[int, _Onward], members: Mapping[int, ByteSet], *, lines: bool) -> set[int]:
    """Places after which the pattern matches whatever follows: the end is free, or `.*$` comes in a single line."""
    found = {place for place, one in onward.items() if _FREE in one.ends or (not lines and _AT_END in one.ends)}
    while True:
        kept = {place for place in found if _surely(onward[place], found, members, lines=lines)}
        if kept == found:
            return found
        found = kept


def _surely(one: _Onward, certain: Iterable[int], members: Mapping[int, ByteSet], *, lines: bool) -> bool:
    if _FREE in one.ends:
        return True
    if lines or _AT_END not in one.ends:
        return False
    return any(members[place] | NEWLINE == ALL for place in one.places.intersection(certain))


def _loops(following: Mapping[int, tuple[int, ...]]) -> list[frozenset[int]]:
    """The strongly connected parts that hold a loop, each before those it leads to (Tarjan, without recursion)."""
    order: dict[int, int] = {}
    low: dict[int, int] = {}
    kept: list[int] = []
    on_stack: set[int] = set()
    found: list[frozenset[int]] = []
    for root in following:
        if root in order:
            continue
        work = [(root, iter(following[root]))]
        order[root] = low[root] = len(order)
        kept.append(root)
        on_stack.add(root)
        while work:
            node, rest = work[-1]
            for after in rest:
                if after not in following:
                    continue
                if after not in order:
                    order[after] = low[after] = len(order)
                    kept.append(after)
                    on_stack.add(after)
                    work.append((after, iter(following[after])))
                    break
                if after in on_stack:
                    low[node] = min(low[node], order[after])
            else:
                work.pop()
                if work:
                    low[work[-1][0]] = min(low[work[-1][0]], low[node])
                if low[node] == order[node]:
                    at = kept.index(node)
                    part = frozenset(kept[at:])
                    del kept[at:]
                    on_stack -= part
                    if len(part) > 1 or node in following[node]:
                        found.append(part)
    return found[::-1]


def _exponential(graph: _Graph, loop: frozenset[int], budget: _Budget) -> bool:
    """Whether two different ways through a loop lead back to their common beginning on one text."""
    if any(graph.double[place] & loop for place in loop):
        return True
    before: dict[tuple[int, int], list[tuple[int, int]]] = {}
    seen = {(place, place) for place in loop}
    waiting = list(seen)
    while waiting:
        one, two = waiting.pop()
        for next_one in graph.following[one]:
            for next_two in graph.following[two]:
                budget.spend()
                if next_one not in loop or next_two not in loop or not graph.common(next_one, next_two):
                    continue
                pair = (min(next_one, next_two), max(next_one, next_two))
                before.setdefault(pair, []).append((one, two))
                if pair not in seen:
                    seen.add(pair)
                    waiting.append(pair)
    back = [(place, place) for place in loop]
    reached = set(back)
    while back:
        for pair in before.get(back.pop(), ()):
            budget.spend()
            if pair[0] != pair[1]:
                return True
            if pair not in reached:
                reached.add(pair)
                back.append(pair)
    return False


def _doubts(graph: _Graph, budget: _Budget) -> float:
    """A bound, as a power of two, of how many ways optional parts give to read one text outside of loops."""
    ways: dict[int, set[int]] = {}
    doubled = 0
    seen: set[tuple[int, int]] = set()
    waiting = [(place, place) for place in graph.following]
    while waiting:
        one, two = waiting.pop()
        doubled += len(graph.double[one]) if one == two else 0
        for next_one in graph.following[one]:
            for next_two in graph.following[two]:
                budget.spend()
                if not graph.common(next_one, next_two):
                    continue
                if next_one == next_two:
                    if one != two:
                        ways.setdefault(next_one, set()).update((one, two))
                    continue
                pair = (min(next_one, next_two), max(next_one, next_two))
                if pair not in seen:
                    seen.add(pair)
                    waiting.append(pair)
    return doubled + sum(log2(len(before)) for place, before in ways.items() if place != _OUTER)


def _degree(graph: _Graph, budget: _Budget) -> int:
    """How many times in a row one loop can hand over to another on a text both can take."""
    reach = {loop: _reachable(graph, loop) for loop in graph.looping}
    degrees: dict[frozenset[int], int] = {}
    for later in graph.looping:
        best = 0
        for earlier, so_far in degrees.items():
            if later <= reach[earlier]:
                best = max(best, so_far + _hands_over(graph, earlier, later, budget))
        degrees[later] = best
    return max(degrees.values(), default=0)


def _reachable(graph: _Graph, start: frozenset[int]) -> set[int]:
    found = set(start)
    waiting = list(start)
    while waiting:
        for place in graph.following[waiting.pop()]:
            if place not in found:
                found.add(place)
                waiting.append(place)
    return found


def _hands_over(graph: _Graph, earlier: frozenset[int], later: frozenset[int], budget: _Budget) -> bool:
    """Whether one text leads around in the earlier loop, from it to the later one, and around in that."""
    for first in earlier:
        for last in later:
            goal = (first, last, last)
            seen = {(first, first, last)}
            waiting = [(first, first, last)]
            while waiting:
                one, between, two = waiting.pop()
                for next_one in graph.following[one]:
                    if next_one not in earlier:
                        continue
                    for next_two in graph.following[two]:
                        if next_two not in later or not graph.common(next_one, next_two):
                            continue
                        for next_between in graph.following[between]:
                            budget.spend()
                            step = (next_one, next_between, next_two)
                            if step in seen or not graph.common(*step):
                                continue
                            if step == goal:
                                return True
                            seen.add(step)
                            waiting.append(step)
    return False


__all__ = ["DOUBTFUL", "EXPONENTIAL", "POLYNOMIAL", "TOO_LARGE", "why_too_slow"]
