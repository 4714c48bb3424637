"""The checks of SMTP, FTP, NNTP, POP3, IMAP and Telnet: connect, wait for the greeting, take leave.

The greeting alone decides. On the port that IANA gives a protocol under TLS (465, 990, 563, 995, 993, 992) the check
speaks TLS from the first byte.
"""

from __future__ import annotations

import asyncio

from steelyard.health.attempt import Line, attempt, closed
from steelyard.health.conversation import Conversation
from steelyard.health.greetings import GREETING_BYTES, PROTOCOLS
from steelyard.health.transcript import Answer, Outcome, Transcript, endpoint, printable
from steelyard.plan.health import Check

#: Seconds a server has to say good-bye. One that hangs up on a client that has not asked may log it as a fault.
_FAREWELL_SECONDS = 0.5


class GreetingCheck:
    """A prepared check of one address and port."""

    __slots__ = ("_address", "_check", "_port", "_protocol", "_sent", "_tls")

    def __init__(self, check: Check, address: str, port: int) -> None:
        self._check = check
        self._address = address
        self._port = port
        self._protocol = PROTOCOLS[check.kind]
        self._tls = port == self._protocol.tls_port
        farewell = self._protocol.farewell.decode().strip()
        self._sent = f"connect to {endpoint(address, port)}{' with TLS' if self._tls else ''}"
        self._sent += f", {farewell}" if farewell else ""

    async def ask(self, number: int) -> Transcript:
        """One attempt, the `number`th of its cycle."""
        line = Line(self._address, self._port)
        return await attempt(
            line, self._check.timeout, self._sent, self._exchange, number=number, attempts=self._check.attempts
        )

    async def _exchange(self, line: Line) -> Answer:
        talk = await line.open()
        try:
            if self._tls:
                await talk.secure(None)
            answer = await self._greeting(line, talk)
            if answer.outcome is Outcome.GOOD:
                await self._take_leave(line, talk)
            return answer
        finally:
            talk.close()

    async def _greeting(self, line: Line, talk: Conversation) -> Answer:
        greeting = b""
        while True:
            answer = self._protocol.judge(greeting)
            if answer is not None:
                return answer
            if len(greeting) > GREETING_BYTES:
                said = printable(greeting)
                return Answer(Outcome.BAD, said, f"no end of the greeting within {GREETING_BYTES} bytes: {said}")
            data = await talk.receive(1024)
            if not data:
                return closed(line)
            greeting += data

    async def _take_leave(self, line: Line, talk: Conversation) -> None:
        """Say good-bye and wait for the answer a little; the greeting stands whatever comes."""
        if not self._protocol.farewell:
            return
        try:
            async with asyncio.timeout(min(_FAREWELL_SECONDS, line.left(self._check.timeout) / 2)):
                await talk.send(self._protocol.farewell)
                await talk.receive()
        except (OSError, TimeoutError):
            # It has greeted, and a client that leaves is owed nothing.
            pass
