"""What was recorded: `/statistics/history`, the figures of the last hour, day, week, month or year."""

from __future__ import annotations

import time
from typing import Annotated, Any

from fastapi import Query
from fastapi.responses import JSONResponse

from steelyard.api.native.access import Appliance
from steelyard.api.native.objects import Json, timestamp
from steelyard.api.native.routing import NativeRouter
from steelyard.api.native.schemas import answers
from steelyard.api.native.writing import read
from steelyard.model.configuration import Configuration
from steelyard.model.errors import NotFound, OperatorError
from steelyard.observe.recording.readings import EVERYTHING, HOST, Key, figure_names
from steelyard.observe.recording.tiers import Span, tier_of

router = NativeRouter(tags=["state"])

#: objects of one answer: a comparison of more than these is unreadable
MOST_OBJECTS = 20
#: significant digits: what is recorded is exact to 0.07 %
_DIGITS = 5
_WORDS: dict[str, Key] = {"host": HOST, "services": EVERYTHING}
_FORMS = "host, services, service/INDEX, or service/INDEX/MEMBER for a real server or slot"


@router.get("/statistics/history", responses=answers({"type": "object"}))
async def show_recorded_statistics(
    appliance: Appliance,
    about: Annotated[list[str], Query(alias="object", description=f"{_FORMS}; up to {MOST_OBJECTS} of them")],
    span: Annotated[Span, Query(description="how far back")] = "hour",
) -> JSONResponse:
    """Figures of the last hour, day, week, month or year.

    Every step has its averages and its peaks: the highest figures of any ten seconds within it. null stands for steps
    that nobody recorded, because Steelyard was not running. All objects together are `services`.
    """
    if len(about) > MOST_OBJECTS:
        raise OperatorError("Too many objects", field="object", value=len(about), allowed=f"at most {MOST_OBJECTS}")
    snapshot = appliance.snapshot()
    now = time.time()
    tier = tier_of(span)
    first = tier.oldest(now)
    begins = range(first, first + tier.steps * tier.step, tier.step)
    objects: list[Json] = []
    for word in dict.fromkeys(about):
        key = _key(word, snapshot.configuration)
        readings = await appliance.recorded(key, span)
        found = [readings.get(begin) for begin in begins]
        names = figure_names(key)
        objects.append(
            {
                "object": word,
                "averages": {
                    name: [None if one is None else _rounded(one.mean[place]) for one in found]
                    for place, name in enumerate(names)
                },
                "peaks": {
                    name: [None if one is None else _rounded(one.peak[place]) for one in found]
                    for place, name in enumerate(names)
                },
            }
        )
    answer: dict[str, Any] = {
        "span": span,
        "step": tier.step,
        "first": timestamp(float(first)),
        "steps": tier.steps,
        "objects": objects,
    }
    return read(snapshot.revision, answer)


def _key(word: str, configuration: Configuration) -> Key:
    """What is meant. Raises `OperatorError` for another form, `NotFound` for what is not there."""
    if word in _WORDS:
        return _WORDS[word]
    kind, *numbers = word.split("/")
    if kind != "service" or not 1 <= len(numbers) <= 2 or not all(one.isdecimal() and len(one) < 10 for one in numbers):
        raise OperatorError(f"{word!r} names nothing that is recorded", field="object", value=word, allowed=_FORMS)
    service = configuration.service(int(numbers[0]))
    if len(numbers) == 1:
        return service.index, 0
    member = int(numbers[1])
    if member not in {one.index for one in service.members}:
        raise NotFound("RS", member)
    return service.index, member


def _rounded(value: float) -> float:
    return float(f"{value:.{_DIGITS}g}")
