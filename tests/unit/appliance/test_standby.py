"""When the checking process hears of a change before HAProxy does."""

from __future__ import annotations

import pytest

from steelyard.appliance.standby import standby_comes_first
from steelyard.plan.haproxy import Backend, Globals, HaproxyPlan, Server, ServicePlan
from steelyard.plan.operations import AddServer, Operation, RemoveServer, SetState, SetWeight

SERVER = Server("rs1", 1, "10.0.0.1", 80, weight=100, limit=0, enabled=True)
PLAN = HaproxyPlan(
    Globals(1, 1),
    {
        key: ServicePlan(key, None, Backend(key, "http", ("roundrobin",), (SERVER,), 60, resting=resting))
        for key, resting in (("vs1", ("rs2",)), ("vs2", ()))
    },
)


@pytest.mark.parametrize(
    ("operations", "expected"),
    [
        ([SetState("vs1", "rs1", "maint")], True),
        ([RemoveServer("vs1-group", "rs1")], True),
        ([SetState("vs2", "rs1", "maint")], False),
        ([SetWeight("vs1", "rs1", 5)], False),
        ([SetState("vs9", "rs1", "maint")], False),
        ([AddServer("vs1", SERVER), RemoveServer("vs1", "rs9")], False),
        ([], False),
    ],
)
def test_only_where_a_server_leaves_a_backend_with_standbys(operations: list[Operation], expected: bool) -> None:
    assert standby_comes_first(operations, PLAN) is expected
