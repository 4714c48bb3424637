"""Scheduling methods as HAProxy's balancing, and weights on its scale.

HAProxy's weights run to 256, LoadMaster's to 65535: they are divided by their common divisor and scaled down only
when that does not fit. Methods that ignore weights give every server the same; 100 rather than 1, because a
consistent hash places points in proportion to the weight and 1 spreads badly (HAProxy 2.6 manual, `hash-type`).
"""

from __future__ import annotations

from collections.abc import Sequence
from math import gcd

from steelyard.model.adaptive import MOVING
from steelyard.model.real_server import RealServer
from steelyard.model.slot import Slot
from steelyard.model.virtual_service import VirtualService
from steelyard.model.virtual_service.standard import LEAST_CONNECTION

MAX_WEIGHT = 256
EQUAL_WEIGHT = 100

_BALANCE: dict[str, tuple[str, ...]] = {
    "rr": ("roundrobin",),
    "wrr": ("roundrobin",),
    "lc": ("leastconn",),
    "wlc": ("leastconn",),
    "fixed": ("roundrobin",),
    "sh": ("source",),
    "uhash": ("uri", "whole"),
    "random": ("random",),
    **dict.fromkeys(MOVING, ("roundrobin",)),
}
_WEIGHTED = frozenset({"wrr", "wlc"})
_HASHED = frozenset({"sh", "uhash"})


def balance(service: VirtualService) -> tuple[str, ...]:
    """The words of the `balance` line."""
    return _BALANCE[service.schedule]


def hashes(service: VirtualService) -> bool:
    """Whether the method is a hash; it is made consistent, so that servers can be added at run time."""
    return service.schedule in _HASHED


def starts_slowly(service: VirtualService, seconds: int) -> bool:
    """Whether a server that comes up grows into its share.

    HAProxy does that by itself, also for servers it has no check of and for added ones (2.6 and 2.8, tried).
    """
    return seconds > 0 and service.schedule in LEAST_CONNECTION


def weights(schedule: str, members: Sequence[RealServer | Slot]) -> tuple[int, ...]:
    """Engine weight of each member under a schedule, in order."""
    given = [member.weight for member in members]
    if not given:
        return ()
    if schedule == "fixed":
        best = max(given)
        return tuple(1 if weight == best else 0 for weight in given)
    if schedule in MOVING:
        # the scale on which the checking process moves them, before it knows anything
        return tuple(max(1, round(weight * MAX_WEIGHT / max(given))) for weight in given)
    if schedule not in _WEIGHTED:
        return tuple(EQUAL_WEIGHT for _ in given)
    divisor = gcd(*given)
    reduced = [weight // divisor for weight in given]
    most = max(reduced)
    if most <= MAX_WEIGHT:
        return tuple(reduced)
    return tuple(max(1, round(weight * MAX_WEIGHT / most)) for weight in reduced)
