"""The states of all services at once, with room for other requests in between.

Ten thousand real servers take some hundredths of a second; nobody else should wait for that.
"""

from __future__ import annotations

import asyncio

from steelyard.appliance.contract import ApplianceApi, Snapshot
from steelyard.observe.status import ServiceState

_AT_ONCE = 100


async def every_state(appliance: ApplianceApi) -> tuple[Snapshot, dict[int, ServiceState]]:
    """The configuration, and the state of every service in it by index."""
    # taken in one go, so that they are of one another
    snapshot, states = appliance.snapshot(), appliance.states()
    found: dict[int, ServiceState] = {}
    for number, index in enumerate(tuple(states)):
        if number % _AT_ONCE == _AT_ONCE - 1:
            await asyncio.sleep(0)
        found[index] = states[index]
    return snapshot, found
