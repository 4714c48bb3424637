"""Commands on the extended logs, which are those of the edge filter (`reference/loadmaster-api/09`, 9.4)."""

from __future__ import annotations

import asyncio

from steelyard.api.loadmaster.answers import Answer, Data, Download, Message
from steelyard.api.loadmaster.call import Call, Entry
from steelyard.model.errors import OperatorError
from steelyard.observe.edge_events import KINDS, Kind

_ENABLED = "Extended ESP logging is enabled"


def _selected(call: Call) -> tuple[Kind, ...]:
    """The logs `fsel` names, by kind or by file; all without it. Raises `OperatorError`."""
    text = call.parameters.text("fsel") or ""
    found: list[Kind] = []
    for name in text.replace(",", " ").split():
        kind = next((kind for kind in KINDS if name.lower().partition(".")[0] == kind), None)
        if kind is None:
            allowed = ", ".join(KINDS)
            raise OperatorError(f"fsel {name[:40]!r} is no log; allowed: {allowed}", field="fsel", allowed=allowed)
        found.append(kind)
    return tuple(dict.fromkeys(found)) or KINDS


async def listextlogfiles(call: Call) -> Answer:
    """The files there are."""
    return Data({"ExtlogFiles": tuple(await asyncio.to_thread(call.appliance.edge_files().names))})


async def clearextlogs(call: Call) -> Answer:
    """Remove logs; the answer names the files that went."""
    gone = await asyncio.to_thread(call.appliance.edge_files().clear, _selected(call))
    return Message("\n".join(gone)) if gone else Message()


async def saveextlogs(call: Call) -> Answer:
    """The logs as an archive."""
    content = await asyncio.to_thread(call.appliance.edge_files().archive, _selected(call))
    return Download(content)


async def isextesplogenabled(call: Call) -> Answer:
    """Extended logging is a matter of each service's ESPLogs, and never off for all."""
    return Message(_ENABLED)


COMMANDS = (
    Entry("logging/listextlogfiles", listextlogfiles, aliases=("listextlogfiles",)),
    Entry("logging/clearextlogs", clearextlogs, "root", aliases=("clearextlogs",)),
    Entry("logging/saveextlogs", saveextlogs, aliases=("saveextlogs",)),
    Entry("logging/isextesplogenabled", isextesplogenabled, aliases=("isextesplogenabled",)),
    Entry("logging/enableextesplog", isextesplogenabled, "root", aliases=("enableextesplog",)),
)

#: known, and refused with a remedy of its own
REFUSED = {"logging/disableextesplog": "set ESPLogs of the services to 0"}
