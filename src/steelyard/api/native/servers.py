"""Real servers of a virtual service: `/virtual-services/{index}/real-servers`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastapi.responses import JSONResponse

from steelyard.api.native.access import Appliance
from steelyard.api.native.bodies import JsonObject
from steelyard.api.native.objects import server_json, server_of, state_of, timestamp
from steelyard.api.native.routing import NativeRouter
from steelyard.api.native.schema_words import list_of
from steelyard.api.native.schemas import CHANGED, MADE, answers, body
from steelyard.api.native.writing import Render, Writing, read, settings_given
from steelyard.model.commands import AddServer, ChangeServer, RemoveServer
from steelyard.model.configuration import Configuration
from steelyard.model.real_server import RealServer

router = NativeRouter(prefix="/virtual-services/{index}/real-servers", tags=["real servers"])


def _rendered(service: int) -> Render:
    def render(configuration: Configuration, key: int | str | None) -> Any:
        return server_json(server_of(configuration.service(service), int(key))) if key is not None else None

    return render


@router.get("", responses=answers(list_of("RealServer")))
async def list_servers(appliance: Appliance, index: int) -> JSONResponse:
    """The real servers of a service."""
    snapshot = appliance.snapshot()
    service = snapshot.configuration.service(index)
    states = state_of(appliance.states(), service).servers
    return read(snapshot.revision, [server_json(server, states[server.index]) for server in service.servers])


@router.post("", status_code=201, responses=MADE, openapi_extra=body("NewRealServer"))
async def add_server(write: Writing, index: int, data: JsonObject) -> JSONResponse:
    """Add a real server."""
    command = AddServer(index, settings_given(RealServer, data))
    return await write.carry_out(command, _rendered(index), made=f"virtual-services/{index}/real-servers")


@router.get("/{rs}", responses=answers("RealServer"))
async def show_server(appliance: Appliance, index: int, rs: int) -> JSONResponse:
    """One real server."""
    snapshot = appliance.snapshot()
    service = snapshot.configuration.service(index)
    server = server_of(service, rs)
    return read(snapshot.revision, server_json(server, state_of(appliance.states(), service).servers[rs]))


@router.patch(
    "/{rs}",
    responses=CHANGED,
    openapi_extra=body("RealServerChanges"),
)
async def change_server(write: Writing, index: int, rs: int, data: JsonObject) -> JSONResponse:
    """Change a real server, its address and port too.

    What is not named keeps its value.
    """
    return await write.carry_out(ChangeServer(index, rs, settings_given(RealServer, data)), _rendered(index))


@router.delete("/{rs}", responses=CHANGED)
async def remove_server(write: Writing, index: int, rs: int) -> JSONResponse:
    """Remove a real server; its connections are closed."""
    return await write.carry_out(RemoveServer(index, rs))


@router.post("/{rs}/enable", responses=CHANGED)
async def enable_server(write: Writing, index: int, rs: int) -> JSONResponse:
    """Let a real server have new clients."""
    return await write.carry_out(ChangeServer(index, rs, {"enabled": True}), _rendered(index))


@router.post("/{rs}/disable", responses=CHANGED)
async def disable_server(write: Writing, index: int, rs: int) -> JSONResponse:
    """Give a real server no new clients; it drains."""
    return await write.carry_out(ChangeServer(index, rs, {"enabled": False}), _rendered(index))


@router.get("/{rs}/checks", responses=answers(list_of("Check")))
async def show_checks(appliance: Appliance, index: int, rs: int) -> JSONResponse:
    """The last checks of a real server, newest first."""
    snapshot = appliance.snapshot()
    server_of(snapshot.configuration.service(index), rs)
    return read(snapshot.revision, [_check_json(check) for check in await appliance.transcripts(index, rs)])


def _check_json(check: Mapping[str, Any]) -> dict[str, Any]:
    started = check.get("started")
    return {**check, "started": timestamp(started)} if isinstance(started, (int, float)) else dict(check)
