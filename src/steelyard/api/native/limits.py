"""Limits of clients and limiting rules: `/limits`. The limits themselves are `/parameters/limits`."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Query
from fastapi.responses import JSONResponse

from steelyard.api.native.access import Appliance
from steelyard.api.native.bodies import JsonObject, number, only, text
from steelyard.api.native.objects import settings_json
from steelyard.api.native.routing import NativeRouter
from steelyard.api.native.schema_words import list_of
from steelyard.api.native.schemas import CHANGED, MADE, answers, body
from steelyard.api.native.writing import Writing, read, settings_given
from steelyard.model.commands import (
    AddLimitRule,
    ChangeLimitRule,
    MoveLimitRule,
    RemoveClientLimit,
    RemoveLimitRule,
    SetClientLimit,
)
from steelyard.model.configuration import Configuration
from steelyard.model.errors import NotFound
from steelyard.model.limits import KINDS, Kind, LimitRule, Request, limits_of

router = NativeRouter(prefix="/limits", tags=["limits"])


def _clients(configuration: Configuration) -> dict[str, list[dict[str, Any]]]:
    return {
        kind: [{"network": where, "limit": limit} for where, limit in configuration.limit_entries.of(kind).items()]
        for kind in KINDS
    }


def _rendered_clients(configuration: Configuration, key: int | str | None) -> Any:
    return _clients(configuration)


def _rendered_rule(configuration: Configuration, key: int | str | None) -> Any:
    rule = configuration.limit_entries.rule(str(key))
    return None if rule is None else settings_json(rule)


@router.get("", responses=answers("Limits"))
async def show_limits(appliance: Appliance) -> JSONResponse:
    """Limits of clients by network, and the limiting rules in their order."""
    snapshot = appliance.snapshot()
    configuration = snapshot.configuration
    rules = [settings_json(rule) for rule in configuration.limit_entries.rules]
    return read(snapshot.revision, {"clients": _clients(configuration), "rules": rules})


@router.get("/of/{service}", responses=answers(list_of("AppliedLimit")))
async def limits_of_client(
    appliance: Appliance,
    service: int,
    address: Annotated[str, Query(description="The client's address.")],
    path: Annotated[str | None, Query(description="Path and query of a request.")] = None,
    host: Annotated[str, Query(description="The host it asks for.")] = "",
    user_agent: Annotated[str, Query(description="Its User-Agent.")] = "",
) -> JSONResponse:
    """Which limits a client of a service meets, and because of what."""
    snapshot = appliance.snapshot()
    configuration = snapshot.configuration
    request = None if path is None else Request(path, host, user_agent)
    found = limits_of(configuration, configuration.service(service), address, request)
    return read(snapshot.revision, [{"kind": one.kind, "limit": one.limit, "why": one.why} for one in found])


@router.put("/clients/{kind}", responses=CHANGED, openapi_extra=body("NetworkLimit"))
async def set_client_limit(write: Writing, kind: Kind, data: JsonObject) -> JSONResponse:
    """Set what each client of a network may do: `network` and `limit`."""
    only(data, ("network", "limit"), "a limit of clients")
    return await write.carry_out(SetClientLimit(kind, text(data, "network"), number(data, "limit")), _rendered_clients)


@router.delete("/clients/{kind}/{network:path}", responses=CHANGED)
async def remove_client_limit(write: Writing, kind: Kind, network: str) -> JSONResponse:
    """Remove the limit of a network."""
    return await write.carry_out(RemoveClientLimit(kind, network), _rendered_clients)


@router.post("/rules", status_code=201, responses=MADE, openapi_extra=body("NewLimitRule"))
async def add_limit_rule(write: Writing, data: JsonObject) -> JSONResponse:
    """Add a limiting rule, after all others."""
    return await write.carry_out(AddLimitRule(settings_given(LimitRule, data)), _rendered_rule, made="limits/rules")


@router.get("/rules/{name}", responses=answers("NewLimitRule"))
async def show_limit_rule(appliance: Appliance, name: str) -> JSONResponse:
    """One limiting rule."""
    snapshot = appliance.snapshot()
    found = _rendered_rule(snapshot.configuration, name)
    if found is None:
        raise NotFound("limiting rule", name)
    return read(snapshot.revision, found)


@router.patch("/rules/{name}", responses=CHANGED, openapi_extra=body("LimitRuleChanges"))
async def change_limit_rule(write: Writing, name: str, data: JsonObject) -> JSONResponse:
    """Change a limiting rule."""
    return await write.carry_out(ChangeLimitRule(name, settings_given(LimitRule, data)), _rendered_rule)


@router.post("/rules/{name}/move", responses=CHANGED, openapi_extra=body("Position"))
async def move_limit_rule(write: Writing, name: str, data: JsonObject) -> JSONResponse:
    """Give a limiting rule another `position`; 1 is the first."""
    only(data, ("position",), "a move")
    return await write.carry_out(MoveLimitRule(name, number(data, "position")), _rendered_rule)


@router.delete("/rules/{name}", responses=CHANGED)
async def remove_limit_rule(write: Writing, name: str) -> JSONResponse:
    """Remove a limiting rule."""
    return await write.carry_out(RemoveLimitRule(name))
