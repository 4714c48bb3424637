"""What is said over the socket of `steelyard-netd`: lines of JSON, a request and an answer each.

A request is `{"op": ..., "id": ...}`; its answer carries the same `id` and `ok`. A refusal has `error`, `words` and,
when the base of a change is not what is in force, `send_whole`; when a change of the host's network has gone back
meanwhile and the request does not say so, `undone`. Requests of all connections are carried out one at a time.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field

from steelyard.plan.kernel import KernelChange, KernelPlan
from steelyard.plan.layer4 import Standing, Standings

#: longest line; a plan of ten thousand services of ten servers has about 20 MB
LINE_BYTES = 64 * 1024 * 1024
#: seconds in which a change of the host's network may be confirmed
LEAST_CONFIRM, MOST_CONFIRM = 5.0, 3600.0


class Request(BaseModel):
    """Base of every request."""

    model_config = ConfigDict(extra="ignore")


class ReplacePlan(Request):
    """`plan`: have exactly this. With `confirm`, what differs in the host's network goes back after so many seconds."""

    plan: KernelPlan
    generation: str = Field(min_length=1, max_length=100)
    confirm: float | None = Field(None, ge=LEAST_CONFIRM, le=MOST_CONFIRM)
    #: the `undone` of the status, so that what went back does not come again by mistake
    knows_undone: str = ""


class ChangePlan(Request):
    """`change`: have these objects in place of those of generation `base`."""

    base: str
    change: KernelChange
    generation: str = Field(min_length=1, max_length=100)
    confirm: float | None = Field(None, ge=LEAST_CONFIRM, le=MOST_CONFIRM)
    #: the `undone` of the status, so that what went back does not come again by mistake
    knows_undone: str = ""


class CheckChange(Request):
    """`check`: say what would be refused, and what would be done; nothing is changed."""

    base: str
    change: KernelChange


class WireStanding(BaseModel):
    """A `Standing` on the wire."""

    model_config = ConfigDict(extra="forbid")
    up: bool
    weight: int | None = Field(None, ge=0, le=65535)


class Tell(Request):
    """`tell`: what the checking process says of servers, by "service/server". `whole` forgets all others first."""

    standings: dict[str, WireStanding]
    whole: bool = False

    def values(self) -> dict[tuple[str, str], Standing]:
        return {_name(key): Standing(one.up, one.weight) for key, one in self.standings.items()}


class Drop(Request):
    """`drop`: cut the connections of these servers, "service/server" each."""

    servers: list[str]

    def names(self) -> list[tuple[str, str]]:
        return [_name(key) for key in self.servers]


class OfService(Request):
    """`records` and `flush_records`."""

    service: str


class OfGeneration(Request):
    """`confirm` and `undo`: the change that made this generation."""

    generation: str


@dataclass(frozen=True)
class NetdStatus:
    """How `steelyard-netd` is. Times in seconds.

    `confirm_left` is how long a change of the host's network still waits to be confirmed, None when none does.
    `undone` is the generation whose change of the host's network went back because nobody confirmed it; "" for none.
    `drivers` are what carries layer 4 now. `problems` are in words.
    """

    generation: str
    pid: int
    confirm_generation: str = ""
    confirm_left: float | None = None
    undone: str = ""
    capabilities: tuple[str, ...] = ()
    drivers: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        known = {name: data[name] for name in cls.__dataclass_fields__ if name in data}
        for name in ("capabilities", "drivers", "problems"):
            known[name] = tuple(known.get(name, ()))
        return cls(**known)


def standings_json(standings: Standings) -> dict[str, Any]:
    """What `tell` carries."""
    return {"/".join(name): {"up": one.up, "weight": one.weight} for name, one in standings.items()}


def _name(text: str) -> tuple[str, str]:
    service, slash, server = text.partition("/")
    if not slash or not service or not server:
        raise ValueError(f"{text!r} is not service/server")
    return service, server
