"""What members of a service count as now, and weights set from outside: `/virtual-services/{index}/weights`.

External weights are state: no revision comes of them, so the options of a change do not apply.
"""

from __future__ import annotations

from typing import Any

from fastapi.responses import JSONResponse

from steelyard.api.native.access import Appliance, Caller
from steelyard.api.native.bodies import JsonObject, mapping, only, optional_number
from steelyard.api.native.objects import Json, timestamp
from steelyard.api.native.routing import NativeRouter
from steelyard.api.native.schemas import answers, body
from steelyard.api.native.writing import read
from steelyard.appliance.contract import ApplianceApi
from steelyard.health.weight_status import WeightStatus
from steelyard.model.commands import SetExternalWeights
from steelyard.model.commands.weights import USUAL_SECONDS
from steelyard.model.errors import OperatorError
from steelyard.model.real_server import RealServer
from steelyard.model.slot import Slot

router = NativeRouter(prefix="/virtual-services/{index}/weights", tags=["weights"])


@router.get("", responses=answers("Weights"))
async def show_weights(appliance: Appliance, index: int) -> JSONResponse:
    """What the real servers or slots of a service count as now, and why."""
    return await _answer(appliance, index)


@router.put("", responses=answers("Weights"), openapi_extra=body("ExternalWeights"))
async def replace_weights(appliance: Appliance, actor: Caller, index: int, data: JsonObject) -> JSONResponse:
    """Set weights from outside for a time; members not named go back to their configured weights.

    The service is scheduled by sdn-adaptive. Nothing is added to the history.
    """
    await appliance.set_external_weights(_command(index, data, replace=True), actor)
    return await _answer(appliance, index)


@router.patch("", responses=answers("Weights"), openapi_extra=body("ExternalWeights"))
async def set_weights(appliance: Appliance, actor: Caller, index: int, data: JsonObject) -> JSONResponse:
    """Set weights of some members from outside for a time; the others stay as they are."""
    await appliance.set_external_weights(_command(index, data, replace=False), actor)
    return await _answer(appliance, index)


@router.delete("", responses=answers("Weights"))
async def end_weights(appliance: Appliance, actor: Caller, index: int) -> JSONResponse:
    """End all weights set from outside: the configured ones hold again."""
    await appliance.set_external_weights(SetExternalWeights(index, {}, replace=True), actor)
    return await _answer(appliance, index)


def _command(index: int, data: Json, *, replace: bool) -> SetExternalWeights:
    only(data, ("weights", "seconds"), "external weights")
    weights: dict[int, int] = {}
    for name, weight in mapping(data, "weights").items():
        if not (name.isascii() and name.isdigit() and len(name) < 10):
            raise OperatorError(
                f"weights has {name[:40]!r}, which is no index of a real server or slot",
                field="weights",
                value=name[:40],
                allowed='{"INDEX": WEIGHT}',
                remedy="Give indexes as the real servers of the service have them",
            )
        if not isinstance(weight, int) or isinstance(weight, bool):
            raise OperatorError(
                f"the weight of {name} must be a whole number",
                field="weights",
                value=weight if isinstance(weight, str | float) else None,
                allowed="1 to 65535",
                remedy="Give a whole number",
            )
        weights[int(name)] = weight
    seconds = optional_number(data, "seconds")
    return SetExternalWeights(index, weights, USUAL_SECONDS if seconds is None else seconds, replace)


async def _answer(appliance: ApplianceApi, index: int) -> JSONResponse:
    snapshot = appliance.snapshot()
    service = snapshot.configuration.service(index)
    known = await appliance.weights(index)
    members = [_member_json(member, known.get(member.index)) for member in service.members]
    return read(snapshot.revision, {"service": index, "schedule": service.schedule, "members": members})


def _member_json(member: RealServer | Slot, status: WeightStatus | None) -> dict[str, Any]:
    found: dict[str, Any] = {"index": member.index}
    if isinstance(member, Slot):
        found["sub_service"] = member.service
    else:
        found |= {"address": member.address, "port": member.port}
    found["static_weight"] = member.weight
    if status is None:
        empty = ("engine_weight", "load", "response_ms", "external_weight", "external_until", "heard_at")
        return {**found, "weight": member.weight, **dict.fromkeys(empty), "reason": "its weight does not move"}
    return {
        **found,
        "weight": status.weight,
        "engine_weight": status.engine,
        "load": status.load,
        "response_ms": None if status.response_ms is None else round(status.response_ms, 2),
        "external_weight": status.external,
        "external_until": timestamp(status.until),
        "heard_at": timestamp(status.heard_at),
        "reason": status.reason,
    }
