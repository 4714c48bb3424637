"""Administrators: `/users`. Passwords go in and never come out."""

from __future__ import annotations

from typing import Any

from fastapi.responses import JSONResponse
from starlette.concurrency import run_in_threadpool

from steelyard.api.native.access import Appliance
from steelyard.api.native.bodies import JsonObject, only, text, texts
from steelyard.api.native.objects import user_json
from steelyard.api.native.routing import NativeRouter
from steelyard.api.native.schema_words import list_of
from steelyard.api.native.schemas import CHANGED, MADE, answers, body
from steelyard.api.native.writing import Writing, read
from steelyard.model.commands import AddUser, Batch, ChangePassword, Command, RemoveUser, SetPermissions
from steelyard.model.configuration import Configuration
from steelyard.model.errors import OperatorError

router = NativeRouter(prefix="/users", tags=["users"])


def _rendered(configuration: Configuration, key: int | str | None) -> Any:
    return user_json(configuration.user(str(key))) if key is not None else None


@router.get("", responses=answers(list_of("User")))
async def list_users(appliance: Appliance) -> JSONResponse:
    """Every user."""
    snapshot = appliance.snapshot()
    return read(snapshot.revision, [user_json(user) for user in snapshot.configuration.users.values()])


@router.post("", status_code=201, responses=MADE, openapi_extra=body("NewUser"))
async def add_user(write: Writing, data: JsonObject) -> JSONResponse:
    """Make a user."""
    only(data, ("name", "password", "permissions"), "a user")
    name, permissions = text(data, "name"), texts(data, "permissions")
    hashed = await run_in_threadpool(write.appliance.hash_password, text(data, "password", secret=True))
    return await write.carry_out(AddUser(name, hashed, permissions), _rendered, made="users")


@router.get("/{name}", responses=answers("User"))
async def show_user(appliance: Appliance, name: str) -> JSONResponse:
    """One user."""
    snapshot = appliance.snapshot()
    return read(snapshot.revision, _rendered(snapshot.configuration, name))


@router.patch("/{name}", responses=CHANGED, openapi_extra=body("UserChanges"))
async def change_user(write: Writing, name: str, data: JsonObject) -> JSONResponse:
    """Change a user's password or permissions."""
    only(data, ("password", "permissions"), "a user")
    if not data:
        raise OperatorError("Nothing to change is given", allowed="password, permissions", remedy="Give one of them")
    write.appliance.snapshot().configuration.user(name)
    commands: list[Command] = []
    if "permissions" in data:
        commands.append(SetPermissions(name, texts(data, "permissions")))
    if "password" in data:
        hashed = await run_in_threadpool(write.appliance.hash_password, text(data, "password", secret=True))
        commands.append(ChangePassword(name, hashed))
    return await write.carry_out(commands[0] if len(commands) == 1 else Batch(tuple(commands)), _rendered)


@router.delete("/{name}", responses=CHANGED)
async def remove_user(write: Writing, name: str) -> JSONResponse:
    """Remove a user with all API keys."""
    return await write.carry_out(RemoveUser(name))
