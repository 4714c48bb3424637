"""The whole configuration: `/configuration`, and several commands at once: `/batch`."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query
from fastapi.responses import JSONResponse
from starlette.concurrency import run_in_threadpool

from steelyard.api.native.access import Appliance
from steelyard.api.native.batch import batch_of
from steelyard.api.native.bodies import JsonObject
from steelyard.api.native.declaration import declaring, document
from steelyard.api.native.routing import NativeRouter
from steelyard.api.native.schemas import CHANGED, answers, body
from steelyard.api.native.writing import Writing, read

router = NativeRouter(tags=["configuration"])


@router.get(
    "/configuration",
    responses=answers("Configuration"),
)
async def show_configuration(
    appliance: Appliance,
    network: Annotated[
        bool, Query(description="With the host's own network, where Steelyard manages it; false is for another host.")
    ] = True,
) -> JSONResponse:
    """The configuration as a document that PUT takes.

    Only what differs from the defaults, without secrets.
    """
    snapshot = appliance.snapshot()
    return read(snapshot.revision, document(snapshot.configuration, network=network))


@router.put(
    "/configuration",
    responses=CHANGED,
    openapi_extra=body("Configuration"),
)
async def declare_configuration(write: Writing, data: JsonObject) -> JSONResponse:
    """Declare the whole configuration.

    What is not declared is removed or takes its default. Services are recognised by address, port and protocol,
    their real servers by address and port. Users and API keys stay, and so does each part of the host's network that
    is not declared.
    """
    return await write.carry_out(await declaring(write.appliance, data))


@router.post(
    "/batch",
    responses=CHANGED,
    openapi_extra=body("Batch"),
)
async def run_batch(write: Writing, data: JsonObject) -> JSONResponse:
    """Several changes that take effect together or not at all.

    An error says which one is wrong: "position": "commands[2]".
    """
    return await write.carry_out(await run_in_threadpool(batch_of, data))
