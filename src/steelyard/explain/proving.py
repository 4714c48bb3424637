"""Whether HAProxy answers a request itself because an ACME authority is to find something there."""

from __future__ import annotations

from steelyard.compile.haproxy.challenges import CHALLENGE_PATH
from steelyard.explain.report import Result
from steelyard.explain.situation import Visit


def proved(visit: Visit) -> Result | None:
    """The answer to a challenge there is now; None where the request goes on."""
    path = visit.request.path
    if not visit.family.answers_challenges or not visit.service.is_http or not path.startswith(CHALLENGE_PATH):
        return None
    if path in visit.situation.challenges:
        visit.note("ACME", "answers the challenge of a certificate's order")
        return Result("answered", "it is the challenge of an ACME authority", status=200)
    visit.note("ACME", "knows no such challenge now, so that this goes on as any request does")
    return None
