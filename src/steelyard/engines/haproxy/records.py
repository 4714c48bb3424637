"""Persistence records over a reload.

The old worker teaches the new one through HAProxy's local peer. Two facts of 2.6 and 2.8 (tried): a worker started cold
teaches nobody for its first five seconds, because its own resynchronisation is still open; and the new worker takes clients
some milliseconds before it has learnt. The first is waited for here, the second by the Lua action and the entry set here.
"""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

from steelyard.engines.haproxy.runtime import ask
from steelyard.model.errors import EngineRefused
from steelyard.plan.haproxy import SYNC_KEY, SYNC_TABLE

_FLAGS = re.compile(r"flags=0x([0-9a-fA-F]+)")
_USED = re.compile(r"^# table: (\S+),.* used:(\d+)", re.MULTILINE)
_SYNCHRONISED = 0x3
_LONGEST_WAIT = 7.0


async def mark_ready(socket: Path) -> None:
    """Say that this worker has all records there are."""
    await ask(socket, f"set table {SYNC_TABLE} key {SYNC_KEY} data.gpc0 1")


async def is_ready(socket: Path) -> bool:
    """Whether the worker has the entry that is taught last."""
    return f"key={SYNC_KEY} " in await ask(socket, f"show table {SYNC_TABLE}")


async def wait_until_teachable(socket: Path) -> None:
    """Return when the worker would teach its records, or has none."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + _LONGEST_WAIT
    while loop.time() < deadline:
        try:
            tables = await ask(socket, "show table")
            if not any(int(used) for name, used in _USED.findall(tables) if name != SYNC_TABLE):
                return
            peers = await ask(socket, "show peers")
        except EngineRefused:
            return
        flags = _FLAGS.search(peers)
        if flags is None or int(flags[1], 16) & _SYNCHRONISED == _SYNCHRONISED:
            return
        await asyncio.sleep(0.1)
