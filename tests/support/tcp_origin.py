r"""TCP origins for tests: a line echo, and just enough of RDP to see which real server a user reached.

The RDP form follows [MS-RDPBCGR] 2.2.1.1 and 2.2.1.2: a TPKT header (version 3, 16-bit length), an X.224 connection
request that may carry `Cookie: mstshash=USER\r\n`, and an X.224 connection confirm in return. Steelyard reads the
same cookie, so the helper that writes a request is here too.
"""

from __future__ import annotations

import asyncio
import struct
import threading
import time
from dataclasses import dataclass

from tests.support.listener import Listener

_TPKT = struct.Struct(">BBH")
_CONNECTION_REQUEST = 0xE0
_CONNECTION_CONFIRM = 0xD0


@dataclass(frozen=True, slots=True)
class Peer:
    """One accepted connection."""

    address: str
    port: int
    local: tuple[str, int]
    at: float


class TcpOrigin(Listener):
    r"""A TCP server in a thread: answers each line with `NAME: line`.

    Changeable while it runs:
        silent: accepts and never says anything.
        speaks_first: greets with `NAME\n` before the client says anything (as SMTP, SSH and MySQL servers do).
        hold: seconds to keep a connection open, saying nothing, after the client has closed its side.
        rdp: instead of lines, read one X.224 connection request, confirm it, then say `NAME\n` and echo lines.
    """

    def __init__(
        self,
        name: str,
        *,
        address: str = "127.0.0.1",
        port: int | None = None,
        speaks_first: bool = False,
        rdp: bool = False,
    ) -> None:
        self.silent = False
        self.speaks_first = speaks_first
        self.hold = 0.0
        self.rdp = rdp
        self._lock = threading.Lock()
        self._peers: list[Peer] = []
        self._lines: list[str] = []
        self._users: list[str | None] = []
        super().__init__(name, address, port)

    @property
    def peers(self) -> list[Peer]:
        """Everyone who connected, oldest first, health checks included."""
        with self._lock:
            return list(self._peers)

    @property
    def lines(self) -> list[str]:
        """Every line received, in order of arrival."""
        with self._lock:
            return list(self._lines)

    @property
    def users(self) -> list[str | None]:
        """The `mstshash` of each RDP connection request, None where the request had no cookie."""
        with self._lock:
            return list(self._users)

    async def serve(self, number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        address, port = writer.get_extra_info("peername")[:2]
        with self._lock:
            self._peers.append(Peer(address, port, writer.get_extra_info("sockname")[:2], time.monotonic()))
        if self.silent:
            await reader.read()
            return
        if self.rdp:
            await self._confirm_rdp(reader, writer)
        if self.speaks_first or self.rdp:
            writer.write(f"{self.name}\n".encode())
            await writer.drain()
        while line := await reader.readline():
            text = line.rstrip(b"\r\n").decode("latin-1")
            with self._lock:
                self._lines.append(text)
            writer.write(f"{self.name}: {text}\n".encode("latin-1"))
            await writer.drain()
        if self.hold:
            await asyncio.sleep(self.hold)

    async def _confirm_rdp(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Read one connection request. One that is not RDP ends the connection, as Windows does."""
        version, _reserved, length = _TPKT.unpack(await reader.readexactly(_TPKT.size))
        if version != 3 or length < _TPKT.size + 7:
            raise EOFError("not a TPKT packet")
        request = await reader.readexactly(length - _TPKT.size)
        if request[1] & 0xF0 != _CONNECTION_REQUEST:
            raise EOFError("not an X.224 connection request")
        with self._lock:
            self._users.append(_mstshash(request[7:]))
        confirm = struct.pack(">BBHHB", 6, _CONNECTION_CONFIRM, 0, 0x1234, 0)
        writer.write(_TPKT.pack(3, 0, _TPKT.size + len(confirm)) + confirm)
        await writer.drain()


def _mstshash(rest: bytes) -> str | None:
    prefix = b"Cookie: mstshash="
    if not rest.startswith(prefix):
        return None
    return rest[len(prefix) :].split(b"\r\n", 1)[0].decode("latin-1")


def rdp_connection_request(user: str | None) -> bytes:
    """The first packet an RDP client sends; without a user, one without a cookie."""
    cookie = b"" if user is None else f"Cookie: mstshash={user}\r\n".encode("latin-1")
    negotiate = struct.pack("<BBHI", 1, 0, 8, 1)
    variable = cookie + negotiate
    x224 = struct.pack(">BBHHB", 6 + len(variable), _CONNECTION_REQUEST, 0, 0, 0) + variable
    return _TPKT.pack(3, 0, _TPKT.size + len(x224)) + x224
