"""What an explanation is made of: steps in the order in which the request meets them, and what comes of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

#: server: exactly one; candidates: one of several, and the scheduler's next choice cannot be known; answered: Steelyard
#: answers itself; closed: the connection ends without an answer
Kind = Literal["server", "candidates", "answered", "closed"]


@dataclass(frozen=True)
class Step:
    """One thing that was looked at: `name` what, `says` what came of it, `details` why, line by line."""

    name: str
    says: str
    details: tuple[str, ...] = ()
    service: int = 0


@dataclass(frozen=True)
class Chosen:
    """A real server a request may go to. `index` 0 is the sorry server."""

    service: int
    index: int
    address: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.address}]" if ":" in self.address else self.address
        return (
            f"sorry server {host}:{self.port}" if not self.index else f"{host}:{self.port} (real server {self.index})"
        )


@dataclass(frozen=True)
class Result:
    """What comes of the request. `servers` holds the one server or the candidates.

    For an answer of Steelyard's own: `status`, and `location` where it redirects. `others` are what may come instead,
    where the scheduler chooses among sub-services and one of them refuses the request.
    """

    kind: Kind
    why: str
    servers: tuple[Chosen, ...] = ()
    status: int = 0
    location: str = ""
    others: tuple[Result, ...] = ()


@dataclass(frozen=True)
class Explanation:
    """The whole answer. `revision` is that of the configuration it is about."""

    steps: tuple[Step, ...]
    result: Result
    revision: int = 0
