"""Waiting for one socket. Half the price of the loop's own `sock_*` calls, which ask the resolver, look the socket's
family up and try before they wait: a check connects once, sends once and then always has to wait.
"""

from __future__ import annotations

import asyncio
import os
import socket


async def connect(sock: socket.socket, where: tuple[str, int]) -> None:
    """Connect a non-blocking stream socket to an address. Raises `OSError`."""
    try:
        sock.connect(where)
    except BlockingIOError:
        await _writable(sock)
        error = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if error:
            raise OSError(error, os.strerror(error)) from None


async def send(sock: socket.socket, data: bytes) -> None:
    """Send all of it. Raises `OSError`."""
    while data:
        try:
            data = data[sock.send(data) :]
        except BlockingIOError:
            await _writable(sock)


async def receive(sock: socket.socket, most: int) -> bytes:
    """What comes next, nothing at the end. Raises `OSError`."""
    while True:
        await _readable(sock)
        try:
            return sock.recv(most)
        except BlockingIOError:
            # Readable is a hint: a datagram with a bad checksum is thrown away when it is read (select(2)).
            continue


async def _readable(sock: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    ready = loop.create_future()
    number = sock.fileno()
    loop.add_reader(number, _done, ready)
    try:
        await ready
    finally:
        loop.remove_reader(number)


async def _writable(sock: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    ready = loop.create_future()
    number = sock.fileno()
    loop.add_writer(number, _done, ready)
    try:
        await ready
    finally:
        loop.remove_writer(number)


def _done(ready: asyncio.Future[None]) -> None:
    # The loop may report a socket once more before the waiting task has had its turn.
    if not ready.done():
        ready.set_result(None)
