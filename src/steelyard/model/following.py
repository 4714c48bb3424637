"""Port following: when a service may follow the persistence of another (`reference/behaviour.md`, 5.5).

The real servers of both must have the same addresses when following is set. Later on servers come and go in one
service after the other, which no single change could do in both, so that is not refused: a record of a server that
this service does not have is simply not followed. Everything a key is made of must stay the same.
"""

from __future__ import annotations

from collections.abc import Mapping

from steelyard.model.errors import ConflictError, OperatorError
from steelyard.model.virtual_service import VirtualService

_FIELD = "follow_vs"
_REMEDY = "Give the index of a service with the same real servers and the same persistence, or 0"


def check_following(
    services: Mapping[int, VirtualService], service: VirtualService, before: VirtualService | None
) -> None:
    """Refuse a service that cannot follow as it says, or that others could not follow any more.

    `services` are all services, this one as it is to be; `before` is how it was. Raises `OperatorError` or
    `ConflictError`.
    """
    if service.follow_vs:
        leader = _leader(services, service)
        why = _differs(service, leader)
        if why is not None:
            raise _refused(service, f"{service.title} cannot follow {leader.title}: {why}")
        if before is None or before.follow_vs != service.follow_vs:
            _same_servers(service, leader)
            _no_circle(services, service)
    for other in services.values():
        if other.follow_vs == service.index and other.index != service.index:
            why = _differs(other, service)
            if why is not None:
                raise _followed(service, other, why)


def refuse_removal(services: Mapping[int, VirtualService], index: int) -> None:
    """Refuse to remove a service that others follow. Raises `ConflictError`."""
    for other in services.values():
        if other.follow_vs == index and other.index != index:
            raise _followed(services[index], other, "it would be gone")


def _followed(service: VirtualService, follower: VirtualService, why: str) -> ConflictError:
    return ConflictError(
        f"{follower.title} (index {follower.index}) follows {service.title} (index {service.index}) and could not any"
        f" more: {why}. Set FollowVSID of {follower.index} to 0 first",
        field=_FIELD,
        with_what=follower.title,
    )


def _refused(service: VirtualService, why: str) -> OperatorError:
    return OperatorError(
        f"FollowVSID {service.follow_vs}: {why}", field=_FIELD, value=service.follow_vs, remedy=_REMEDY
    )


def _leader(services: Mapping[int, VirtualService], service: VirtualService) -> VirtualService:
    if service.follow_vs == service.index:
        raise _refused(service, "a service cannot follow itself")
    leader = services.get(service.follow_vs)
    if leader is None:
        raise _refused(service, "there is no such virtual service")
    return leader


def _differs(service: VirtualService, leader: VirtualService) -> str | None:
    """Why one cannot follow the other, whatever their servers are."""
    if service.is_sub or leader.is_sub:
        return "sub-services are reached through their parent; use Share SubVS Persistence for them"
    if service.slots or leader.slots:
        return "a service with sub-services has no real servers"
    if service.persistence == "none" or leader.persistence == "none":
        return "both need persistence"
    if service.persistence_options() != leader.persistence_options():
        return "both need the same persistence mode, mask, cookie or header, and query item"
    if (":" in service.address) != (":" in leader.address):
        return "one takes IPv4 clients, the other IPv6 clients"
    return None


def _same_servers(service: VirtualService, leader: VirtualService) -> None:
    mine, others = ({server.address for server in one.servers} for one in (service, leader))
    if mine != others:
        raise _refused(
            service,
            f"the real servers of {service.title} and {leader.title} have different addresses"
            f" ({', '.join(sorted(mine ^ others))} in one alone)",
        )


def _no_circle(services: Mapping[int, VirtualService], service: VirtualService) -> None:
    """Two may follow each other; a longer circle is refused."""
    path = [service.index]
    following = service.follow_vs
    while following and following in services:
        if following == service.index:
            if len(path) > 2:
                raise _refused(service, f"services would follow in a circle: {' -> '.join(map(str, path))}")
            return
        if following in path:
            return
        path.append(following)
        following = services[following].follow_vs


__all__ = ["check_following", "refuse_removal"]
