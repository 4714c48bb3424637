"""What was recorded: `/statistics/history`, the figures of the last hour, day, week, month or year."""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import Annotated

from fastapi import Query
from fastapi.responses import JSONResponse

from steelyard.api.native.access import Appliance
from steelyard.api.native.objects import Json, timestamp
from steelyard.api.native.routing import NativeRouter
from steelyard.api.native.schemas import answers
from steelyard.api.native.writing import read
from steelyard.model.errors import OperatorError
from steelyard.observe.recording.series import FORMS, MOST_OBJECTS, Steps, key_of, series
from steelyard.observe.recording.tiers import Span

router = NativeRouter(tags=["state"])


@router.get("/statistics/history", responses=answers({"type": "object"}))
async def show_recorded_statistics(
    appliance: Appliance,
    about: Annotated[list[str], Query(alias="object", description=f"{FORMS}; up to {MOST_OBJECTS} of them")],
    span: Annotated[Span, Query(description="how far back")] = "hour",
) -> JSONResponse:
    """Figures of the last hour, day, week, month or year.

    Every step has its averages and its peaks: the highest figures of any ten seconds within it. null stands for steps
    that nobody recorded, because Steelyard was not running. All objects together are `services`.
    """
    if len(about) > MOST_OBJECTS:
        raise OperatorError("Too many objects", field="object", value=len(about), allowed=f"at most {MOST_OBJECTS}")
    snapshot = appliance.snapshot()
    steps = Steps.of(span, time.time())
    objects: list[Json] = []
    for word in dict.fromkeys(about):
        key = key_of(word, snapshot.configuration)
        found = asdict(series(word, key, await appliance.recorded(key, span), steps))
        objects.append({"object": found.pop("about"), **found})
    answer: Json = {
        "span": span,
        "step": steps.step,
        "first": timestamp(float(steps.first)),
        "steps": steps.count,
        "objects": objects,
    }
    return read(snapshot.revision, answer)
