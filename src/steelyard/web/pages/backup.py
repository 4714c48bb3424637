"""The configuration as a file: saved, and brought back after a look at what that changes."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import UploadFile
from starlette.responses import Response

from steelyard.api.native.declaration import declared, document
from steelyard.model.errors import OperatorError, SteelyardError
from steelyard.web.editing import review_of
from steelyard.web.frame import Visit, page


async def backup(visit: Visit) -> Response:
    """The page; a POST reviews a file or brings it back."""
    review, failure, text = None, None, ""
    if visit.request.method == "POST":
        try:
            text = visit.field("document") or await _uploaded(visit)
            command = await run_in_threadpool(declared, _document(text))
            if visit.field("do") == "apply":
                given = visit.field("_revision")
                outcome = await visit.execute(command, based_on=int(given) if given.isdecimal() else None)
                visit.session.say(f"The file was brought back: revision {outcome.revision} is in effect.")
                return visit.go("history")
            preview = await visit.preview(command)
            review = await review_of(visit, preview)
        except SteelyardError as refused:
            if isinstance(refused, OperatorError) and refused.field == "permission":
                raise
            failure = refused
    return visit.render(
        "pages/backup.html",
        review=review,
        failure=failure,
        document=text if review is not None else "",
        may=visit.may("root"),
        status=200 if failure is None else 422,
    )


async def save(visit: Visit) -> Response:
    """The configuration as a file. It holds no secrets: neither keys nor passwords."""
    found = await run_in_threadpool(document, visit.snapshot.configuration)
    name = f"steelyard-{visit.site.host_name()}-{datetime.now(UTC):%Y-%m-%d}-{visit.snapshot.revision}.json"
    return Response(
        json.dumps(found, indent=2, ensure_ascii=False) + "\n",
        media_type="application/json",
        headers={"Content-Disposition": f"attachment; filename*=UTF-8''{quote(name)}"},
    )


async def _uploaded(visit: Visit) -> str:
    file: Any = visit.form.get("file")
    if not isinstance(file, UploadFile) or not file.filename:
        raise OperatorError("No file was sent", field="file", remedy="Choose a file that was saved here")
    try:
        return (await file.read()).decode()
    except UnicodeDecodeError:
        raise OperatorError(
            "The file holds no text", field="file", remedy="Choose a file that was saved here"
        ) from None


def _document(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except ValueError as failure:
        raise OperatorError(
            f"The file is no JSON: {failure}", field="file", remedy="Choose a file that was saved here"
        ) from None
    if not isinstance(found, dict):
        raise OperatorError("The file is no configuration", field="file", remedy="Choose a file that was saved here")
    return found


ROUTES = [
    page("/backup", backup, name="backup", methods=("GET", "POST")),
    page("/backup/configuration.json", save, name="save-configuration", belongs="backup"),
]
