"""File extensions that are not cached or not compressed (`reference/loadmaster-api/09`, 9.9)."""

from __future__ import annotations

from steelyard.api.loadmaster.answers import Answer, Message
from steelyard.api.loadmaster.call import Call, Entry
from steelyard.api.loadmaster.failures import missing
from steelyard.model.commands import SetParameters
from steelyard.model.errors import ConflictError, NotFound


async def _add(call: Call, setting: str) -> Answer:
    extension, known = _asked(call, setting)
    if extension in known:
        raise ConflictError(f"{extension} is in the list already", field="param", with_what=extension)
    await call.execute(SetParameters("layer7", {setting: (*known, extension)}))
    return Message()


async def _remove(call: Call, setting: str) -> Answer:
    extension, known = _asked(call, setting)
    if extension not in known:
        raise NotFound("extension", extension)
    await call.execute(SetParameters("layer7", {setting: tuple(one for one in known if one != extension)}))
    return Message()


def _asked(call: Call, setting: str) -> tuple[str, tuple[str, ...]]:
    text = call.parameters.required("param").strip().lower()
    if not text:
        raise missing("param")
    known: tuple[str, ...] = getattr(call.configuration.layer7, setting)
    return text, known


async def addnocache(call: Call) -> Answer:
    """Answers to URLs that end so are not kept."""
    return await _add(call, "not_cached")


async def delnocache(call: Call) -> Answer:
    """They may be kept again."""
    return await _remove(call, "not_cached")


async def addnocompress(call: Call) -> Answer:
    """Answers to URLs that end so are sent as they are."""
    return await _add(call, "not_compressed")


async def delnocompress(call: Call) -> Answer:
    """They may be compressed again."""
    return await _remove(call, "not_compressed")


COMMANDS = (
    Entry("addnocache", addnocache, "root"),
    Entry("delnocache", delnocache, "root"),
    Entry("addnocompress", addnocompress, "root"),
    Entry("delnocompress", delnocompress, "root"),
)
