"""HAProxy's runtime sockets: the worker's own, and the master's, which reaches old workers too.

One command line per connection. The worker closes after the answer (management guide of 2.6, section 9.3), the master
stays open until it is told to quit. Several commands are joined by `;` and each answer ends with an empty line.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

from steelyard.model.errors import EngineRefused

#: HAProxy's CLI reads a whole line into one buffer (`tune.bufsize`, 16384 by default).
LINE_BYTES = 15_000


async def ask(socket: Path, line: str, *, payload: str | None = None, timeout: float = 5.0) -> str:
    """Send one line (and a payload for `<<`) and return the whole answer.

    `timeout` is in seconds for the whole exchange. Raises `EngineRefused` when nobody listens or the answer does not
    come.
    """
    text = line + "\n" if payload is None else f"{line} <<\n{payload.rstrip()}\n\n"
    try:
        async with asyncio.timeout(timeout):
            reader, writer = await asyncio.open_unix_connection(str(socket))
            try:
                writer.write(text.encode())
                await writer.drain()
                return (await reader.read(-1)).decode(errors="replace")
            finally:
                writer.close()
    except (OSError, TimeoutError) as failure:
        raise EngineRefused(f"HAProxy does not answer on {socket}", words=str(failure) or "timed out") from failure


async def ask_master(socket: Path, line: str, *, timeout: float = 5.0) -> str:
    """The same for the master's socket."""
    return await ask(socket, f"{line}\nquit", timeout=timeout)


def batches(commands: list[str], limit: int = LINE_BYTES) -> list[str]:
    """Join commands with `;` into lines that fit HAProxy's buffer."""
    lines: list[str] = []
    current: list[str] = []
    size = 0
    for command in commands:
        if current and size + len(command) + 1 > limit:
            lines.append(";".join(current))
            current, size = [], 0
        current.append(command)
        size += len(command.encode()) + 1
    if current:
        lines.append(";".join(current))
    return lines
