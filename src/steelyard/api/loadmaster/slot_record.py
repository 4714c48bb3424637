"""The record of a sub-service's slot (`reference/loadmaster-api/03`, 3.2): how its parent shows it."""

from __future__ import annotations

from collections.abc import Mapping

from steelyard.api.loadmaster.answers import ABSENT, Items, Record
from steelyard.api.loadmaster.server_record import status_word
from steelyard.model.slot import Slot
from steelyard.model.virtual_service import VirtualService
from steelyard.observe.status import ServiceState


def slot_record(slot: Slot, state: ServiceState, services: Mapping[int, VirtualService]) -> Record:
    """The record of one slot, in documented order; `VSIndex` is the sub-service's own number."""
    known = state.slots.get(slot.index)
    status = known.status if known is not None else ("Down" if slot.enabled else "Disabled")
    sub = services.get(slot.service)
    return {
        "Status": status_word(status),
        "VSIndex": slot.service,
        "RsIndex": slot.index,
        "Name": (sub.name if sub is not None else "") or "-",
        "Forward": "nat",
        "Weight": slot.weight,
        "Limit": slot.limit,
        "RateLimit": slot.rate_limit,
        "Follow": slot.follow,
        "Enable": slot.enabled,
        "Critical": slot.critical,
        "Nrules": len(slot.rules) if slot.rules else ABSENT,
        "MatchRules": Items("Name", slot.rules) if slot.rules else ABSENT,
    }
