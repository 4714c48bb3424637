"""Sub-services of a virtual service and their slots in it.

    /virtual-services/{index}/sub-services    the sub-services, each with its slot
    /virtual-services/{index}/slots/{rs}      what the parent decides of one: weight, limit, on or off, critical

A sub-service itself is a virtual service: it is shown, changed, removed and given real servers under its own index.
"""

from __future__ import annotations

from typing import Any

from fastapi.responses import JSONResponse

from steelyard.api.native.access import Appliance
from steelyard.api.native.bodies import JsonObject, OptionalObject
from steelyard.api.native.objects import Json, service_json, slot_json, state_of
from steelyard.api.native.routing import NativeRouter
from steelyard.api.native.schema_words import list_of
from steelyard.api.native.schemas import CHANGED, MADE, answers, body
from steelyard.api.native.services import new_sub_service, rendered
from steelyard.api.native.writing import Render, Writing, read, settings_given
from steelyard.appliance.contract import Snapshot
from steelyard.model.commands import AddServerToAll, ChangeSlot, CreateSubService
from steelyard.model.commands.sub_services import slot_of
from steelyard.model.configuration import Configuration
from steelyard.model.real_server import RealServer
from steelyard.model.slot import Slot

router = NativeRouter(prefix="/virtual-services/{index}", tags=["sub-services"])


def _rendered(service: int) -> Render:
    def render(configuration: Configuration, key: int | str | None) -> Any:
        return slot_json(slot_of(configuration.service(service), int(key))) if key is not None else None

    return render


def creation(parent: int, data: dict[str, Any]) -> CreateSubService:
    """The command of a new sub-service, names checked."""
    settings = new_sub_service(data)
    return CreateSubService(parent, settings, settings.pop("slot", {}))


@router.get("/sub-services", responses=answers(list_of("VirtualService")))
async def list_sub_services(appliance: Appliance, index: int) -> JSONResponse:
    """The sub-services of a service, in the order of their slots."""
    snapshot, states = appliance.snapshot(), appliance.states()
    subs = snapshot.configuration.subs(snapshot.configuration.service(index))
    return read(snapshot.revision, [service_json(sub, state_of(states, sub)) for sub in subs])


@router.post("/sub-services", status_code=201, responses=MADE, openapi_extra=body("NewSubService", required=False))
async def add_sub_service(write: Writing, index: int, data: OptionalObject) -> JSONResponse:
    """Make a sub-service. It has the type of its parent unless told otherwise."""
    return await write.carry_out(creation(index, data), rendered, made="virtual-services")


@router.post("/sub-services/real-servers", responses=CHANGED, openapi_extra=body("NewRealServer"))
async def add_server_to_all(write: Writing, index: int, data: JsonObject) -> JSONResponse:
    """Add a real server to every sub-service of a parent."""
    return await write.carry_out(AddServerToAll(index, settings_given(RealServer, data)))


@router.get("/slots", responses=answers(list_of("Slot")))
async def list_slots(appliance: Appliance, index: int) -> JSONResponse:
    """The slots of a parent."""
    snapshot = appliance.snapshot()
    slots = snapshot.configuration.service(index).slots
    return read(snapshot.revision, [_shown(appliance, snapshot, index, slot) for slot in slots])


@router.get("/slots/{rs}", responses=answers("Slot"))
async def show_slot(appliance: Appliance, index: int, rs: int) -> JSONResponse:
    """One slot."""
    snapshot = appliance.snapshot()
    slot = slot_of(snapshot.configuration.service(index), rs)
    return read(snapshot.revision, _shown(appliance, snapshot, index, slot))


@router.patch("/slots/{rs}", responses=CHANGED, openapi_extra=body("SlotChanges"))
async def change_slot(write: Writing, index: int, rs: int, data: JsonObject) -> JSONResponse:
    """Change a slot.

    What is not named keeps its value.
    """
    return await write.carry_out(ChangeSlot(index, rs, settings_given(Slot, data)), _rendered(index))


@router.post("/slots/{rs}/enable", responses=CHANGED)
async def enable_slot(write: Writing, index: int, rs: int) -> JSONResponse:
    """Let a sub-service have new clients."""
    return await write.carry_out(ChangeSlot(index, rs, {"enabled": True}), _rendered(index))


@router.post("/slots/{rs}/disable", responses=CHANGED)
async def disable_slot(write: Writing, index: int, rs: int) -> JSONResponse:
    """Give a sub-service no new clients; it drains."""
    return await write.carry_out(ChangeSlot(index, rs, {"enabled": False}), _rendered(index))


def _shown(appliance: Appliance, snapshot: Snapshot, index: int, slot: Slot) -> Json:
    state = state_of(appliance.states(), snapshot.configuration.service(index))
    return slot_json(slot, state.slots[slot.index])
