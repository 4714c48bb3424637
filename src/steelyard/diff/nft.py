"""From what services have in nftables to what they must have, as one transaction. Pure; only differences are in it.

The order is the kernel's demand: a chain is there before an element leads to it, and nothing leads to it when it goes.
An element cannot be given other data, so it is deleted and added again; nobody sees the moment between, because a
transaction is seen whole or not at all.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from steelyard.plan.nft import (
    AddChain,
    AddElements,
    AddRule,
    AddTimeouts,
    Data,
    DeleteChain,
    DeleteElements,
    EmptyChain,
    IdleTimeouts,
    Key,
    NftCommand,
    Program,
)

#: elements in one command; the kernel takes a netlink attribute of 64 KB, an element has at most about 90 bytes
TOGETHER = 400


def transaction(
    changes: Iterable[tuple[Program, Program]], known_timeouts: frozenset[IdleTimeouts] = frozenset()
) -> list[NftCommand]:
    """The commands that lead from each first program to the second."""
    changes = [(old, new) for old, new in changes if old != new]
    commands: list[NftCommand] = []
    timeouts = {one for _, new in changes for one in new.timeouts} - known_timeouts
    commands += (AddTimeouts(one) for one in sorted(timeouts, key=lambda one: one.name))
    commands += (AddChain(chain) for old, new in changes for chain in new.chains if chain not in old.chains)
    commands += _deleted(changes)
    for old, new in changes:
        for chain, rules in new.chains.items():
            before = old.chains.get(chain, ())
            if before != rules:
                if before:
                    commands.append(EmptyChain(chain))
                commands += (AddRule(chain, rule) for rule in rules)
    commands += _added(changes)
    gone = [chain for old, new in changes for chain in old.chains if chain not in new.chains]
    commands += (EmptyChain(chain) for chain in gone)
    commands += (DeleteChain(chain) for chain in gone)
    return commands


def _deleted(changes: list[tuple[Program, Program]]) -> Iterator[NftCommand]:
    found: dict[str, list[tuple[Key, ...]]] = {}
    for old, new in changes:
        for element, data in old.elements.items():
            if element not in new.elements or new.elements[element] != data:
                found.setdefault(element.where, []).append(element.key)
    for where, keys in found.items():
        for first in range(0, len(keys), TOGETHER):
            yield DeleteElements(where, tuple(keys[first : first + TOGETHER]))


def _added(changes: list[tuple[Program, Program]]) -> Iterator[NftCommand]:
    found: dict[str, list[tuple[tuple[Key, ...], Data]]] = {}
    for old, new in changes:
        for element, data in new.elements.items():
            if element not in old.elements or old.elements[element] != data:
                found.setdefault(element.where, []).append((element.key, data))
    for where, elements in found.items():
        for first in range(0, len(elements), TOGETHER):
            yield AddElements(where, tuple(elements[first : first + TOGETHER]))


def carried_out(programs: Mapping[str, Program], changes: Mapping[str, Program]) -> dict[str, Program]:
    """What services have after a change, without those that have nothing."""
    return {key: one for key, one in {**programs, **changes}.items() if one.chains or one.elements}
