"""The one way a request changes something: a command, the options every write takes, and the answer every write gives.

Options: `dry_run` stops before the commit, `reason` goes into the history, `wait` decides whether a put-off reload is
waited for, and `If-Match: "7"` makes the change fail when revision 7 is not the newest any more.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Depends, Header, Request
from fastapi.responses import JSONResponse

from steelyard.api.native.access import Caller, appliance_of
from steelyard.api.native.faults import Stale
from steelyard.api.native.objects import Json
from steelyard.api.native.write_options import read_options, revision_in
from steelyard.appliance.contract import Actor, ApplianceApi, ObjectDifference, Outcome, Preview
from steelyard.model.commands import Command
from steelyard.model.configuration import Configuration
from steelyard.model.errors import ConflictError, OperatorError
from steelyard.model.setting import Settings

_CONTROL = re.compile(r"[\x00-\x1f\x7f\x85\u2028\u2029]")
_LONGEST_REASON = 500

Render = Callable[[Configuration, int | str | None], Any]


def etag(revision: int) -> str:
    """The entity tag of a revision."""
    return f'"{revision}"'


def checked_reason(reason: str) -> str:
    """The reason, if it fits on a line of the history. Raises `OperatorError`."""
    if _CONTROL.search(reason) or len(reason) > _LONGEST_REASON:
        raise OperatorError(
            "The reason must be one line",
            field="reason",
            allowed=f"at most {_LONGEST_REASON} characters, no control characters",
            remedy="Shorten it to one line",
        )
    return reason


async def revision_named(
    if_match: Annotated[
        str | None, Header(description='The revision the change is based on, as the ETag gave it: "7".')
    ] = None,
) -> int | None:
    """The revision in If-Match; None without the header and for `*`. Raises `OperatorError`."""
    return revision_in(if_match)


BasedOn = Annotated[int | None, Depends(revision_named)]


@dataclass(frozen=True)
class Write:
    """One write: who asks whom, under which options."""

    appliance: ApplianceApi
    actor: Actor
    dry_run: bool
    reason: str
    wait: bool | None
    based_on: int | None

    async def carry_out(
        self, command: Command, render: Render | None = None, *, made: str | None = None
    ) -> JSONResponse:
        """Run the command or its dry run. `render` gives the answer's object, `made` is the path of what is new."""
        outcome: Outcome | Preview
        try:
            if self.dry_run:
                outcome = await self.appliance.preview(command, self.actor, based_on=self.based_on)
            else:
                outcome = await self.appliance.execute(
                    command, self.actor, reason=self.reason, based_on=self.based_on, wait=self.wait
                )
        except ConflictError as failure:
            raise stale_or_same(failure, self.appliance, self.based_on) from failure
        found = render(outcome.configuration, outcome.key) if render is not None else None
        if made is None or self.dry_run:
            return answer(outcome, found)
        return answer(outcome, found, location=f"/api/v1/{made}/{outcome.key}")


def stale_or_same(failure: ConflictError, appliance: ApplianceApi, based_on: int | None) -> ConflictError:
    """`Stale` when the conflict comes from If-Match; a duplicate stays what it is."""
    if based_on is None or appliance.snapshot().revision == based_on:
        return failure
    return Stale(failure.message, field="If-Match", with_what=failure.with_what)


async def write_options(request: Request, actor: Caller) -> Write:
    """The options of a write, from the query and If-Match. Raises `OperatorError` or `RequestValidationError`."""
    options = read_options(request)
    based_on = revision_in(request.headers.get("if-match"))
    reason = checked_reason(options.reason)
    return Write(await appliance_of(request), actor, options.dry_run, reason, options.wait, based_on)


Writing = Annotated[Write, Depends(write_options)]


def difference_json(difference: ObjectDifference) -> Json:
    """One differing object."""
    return {
        "kind": difference.kind,
        "key": difference.key,
        "title": difference.title,
        "action": difference.action,
        "lines": list(difference.lines),
    }


def change_json(outcome: Outcome | Preview, found: Any = None) -> Json:
    """What a write did, or would do. `revision` is the new one, or the one a dry run was made on."""
    preview = outcome.preview if isinstance(outcome, Outcome) else outcome
    return {
        "revision": outcome.revision if isinstance(outcome, Outcome) else outcome.based_on,
        "dry_run": not isinstance(outcome, Outcome),
        "applied": outcome.applied if isinstance(outcome, Outcome) else "no",
        "reload": preview.reload,
        "reload_reasons": list(preview.reload_reasons),
        "operations": list(preview.operations),
        "differences": [difference_json(difference) for difference in preview.differences],
        "object": found,
    }


def answer(outcome: Outcome | Preview, found: Any = None, *, location: str | None = None) -> JSONResponse:
    """The answer of a write: 201 with its place for something new, 200 otherwise."""
    body = change_json(outcome, found)
    headers = {"ETag": etag(body["revision"])}
    if location is not None:
        headers["Location"] = location
    return JSONResponse(body, 200 if location is None else 201, headers)


def read(revision: int, body: Any) -> JSONResponse:
    """The answer of a read, with the revision it was read at."""
    return JSONResponse(body, headers={"ETag": etag(revision)})


def settings_given(model: type[Settings], data: Mapping[str, Any], *also: str) -> dict[str, Any]:
    """The settings of a request, if each name is one. Raises `OperatorError` with the nearest name there is."""
    declared = model.declared()
    for name in data:
        if name == "index":
            raise OperatorError(
                f"The index of a {model.noun} is given by Steelyard", field="index", remedy="Leave it out"
            )
        if name not in declared and name not in also:
            raise model.unknown_setting(name)
    return dict(data)
