"""History: every revision with author, time, reason and difference, and the way back to it."""

from __future__ import annotations

from starlette.responses import Response

from steelyard.appliance.contract import Outcome, Preview
from steelyard.model.errors import OperatorError, SteelyardError
from steelyard.web.confirming import Question
from steelyard.web.editing import review_of
from steelyard.web.frame import Visit, page
from steelyard.web.readable import readable

#: revisions of one page
_PAGE = 50


async def history(visit: Visit) -> Response:
    """The revisions, newest first, a page at a time."""
    given = visit.query("before")
    before = int(given) if given.isdecimal() and len(given) < 10 else None
    found = visit.appliance.history(_PAGE + 1, before)
    entries = found[:_PAGE]
    older = entries[-1].number if len(found) > _PAGE else None
    return visit.render("pages/history.html", entries=entries, older=older, newest=before is None)


async def revision(visit: Visit) -> Response:
    """One revision: what it changed, or with `since` what has changed from then until now."""
    number = visit.request.path_params["number"]
    entry = visit.appliance.revision(number)
    since = visit.query("since") == "now"
    differences = visit.appliance.difference(number) if since else entry.differences
    return visit.render(
        "pages/revision.html",
        entry=entry,
        since=since,
        differences=tuple(map(readable, differences)),
        newest=visit.snapshot.revision,
    )


async def roll_back(visit: Visit) -> Response:
    """GET shows what going back would do, POST does it."""
    number = visit.request.path_params["number"]
    entry = visit.appliance.revision(number)
    back = visit.url("revision", number=number)
    if visit.request.method == "POST":
        # the review was made from this revision: another one since then would be undone without having been seen
        if visit.field("_revision") == str(visit.snapshot.revision):
            outcome = await visit.appliance.rollback(number, visit.actor)
            if isinstance(outcome, Outcome):
                visit.session.say(f"Rolled back to revision {number}: revision {outcome.revision} is in effect.")
            return visit.go("history")
        visit.session.say("Somebody has changed the configuration meanwhile: look at this again.", kind="warn")
        return visit.go("roll-back", number=number)
    question = Question(
        title=f"Roll back to revision {number}",
        button=f"Make revision {number} the newest",
        back=back,
        then=visit.url("history"),
        said="",
        text=f"The configuration becomes what it was after “{entry.summary}”. It is a revision of its own, so that"
        " this can be undone too.",
    )
    review, failure = None, None
    try:
        preview = await visit.appliance.rollback(number, visit.actor, dry_run=True)
        if isinstance(preview, Preview):
            review = await review_of(visit, preview)
    except SteelyardError as refused:
        if isinstance(refused, OperatorError) and refused.field == "permission":
            raise
        failure = refused
    return visit.render("confirm.html", question=question, review=review, failure=failure, stale=False)


ROUTES = [
    page("/history", history, name="history"),
    page("/history/{number:int}", revision, name="revision", belongs="history"),
    page("/history/{number:int}/roll-back", roll_back, name="roll-back", belongs="history", methods=("GET", "POST")),
]
