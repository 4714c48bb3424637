"""What nftables must hold for layer-4 services, as typed values; `emit.nft` alone prints them.

Everything is in one table of ours. Sets and maps are shared by all services, so that one service more costs a few
elements and one chain, and no set of its own: the kernel (6.18, measured) looks through all sets of a table for each it
binds, and 1,000 services with sets of their own took 6 s to load in place of 0.7 s.

A connection carries the mark of its server from its first packet to its last. It finds the server's address and
counters, and lets all connections of a server be cut by one message. Marks of a server are never used again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address

TABLE = "steelyard_layer4"

#: the sets whose elements count packets, one a server
COUNTERS = ("opened", "from_clients", "from_servers")
#: how the names of sets of networks begin
NETWORKS = "clients_"
#: what is a set; all else with elements is a map
SETS = frozenset({"takes", *COUNTERS})

#: a mark's first byte says what its other three are: the number of a real server, or the index of a service
SERVER_MARK = 0x4C000000
SORRY_MARK = 0x4D000000
SERVICE_MARK = 0x53000000
#: what the marks of connections have in common, and the bits that are looked at for it
CONNECTION_MARK = 0x4C000000
CONNECTION_MASK = 0xFE000000
MOST_NUMBER = 0x00FFFFFF

#: slots of one service; its block of slot numbers begins at its index times this
MOST_SLOTS = 4096
MOST_SERVICE = (1 << 20) - 1

Address = IPv4Address | IPv6Address


@dataclass(frozen=True, slots=True)
class Mark:
    """A connection mark."""

    number: int


@dataclass(frozen=True, slots=True)
class Goto:
    """The verdict of a map that leads to a chain and does not come back."""

    chain: str


@dataclass(frozen=True, slots=True)
class Leave:
    """The verdict of a map that leaves a packet as it is."""


Key = Address | Mark | int | str
Data = Address | tuple[Address, int] | Mark | Goto | Leave | None


@dataclass(frozen=True, slots=True)
class Element:
    """The key of an element of a set or map: its parts in order. Words are names of protocols."""

    where: str
    key: tuple[Key, ...]


# -- statements of rules


@dataclass(frozen=True, slots=True)
class RefuseUnopened:
    """Reset TCP packets that belong to no connection and open none."""


@dataclass(frozen=True, slots=True)
class LimitIdle:
    """The connection is forgotten after the time-outs of this object."""

    timeout: str


@dataclass(frozen=True, slots=True)
class SetMark:
    """Give the connection a mark."""

    mark: Mark


@dataclass(frozen=True, slots=True)
class MarkFromRecord:
    """Take the mark from the record of the client, whose address is cut to so many bits, under the connection's mark.

    Where there is no record the rule ends.
    """

    ipv6: bool
    prefix: int


@dataclass(frozen=True, slots=True)
class IfMarkTakesClients:
    """Go on only when the mark's server takes clients."""


@dataclass(frozen=True, slots=True)
class KeepRecord:
    """Write that this client belongs to the connection's server, for so many seconds from now."""

    service: Mark
    ipv6: bool
    prefix: int
    seconds: int


@dataclass(frozen=True, slots=True)
class DropRecord:
    """Forget the client's record."""

    service: Mark
    ipv6: bool
    prefix: int


@dataclass(frozen=True, slots=True)
class MarkFromSlot:
    """Take the mark of the next slot of a service in turn, or by the client's address. Slots begin at `offset`."""

    slots: int
    offset: int
    by_address: bool = False
    ipv6: bool = False


@dataclass(frozen=True, slots=True)
class Refuse:
    """TCP is answered by a reset, UDP by `port unreachable`."""

    protocol: str


@dataclass(frozen=True, slots=True)
class IfClientIn:
    """Go on only for clients in this set of networks."""

    networks: str
    ipv6: bool


@dataclass(frozen=True, slots=True)
class Drop:
    """Say nothing."""


@dataclass(frozen=True, slots=True)
class Jump:
    """Go on in a chain, for good."""

    chain: str


Statement = (
    RefuseUnopened
    | LimitIdle
    | SetMark
    | MarkFromRecord
    | IfMarkTakesClients
    | KeepRecord
    | DropRecord
    | MarkFromSlot
    | Refuse
    | IfClientIn
    | Drop
    | Jump
)
Rule = tuple[Statement, ...]


@dataclass(frozen=True, slots=True)
class IdleTimeouts:
    """A named set of time-outs of connections, in seconds by the kernel's state names."""

    protocol: str
    ipv6: bool
    seconds: tuple[tuple[str, int], ...]

    @property
    def name(self) -> str:
        numbers = "_".join(str(number) for _, number in self.seconds)
        return f"{self.protocol}{6 if self.ipv6 else 4}_{numbers}"


@dataclass(frozen=True, slots=True)
class NetworkSet:
    """A set of ranges of addresses. Its name tells its content, so services with the same one share it."""

    name: str
    ipv6: bool
    ranges: tuple[tuple[Address, Address], ...]


@dataclass(frozen=True)
class Program:
    """What one service adds to the table: chains with rules, elements with data, time-outs and networks they name."""

    networks: tuple[NetworkSet, ...] = ()
    chains: Mapping[str, tuple[Rule, ...]] = field(default_factory=dict)
    elements: Mapping[Element, Data] = field(default_factory=dict)
    timeouts: tuple[IdleTimeouts, ...] = ()


NOTHING = Program()


# -- commands of a transaction


@dataclass(frozen=True, slots=True)
class AddTimeouts:
    """Make time-outs known; nothing happens when they are."""

    timeouts: IdleTimeouts


@dataclass(frozen=True, slots=True)
class AddChain:
    """Make an empty chain."""

    chain: str


@dataclass(frozen=True, slots=True)
class EmptyChain:
    """Take all rules from a chain."""

    chain: str


@dataclass(frozen=True, slots=True)
class DeleteChain:
    """Remove a chain, to which nothing leads any more."""

    chain: str


@dataclass(frozen=True, slots=True)
class AddRule:
    """Add a rule at a chain's end."""

    chain: str
    rule: Rule


@dataclass(frozen=True, slots=True)
class AddElements:
    """Add elements to a set or map."""

    where: str
    elements: tuple[tuple[tuple[Key, ...], Data], ...]


@dataclass(frozen=True, slots=True)
class DeleteElements:
    """Remove elements from a set or map."""

    where: str
    keys: tuple[tuple[Key, ...], ...]


@dataclass(frozen=True, slots=True)
class AddNetworks:
    """Make a set of networks with what is in it."""

    networks: NetworkSet


@dataclass(frozen=True, slots=True)
class DeleteNetworks:
    """Remove a set of networks, which no rule names any more."""

    name: str


@dataclass(frozen=True, slots=True)
class EmptySet:
    """Take all elements from a set or map."""

    where: str


NftCommand = (
    AddNetworks
    | DeleteNetworks
    | EmptySet
    | AddTimeouts
    | AddChain
    | EmptyChain
    | DeleteChain
    | AddRule
    | AddElements
    | DeleteElements
)
