"""SIP passed on to a next hop, by an access edge or a Director: on top of the Via headers there, off again on the way
back.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from secrets import token_hex

from steelyard.lab.connection import Connection, Place
from steelyard.lab.sip import Message, receive

#: headers of a request that its answer has too (RFC 3261, 8.2.6.2)
_COPIED = frozenset({"via", "from", "to", "call-id", "cseq"})
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]
#: opens a connection of a server's own, from its host; TLS where a context is given
Opener = Callable[[Place, ssl.SSLContext | None], Awaitable[Streams]]


def trusting() -> ssl.SSLContext:
    """For a server that is told by its next hop's address alone, and asks for no name."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


@dataclass(frozen=True)
class SipProxy:
    """A connection to the next hop for each connection of a client."""

    name: str
    next_hop: Place
    opener: Opener

    async def __call__(self, connection: Connection) -> None:
        await self.carry(connection)

    async def carry(self, connection: Connection, first: Message | None = None) -> None:
        """Pass a connection on, whose first message may have been read already."""
        try:
            reader, writer = await self.opener(self.next_hop, trusting())
        except OSError:
            await self._alone(connection, first)
            return
        up = asyncio.create_task(self._up(connection, writer, first))
        down = asyncio.create_task(self._down(reader, connection))
        try:
            await asyncio.wait({up, down}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (up, down):
                task.cancel()
            await asyncio.gather(up, down, return_exceptions=True)
            writer.close()

    async def _alone(self, connection: Connection, first: Message | None) -> None:
        """No next hop: each request is told so."""
        with contextlib.suppress(ValueError):
            while (message := first or await receive(connection.reader)) is not None:
                first = None
                kept = tuple(one for one in message.headers if one[0].lower() in _COPIED)
                said = (("X-Lab-Through", self.name), ("ms-diagnostics", '1017;reason="the next hop does not answer"'))
                connection.writer.write(Message("SIP/2.0 504 Server Time-out", (*kept, *said)).wire())
                await connection.writer.drain()

    async def _up(self, connection: Connection, writer: asyncio.StreamWriter, first: Message | None) -> None:
        own = ("Via", f"SIP/2.0/TLS {connection.local[0]}:{connection.local[1]};branch=z9hG4bK{token_hex(8)}")
        with contextlib.suppress(ValueError):
            while (message := first or await receive(connection.reader)) is not None:
                first = None
                writer.write(Message(message.first, (own, *message.headers), message.body).wire())
                await writer.drain()

    async def _down(self, reader: asyncio.StreamReader, connection: Connection) -> None:
        with contextlib.suppress(ValueError):
            while (message := await receive(reader)) is not None:
                headers = list(message.headers)
                first = next((number for number, one in enumerate(headers) if one[0].lower() == "via"), None)
                if first is not None:
                    del headers[first]
                headers.append(("X-Lab-Through", self.name))
                connection.writer.write(Message(message.first, tuple(headers), message.body).wire())
                await connection.writer.drain()
