"""What a server has of a client: two streams and what is known of the connection."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

#: address and port
Place = tuple[str, int]


@dataclass(frozen=True)
class Connection:
    """One accepted TCP connection."""

    server: str
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    peer: Place
    local: Place
    tls: bool
    #: the name the client asked for in its handshake
    sni: str | None

    def facts(self) -> dict[str, Any]:
        """What every answer tells: who answers, and whom it sees."""
        return {
            "server": self.server,
            "peer": list(self.peer),
            "local": list(self.local),
            "tls": self.tls,
            "sni": self.sni,
        }


Talk = Callable[[Connection], Awaitable[None]]
#: what to say to a datagram from a peer at a local place; None says nothing
Datagram = Callable[[bytes, Place, Place], bytes | None]


@dataclass(frozen=True)
class Service:
    """A port of a role, the one in use. With `talk` it is TCP, over TLS where `tls`; with `datagram` it is UDP."""

    address: str
    port: int
    talk: Talk | None = None
    datagram: Datagram | None = None
    tls: bool = False


async def echo(connection: Connection) -> None:
    """Answer all that arrives with a line of JSON: who this is, whom it sees, what it got.

    What stands for protocols that the balancer does not look into (DCOM, application sharing, conferencing).
    """
    while got := await connection.reader.read(65536):
        said = connection.facts() | {"received": got.decode("latin-1")}
        connection.writer.write(json.dumps(said).encode() + b"\n")
        await connection.writer.drain()
