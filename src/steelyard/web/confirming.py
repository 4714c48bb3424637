"""A change that a person is asked about first: what it does, in the words of a review, and one button."""

from __future__ import annotations

from dataclasses import dataclass

from starlette.responses import Response

from steelyard.model.commands import Command
from steelyard.model.errors import ConflictError, OperatorError, SteelyardError
from steelyard.web.editing import REVISION, newer_than, review_of
from steelyard.web.frame import Visit


@dataclass(frozen=True)
class Question:
    """What is asked. `back` is where no leads, `then` where yes leads; `said` what the next page shows."""

    title: str
    button: str
    back: str
    then: str
    said: str
    text: str = ""
    danger: bool = True


async def confirmed(visit: Visit, command: Command, question: Question) -> Response:
    """GET asks, POST carries out. What cannot be done is said in place of the question."""
    if visit.request.method == "POST":
        given = visit.field(REVISION)
        based_on = int(given) if given.isdecimal() else None
        try:
            outcome = await visit.execute(command, based_on=based_on)
        except ConflictError as failure:
            return await _asked(visit, command, question, failure, based_on or 0)
        except SteelyardError as failure:
            if isinstance(failure, OperatorError) and failure.field == "permission":
                raise
            return await _asked(visit, command, question, failure, 0)
        visit.session.say(f"{question.said}: revision {outcome.revision} is in effect.")
        return visit.go_to(question.then)
    return await _asked(visit, command, question, None, 0)


async def _asked(
    visit: Visit, command: Command, question: Question, failure: SteelyardError | None, based_on: int
) -> Response:
    review = None
    try:
        preview = await visit.preview(command)
        review = await review_of(visit, preview, newer=newer_than(visit, based_on, preview) if based_on else ())
    except SteelyardError as refused:
        if isinstance(refused, OperatorError) and refused.field == "permission":
            raise
        failure = refused
    stale = isinstance(failure, ConflictError) and failure.field == "revision"
    return visit.render(
        "confirm.html",
        {"question": question, "review": review, "failure": None if stale else failure, "stale": stale},
    )


__all__ = ["Question", "confirmed"]
