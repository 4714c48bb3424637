"""Content switching: which of its members a service's request goes to (`reference/behaviour.md`, section 11).

The members are looked at in order, and their rules in order; the first rule that matches selects every member that has
it. What no rule matches goes to the members with the rule `default`. A set of real servers is a backend of its own, one
sub-service is its own backend, and several are a backend of inner servers.
"""

from __future__ import annotations

from dataclasses import dataclass

from steelyard.compile.haproxy.context import ServiceContext
from steelyard.compile.haproxy.part import Family, Part
from steelyard.model.real_server import RealServer
from steelyard.model.slot import Slot
from steelyard.model.virtual_service import VirtualService


@dataclass(frozen=True)
class Group:
    """A set of members that a rule selects, as a backend of the service. `name` begins with the service's and a dash."""

    name: str
    members: tuple[RealServer | Slot, ...]


@dataclass(frozen=True)
class Switching:
    """The rules that choose, and the backends they choose from besides the service's own and its sub-services'.

    `own` are the members of the service's own backend.
    """

    part: Part
    own: tuple[RealServer | Slot, ...]
    groups: tuple[Group, ...] = ()


def compile_switching(service: VirtualService, family: Family, context: ServiceContext) -> Switching:
    """How a service shares its requests among its members."""
    return Switching(Part(), service.members)
