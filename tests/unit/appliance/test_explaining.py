"""Explaining through the appliance: HAProxy is asked, and nothing is done to it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from tests.unit.appliance.rig import Rig, running

from steelyard.explain.request import Request
from steelyard.model.commands import AddService, ChangeServer


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    async with running() as made:
        yield made


def _service(**settings: object) -> AddService:
    servers = [{"address": f"10.0.0.{n}", "port": 80} for n in (1, 2)]
    data = {"address": "127.0.0.1", "port": 8080, "service_type": "http", "persistence": "src", "servers": servers}
    return AddService(data | settings)


async def test_haproxy_s_records_and_states_decide_and_nothing_is_run(rig: Rig) -> None:
    await rig.do(_service())
    appliance, request = rig.appliance, Request("198.51.100.7", service=1)
    before = list(rig.haproxy.ran)
    assert (await appliance.explain(request)).result.kind == "candidates"
    rig.haproxy.records["steelyard/vs1", "198.51.100.7"] = (2, 61_000)
    found = await appliance.explain(request)
    assert [server.index for server in found.result.servers] == [2]
    assert found.revision == appliance.snapshot().revision
    (told,) = [step for step in found.steps if step.name == "persistence"]
    assert "61 s more" in " ".join(told.details)
    rig.haproxy.server("vs1", "rs2").up = False
    found = await appliance.explain(request)
    assert [server.index for server in found.result.servers] == [1]
    assert rig.haproxy.ran == before


async def test_a_disabled_server_is_told_with_its_state(rig: Rig) -> None:
    await rig.do(_service(persistence="none", persistence_timeout=0))
    await rig.do(ChangeServer(1, 2, {"enabled": False}))
    found = await rig.appliance.explain(Request("198.51.100.7", service=1))
    assert [server.index for server in found.result.servers] == [1]
    assert "Disabled: disabled by an administrator" in " ".join(line for step in found.steps for line in step.details)
