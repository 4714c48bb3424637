"""Healthcheck on: members that take the verdict of another one (`reference/loadmaster-api/03`, 3.3).

A verdict that came round to itself would never be given, so loops are refused: over members that follow each other,
and over a slot, which takes the verdict of all real servers of its sub-service.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace

from steelyard.model.configuration import Configuration
from steelyard.model.errors import OperatorError
from steelyard.model.real_server import RealServer
from steelyard.model.slot import Slot
from steelyard.model.virtual_service import VirtualService

Member = RealServer | Slot
_REMEDY = "Give the RsIndex of a real server or sub-service slot that does not depend on this one, or 0"


def check_verdicts(
    services: Mapping[int, VirtualService], service: VirtualService, before: VirtualService | None
) -> None:
    """Refuse a service with a member that takes a verdict nobody gives. Raises `OperatorError`.

    `services` are all services, this one as it is to be; `before` is how it was.
    """
    was = {member.index: member.follow for member in before.members} if before is not None else {}
    begin = [
        member
        for member in service.members
        if was.get(member.index) != member.follow and (member.checked_as or member.index in was)
    ]
    if not begin:
        return
    members = {member.index: member for one in services.values() for member in one.members}
    for member in begin:
        if member.checked_as and member.checked_as not in members:
            raise _refused(member, "there is no such real server or sub-service slot")
        _refuse_loop(services, members, member)


def _refuse_loop(services: Mapping[int, VirtualService], members: Mapping[int, Member], start: Member) -> None:
    came_from: dict[int, int] = {}
    waiting = [start.index]
    while waiting:
        index = waiting.pop()
        for following in _deciders(services, members[index]):
            if following == start.index:
                raise _refused(start, f"verdicts would go in a circle: {_way(came_from, start.index, index)}")
            if following in members and following not in came_from:
                came_from[following] = index
                waiting.append(following)


def _deciders(services: Mapping[int, VirtualService], member: Member) -> tuple[int, ...]:
    """The members whose verdicts decide this one's."""
    if member.checked_as:
        return (member.checked_as,)
    if isinstance(member, Slot) and member.service in services:
        return tuple(server.index for server in services[member.service].servers)
    return ()


def _way(came_from: Mapping[int, int], start: int, last: int) -> str:
    way = [start]
    while last != start:
        way.insert(0, last)
        last = came_from[last]
    return " -> ".join(map(str, (start, *way)))


def _refused(member: Member, why: str) -> OperatorError:
    return OperatorError(f"Follow {member.follow}: {why}", field="follow", value=member.follow, remedy=_REMEDY)


def without_leaders(configuration: Configuration, gone: Collection[int]) -> Configuration:
    """The configuration after members of these indexes have gone: who took their verdicts has its own again."""
    services: dict[int, VirtualService] = {}
    for service in configuration.services.values():
        if any(member.checked_as in gone for member in service.members if member.follow):
            name = "slots" if service.slots else "servers"
            members = tuple(
                member.changed({"follow": 0}) if member.checked_as in gone else member for member in service.members
            )
            services[service.index] = service.changed({name: members})
    return replace(configuration, services={**configuration.services, **services}) if services else configuration


__all__ = ["check_verdicts", "without_leaders"]
