"""From what the kernel has to what a plan wants: the steps, in an order that never leaves a gap. Pure.

Links that go leave first, for one that comes may need their tag or their ports. All else that is new comes before what
is old goes: addresses before the routes that need them, a new gateway before the old one goes.
What is removed carries our mark, or stood in the plan that was in force before: an interface's address that was there
before Steelyard was asked to manage it goes when its operator takes it away, and not otherwise.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import ip_interface, ip_network

from steelyard.engines.netlink.present import HELD, HOST, Present, PresentRoute
from steelyard.engines.netlink.steps import (
    AddAddress,
    AddLink,
    AddRule,
    HandOver,
    PutRoute,
    RemoveAddress,
    RemoveLink,
    RemoveRoute,
    RemoveRule,
    SetLink,
    Step,
)
from steelyard.plan.network import MAIN_TABLE, HostNetwork, Link, NetworkPlan

_Place = tuple[str, str, int]


@dataclass(frozen=True)
class _Wanted:
    """The addresses a plan wants, by place; whether each is a service's."""

    places: dict[_Place, bool]


def reconcile(present: Present, old: NetworkPlan, new: NetworkPlan) -> list[Step]:
    """The steps. `old` is the plan that was in force; an empty one when nothing is known of it."""
    wanted = _wanted(new, present)
    steps: list[Step] = []
    steps += _fewer_links(present, old.host, new.host)
    steps += _links(present, new.host)
    steps += _more_addresses(present, wanted)
    steps += _first_addresses(present, new.host)
    steps += _more_routes(present, new)
    steps += _fewer_rules(present, new)
    steps += _fewer_routes(present, old, new)
    steps += _fewer_addresses(present, old, new, wanted)
    return steps


def held_only(old: NetworkPlan, new: NetworkPlan, foreign: frozenset[str] = frozenset()) -> list[Step]:
    """The steps when nothing but addresses of services differs: no need to read what the kernel has.

    `foreign` are those that others had put here when it was read last.
    """
    gone = [one for key, one in old.held.items() if new.held.get(key) is not one and new.held.get(key) != one]
    come = [one for key, one in new.held.items() if old.held.get(key) is not one and old.held.get(key) != one]
    return [
        *(
            AddAddress(one.interface, one.address, whole(one.address), held=True)
            for one in come
            if one.address not in foreign
        ),
        *(RemoveAddress(one.interface, one.address, whole(one.address)) for one in gone if one.address not in foreign),
    ]


def whole(address: str) -> int:
    """The prefix length that means the address alone."""
    return 128 if ":" in address else 32


def _wanted(plan: NetworkPlan, present: Present) -> _Wanted:
    places: dict[_Place, bool] = {}
    if plan.host is not None:
        for link in plan.host.links.values():
            for one in link.addresses:
                address, _, prefix = one.partition("/")
                places[link.name, address, int(prefix)] = False
    own = {address for _, address, _ in places}
    # the host may have an address anyway, with the prefix of its network; it is not ours then, and stays when we go
    for held in plan.held.values():
        if held.address not in own and held.address not in present.foreign:
            places[held.interface, held.address, whole(held.address)] = True
    return _Wanted(places)


def _links(present: Present, host: HostNetwork | None) -> Iterator[Step]:
    if host is None:
        return
    # a VLAN may lie on a bond, so bonds come first
    for link in sorted(host.links.values(), key=lambda one: ("bond", "port", "vlan").index(one.kind)):
        now = present.links.get(link.name)
        if link.kind != "port" and (now is None or not _same_link(link, now)):
            if now is not None:
                yield RemoveLink(link.name)
            yield AddLink(link)
            now = None
        for member in link.members:
            was = present.links.get(member)
            if was is None or was.master != link.name or now is None:
                # the kernel takes into a bond only what is down (bond_enslave)
                yield SetLink(member, up=False)
                yield SetLink(member, master=link.name)
                yield SetLink(member, up=True)
        if link.mtu and (now is None or now.mtu != link.mtu):
            yield SetLink(link.name, mtu=link.mtu)
        if now is None or not now.up:
            yield SetLink(link.name, up=True)
        for other in present.links.values():
            if link.kind == "bond" and other.master == link.name and other.name not in link.members:
                yield SetLink(other.name, master="")


def _same_link(link: Link, now: object) -> bool:
    kind, lower, tag, mode = (getattr(now, name) for name in ("kind", "lower", "tag", "mode"))
    if link.kind == "vlan":
        return bool(kind == "vlan" and (lower, tag) == (link.lower, link.tag))
    return bool(kind == "bond" and mode == link.mode)


def _fewer_links(present: Present, old: HostNetwork | None, host: HostNetwork | None) -> Iterator[Step]:
    if host is None:
        return
    before = {name for name, link in old.links.items() if link.kind != "port"} if old is not None else set()
    # what lies on another interface goes before that
    gone = [one for one in present.links.values() if (one.ours or one.name in before) and one.name not in host.links]
    for link in sorted(gone, key=lambda one: one.kind != "vlan"):
        yield RemoveLink(link.name)


def _more_addresses(present: Present, wanted: _Wanted) -> Iterator[Step]:
    for place, held in wanted.places.items():
        now = present.places.get(place)
        if now is None:
            yield AddAddress(*place, held=held)


def _first_addresses(present: Present, host: HostNetwork | None) -> Iterator[Step]:
    """Of an interface's IPv4 addresses in one network packets leave by the one that was added first (inet_insert_ifa).

    Where that is another than the first of the plan, those before it are taken away and added behind it.
    """
    for link in host.links.values() if host is not None else ():
        networks: dict[str, list[str]] = {}
        for one in link.addresses:
            if ":" not in one:
                networks.setdefault(str(ip_interface(one).network), []).append(one.partition("/")[0])
        for network, (first, *others) in networks.items():
            prefix = ip_network(network).prefixlen
            now = [
                one.address
                for one in present.addresses
                if one.interface == link.name and one.prefix == prefix and one.address in (first, *others)
            ]
            for address in now[: now.index(first)] if first in now else now:
                yield RemoveAddress(link.name, address, prefix)
                yield AddAddress(link.name, address, prefix, held=False)


def _fewer_addresses(present: Present, old: NetworkPlan, new: NetworkPlan, wanted: _Wanted) -> Iterator[Step]:
    before: set[_Place] = set()
    if new.host is not None and old.host is not None:
        for link in old.host.links.values():
            for one in link.addresses:
                address, _, prefix = one.partition("/")
                before.add((link.name, address, int(prefix)))
    for now in present.addresses:
        if now.place in wanted.places:
            continue
        if now.mark == HELD or now.place in before:
            yield RemoveAddress(*now.place)
        elif now.mark == HOST:
            yield RemoveAddress(*now.place) if new.host is not None else HandOver(*now.place)


def _more_routes(present: Present, new: NetworkPlan) -> Iterator[Step]:
    ways = {one.way for one in present.routes}
    for route in new.host.routes.values() if new.host is not None else ():
        if (route.destination, route.gateway, MAIN_TABLE) not in ways:
            yield PutRoute(route, HOST)
    for route in new.routes.values():
        if (route.destination, route.gateway, route.table) not in ways:
            yield PutRoute(route, HELD)
    there = {one.rule for one in present.rules}
    for rule in new.rules.values():
        if rule not in there:
            yield AddRule(rule)


def _fewer_rules(present: Present, new: NetworkPlan) -> Iterator[Step]:
    wanted = set(new.rules.values())
    for now in present.rules:
        if now.rule not in wanted:
            yield RemoveRule(now.rule)


def _fewer_routes(present: Present, old: NetworkPlan, new: NetworkPlan) -> Iterator[Step]:
    wanted = {(one.destination, one.gateway, one.table) for one in new.routes.values()}
    host = {(one.destination, one.gateway, one.table) for one in new.host.routes.values()} if new.host else set()
    before = (
        {(one.destination, one.gateway, one.table) for one in old.host.routes.values()}
        if old.host is not None and new.host is not None
        else set()
    )
    for now in present.routes:
        if now.way in wanted or now.way in host:
            continue
        if now.mark == HELD or now.way in before or (now.mark == HOST and new.host is not None):
            # one that `PutRoute` has replaced is gone already
            yield _removal(now)


def _removal(now: PresentRoute) -> RemoveRoute:
    return RemoveRoute(now.destination, now.gateway, now.table, now.metric)
