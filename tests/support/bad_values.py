"""Values that no setting may take, or that few may: for every way in."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import cycle
from typing import Any

CONTROLS = ["\n", "\r\nX-Evil: 1", "\x00", "\x1b[31m", "\x7f", "\u2028", "\u0085"]
WRONG = [None, True, [], {}, [1], {"a": 1}, -1, 0, 10**30, 1.5, "1e3", "", " ", "x" * 100_000, "\ud800"]


def in_turn(names: Iterable[str], values: Iterable[Any]) -> Iterator[tuple[str, Any]]:
    """Each name once, each value with every so-many-th name: for ways in where every pair would take too long."""
    return zip(names, cycle(values), strict=False)
