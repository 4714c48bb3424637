"""What the kernel's network has now, as values, and the marks that say what of it is Steelyard's.

The kernel keeps with each address, route and rule a number for who made it (IFA_PROTO since Linux 5.18, rtm_protocol,
FRA_PROTOCOL). What carries another number is somebody else's and is never touched. An interface carries its maker in
its alias.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from steelyard.plan.network import Rule

#: made for services: their addresses and their policy routing
HELD = 83
#: made because an operator said so of the host itself
HOST = 84
#: alias of interfaces that Steelyard made
LINK_MARK = "steelyard"


@dataclass(frozen=True, slots=True)
class PresentLink:
    """An interface. `master` is the bond or bridge it belongs to, `lower` what a VLAN lies on."""

    index: int
    name: str
    kind: str
    up: bool
    mtu: int
    hardware_address: str = ""
    lower: str = ""
    tag: int | None = None
    mode: str = ""
    master: str = ""
    ours: bool = False


@dataclass(frozen=True, slots=True)
class PresentAddress:
    """An address on an interface; `mark` is 0 when nobody said who made it."""

    interface: str
    address: str
    prefix: int
    mark: int = 0

    @property
    def place(self) -> tuple[str, str, int]:
        return (self.interface, self.address, self.prefix)


@dataclass(frozen=True, slots=True)
class PresentRoute:
    """A route through a gateway. "0.0.0.0/0" and "::/0" lead everywhere."""

    destination: str
    gateway: str
    interface: str
    table: int
    metric: int
    mark: int

    @property
    def way(self) -> tuple[str, str, int]:
        return (self.destination, self.gateway, self.table)


@dataclass(frozen=True, slots=True)
class PresentRule:
    """A rule of policy routing that is ours; those of others are not looked at."""

    rule: Rule


@dataclass(frozen=True)
class Present:
    """All of it at one moment."""

    links: Mapping[str, PresentLink] = field(default_factory=dict)
    addresses: tuple[PresentAddress, ...] = ()
    routes: tuple[PresentRoute, ...] = ()
    rules: tuple[PresentRule, ...] = ()

    @cached_property
    def foreign(self) -> frozenset[str]:
        """Addresses that others have put here."""
        return frozenset(one.address for one in self.addresses if one.mark not in (HELD, HOST))

    @cached_property
    def places(self) -> Mapping[tuple[str, str, int], PresentAddress]:
        return {one.place: one for one in self.addresses}
