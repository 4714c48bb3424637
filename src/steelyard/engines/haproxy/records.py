"""Persistence records over a reload.

The old worker teaches the new one through HAProxy's local peer. Two facts of 2.6 and 2.8 (tried) need help. The new
worker takes clients some milliseconds before it has learnt: the Lua action holds their first request until the worker
is marked ready, or has the entry that is taught last. And a worker teaches nobody for five to ten seconds after a cold
start, because its own resynchronisation is still open: its records, few as yet, are then copied through the runtime
sockets before the new worker is marked ready. They begin their time anew, because no command sets it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from steelyard.emit.haproxy.words import quote_command
from steelyard.engines.haproxy.runtime import ask, batches
from steelyard.plan.haproxy import SYNC_KEY, SYNC_TABLE, TAUGHT, table_name

_FLAGS = re.compile(r"flags=0x([0-9a-fA-F]+)")
_TABLE = re.compile(r"^# table: (\S+),.* used:(\d+)", re.MULTILINE)
_RECORD = re.compile(r"^\S+ key=(\S+) .*server_id=(\d+)", re.MULTILINE)
#: both stages of resynchronisation are over, from the old worker and from other hosts
_SYNCHRONISED = 0x3


@dataclass(frozen=True, slots=True)
class Record:
    """One persistence record: the table's name, the key, the number of the server."""

    table: str
    key: str
    server: int


async def mark_ready(socket: Path) -> None:
    """Say that this worker has all records there are."""
    await ask(socket, f"set table {SYNC_TABLE} key {SYNC_KEY} data.gpc0 1")


async def is_marked(socket: Path) -> bool:
    """Whether the worker was told that it has all records."""
    return f"key={SYNC_KEY} " in await ask(socket, f"show table {SYNC_TABLE}")


async def is_taught(socket: Path) -> bool:
    """Whether the worker has the entry that is taught last."""
    return f"key={SYNC_KEY} " in await ask(socket, f"show table {table_name(TAUGHT)}")


async def will_teach(socket: Path, *, everything: bool) -> None:
    """Tell a worker before its end whether what it teaches the next one is everything.

    A worker that does not teach its table still sends its latest updates; the mark must not be among them.
    """
    if everything:
        await ask(socket, f"set table {table_name(TAUGHT)} key {SYNC_KEY} data.gpc0 1")
    else:
        await ask(socket, f"clear table {table_name(TAUGHT)} key {SYNC_KEY}")


async def teaches(socket: Path) -> bool:
    """Whether the worker would teach its records to the next one."""
    flags = _FLAGS.search(await ask(socket, "show peers"))
    return flags is not None and int(flags[1], 16) & _SYNCHRONISED == _SYNCHRONISED


async def read_records(socket: Path) -> list[Record]:
    """Every record of a worker."""
    found: list[Record] = []
    for table, used in _TABLE.findall(await ask(socket, "show table")):
        if table not in (SYNC_TABLE, table_name(TAUGHT)) and int(used):
            text = await ask(socket, f"show table {table}")
            found.extend(Record(table, key, int(server)) for key, server in _RECORD.findall(text) if int(server))
    return found


async def write_records(socket: Path, records: Sequence[Record]) -> None:
    """Give a worker records; tables it does not have any more are passed over by HAProxy itself."""
    lines = [
        f"set table {record.table} key {quote_command(record.key)} data.server_id {record.server}" for record in records
    ]
    for line in batches(lines):
        await ask(socket, line)
