"""The DNS check: ask for the address of a name, by UDP or TCP.

With a name the answer must have an address of it. Without one the servers of the root are asked for, and anything but
a failure of the server shows that it works: many refuse that question. An answer cut short over UDP is asked for again
over TCP, as any resolver does.
"""

from __future__ import annotations

import asyncio
import secrets
import socket

from steelyard.health import waiting
from steelyard.health.attempt import Line, attempt, closed
from steelyard.health.dns_messages import NOERROR, SERVFAIL, DnsAnswer, NotDns, query, question_of, read
from steelyard.health.transcript import Answer, Outcome, Transcript, printable
from steelyard.model.errors import OperatorError
from steelyard.plan.health import Check

_DATAGRAM_BYTES = 4096


class DnsCheck:
    """A prepared check of one address and port."""

    __slots__ = ("_address", "_check", "_name", "_port", "_question", "_sent")

    def __init__(self, check: Check, address: str, port: int) -> None:
        self._check = check
        self._address = address
        self._port = port
        self._name = check.name
        try:
            self._question = question_of(check.name)
        except ValueError as failure:
            raise OperatorError(
                f"The health check cannot ask for {printable(check.name)}", field="name", value=check.name
            ) from failure
        what = f"{check.name} A" if check.name else ". NS"
        self._sent = f"query {what} by {check.transport.upper()}"

    async def ask(self, number: int) -> Transcript:
        """One attempt, the `number`th of its cycle."""
        line = Line(self._address, self._port)
        return await attempt(
            line, self._check.timeout, self._sent, self._exchange, number=number, attempts=self._check.attempts
        )

    async def _exchange(self, line: Line) -> Answer:
        try:
            if self._check.transport == "udp":
                answer = await self._by_udp(line)
                if not answer.truncated:
                    return self._judge(answer)
            return self._judge(await self._by_tcp(line))
        except NotDns as failure:
            return Answer(Outcome.BAD, "", f"not an answer of DNS: {failure}")
        except asyncio.IncompleteReadError:
            return closed(line)

    async def _by_udp(self, line: Line) -> DnsAnswer:
        """The kernel hands on only what comes from the address that was asked, and its ICMP errors."""
        sock = await line.connect(socket.SOCK_DGRAM)
        try:
            identifier = secrets.randbits(16)
            await waiting.send(sock, query(identifier, self._question))
            while True:
                data = await waiting.receive(sock, _DATAGRAM_BYTES)
                # A late answer to an earlier query, or a forged one, is none to this.
                if data[:2] == identifier.to_bytes(2, "big"):
                    return read(data, identifier, self._question)
        finally:
            sock.close()

    async def _by_tcp(self, line: Line) -> DnsAnswer:
        talk = await line.open()
        try:
            identifier = secrets.randbits(16)
            message = query(identifier, self._question)
            await talk.send(len(message).to_bytes(2, "big") + message)
            heard = b""
            while len(heard) < 2 or len(heard) < 2 + int.from_bytes(heard[:2], "big"):
                data = await talk.receive()
                if not data:
                    raise asyncio.IncompleteReadError(heard, None)
                heard += data
            return read(heard[2 : 2 + int.from_bytes(heard[:2], "big")], identifier, self._question)
        finally:
            talk.close()

    def _judge(self, answer: DnsAnswer) -> Answer:
        said = f"{answer.code_name()} {' '.join(answer.addresses[:4])}".rstrip()
        if not self._name:
            outcome = Outcome.BAD if answer.code == SERVFAIL else Outcome.GOOD
            return Answer(outcome, said, f"answered {answer.code_name()}")
        if answer.code != NOERROR:
            return Answer(Outcome.BAD, said, f"answered {answer.code_name()} for {self._name}")
        if not answer.addresses:
            return Answer(Outcome.BAD, said, f"answered without an address of {self._name}")
        return Answer(Outcome.GOOD, said, f"{self._name} is {answer.addresses[0]}")
