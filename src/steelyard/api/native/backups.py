"""Backup, restore and factory reset: `/backup`, `/restore`, `/reset`."""

from __future__ import annotations

import base64
from typing import Any

from fastapi.responses import JSONResponse, Response

from steelyard.api.native.access import Appliance, Caller
from steelyard.api.native.bodies import JsonObject, JsonWithBackup, file_of, flag, only, optional_text, text, texts
from steelyard.api.native.routing import NativeRouter
from steelyard.api.native.schemas import CHANGED, answers, body
from steelyard.api.native.writing import Writing, etag, read
from steelyard.model.backup import PARTS, parts_named
from steelyard.model.commands.restore_backup import NetworkChoice
from steelyard.model.errors import OperatorError
from steelyard.model.user import ADMINISTRATOR

router = NativeRouter(tags=["backup"])

#: what somebody types who means it
CONFIRMATION = "reset"

_FILE: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The file, a gzip-compressed tar.",
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
    }
}


@router.get("/backup", responses=_FILE, response_class=Response)
async def save_backup(appliance: Appliance, caller: Caller) -> Response:
    """The configuration as a file, without secrets.

    It holds no private keys, no passwords, and no users.
    """
    revision = appliance.snapshot().revision
    file = await appliance.back_up(caller)
    return Response(file, media_type="application/octet-stream", headers={"ETag": etag(revision)})


@router.post("/backup", responses=answers("Backup"), openapi_extra=body("NewBackup"))
async def make_backup(appliance: Appliance, caller: Caller, data: JsonObject) -> JSONResponse:
    """The configuration as a file; with a password everything, secrets and users too, encrypted by it."""
    only(data, ("password",), "a backup")
    password = optional_text(data, "password", secret=True)
    snapshot = appliance.snapshot()
    file = await appliance.back_up(caller, password)
    return read(snapshot.revision, {"data": base64.b64encode(file).decode(), "complete": password is not None})


def network_choice(given: str) -> NetworkChoice:
    """What becomes of the host's network. Raises `OperatorError`."""
    if given == "keep":
        return "keep"
    if given == "restore":
        return "restore"
    raise OperatorError(
        f"{given[:40]!r} is no choice for the network",
        field="network",
        value=given[:40],
        allowed="keep, restore",
        remedy="Give keep unless the backup is of this very host",
    )


@router.post("/restore", responses=CHANGED, openapi_extra=body("RestoreBackup"))
async def restore_backup(write: Writing, data: JsonWithBackup) -> JSONResponse:
    """Make parts of the configuration what a backup says, all or nothing.

    What is not in the backup's parts is removed. A dry run says what would change; `object` says what is left out.
    """
    only(data, ("data", "password", "parts", "users", "network", "incomplete"), "a restoration")
    file = file_of(data)
    command = await write.appliance.restoring(
        file,
        optional_text(data, "password", secret=True),
        parts_named(texts(data, "parts")),
        users=flag(data, "users") if "users" in data else True,
        network=network_choice(text(data, "network")) if "network" in data else "keep",
        incomplete=flag(data, "incomplete"),
    )
    said = {
        "restored": [part for part in PARTS if part in command.restored],
        "left_out": list(command.left_out(write.appliance.snapshot().configuration)),
    }
    return await write.carry_out(command, lambda *_: said)


@router.post("/reset", responses=answers("Reset", 202, "It happens now."), openapi_extra=body("NewReset"))
async def factory_reset(appliance: Appliance, caller: Caller, data: JsonObject) -> JSONResponse:
    """Clear everything as at the first start: services, certificates, users, history, statistics, logs.

    Traffic ends. The host's network stays unless it is to be forgotten.
    """
    only(data, ("confirm", "password", "network"), "a factory reset")
    if text(data, "confirm") != CONFIRMATION:
        raise OperatorError(
            "A factory reset has to be confirmed",
            field="confirm",
            allowed=CONFIRMATION,
            remedy=f'Send "confirm": "{CONFIRMATION}" if everything is to go',
        )
    given = optional_text(data, "password", secret=True)
    network = text(data, "network") if "network" in data else "keep"
    if network not in ("keep", "forget"):
        raise OperatorError(
            f"{network[:40]!r} is no choice for the network",
            field="network",
            value=network[:40],
            allowed="keep, forget",
            remedy="Give keep to go on reaching this host",
        )
    password = await appliance.factory_reset(caller, given, keep_network=network == "keep")
    return JSONResponse({"user": ADMINISTRATOR, "password": password if given is None else None}, 202)
