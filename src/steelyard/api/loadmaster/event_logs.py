"""Commands on the system log, which is the log of events (`reference/loadmaster-api/09`, 9.4)."""

from __future__ import annotations

import asyncio
import io
import tarfile
import time
from collections.abc import Sequence

from steelyard.api.loadmaster.answers import Answer, Data, Download, Message
from steelyard.api.loadmaster.call import Call, Entry
from steelyard.model.errors import OperatorError
from steelyard.model.severity import Severity
from steelyard.observe.events.event import Event, line
from steelyard.observe.events.log import Query

#: file -> what it holds; the names are those of the log files of LoadMaster's screens
_FILES = {"messages": None, "warn": Severity.WARN}
_MOST_LINES = 1_000_000


def _selected(call: Call) -> tuple[str, ...]:
    """The files `fsel` names, all without it. Raises `OperatorError`."""
    names = (call.parameters.text("fsel") or "").replace(",", " ").split()
    for name in names:
        if name not in _FILES:
            allowed = ", ".join(_FILES)
            raise OperatorError(f"fsel {name[:40]!r} is no log; allowed: {allowed}", field="fsel", allowed=allowed)
    return tuple(dict.fromkeys(names)) or tuple(_FILES)


def _archive(files: Sequence[tuple[str, Sequence[Event]]]) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w:gz") as archive:
        for name, events in files:
            content = "".join(f"{line(event)}\n" for event in events).encode()
            member = tarfile.TarInfo(name)
            member.size, member.mode, member.mtime = len(content), 0o600, int(time.time())
            archive.addfile(member, io.BytesIO(content))
    return made.getvalue()


async def listsyslogfiles(call: Call) -> Answer:
    """The files there are."""
    return Data({"SyslogFiles": tuple(_FILES)})


async def savelogs(call: Call) -> Answer:
    """The logs as an archive."""
    log = call.appliance.events().log
    selected = _selected(call)
    return Download(
        await asyncio.to_thread(
            lambda: _archive([(name, log.find(Query(_MOST_LINES, severity=_FILES[name]))) for name in selected])
        )
    )


async def clearlogs(call: Call) -> Answer:
    """Remove the logs; the answer names the files. They are views of one log, so they go together."""
    if set(_selected(call)) != set(_FILES):
        raise OperatorError(
            "messages has everything that warn has, so they are cleared together; leave fsel out",
            field="fsel",
            allowed=" ".join(_FILES),
        )
    await call.appliance.clear_events(call.actor)
    return Message("\n".join(_FILES))


COMMANDS = (
    Entry("logging/listsyslogfiles", listsyslogfiles, aliases=("listsyslogfiles",)),
    Entry("logging/clearlogs", clearlogs, "root", aliases=("clearlogs", "logging/resetlogs", "resetlogs")),
    Entry("logging/savelogs", savelogs, aliases=("savelogs", "logging/downloadlogs", "downloadlogs")),
)
