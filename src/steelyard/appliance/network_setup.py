"""The quick setup of a network that another tool has owned: taken over as it is first, and changed then.

The kernel has nothing of ours before, so in one step with it the addresses that are to go would stay there as somebody
else's. The whole is tried before, so that a mistake leaves the network with whom it was.
"""

from __future__ import annotations

from dataclasses import replace

from steelyard.appliance.contract import Actor, ApplianceApi, Outcome
from steelyard.model.commands import SetUpNetwork


async def set_up_network(
    appliance: ApplianceApi,
    command: SetUpNetwork,
    actor: Actor,
    *,
    reason: str = "",
    based_on: int | None = None,
    wait: bool | None = None,
) -> Outcome:
    """Carry it out; a second revision, when the network is taken over. Raises what `execute` raises."""
    if command.take_over is not None:
        await appliance.preview(command, actor, based_on=based_on)
        await appliance.execute(command.take_over, actor, reason=reason, based_on=based_on)
        command, based_on = replace(command, take_over=None), None
    return await appliance.execute(command, actor, reason=reason, based_on=based_on, wait=wait)
