"""Explaining a request: the steps are pure, and what they ask is answered by the running HAProxy."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Sequence

from steelyard.engines.haproxy.contract import HaproxyEngine
from steelyard.engines.layer4.contract import Record as KernelRecord
from steelyard.explain.report import Explanation
from steelyard.explain.request import Request
from steelyard.explain.situation import (
    Answer,
    Counters,
    CountersAsked,
    KernelRecordAsked,
    Question,
    Record,
    RecordAsked,
    ServerNow,
    Situation,
)
from steelyard.explain.walk import explain
from steelyard.health.engine_text import servers_state
from steelyard.model.errors import EngineRefused
from steelyard.model.virtual_service import VirtualService
from steelyard.plan.haproxy import table_name

_RECORD = re.compile(r"^\S+ key=\S+ .*\bexp=(\d+) .*\bserver_id=(\d+)", re.MULTILINE)
_COUNTER = re.compile(r" ([a-z0-9_]+(?:\([0-9]+\))?)=(\d+)\b")
_TABLE = "# table:"


#: asks for the persistence records of a layer-4 service
AskRecords = Callable[[str], Awaitable[Sequence[KernelRecord]]]


async def explained(
    engine: HaproxyEngine, situation: Situation, service: VirtualService, request: Request, records: AskRecords
) -> Explanation:
    """The whole explanation. Raises `EngineRefused` when HAProxy, or who keeps layer 4, does not answer."""
    steps = explain(situation, service, request)
    answer: Answer = None
    try:
        question = next(steps)
        while True:
            answer = await _answer(engine, question, records)
            question = steps.send(answer)
    except StopIteration as end:
        found: Explanation = end.value
        return found


async def _answer(engine: HaproxyEngine, question: Question, records: AskRecords) -> Answer:
    if isinstance(question, KernelRecordAsked):
        found = [one for one in await records(question.service) if one.client == question.client]
        return Record(int(found[0].server.removeprefix("rs")), found[0].seconds) if found else None
    if isinstance(question, CountersAsked):
        return _counters(await engine.show("table", question.table, "key", question.key))
    if isinstance(question, RecordAsked):
        return _record(await engine.show("table", table_name(question.table), "key", question.key))
    states = servers_state(await engine.show("servers", "state", question.backend))
    return {name: ServerNow(have.up, have.admin, have.weight) for (_, name), have in states.items()}


def _counters(text: str) -> Counters:
    if text.strip() and not text.startswith(_TABLE):
        raise EngineRefused("HAProxy does not show a table of counters", words=text.strip()[:200])
    return {name: int(count) for name, count in _COUNTER.findall(text)}


def _record(text: str) -> Record | None:
    if text.strip() and not text.startswith(_TABLE):
        raise EngineRefused("HAProxy does not show a persistence table", words=text.strip()[:200])
    # the answer about a key that is not there is empty (2.6 and 2.8)
    found = _RECORD.search(text)
    # a table keeps entries without a server while one is being chosen
    return Record(int(found[2]), int(found[1]) / 1000) if found is not None and int(found[2]) else None
