"""Weights that move: resource based, weighted response time and external, with real traffic (`behaviour.md`, 6)."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from tests.engine.rig import Rig, Service, eventually, member
from tests.support.origin import Origin
from tests.support.ports import free_port

import steelyard.compile.weighting
from steelyard.appliance.contract import Actor
from steelyard.health.weight_status import WeightStatus
from steelyard.model.commands import SetExternalWeights
from steelyard.model.errors import EngineRefused, NotFound, OperatorError
from steelyard.model.user import ADMINISTRATOR

pytestmark = pytest.mark.engine


@pytest.fixture
def farm() -> Iterator[list[Origin]]:
    """Three servers with their load agents: the same port on addresses of their own, as agents have it."""
    port = free_port()
    with contextlib.ExitStack() as stack:
        made = [stack.enter_context(Origin(f"s{n}", address=f"127.0.0.{10 + n}", port=port)) for n in range(3)]
        for origin in made:
            origin.bodies["/load"] = b"0\n"
        yield made


def load(origin: Origin, percent: int) -> None:
    origin.bodies["/load"] = b"%d\n" % percent


def adaptive(rig: Rig, farm: list[Origin], **settings: object) -> Service:
    """A service whose agents are polled every two seconds, the shortest a check interval of two allows."""
    fields = {"schedule": "adaptive", "adaptive_port": farm[0].port, "adaptive_interval": 1, **settings}
    return rig.http(*farm, **fields)


def engine_weights(service: Service) -> list[int]:
    found = [server.in_engine() for server in service.servers]
    return [have.weight if have is not None else -1 for have in found]


def statuses(service: Service) -> Mapping[int, WeightStatus]:
    return service.rig.wait_for(service.rig.started.appliance.weights(service.index))


def set_external(service: Service, weights: dict[int, int], seconds: int = 60, *, replace: bool = False) -> None:
    appliance = service.rig.started.appliance
    actor = Actor(appliance.snapshot().configuration.user(ADMINISTRATOR), "test")
    command = SetExternalWeights(service.index, weights, seconds, replace)
    service.rig.wait_for(appliance.set_external_weights(command, actor))


def near(found: list[int], wanted: list[int], slack: int = 3) -> bool:
    return all(abs(a - b) <= slack for a, b in zip(found, wanted, strict=True))


def test_traffic_follows_loads_over_a_lost_agent_a_reload_and_a_killed_process(rig: Rig, farm: list[Origin]) -> None:
    load(farm[0], 75)
    load(farm[1], 50)
    service = adaptive(rig, farm)
    eventually(lambda: near(engine_weights(service), [64, 128, 256]), "weights follow the loads", 15)
    spread = service.spread(56)
    assert near([spread[origin.name] for origin in farm], [8, 16, 32], 1)

    known = list(statuses(service).values())
    assert [(one.static, one.weight, one.load) for one in known] == [(1000, 250, 75), (1000, 500, 50), (1000, 1000, 0)]
    assert known[0].reason == "the agent says 75 %; 75 % on average of the last 4"

    # a reload: the next process begins with the weights of now, not with the static ones
    worker = rig.worker
    service.change(idle_time=61)
    assert rig.worker != worker
    assert near(engine_weights(service), [64, 128, 256])

    # the checking process is killed: HAProxy keeps its weights, the next process goes on from them
    seen = set()
    pid = rig.started.appliance.health().health_pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)

    def is_back() -> bool:
        seen.add(tuple(engine_weights(service)))
        now = rig.started.appliance.health().health_pid
        return now not in (None, pid) and _polled_again(service)

    eventually(is_back, "the checking process polls again", 15)
    assert near(engine_weights(service), [64, 128, 256])
    assert all(near(list(weights), [64, 128, 256], 60) for weights in seen), seen

    # an agent that redirects, one that hangs: told with what was read, and nobody is stranded
    farm[0].statuses["/load"] = 302
    farm[1].bodies["/load"] = b"overloaded\n"
    eventually(
        lambda: (
            [one.reason.partition(":")[2].partition(" (")[0].strip() for one in statuses(service).values()][:2]
            != ["", ""]
            and "302" in statuses(service)[service.servers[0].index].reason
        ),
        "what the agents said is told",
    )
    reasons = [one.reason for one in statuses(service).values()]
    assert "answered 302 Test; a load comes with 200; redirects are not followed" in reasons[0]
    eventually(lambda: "no load but overloaded" in list(statuses(service).values())[1].reason, "garbage is told")
    assert engine_weights(service)[2] == 256
    assert set(service.names(20)) == {"s0", "s1", "s2"}


def _polled_again(service: Service) -> bool:
    try:
        return all(one.load is not None for one in statuses(service).values())
    except EngineRefused:
        return False


def test_static_weights_hold_while_every_load_is_small_and_come_back_when_agents_are_lost(
    rig: Rig, farm: list[Origin]
) -> None:
    load(farm[0], 4)
    load(farm[1], 0)
    low = rig.http(
        servers=[member(farm[0], weight=3000), member(farm[1], weight=1000)],
        schedule="adaptive",
        adaptive_port=farm[0].port,
        adaptive_interval=1,
    )
    load(farm[2], 100)
    lost = rig.http(
        servers=[member(farm[2], weight=1000)], schedule="adaptive", adaptive_port=farm[0].port, adaptive_interval=1
    )
    eventually(lambda: engine_weights(lost)[0] <= 154, "the overloaded server's weight goes down", 10)
    farm[2].refuse()
    lost_at = engine_weights(lost)[0]
    eventually(lambda: statuses(low)[low.servers[0].index].load == 4, "the small load is known")
    assert engine_weights(low) == [256, 85]
    assert near([low.spread(40)[name] for name in ("s0", "s1")], [30, 10], 1)
    eventually(lambda: engine_weights(lost)[0] > lost_at or engine_weights(lost)[0] == 256, "the weight goes back", 20)


def test_response_times_of_checks_move_weights(rig: Rig, farm: list[Origin], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(steelyard.compile.weighting, "RESPONSE_SECONDS", 1)
    farm[1].delay = 0.1
    service = rig.http(*farm, schedule="dl", check_type="http")
    eventually(lambda: engine_weights(service)[1] < 60 and engine_weights(service)[0] > 200, "the slow one gets less")
    farm[1].delay = 0.0
    spread = service.spread(60)
    assert spread["s1"] < 15
    assert spread["s1"] > 0
    slow = statuses(service)[service.server(farm[1]).index]
    assert slow.response_ms is not None
    assert slow.response_ms > 100
    with pytest.raises(OperatorError) as raised:
        service.change(check_type="none")
    assert raised.value.field == "schedule"


def test_external_weights_are_state_that_outlives_both_processes_and_expires(own_rig: Rig, farm: list[Origin]) -> None:
    rig = own_rig
    service = rig.http(*farm, schedule="sdn-adaptive")
    indexes = [server.index for server in service.servers]
    revision = rig.started.appliance.snapshot().revision
    set_external(service, {indexes[0]: 500, indexes[1]: 250})
    eventually(lambda: near(engine_weights(service), [128, 64, 256], 1), "external weights are in HAProxy")
    assert service.spread(28) == {"s0": 8, "s1": 4, "s2": 16}
    assert rig.started.appliance.snapshot().revision == revision

    # both processes are gone at once and come back with what was set
    pid = rig.started.appliance.health().health_pid
    assert pid is not None
    rig.let_go()
    os.kill(pid, signal.SIGKILL)
    eventually(lambda: not _runs(pid), "the checking process is gone")
    rig.start()
    assert [one.external for one in statuses(service).values()] == [500, 250, None]
    assert near(engine_weights(service), [128, 64, 256], 1)

    set_external(service, {indexes[2]: 100}, 1, replace=True)
    assert [one.external for one in statuses(service).values()] == [None, None, 100]
    eventually(lambda: engine_weights(service) == [256, 256, 256], "the configured weights are back", 15)
    assert [one.reason for one in statuses(service).values()] == [
        "no weight is set from outside: the static weight"
    ] * 3

    with pytest.raises(NotFound):
        set_external(service, {99: 5})
    for weights, seconds, field in (({indexes[0]: 0}, 60, "weights"), ({indexes[0]: 1}, 0, "seconds")):
        with pytest.raises(OperatorError) as raised:
            set_external(service, weights, seconds)
        assert raised.value.field == field
    service.change(schedule="wrr")
    with pytest.raises(OperatorError) as raised:
        set_external(service, {indexes[0]: 5})
    assert raised.value.field == "schedule"


def _runs(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").exists() and ") Z " not in Path(f"/proc/{pid}/stat").read_text()
