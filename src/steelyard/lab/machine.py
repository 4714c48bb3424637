"""A role that runs: its listening sockets, its connections, its memory, and what it was asked.

Stopping it is the power cord: listeners go, connections are reset, the memory is lost. A single port can be closed and
opened again, as when one service of a server stops.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import weakref
from collections import deque
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, cast

from steelyard.lab.connection import Connection, Datagram, Place, Service, Talk
from steelyard.lab.http import Answer, Handler, Request, said
from steelyard.lab.memory import Memory
from steelyard.lab.roles import Role
from steelyard.lab.sip_proxy import Streams

#: within which sockets are opened, and so the host they belong to
Inside = Callable[[], AbstractContextManager[object]]
#: address, port, whether UDP
Key = tuple[str, int, bool]
_REMEMBERED = 50_000


@dataclass(frozen=True)
class Asked:
    """One HTTP request a machine got, and the status it gave."""

    request: Request
    status: int


class Machine:
    """Runs one role on a loop; everything but `seen`, `statuses` and `open_sockets` is for the loop's own thread."""

    def __init__(self, role: Role, inside: Inside) -> None:
        self.role = role
        self.inside = inside
        self.memory = Memory()
        #: the last requests, oldest first
        self.seen: deque[Asked] = deque(maxlen=_REMEMBERED)
        #: statuses to answer with in place of the role's own, by path in lower case
        self.statuses: dict[str, int] = {}
        self._services: dict[Key, Service] = {}
        self._servers: dict[Key, asyncio.Server] = {}
        self._datagrams: dict[Key, asyncio.DatagramTransport] = {}
        self._connections: dict[asyncio.StreamWriter, Key] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._names: weakref.WeakKeyDictionary[Any, str | None] = weakref.WeakKeyDictionary()
        self._tls = self._context()

    def _context(self) -> ssl.SSLContext | None:
        if self.role.certificate is None:
            return None
        context = self.role.certificate.context()
        context.sni_callback = self._note_name
        return context

    def _note_name(self, tls: ssl.SSLObject, name: str | None, _: ssl.SSLContext) -> None:
        self._names[tls] = name

    def renew(self) -> list[Key]:
        """Start from nothing: an empty memory and the role's services; says which sockets it needs."""
        self.memory = Memory()
        made = self.role.services(self.memory, self._watched, self._open)
        self._services = {
            (one.address, one.port, one.datagram is not None): one
            for one in made
            if self._tls is not None or not one.tls
        }
        return list(self._services)

    def open_sockets(self, keys: list[Key]) -> dict[Key, socket.socket]:
        """Listening sockets on this machine's host.

        Raises:
            OSError: an address is not there, or a port is taken; its text names both.
        """
        made: dict[Key, socket.socket] = {}
        try:
            with self.inside():
                for key in keys:
                    made[key] = _listening(*key)
        except OSError:
            for one in made.values():
                one.close()
            raise
        return made

    async def serve(self, sockets: dict[Key, socket.socket]) -> None:
        """Take sockets of `open_sockets` into service."""
        for key, listener in sockets.items():
            service = self._services[key]
            if service.datagram is not None:
                transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
                    _answering(service.datagram), sock=listener
                )
                self._datagrams[key] = transport
                continue
            if service.talk is not None:
                tls = self._tls if service.tls else None
                handler = self._handler(key, service.talk)
                self._servers[key] = await asyncio.start_server(handler, sock=listener, ssl=tls)

    def known(self, port: int, address: str | None = None) -> list[Key]:
        """The services on a port."""
        return [key for key in self._services if key[1] == port and address in (None, key[0])]

    async def shut(self, keys: list[Key]) -> None:
        """Stop listening there and reset what is open."""
        for key in keys:
            if (server := self._servers.pop(key, None)) is not None:
                server.close()
            if (transport := self._datagrams.pop(key, None)) is not None:
                transport.close()
        self.reset(keys)

    def reset(self, keys: list[Key] | None = None) -> None:
        """Cut open connections off: of some services, or all."""
        for writer, key in list(self._connections.items()):
            if keys is None or key in keys:
                writer.transport.abort()

    async def stop(self) -> None:
        """The power cord."""
        await self.shut(list(self._services))
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    @property
    def connections(self) -> int:
        """TCP connections that are open."""
        return len(self._connections)

    def _handler(self, key: Key, talk: Talk) -> Callable[[asyncio.StreamReader, asyncio.StreamWriter], None]:
        def accepted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.ensure_future(self._talk(key, talk, reader, writer))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

        return accepted

    async def _talk(self, key: Key, talk: Talk, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._connections[writer] = key
        tls = writer.get_extra_info("ssl_object")
        peer, local = writer.get_extra_info("peername"), writer.get_extra_info("sockname")
        name = None if tls is None else self._names.get(tls)
        connection = Connection(self.role.name, reader, writer, peer[:2], local[:2], tls is not None, name)
        try:
            # a client that vanishes ends its own connection alone
            with contextlib.suppress(OSError, asyncio.IncompleteReadError):
                await talk(connection)
        finally:
            self._connections.pop(writer, None)
            writer.close()

    def _watched(self, handler: Handler) -> Handler:
        async def answer(request: Request) -> Answer:
            status = self.statuses.get(request.path.lower())
            answered = await handler(request) if status is None else said(request.seen(), status)
            self.seen.append(Asked(request, answered.status))
            return answered

        return answer

    async def _open(self, place: Place, context: ssl.SSLContext | None) -> Streams:
        with self.inside():
            made = socket.socket(socket.AF_INET6 if ":" in place[0] else socket.AF_INET)
        made.setblocking(False)
        try:
            await asyncio.wait_for(asyncio.get_running_loop().sock_connect(made, place), 5)
            name = None if context is None else ""
            return await asyncio.open_connection(sock=made, ssl=context, server_hostname=name)
        except (OSError, TimeoutError) as failure:
            made.close()
            raise OSError(f"{place[0]}:{place[1]}: {failure}") from failure


def _listening(address: str, port: int, udp: bool) -> socket.socket:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    made = socket.socket(family, socket.SOCK_DGRAM if udp else socket.SOCK_STREAM)
    try:
        if not udp:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind((address, port))
        if not udp:
            made.listen(256)
        made.setblocking(False)
    except OSError as failure:
        made.close()
        kind = "UDP" if udp else "TCP"
        raise OSError(failure.errno, f"{kind} {address}:{port} cannot be listened on: {failure.strerror}") from failure
    return made


def _answering(datagram: Datagram) -> Callable[[], asyncio.DatagramProtocol]:
    class Answering(asyncio.DatagramProtocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            self._transport = cast("asyncio.DatagramTransport", transport)

        def datagram_received(self, data: bytes, peer: Any) -> None:
            local = self._transport.get_extra_info("sockname")
            if (answer := datagram(data, peer[:2], local[:2])) is not None:
                self._transport.sendto(answer, peer)

    return Answering
