"""Small servers that say what a test wants, and one attempt against them."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from steelyard.health.probe import cycle, prepared
from steelyard.health.transcript import Transcript
from steelyard.plan.health import Check

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@contextlib.asynccontextmanager
async def server(handler: Handler, tls: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """A server on a port of its own; the conversation ends with the handler."""

    async def guarded(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # the check may go away whenever it likes
        with contextlib.suppress(OSError, EOFError):
            await handler(reader, writer)
        writer.close()

    listening = await asyncio.start_server(guarded, "127.0.0.1", 0, ssl=tls)
    try:
        yield listening.sockets[0].getsockname()[1]
    finally:
        listening.close()


def greets(greeting: bytes, heard: list[bytes] | None = None) -> Handler:
    """Says that at once and keeps what it is told until the client leaves."""

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(greeting)
        said = await reader.read(512)
        if heard is not None:
            heard.append(said)

    return handler


def answers(answer: bytes, heard: list[bytes] | None = None, *, then_close: bool = True) -> Handler:
    """Waits to be spoken to, answers that, and closes or waits."""

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        said = await reader.read(4096)
        if heard is not None:
            heard.append(said)
        writer.write(answer)
        await writer.drain()
        if not then_close:
            await reader.read()

    return handler


def check(kind: str, **more: Any) -> Check:
    """A check with short times."""
    return Check(**{"kind": kind, "interval": 9, "timeout": 1, "attempts": 2, **more})


async def ask(one: Check, port: int, address: str = "127.0.0.1") -> list[Transcript]:
    """One whole cycle."""
    async with asyncio.timeout(20):
        return await cycle(prepared(one, address, port), one.attempts)


async def last(handler: Handler, kind: str, **more: Any) -> Transcript:
    """The transcript that decides, of a cycle against that server."""
    async with server(handler) as port:
        return (await ask(check(kind, **more), port))[-1]
