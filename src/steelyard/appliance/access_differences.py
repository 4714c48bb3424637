"""Changes of access lists for people: a few entries one by one, many as their number and the first of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping

from pydantic import BaseModel

from steelyard.appliance.contract import ObjectDifference
from steelyard.model.access_list import EVERY_SERVICE, LISTS, AccessPart, ListName, scope_of, scope_title
from steelyard.model.configuration import ACCESS

#: changes of one list that are told one by one
_TOLD_SINGLY = 20
_NAMED = 3

#: the key a part of the lists is stored under, the part before and after
PartChange = tuple[str, BaseModel | None, BaseModel | None]


def access_differences(changes: Iterable[PartChange]) -> Iterator[ObjectDifference]:
    """One difference for each scope, however many parts of its lists changed."""
    by_scope: dict[int, list[tuple[AccessPart | None, AccessPart | None]]] = defaultdict(list)
    for key, before, after in changes:
        by_scope[scope_of(key)].append((_part(before), _part(after)))
    for scope in sorted(by_scope):
        lines = [line for which in LISTS for line in _lines(which, by_scope[scope])]
        key = "all" if scope == EVERY_SERVICE else str(scope)
        yield ObjectDifference(ACCESS, key, f"access lists {scope_title(scope)}", "change", tuple(lines))


def _part(value: BaseModel | None) -> AccessPart | None:
    return value if isinstance(value, AccessPart) else None


def _lines(which: ListName, parts: Iterable[tuple[AccessPart | None, AccessPart | None]]) -> Iterator[str]:
    added: dict[str, str] = {}
    removed: dict[str, str] = {}
    said: dict[str, str] = {}
    for before, after in parts:
        old: Mapping[str, str] = before.of(which) if before is not None else {}
        new: Mapping[str, str] = after.of(which) if after is not None else {}
        for address, comment in new.items():
            was = old.get(address)
            if was is None:
                added[address] = f"{which} {address}: added" + (f" ({comment})" if comment else "")
            elif was != comment:
                said[address] = f"{which} {address}: comment: {was or '(none)'} -> {comment or '(none)'}"
        for address in old.keys() - new.keys():
            removed[address] = f"{which} {address}: removed"
    for found, what in ((added, "added"), (removed, "removed"), (said, "with another comment")):
        yield from _told(which, found, what)


def _told(which: ListName, found: Mapping[str, str], what: str) -> Iterator[str]:
    if len(found) <= _TOLD_SINGLY:
        yield from sorted(found.values())
    else:
        first = ", ".join(sorted(found)[:_NAMED])
        yield f"{which}: {len(found)} entries {what}: {first} and {len(found) - _NAMED} more"
