"""A probe: one check of one address and port, asked once however many services share it."""

from __future__ import annotations

from typing import Protocol

from steelyard.health.check_http import HttpCheck
from steelyard.health.check_tcp import TcpCheck
from steelyard.health.transcript import Transcript
from steelyard.health.verdict import again
from steelyard.model.errors import InternalError
from steelyard.plan.health import Check


class Prepared(Protocol):
    """A check that can be asked. `number` counts the attempts of one cycle from 1."""

    async def ask(self, number: int) -> Transcript: ...


def prepared(check: Check, address: str, port: int) -> Prepared:
    """The check, ready to ask. Raises `OperatorError` for a check that cannot be sent."""
    match check.kind:
        case "tcp":
            return TcpCheck(check, address, port)
        case "http" | "https":
            return HttpCheck(check, address, port)
        case "none":
            raise InternalError("A service without checks has no probe")


async def cycle(asker: Prepared, attempts: int) -> list[Transcript]:
    """One cycle: attempts until an answer is final or all are used. The last transcript decides."""
    said: list[Transcript] = []
    for number in range(1, attempts + 1):
        said.append(await asker.ask(number))
        if not again(said[-1].outcome, number, attempts):
            break
    return said
