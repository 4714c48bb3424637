"""Virtual services: `/virtual-services`."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Query
from fastapi.responses import JSONResponse

from steelyard.api.native.access import Appliance
from steelyard.api.native.bodies import JsonObject, OptionalObject, mapping, objects, only
from steelyard.api.native.further_checks import checks_given
from steelyard.api.native.objects import selected, service_json, state_of
from steelyard.api.native.routing import NativeRouter
from steelyard.api.native.schema_words import list_of
from steelyard.api.native.schemas import CHANGED, MADE, answers, body
from steelyard.api.native.writing import Writing, read, settings_given
from steelyard.model.commands import AddService, ChangeService, DuplicateService, RemoveService
from steelyard.model.configuration import Configuration
from steelyard.model.errors import OperatorError, located
from steelyard.model.real_server import RealServer
from steelyard.model.slot import Slot
from steelyard.model.virtual_service import VirtualService

router = NativeRouter(prefix="/virtual-services", tags=["virtual services"])


def rendered(configuration: Configuration, key: int | str | None) -> Any:
    """The service of an answer."""
    return service_json(configuration.service(int(key))) if key is not None else None


def new_service(data: dict[str, Any]) -> dict[str, Any]:
    """The settings of a new service with its real servers or sub-services, names checked."""
    own = {name: value for name, value in data.items() if name != "sub_services"}
    settings = _with_servers(own)
    if "sub_services" in data:
        subs = []
        for number, sub in enumerate(objects(data, "sub_services")):
            with located(f"sub_services[{number}]"):
                subs.append(new_sub_service(sub))
        settings["sub_services"] = subs
    return settings


def new_sub_service(data: dict[str, Any]) -> dict[str, Any]:
    """The settings of a new sub-service with its real servers and its slot, names checked."""
    settings = _with_servers({name: value for name, value in data.items() if name != "slot"})
    if "slot" in data:
        with located("slot"):
            settings["slot"] = settings_given(Slot, mapping(data, "slot"))
    return settings


def _with_servers(data: dict[str, Any]) -> dict[str, Any]:
    settings = settings_given(VirtualService, data, "servers", "further_checks")
    if "further_checks" in data:
        settings["further_checks"] = checks_given(data)
    if "servers" in data:
        servers = []
        for number, server in enumerate(objects(data, "servers")):
            with located(f"servers[{number}]"):
                servers.append(settings_given(RealServer, server))
        settings["servers"] = servers
    return settings


def service_changes(data: dict[str, Any]) -> dict[str, Any]:
    """The changed settings of a service, names checked. Its real servers have an address of their own."""
    if "servers" in data:
        raise OperatorError(
            "The real servers of a virtual service are not changed with it",
            field="servers",
            remedy="Use /virtual-services/{index}/real-servers, or declare the whole configuration",
        )
    if "further_checks" in data:
        raise OperatorError(
            "The further checks of a virtual service are not changed with it",
            field="further_checks",
            remedy="Use /virtual-services/{index}/checks",
        )
    for name, where in (("slots", "slots"), ("sub_services", "sub-services")):
        if name in data:
            raise OperatorError(
                "The sub-services of a virtual service are not changed with it",
                field=name,
                remedy=f"Use /virtual-services/{{index}}/{where}, or declare the whole configuration",
            )
    return settings_given(VirtualService, data)


@router.get("", responses=answers(list_of("VirtualService")))
async def list_services(
    appliance: Appliance,
    fields: Annotated[str, Query(description="Only these members, separated by commas.")] = "",
) -> JSONResponse:
    """Every virtual service."""
    snapshot, states = appliance.snapshot(), appliance.states()
    wanted = [name for name in fields.split(",") if name]
    found = [service_json(s, state_of(states, s)) for s in snapshot.configuration.services.values()]
    return read(snapshot.revision, [selected(service, wanted) for service in found] if wanted else found)


@router.post("", status_code=201, responses=MADE, openapi_extra=body("NewVirtualService"))
async def add_service(write: Writing, data: JsonObject) -> JSONResponse:
    """Make a virtual service."""
    return await write.carry_out(AddService(new_service(data)), rendered, made="virtual-services")


@router.get("/{index}", responses=answers("VirtualService"))
async def show_service(appliance: Appliance, index: int) -> JSONResponse:
    """One virtual service."""
    snapshot = appliance.snapshot()
    service = snapshot.configuration.service(index)
    return read(snapshot.revision, service_json(service, state_of(appliance.states(), service)))


@router.patch(
    "/{index}",
    responses=CHANGED,
    openapi_extra=body("VirtualServiceChanges"),
)
async def change_service(write: Writing, index: int, data: JsonObject) -> JSONResponse:
    """Change a virtual service.

    What is not named keeps its value.
    """
    return await write.carry_out(ChangeService(index, service_changes(data)), rendered)


@router.delete("/{index}", responses=CHANGED)
async def remove_service(write: Writing, index: int) -> JSONResponse:
    """Remove a virtual service with its real servers; a parent with its sub-services, a sub-service with its slot."""
    return await write.carry_out(RemoveService(index))


@router.post(
    "/{index}/duplicate",
    status_code=201,
    responses=MADE,
    openapi_extra=body("Copy", required=False),
)
async def duplicate_service(write: Writing, index: int, data: OptionalObject) -> JSONResponse:
    """Copy a virtual service to another address or port, or a sub-service within its parent."""
    return await write.carry_out(duplicate(index, data), rendered, made="virtual-services")


def duplicate(index: int, data: dict[str, Any]) -> DuplicateService:
    """The command of a copy; address and port are checked as settings of the new service."""
    only(data, ("address", "port"), "a copy")
    return DuplicateService(index, data.get("address"), data.get("port"))
