"""Access lists at layer 4: the clients a service refuses, as ranges of addresses that do not overlap. Pure.

The longest prefix decides, and real servers are never refused (`reference/behaviour.md`, section 13). That is settled
here: what nftables has to look up is one set, in which there is no order.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from ipaddress import ip_address, ip_network

from steelyard.model.access_list import EVERY_SERVICE, AccessLists
from steelyard.model.configuration import Configuration
from steelyard.plan.layer4 import AddressRange, Layer4Service

Range = tuple[int, int]
_BITS = {4: 32, 6: 128}


class KernelAccess:
    """What services at layer 4 refuse. The same lists and servers give the very same ranges again."""

    def __init__(self) -> None:
        self._known: dict[
            int, tuple[AccessLists | None, AccessLists | None, frozenset[str], bool, tuple[AddressRange, ...]]
        ] = {}

    def applied(
        self, services: Iterable[tuple[int, Layer4Service]], configuration: Configuration
    ) -> Iterator[Layer4Service]:
        """These services, by index, with what the access lists say."""
        lists = configuration.access_lists if configuration.access.enabled else {}
        if not lists:
            self._known.clear()
            yield from (service for _, service in services)
            return
        servers: frozenset[str] | None = None
        for index, service in services:
            every, own = lists.get(EVERY_SERVICE), lists.get(index)
            if every is None and own is None:
                self._known.pop(index, None)
                yield service
                continue
            if servers is None:
                servers = frozenset(one.address for each in configuration.services.values() for one in each.servers)
            known = self._known.get(index)
            same = known is not None and known[0] is every and known[1] is own and known[2:4] == (servers, service.ipv6)
            if known is None or not same:
                ranges = refused_clients((every, own), servers, ipv6=service.ipv6)
                if known is not None and known[4] == ranges:
                    ranges = known[4]
                known = self._known[index] = (every, own, servers, service.ipv6, ranges)
            yield service.model_copy(update={"refused": known[4], "refuse_silently": configuration.access.drop})


def refused_clients(
    lists: Iterable[AccessLists | None], servers: Collection[str], *, ipv6: bool
) -> tuple[AddressRange, ...]:
    """The clients of one family that any of the lists blocks, without the addresses of real servers."""
    version = 6 if ipv6 else 4
    found: list[Range] = []
    for one in lists:
        if one is not None:
            found += _blocked(one, version)
    exempt = sorted(int(ip_address(server)) for server in servers if (":" in server) == ipv6)
    kept = _without(_joined(found), exempt)
    return tuple(AddressRange(first=_spelled(first, version), last=_spelled(last, version)) for first, last in kept)


def _blocked(lists: AccessLists, version: int) -> list[Range]:
    """Where the longest fitting prefix says block."""
    networks = []
    for text, verdict in lists.verdicts:
        network = ip_network(text)
        if network.version == version:
            networks.append((int(network[0]), int(network[-1]), network.prefixlen, verdict == "block"))
    # a network comes after those that hold it
    networks.sort(key=lambda one: (one[0], one[2]))
    found: list[Range] = []
    around: list[tuple[int, bool]] = []
    at = 0

    def upto(end: int) -> None:
        nonlocal at
        if end >= at:
            if around and around[-1][1]:
                found.append((at, end))
            at = end + 1

    for first, last, _, blocked in networks:
        while around and around[-1][0] < first:
            upto(around[-1][0])
            around.pop()
        if first:
            upto(first - 1)
        at = max(at, first)
        around.append((last, blocked))
    while around:
        upto(around[-1][0])
        around.pop()
    return found


def _joined(ranges: list[Range]) -> list[Range]:
    """The same addresses in as few ranges as can be, in order."""
    joined: list[Range] = []
    for first, last in sorted(ranges):
        if joined and first <= joined[-1][1] + 1:
            joined[-1] = (joined[-1][0], max(last, joined[-1][1]))
        else:
            joined.append((first, last))
    return joined


def _without(ranges: list[Range], points: list[int]) -> list[Range]:
    """The ranges without these addresses, which are in order."""
    left: list[Range] = []
    at = 0
    for whole_first, last in ranges:
        first = whole_first
        while at < len(points) and points[at] < first:
            at += 1
        while at < len(points) and points[at] <= last:
            if points[at] > first:
                left.append((first, points[at] - 1))
            first = points[at] + 1
            at += 1
        if first <= last:
            left.append((first, last))
    return left


def _spelled(number: int, version: int) -> str:
    return str(ip_network((number, _BITS[version])).network_address)
