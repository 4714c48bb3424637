"""The sub-services of a declared configuration.

Those of a service that exists already are recognised by their names, and those without a name by their order among
each other; they keep their indexes and the numbers of their slots. New ones come after all that exist have been
placed, because a new one takes the lowest index that is free.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from steelyard.model.commands.services import add_sub_service, with_service
from steelyard.model.configuration import Configuration
from steelyard.model.errors import located
from steelyard.model.real_server import RealServer
from steelyard.model.slot import Slot
from steelyard.model.virtual_service import VirtualService

#: the servers of a service that exists, from those declared; they keep their numbers
KeepServers = Callable[
    [Configuration, VirtualService, Sequence[Mapping[str, Any]]], tuple[Configuration, tuple[RealServer, ...]]
]


@dataclass(frozen=True)
class DeclaredSubs:
    """The sub-services declared for one service that exists; `position` is where the document has the service."""

    position: int
    parent: VirtualService
    declared: Sequence[Mapping[str, Any]]


def place_subs(
    wanted: Configuration, old: Configuration, families: Sequence[DeclaredSubs], keep_servers: KeepServers
) -> Configuration:
    """The configuration with the sub-services of all these families; their parents are in it, without slots."""
    orders: list[dict[int, int]] = []
    unknown: list[tuple[dict[int, int], DeclaredSubs, int]] = []
    for family in families:
        order: dict[int, int] = {}
        orders.append(order)
        for number, before in enumerate(_recognised(old, family)):
            if before is None:
                unknown.append((order, family, number))
                continue
            with located(f"services[{family.position}]"), located(f"sub_services[{number}]"):
                wanted = _kept(wanted, old, before, family, number, keep_servers)
            order[before.service] = number
    for order, family, number in unknown:
        with located(f"services[{family.position}]"), located(f"sub_services[{number}]"):
            wanted, index = add_sub_service(wanted, family.parent.index, _settings(family.declared[number]))
        order[index] = number
    for family, order in zip(families, orders, strict=True):
        wanted = _ordered(wanted, old, family.parent.index, order)
    return wanted


def _recognised(old: Configuration, family: DeclaredSubs) -> list[Slot | None]:
    """For each declared sub-service the slot of the one that exists."""
    named: dict[str, list[Slot]] = {}
    for slot in family.parent.slots:
        named.setdefault(old.services[slot.service].name, []).append(slot)
    found: list[Slot | None] = []
    for settings in family.declared:
        waiting = named.get(str(settings.get("name", "")), [])
        found.append(waiting.pop(0) if waiting else None)
    return found


def _settings(declared: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in declared.items() if name != "index"}


def _kept(
    wanted: Configuration,
    old: Configuration,
    before: Slot,
    family: DeclaredSubs,
    number: int,
    keep_servers: KeepServers,
) -> Configuration:
    settings = _settings(family.declared[number])
    was = old.services[before.service]
    wanted, servers = keep_servers(wanted, was, settings.pop("servers", ()))
    parent = wanted.services[family.parent.index]
    alone = replace(wanted, services={parent.index: parent.changed({"slots": ()})})
    made, index = add_sub_service(alone, parent.index, settings)
    sub = made.services[index].changed({"index": was.index, "servers": servers})
    (slot,) = made.services[parent.index].slots
    slot = slot.changed({"index": before.index, "service": was.index})
    wanted = with_service(wanted, was if sub == was else sub)
    return with_service(wanted, parent.changed({"slots": (*parent.slots, before if slot == before else slot)}))


def _ordered(wanted: Configuration, old: Configuration, index: int, order: Mapping[int, int]) -> Configuration:
    """The slots in declared order. What came out the same is the very same object."""
    made = wanted.services[index]
    made = made.changed({"slots": tuple(sorted(made.slots, key=lambda slot: order[slot.service]))})
    before = old.services[index]
    return replace(wanted, services={**wanted.services, index: before if made == before else made})


__all__ = ["DeclaredSubs", "place_subs"]
