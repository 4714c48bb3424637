"""The caller's own API keys: `/api-keys`. A key is shown once, when it is made; afterwards it goes by its id."""

from __future__ import annotations

from typing import Any

from fastapi.responses import JSONResponse

from steelyard.api.native.access import Appliance, Caller
from steelyard.api.native.routing import NativeRouter
from steelyard.api.native.schema_words import list_of
from steelyard.api.native.schemas import CHANGED, MADE, answers
from steelyard.api.native.writing import Writing, read
from steelyard.model.commands import AddApiKey, RemoveApiKey
from steelyard.model.configuration import Configuration

router = NativeRouter(prefix="/api-keys", tags=["API keys"])

_HINT_LENGTH = 4


@router.get("", responses=answers(list_of("ApiKey")))
async def list_keys(appliance: Appliance, actor: Caller) -> JSONResponse:
    """Your API keys, oldest first."""
    snapshot = appliance.snapshot()
    user = snapshot.configuration.user(actor.name)
    keys = zip(user.api_keys, appliance.api_keys(user), strict=True)
    return read(snapshot.revision, [{"id": key_id, "hint": key[:_HINT_LENGTH]} for key_id, key in keys])


@router.post(
    "",
    status_code=201,
    responses=MADE,
)
async def add_key(write: Writing) -> JSONResponse:
    """Make an API key; the answer is the only place that shows it.

    The oldest of more than 16 is dropped.
    """
    key, digest, kept = write.appliance.new_api_key()

    def shown(_: Configuration, key_id: int | str | None) -> Any:
        return None if write.dry_run else {"id": key_id, "key": key}

    return await write.carry_out(AddApiKey(write.actor.name, digest, kept), shown, made="api-keys")


@router.delete("/{key_id}", responses=CHANGED)
async def remove_key(write: Writing, key_id: str) -> JSONResponse:
    """Take one of your API keys back."""
    return await write.carry_out(RemoveApiKey(write.actor.name, key_id))
