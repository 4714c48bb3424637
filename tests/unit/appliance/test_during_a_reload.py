"""What happens to changes that come while HAProxy is being reloaded."""

from __future__ import annotations

import asyncio

from tests.unit.appliance.rig import HTTP, SERVER, running

from steelyard.model.commands import AddService


async def test_a_change_that_needs_the_next_reload_does_not_wait_for_the_one_that_runs() -> None:
    async with running() as rig:
        before = len(rig.haproxy.reloads)
        rig.haproxy.hold.clear()
        first = asyncio.create_task(rig.do(AddService(HTTP)))
        while not rig.haproxy.reloading:  # noqa: ASYNC110 - the fake tells it by an attribute
            await asyncio.sleep(0.001)
        second = await rig.do(AddService({**HTTP, "port": 8081, "servers": [SERVER]}), wait=None)
        assert second.applied == "queued"
        assert "vs2" in rig.health.plan.services
        assert not first.done()
        rig.haproxy.hold.set()
        assert (await first).applied == "now"
        assert set(rig.haproxy.has().services) == {"vs1"}
        assert rig.statuses()[second.revision] == "committed"
        await rig.dataplane.finish_reloads()
        assert rig.statuses()[second.revision] == "applied"
        assert len(rig.haproxy.reloads) == before + 2
        rig.check_that_all_agree()
