"""Servers that are about to be removed: what is in flight on them may end first."""

from __future__ import annotations

import asyncio
import csv
from collections.abc import Sequence
from pathlib import Path

from steelyard.emit.haproxy.runtime import commands
from steelyard.emit.haproxy.words import quote_command
from steelyard.engines.haproxy.runtime import ask
from steelyard.plan.operations import RemoveServer

#: Seconds a request that is under way gets to end before the server it is on goes. Every change waits behind this one,
#: and a connection that is open for long would not end in any time that could be waited.
GRACE_SECONDS = 0.5
_LOOK_SECONDS = 0.02
_SERVERS_ONLY = "4 -1"


async def retire(socket: Path, removals: Sequence[RemoveServer]) -> None:
    """Give these servers no more requests, and wait until they have none, at most `GRACE_SECONDS`.

    HAProxy refuses nothing here that `RemoveServer` would not meet again, so answers are left to that.
    """
    for removal in removals:
        await ask(socket, commands(removal)[0])
    loop = asyncio.get_running_loop()
    deadline = loop.time() + GRACE_SECONDS
    waiting = {
        await _number(socket, backend): {one.server for one in removals if one.backend == backend}
        for backend in dict.fromkeys(one.backend for one in removals)
    }
    waiting.pop("", None)
    while waiting and loop.time() < deadline:
        for number in tuple(waiting):
            if not waiting[number] & busy_servers(await ask(socket, f"show stat {number} {_SERVERS_ONLY}")):
                del waiting[number]
        if waiting:
            await asyncio.sleep(_LOOK_SECONDS)


async def _number(socket: Path, backend: str) -> str:
    """HAProxy's number of a backend: by name, statistics show a frontend of the same name. Empty for none."""
    lines = (await ask(socket, f"show servers state {quote_command(backend)}")).splitlines()
    servers = [line.split() for line in lines[1:] if line and not line.startswith("#")]
    return servers[0][0] if servers else ""


def busy_servers(statistics: str) -> set[str]:
    """The servers that have a request or a connection under way, in an answer to `show stat`."""
    rows = csv.DictReader(statistics.removeprefix("# ").splitlines())
    return {row["svname"] for row in rows if row.get("scur", "0") not in ("", "0")}
