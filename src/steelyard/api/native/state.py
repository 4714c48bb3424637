"""What is: `/status` and `/statistics`. And what may be set: `/settings`."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from fastapi.responses import JSONResponse

from steelyard.api.native.access import Appliance
from steelyard.api.native.catalogue import settings_data
from steelyard.api.native.certificate_objects import expiry_json
from steelyard.api.native.objects import Json, layer_json, state_of, timestamp
from steelyard.api.native.routing import NativeRouter
from steelyard.api.native.schemas import answers
from steelyard.api.native.writing import read
from steelyard.model.virtual_service import VirtualService
from steelyard.observe.statistics import TrafficCounters
from steelyard.observe.status import ServiceState

router = NativeRouter(tags=["state"])


def _service_state(service: VirtualService, state: ServiceState) -> Json:
    return {
        "index": service.index,
        "parent": service.parent,
        "name": service.name,
        "address": service.address,
        "port": service.port,
        "protocol": service.protocol,
        "status": state.status,
        "reason": state.reason,
        "layer": layer_json(state.layer),
        "servers": [
            {
                "index": server.index,
                "address": server.address,
                "port": server.port,
                "status": state.servers[server.index].status,
                "reason": state.servers[server.index].reason,
                "since": timestamp(state.servers[server.index].since),
                "drain_ends": timestamp(state.servers[server.index].drain_ends),
            }
            for server in service.servers
        ],
        "slots": [
            {
                "index": slot.index,
                "service": slot.service,
                "status": state.slots[slot.index].status,
                "reason": state.slots[slot.index].reason,
                "since": timestamp(state.slots[slot.index].since),
                "drain_ends": timestamp(state.slots[slot.index].drain_ends),
            }
            for slot in service.slots
        ],
    }


@router.get("/status", responses=answers({"type": "object"}))
async def show_status(appliance: Appliance) -> JSONResponse:
    """How the appliance and its services are, with reasons."""
    snapshot, states, health = appliance.snapshot(), appliance.states(), appliance.health()
    found: dict[str, Any] = {
        "revision": snapshot.revision,
        **asdict(health),
        "started_at": timestamp(health.started_at),
        "boot_time": timestamp(health.boot_time),
        "last_change": timestamp(health.last_change),
        "problems": list(health.problems),
        "expiring": expiry_json(snapshot.configuration),
        "services": [_service_state(s, state_of(states, s)) for s in snapshot.configuration.services.values()],
    }
    return read(snapshot.revision, found)


@router.get(
    "/statistics",
    responses=answers({"type": "object"}),
)
async def show_statistics(appliance: Appliance) -> JSONResponse:
    """Counters and rates of services and real servers.

    At most a second old. Bytes in are from clients, bytes out are to clients. What a sub-service carried is in the
    figures of its parent, too.
    """
    sample = await appliance.statistics()
    snapshot = appliance.snapshot()
    none = TrafficCounters()
    services = []
    for service in snapshot.configuration.services.values():
        servers = [
            {
                "index": server.index,
                "address": server.address,
                "port": server.port,
                **asdict(sample.servers.get((service.index, server.index), none)),
            }
            for server in service.servers
        ]
        slots = [
            {
                "index": slot.index,
                "service": slot.service,
                **asdict(sample.servers.get((service.index, slot.index), none)),
            }
            for slot in service.slots
        ]
        counters = asdict(sample.services.get(service.index, none))
        names = {"index": service.index, "parent": service.parent, "name": service.name}
        services.append({**names, **counters, "servers": servers, "slots": slots})
    found = {
        "at": timestamp(sample.at),
        "period": sample.period,
        "tls_per_second": sample.tls_per_second,
        "services": services,
    }
    return read(snapshot.revision, found)


@router.get("/settings", responses=answers({"type": "object"}))
async def show_settings(appliance: Appliance) -> JSONResponse:
    """Every setting there is, as data."""
    return read(appliance.snapshot().revision, settings_data())
