"""Backup/Restore: everything as a file, and the configuration as a document; both brought back after a look at what
that changes.

A backup that is reviewed stays here until it is brought back: its content is no thing to send through a browser twice,
and its password is needed once.
"""

from __future__ import annotations

import json
import secrets
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import UploadFile
from starlette.responses import Response

from steelyard.api.native.declaration import declaring, document
from steelyard.model.backup import PART_WORDS, PARTS, Part
from steelyard.model.commands import RestoreBackup
from steelyard.model.errors import OperatorError, SteelyardError
from steelyard.model.user import ONLY_ADMINISTRATOR
from steelyard.web.editing import Review, review_of
from steelyard.web.frame import Visit, page

#: backups under review: of how many sessions, and for how many seconds
_MOST_WAITING = 4
_WAITING_SECONDS = 900.0


@dataclass(frozen=True)
class _Waiting:
    """A backup that was reviewed."""

    token: str
    command: RestoreBackup
    since: float


async def backup(visit: Visit) -> Response:
    """The page; a POST makes a backup, or reviews a file or brings it back."""
    doing = visit.field("do")
    shown: dict[str, Any] = {}
    failure: SteelyardError | None = None
    if visit.request.method == "POST":
        try:
            if doing == "backup":
                return await _made(visit)
            if doing in ("restore", "bring"):
                found = await (_brought(visit) if doing == "bring" else _reviewed(visit))
            else:
                found = await _document(visit)
            if isinstance(found, Response):
                return found
            shown = found
        except SteelyardError as refused:
            if isinstance(refused, OperatorError) and refused.field == "permission":
                raise
            failure = refused
    return visit.render(
        "pages/backup.html",
        {"review": None, "document": "", "token": "", "left_out": (), "ends_session": False, **shown},
        failure=failure,
        parts=[(part, PART_WORDS[part]) for part in PARTS],
        may=visit.may("root"),
        may_save=visit.may("backup"),
        may_everything=visit.may(ONLY_ADMINISTRATOR),
        status=200 if failure is None else 422,
    )


# --- backups


async def _made(visit: Visit) -> Response:
    password: str | None = None
    if not visit.field("plain"):
        password = visit.field("password")
        if password != visit.field("again"):
            raise OperatorError("The two passwords differ", field="again", remedy="Type the same one twice")
    content = await visit.appliance.back_up(visit.actor, password)
    ending = "steelyard" if password is not None else "tar.gz"
    name = f"steelyard-{visit.site.host_name()}-{datetime.now(UTC):%Y-%m-%d}-{visit.snapshot.revision}.{ending}"
    headers = {"Content-Disposition": f"attachment; filename*=UTF-8''{quote(name)}"}
    return Response(content, media_type="application/octet-stream", headers=headers)


async def _reviewed(visit: Visit) -> dict[str, Any]:
    parts: frozenset[Part] = frozenset(part for part in PARTS if visit.field(f"part-{part}"))
    if not parts:
        raise OperatorError("Nothing was chosen to be restored", field="parts", remedy="Choose a part")
    command = await visit.appliance.restoring(
        await _sent(visit, "backup"),
        visit.field("password") or None,
        parts,
        users=bool(visit.field("users")),
        network="restore" if visit.field("network") else "keep",
        incomplete=bool(visit.field("incomplete")),
    )
    preview = await visit.preview(command)
    waiting = _waiting(visit)
    token = secrets.token_urlsafe(16)
    waiting[visit.session.csrf] = _Waiting(token, command, time.monotonic())
    return _shown(visit, command, await review_of(visit, preview), token)


def _shown(visit: Visit, command: RestoreBackup, review: Review, token: str) -> dict[str, Any]:
    then = review.preview.configuration.users.get(visit.user.name)
    return {
        "review": review,
        "token": token,
        "left_out": command.left_out(visit.snapshot.configuration),
        "ends_session": then is None or then.password_hash != visit.user.password_hash,
    }


async def _brought(visit: Visit) -> Response:
    found = _waiting(visit).get(visit.session.csrf)
    if found is None or not secrets.compare_digest(found.token.encode(), visit.field("token").encode()):
        raise OperatorError(
            "The backup that was reviewed is not here any more", field="file", remedy="Choose the file again"
        )
    given = visit.field("_revision")
    outcome = await visit.execute(found.command, based_on=int(given) if given.isdecimal() else None)
    del _waiting(visit)[visit.session.csrf]
    visit.session.say(f"The backup was restored: revision {outcome.revision} is in effect.")
    return visit.go("history")


def _waiting(visit: Visit) -> dict[str, _Waiting]:
    """The backups under review by session; those nobody came back to are dropped."""
    found: dict[str, _Waiting] = visit.site.kept("backups under review", dict)
    now = time.monotonic()
    for key in [key for key, one in found.items() if now - one.since > _WAITING_SECONDS]:
        del found[key]
    while len(found) >= _MOST_WAITING and visit.session.csrf not in found:
        del found[min(found, key=lambda key: found[key].since)]
    return found


# --- the configuration as a document


async def _document(visit: Visit) -> Response | dict[str, Any]:
    text = visit.field("document") or _text(await _sent(visit, "file"))
    command = await declaring(visit.appliance, _parsed(text))
    if visit.field("do") == "apply":
        given = visit.field("_revision")
        outcome = await visit.execute(command, based_on=int(given) if given.isdecimal() else None)
        visit.session.say(f"The file was brought back: revision {outcome.revision} is in effect.")
        return visit.go("history")
    preview = await visit.preview(command)
    return {"review": await review_of(visit, preview), "document": text}


async def save(visit: Visit) -> Response:
    """The configuration as a document. It holds no secrets: neither keys nor passwords."""
    found = await run_in_threadpool(document, visit.snapshot.configuration)
    name = f"steelyard-{visit.site.host_name()}-{datetime.now(UTC):%Y-%m-%d}-{visit.snapshot.revision}.json"
    return Response(
        json.dumps(found, indent=2, ensure_ascii=False) + "\n",
        media_type="application/json",
        headers={"Content-Disposition": f"attachment; filename*=UTF-8''{quote(name)}"},
    )


async def _sent(visit: Visit, field: str) -> bytes:
    file: Any = visit.form.get(field)
    if not isinstance(file, UploadFile) or not file.filename:
        raise OperatorError("No file was sent", field="file", remedy="Choose a file that was saved here")
    return await file.read()


def _text(content: bytes) -> str:
    try:
        return content.decode()
    except UnicodeDecodeError:
        raise OperatorError(
            "The file holds no text", field="file", remedy="Choose a file that was saved here"
        ) from None


def _parsed(text: str) -> dict[str, Any]:
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
