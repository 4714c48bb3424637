"""The TCP check: a connection that is accepted is a good answer. Nothing is sent."""

from __future__ import annotations

from steelyard.health.attempt import Line, attempt
from steelyard.health.transcript import Answer, Outcome, Transcript, endpoint
from steelyard.plan.health import Check


class TcpCheck:
    """A prepared check of one address and port."""

    __slots__ = ("_address", "_check", "_port", "_sent")

    def __init__(self, check: Check, address: str, port: int) -> None:
        self._check = check
        self._address = address
        self._port = port
        self._sent = f"connect to {endpoint(address, port)}"

    async def ask(self, number: int) -> Transcript:
        """One attempt, the `number`th of its cycle."""
        line = Line(self._address, self._port)
        return await attempt(
            line, self._check.timeout, self._sent, self._exchange, number=number, attempts=self._check.attempts
        )

    async def _exchange(self, line: Line) -> Answer:
        (await line.connect()).close()
        return Answer(Outcome.GOOD, "", "connected")
