"""The first start and the quick setup of the network: `/setup`. It is answered before the first start is finished, too.

The addresses are one change, so a mistake in the last leaves the first as it was; `dry_run` tries what is known so far.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from fastapi import Request
from fastapi.responses import JSONResponse

from steelyard import __version__
from steelyard.api.native.access import Appliance
from steelyard.api.native.bodies import JsonObject, flag, only, optional_text, texts
from steelyard.api.native.routing import NativeRouter
from steelyard.api.native.schemas import CHANGED, answers, body
from steelyard.api.native.writing import Writing, answer, read, stale_or_same
from steelyard.appliance.network_setup import set_up_network as carried_out
from steelyard.model.commands import AcceptLicence, FinishFirstStart, SetUpNetwork
from steelyard.model.errors import ConflictError, HostLacks
from steelyard.observe.known_interfaces import taken_over
from steelyard.observe.network_sides import network_sides, unknown_interfaces

router = NativeRouter(prefix="/setup", tags=["network"])

_MEMBERS = (
    *("network_side", "network_address", "farm_side", "farm_address", "default_gateway"),
    *("host_name", "name_servers", "search_domains", "manage"),
)


@router.get("", responses=answers("Setup"))
async def show_setup(request: Request, appliance: Appliance) -> JSONResponse:
    """What the quick setup begins with: the two sides of the network, names, and where the web interface listens."""
    snapshot, waiting = appliance.snapshot(), appliance.network_waiting()
    served: tuple[str, int] | None = getattr(request.app.state, "served_at", None)
    return read(
        snapshot.revision,
        {
            "version": __version__,
            "first_step": snapshot.configuration.first_step,
            "web": None if served is None else {"address": served[0], "port": served[1]},
            "network": asdict(network_sides(await appliance.network(), snapshot.configuration)),
            "waiting": None if waiting is None else {"revision": waiting.revision, "seconds": waiting.seconds},
        },
    )


@router.put("/network", responses=CHANGED, openapi_extra=body("NetworkSetup"))
async def set_up_network(write: Writing, data: JsonObject) -> JSONResponse:
    """Set the addresses of both sides, the gateway and the names in one change; what is left out stays as it is.

    `manage` hands the network to Steelyard first, as it is, where another tool has owned it: a revision of its own.
    """
    only(data, _MEMBERS, "the quick setup")
    state, configuration = await write.appliance.network(), write.appliance.snapshot().configuration
    sides = network_sides(state, configuration)
    if sides.network is None:
        raise HostLacks("This host has no network interface", lacks="an interface", remedy="Give it one")
    network_side = optional_text(data, "network_side") or sides.network.interface
    second = sides.farm.interface if sides.farm is not None and "farm_address" in data else ""
    farm_side = optional_text(data, "farm_side") or second
    command = SetUpNetwork(
        network_side=network_side,
        network_address=optional_text(data, "network_address"),
        farm_side=farm_side,
        farm_address=optional_text(data, "farm_address"),
        gateway=optional_text(data, "default_gateway"),
        host=_host(data),
        found=unknown_interfaces(state, configuration, (network_side, farm_side)),
        take_over=taken_over(state) if flag(data, "manage") and not configuration.host.managed else None,
    )
    if write.dry_run:
        return await write.carry_out(command)
    try:
        outcome = await carried_out(
            write.appliance, command, write.actor, reason=write.reason, based_on=write.based_on, wait=write.wait
        )
    except ConflictError as failure:
        raise stale_or_same(failure, write.appliance, write.based_on) from failure
    return answer(outcome)


def _host(data: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {name: texts(data, name) for name in ("name_servers", "search_domains") if name in data}
    name = optional_text(data, "host_name")
    return found if name is None else {**found, "host_name": name}


@router.post("/licence", responses=CHANGED)
async def accept_licence(write: Writing) -> JSONResponse:
    """Accept the licence at the first start; afterwards it does nothing."""
    return await write.carry_out(AcceptLicence())


@router.post("/finish", responses=CHANGED)
async def finish_first_start(write: Writing) -> JSONResponse:
    """End the first start; Home asks for addresses no more. Refused before licence and password."""
    return await write.carry_out(FinishFirstStart())
