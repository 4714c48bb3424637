"""The load agent of resource based scheduling: showadaptive and modadaptive (`reference/loadmaster-api/04`, 4.5)."""

from __future__ import annotations

from typing import Any

from steelyard.api.loadmaster.answers import ABSENT, Answer, Data, Message, PerVersion, Record
from steelyard.api.loadmaster.call import Call, Entry
from steelyard.api.loadmaster.values import decoded, shown
from steelyard.model.adaptive import AdaptiveParameters
from steelyard.model.commands import SetParameters


async def showadaptive(call: Call) -> Answer:
    """The parameters as members; v1 has them once more in a nested `Data`, where the Python SDK looks (quirk 53)."""
    adaptive = call.configuration.adaptive
    members: Record = {
        declared.setting.spelled or name: shown(declared, getattr(adaptive, name))
        for name, declared in AdaptiveParameters.declared().items()
    }
    return Data({**members, "Data": PerVersion(members, ABSENT)})


async def modadaptive(call: Call) -> Answer:
    """Change what is named."""
    by_wire = AdaptiveParameters.by_wire()
    changes: dict[str, Any] = {
        by_wire[name].name: decoded(by_wire[name], call.parameters.raw(name))
        for name in call.parameters
        if name in by_wire
    }
    await call.execute(SetParameters("adaptive", changes))
    return Message()


COMMANDS = (Entry("showadaptive", showadaptive), Entry("modadaptive", modadaptive, "root"))
