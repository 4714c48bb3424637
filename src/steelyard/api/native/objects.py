"""The model's objects as plain JSON, with the model's own names. Secrets are left out; times are RFC 3339 in UTC."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from steelyard.model.errors import NotFound, OperatorError
from steelyard.model.layer import Layer
from steelyard.model.real_server import RealServer
from steelyard.model.setting import Settings
from steelyard.model.slot import Slot
from steelyard.model.user import User
from steelyard.model.virtual_service import VirtualService
from steelyard.model.virtual_service.remarks import remarks
from steelyard.observe.status import ServerState, ServiceState, service_state

Json = dict[str, Any]

UNKNOWN = "Unknown"


def timestamp(at: float | None) -> str | None:
    """Seconds since the epoch as RFC 3339 with milliseconds."""
    if at is None:
        return None
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def settings_json(value: Settings) -> Json:
    """Every declared setting but the secrets."""
    found = value.model_dump(mode="json")
    return {d.name: found[d.name] for d in type(value).declared().values() if not d.setting.secret}


def server_json(server: RealServer | Slot, state: ServerState | None = None) -> Json:
    """A real server or slot; with its state on reads."""
    found = {"index": server.index, **settings_json(server)}
    if state is not None:
        found |= {
            "status": state.status,
            "reason": state.reason,
            "since": timestamp(state.since),
            "drain_ends": timestamp(state.drain_ends),
        }
    return found


def slot_json(slot: Slot, state: ServerState | None = None) -> Json:
    """A slot with the index of its sub-service; with its state on reads."""
    return {"service": slot.service, **server_json(slot, state)}


def service_json(service: VirtualService, state: ServiceState | None = None) -> Json:
    """A virtual service with its real servers or slots; with its state on reads. `parent` is 0 without one.

    `warnings` say what is allowed and hardly meant.
    """
    found = {"index": service.index, "parent": service.parent, **settings_json(service)}
    states: Mapping[int, ServerState] = {} if state is None else state.servers
    found["servers"] = [server_json(server, states.get(server.index)) for server in service.servers]
    slots: Mapping[int, ServerState] = {} if state is None else state.slots
    found["slots"] = [slot_json(slot, slots.get(slot.index)) for slot in service.slots]
    found["further_checks"] = [settings_json(check) for check in service.further_checks]
    found["warnings"] = [{"field": one.field, "message": one.says, "remedy": one.remedy} for one in remarks(service)]
    if state is not None:
        found |= {"status": state.status, "reason": state.reason, "layer": layer_json(state.layer)}
    return found


def layer_json(layer: Layer) -> Json:
    """Where a service runs: 4 or 7, in LoadMaster's words, why, and what carries it."""
    return {
        "number": layer.number,
        "title": layer.title,
        "reason": layer.reason,
        "carried_by": layer.carried_by,
    }


def state_of(states: Mapping[int, ServiceState], service: VirtualService) -> ServiceState:
    """The state of a service; what was made this moment has none yet, and says so."""
    found = states.get(service.index)
    if found is None:
        found = ServiceState(service.index, UNKNOWN, "no state is known yet", layer=service_state(service, {}).layer)
    servers = {s.index: ServerState(s.index, UNKNOWN, "no state is known yet") for s in service.servers}
    slots = {s.index: ServerState(s.index, UNKNOWN, "no state is known yet") for s in service.slots}
    return replace(found, servers={**servers, **found.servers}, slots={**slots, **found.slots})


def server_of(service: VirtualService, index: int) -> RealServer:
    """The real server with that index. Raises `NotFound`."""
    server = service.server(index)
    if server is None:
        raise NotFound("RS", index)
    return server


def user_json(user: User) -> Json:
    """A user; of the API keys only how many there are."""
    return {"name": user.name, "permissions": list(user.permissions), "api_keys": len(user.api_keys)}


def selected(found: Json, fields: Collection[str]) -> Json:
    """Only those members. Raises `OperatorError` for one there is not."""
    for name in fields:
        if name not in found:
            raise OperatorError(
                f"fields names {name!r}, which is no member", field="fields", value=name, allowed=", ".join(found)
            )
    return {name: found[name] for name in fields}
