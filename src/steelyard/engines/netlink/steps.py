"""Single steps that change the kernel's network, in words an operator can read. Doing one twice is doing it once."""

from __future__ import annotations

from dataclasses import dataclass

from steelyard.plan.network import Link, Route, Rule


@dataclass(frozen=True, slots=True)
class AddAddress:
    """Put an address on an interface. One that is `held` is no source by itself, and neighbours are told of it."""

    interface: str
    address: str
    prefix: int
    held: bool

    def __str__(self) -> str:
        return f"add address {self.address}/{self.prefix} to {self.interface}"


@dataclass(frozen=True, slots=True)
class RemoveAddress:
    """Take an address away."""

    interface: str
    address: str
    prefix: int

    def __str__(self) -> str:
        return f"remove address {self.address}/{self.prefix} from {self.interface}"


@dataclass(frozen=True, slots=True)
class HandOver:
    """Leave an address where it is, as somebody else's."""

    interface: str
    address: str
    prefix: int

    def __str__(self) -> str:
        return f"leave address {self.address}/{self.prefix} on {self.interface} to the host"


@dataclass(frozen=True, slots=True)
class AddLink:
    """Make a VLAN or a bond."""

    link: Link

    def __str__(self) -> str:
        if self.link.kind == "vlan":
            return f"make {self.link.name}, VLAN {self.link.tag} on {self.link.lower}"
        return f"make bond {self.link.name} ({self.link.mode})"


@dataclass(frozen=True, slots=True)
class RemoveLink:
    """Remove a VLAN or a bond."""

    name: str

    def __str__(self) -> str:
        return f"remove interface {self.name}"


@dataclass(frozen=True, slots=True)
class SetLink:
    """Change an interface: up, its MTU, its bond ("" takes it out). None leaves what is."""

    name: str
    up: bool | None = None
    mtu: int | None = None
    master: str | None = None

    def __str__(self) -> str:
        if self.master is not None:
            return f"put {self.name} into {self.master}" if self.master else f"take {self.name} out of its bond"
        if self.mtu is not None:
            return f"set the MTU of {self.name} to {self.mtu}"
        return f"set {self.name} {'up' if self.up else 'down'}"


@dataclass(frozen=True, slots=True)
class PutRoute:
    """Add a route, or put it in place of one to the same network."""

    route: Route
    mark: int

    def __str__(self) -> str:
        table = "" if self.route.table == 254 else f" in table {self.route.table}"
        return f"route {self.route.destination} through {self.route.gateway}{table}"


@dataclass(frozen=True, slots=True)
class RemoveRoute:
    """Remove exactly that route."""

    destination: str
    gateway: str
    table: int
    metric: int

    def __str__(self) -> str:
        table = "" if self.table == 254 else f" from table {self.table}"
        return f"remove route {self.destination} through {self.gateway}{table}"


@dataclass(frozen=True, slots=True)
class AddRule:
    """Add a rule of policy routing."""

    rule: Rule

    def __str__(self) -> str:
        return f"route {self.rule}"


@dataclass(frozen=True, slots=True)
class RemoveRule:
    """Remove a rule of policy routing."""

    rule: Rule

    def __str__(self) -> str:
        return f"no longer route {self.rule}"


Step = (
    AddAddress
    | RemoveAddress
    | HandOver
    | AddLink
    | RemoveLink
    | SetLink
    | PutRoute
    | RemoveRoute
    | AddRule
    | RemoveRule
)
