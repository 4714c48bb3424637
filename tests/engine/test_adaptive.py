"""Weights that move: resource based, weighted response time and external, with real traffic (`behaviour.md`, 6)."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from tests.engine.rig import Rig, Service, eventually, member
from tests.engine.test_sub_services import Family
from tests.support.origin import Origin, Seen
from tests.support.ports import free_port

import steelyard.compile.weighting
from steelyard.appliance.contract import Actor
from steelyard.health.engine_text import servers_state
from steelyard.health.weight_status import WeightStatus
from steelyard.model.commands import SetExternalWeights
from steelyard.model.errors import EngineRefused, NotFound, OperatorError
from steelyard.model.user import ADMINISTRATOR

pytestmark = pytest.mark.engine


class Flapping(Origin):
    """Its agent says idle and overloaded by turns."""

    def _body(self, seen: Seen) -> tuple[str, bytes]:
        if seen.path == "/load":
            load(self, 0 if self.bodies.get("/load") == b"100\n" else 100)
        return super()._body(seen)


@pytest.fixture
def farm() -> Iterator[list[Origin]]:
    """Servers with their load agents: one port on addresses of their own, as agents have it. The last one flaps."""
    port = free_port()
    with contextlib.ExitStack() as stack:
        kinds: list[type[Origin]] = [Origin, Origin, Origin, Origin, Origin, Flapping]
        made = [
            stack.enter_context(kind(f"s{n}", address=f"127.0.0.{10 + n}", port=port)) for n, kind in enumerate(kinds)
        ]
        for origin in made:
            load(origin, 0)
        yield made


def load(origin: Origin, percent: int) -> None:
    origin.bodies["/load"] = b"%d\n" % percent


def engine_weights(service: Service) -> list[int]:
    found = [server.in_engine() for server in service.servers]
    return [have.weight if have is not None else -1 for have in found]


def weights_at_start(service: Service) -> list[int]:
    """What the newest HAProxy process was given to start with."""
    lines = [line.split() for line in service.rig.started.layout.state.read_text().splitlines()]
    return [int(words[7]) for words in lines if words[1:2] == [service.key]]


def statuses(service: Service) -> list[WeightStatus]:
    """What its servers count as, in order; empty while the checking process is away."""
    try:
        known = service.rig.wait_for(service.rig.started.appliance.weights(service.index))
    except EngineRefused:
        return []
    return [known[server.index] for server in service.servers]


def set_external(service: Service, weights: dict[int, int], seconds: int = 60, *, replace: bool = False) -> None:
    appliance = service.rig.started.appliance
    actor = Actor(appliance.snapshot().configuration.user(ADMINISTRATOR), "test")
    command = SetExternalWeights(service.index, weights, seconds, replace)
    service.rig.wait_for(appliance.set_external_weights(command, actor))


def near(found: Sequence[int], wanted: Sequence[int], slack: int = 3) -> bool:
    return all(abs(a - b) <= slack for a, b in zip(found, wanted, strict=True))


def health_pid(rig: Rig) -> int | None:
    return rig.started.appliance.health().health_pid


def test_weights_follow_loads_and_response_times_through_every_fault(
    rig: Rig, farm: list[Origin], monkeypatch: pytest.MonkeyPatch
) -> None:
    # polls every two seconds: the shortest that a check interval of two allows
    monkeypatch.setattr(steelyard.compile.weighting, "RESPONSE_SECONDS", 1)
    agents = {"schedule": "adaptive", "adaptive_port": farm[0].port, "adaptive_interval": 1}
    for origin, percent in zip(farm, (50, 25, 0, 100), strict=False):
        load(origin, percent)
    farm[4].delay = 0.1
    loaded = rig.http(*farm[:3], **agents)
    lost = rig.http(farm[3], **agents)
    flapping = rig.http(farm[2], farm[5], **agents)
    low = rig.http(servers=[member(farm[2], weight=3000), member(farm[1])], **agents, adaptive_min_percent=50)
    timed = rig.http(farm[2], farm[4], schedule="dl", check_type="http", check_url="/health")

    # the agent of an overloaded server dies together with it
    eventually(lambda: engine_weights(lost)[0] < 256, "the overloaded server's weight goes down")
    farm[3].refuse()

    eventually(lambda: near(engine_weights(loaded), [128, 192, 256]), "weights follow the loads", 15)
    spread = loaded.spread(54)
    assert near([spread[origin.name] for origin in farm[:3]], [12, 18, 24], 1)
    assert [(one.static, one.weight, one.load) for one in statuses(loaded)] == [
        (1000, 500, 50),
        (1000, 750, 25),
        (1000, 1000, 0),
    ]
    assert statuses(loaded)[1].reason.startswith("the agent says 25 %; 25 % on average of the last ")

    # every load below the minimum: the static weights
    eventually(lambda: statuses(low)[1].load == 25, "the small load is known")
    assert engine_weights(low) == [256, 85]

    # response times: the slow server gets less and is not starved
    eventually(lambda: near(engine_weights(timed), [256, 13]), "weights follow response times")
    farm[4].delay = 0.0
    spread = timed.spread(63)
    assert 1 <= spread["s4"] <= 6

    # loads that flap have come to rest
    eventually(lambda: near(engine_weights(flapping), [256, 128], 1), "the flapping server's weight is at rest", 15)

    # the dead agent's server has its static weight back
    eventually(lambda: engine_weights(lost) == [256], "the weight goes back", 15)
    assert "connection refused" in statuses(lost)[0].reason

    # a reload: the next process begins with the weights of now
    worker = rig.worker
    loaded.change(idle_time=61)
    assert rig.worker != worker
    assert near(weights_at_start(loaded), [128, 192, 256])
    assert near(engine_weights(loaded), [128, 192, 256])
    assert near(engine_weights(flapping), [256, 128], 1)

    # the checking process is killed: HAProxy keeps its weights, the next process goes on from them
    pid, seen = health_pid(rig), []
    assert pid is not None
    os.kill(pid, signal.SIGKILL)

    def polled_again() -> bool:
        seen.append(engine_weights(loaded))
        found = [one.load for one in statuses(loaded)]
        return health_pid(rig) not in (None, pid) and bool(found) and None not in found

    eventually(polled_again, "the checking process polls again", 15)
    assert all(near(weights, [128, 192, 256], 60) for weights in seen), seen

    # agents that redirect, tell garbage, are gone: said with what was read, and nobody is stranded
    farm[0].statuses["/load"] = 302
    farm[1].bodies["/load"] = b"overloaded\n"
    eventually(lambda: "302" in statuses(loaded)[0].reason, "the redirect is told")
    assert "answered 302 Test; a load comes with 200; redirects are not followed" in statuses(loaded)[0].reason
    eventually(lambda: "no load but overloaded" in statuses(loaded)[1].reason, "garbage is told")
    assert set(loaded.names(20)) == {"s0", "s1", "s2"}

    with pytest.raises(OperatorError) as raised:
        timed.change(check_type="none")
    assert raised.value.field == "schedule"


def test_external_weights_are_state_that_outlives_both_processes_and_expires(rig: Rig, farm: list[Origin]) -> None:
    service = rig.http(*farm[:3], schedule="sdn-adaptive")
    indexes = [server.index for server in service.servers]
    revision = rig.started.appliance.snapshot().revision
    set_external(service, {indexes[0]: 750, indexes[1]: 625})
    eventually(lambda: near(engine_weights(service), [192, 160, 256], 1), "external weights are in HAProxy")
    assert service.spread(38) == {"s0": 12, "s1": 10, "s2": 16}
    assert rig.started.appliance.snapshot().revision == revision

    # both processes are gone at once and come back with what was set
    pid = health_pid(rig)
    assert pid is not None
    rig.let_go()
    os.kill(pid, signal.SIGKILL)
    eventually(lambda: not _runs(pid), "the checking process is gone")
    rig.start()
    assert [one.external for one in statuses(service)] == [750, 625, None]
    eventually(lambda: near(engine_weights(service), [192, 160, 256], 1), "the weights are what was set")

    set_external(service, {indexes[2]: 900}, 1, replace=True)
    assert [one.external for one in statuses(service)] == [None, None, 900]
    eventually(lambda: engine_weights(service) == [256, 256, 256], "the configured weights are back", 15)
    assert [one.reason for one in statuses(service)] == ["no weight is set from outside: the static weight"] * 3

    with pytest.raises(NotFound):
        set_external(service, {99: 5})
    for weights, seconds, field in (({indexes[0]: 0}, 60, "weights"), ({indexes[0]: 1}, 0, "seconds")):
        with pytest.raises(OperatorError) as raised:
            set_external(service, weights, seconds)
        assert raised.value.field == field
    set_external(service, {indexes[0]: 5})
    with rig.without_reload():
        service.change(schedule="wrr")
    assert engine_weights(service) == [1, 1, 1]
    with pytest.raises(OperatorError) as raised:
        set_external(service, {indexes[0]: 5})
    assert raised.value.field == "schedule"
    service.change(schedule="sdn-adaptive")
    assert [one.external for one in statuses(service)] == [None] * 3


def test_sub_services_follow_external_weights(rig: Rig, farm: list[Origin]) -> None:
    load(farm[1], 50)
    agent = {"schedule": "adaptive", "adaptive_port": farm[0].port, "adaptive_interval": 1}
    family = Family(rig, [farm[0]], [farm[1], farm[2]], subs=[{}, agent], schedule="sdn-adaptive")
    slots = [slot.index for slot in family.parent.setting("slots")]
    set_external(family.parent, {slots[1]: 500})
    states = {}

    def moved() -> bool:
        states.update(servers_state(rig.ask(f"show servers state {family.parent.key}")))
        return [states[family.parent.key, f"rs{index}"].weight for index in slots] == [256, 128]

    eventually(moved, "the slot's weight is in HAProxy")
    spread = family.parent.spread(30)
    assert spread["s0"] == 20
    assert {one.kind for one in statuses(family.subs[1])} == {"agent"}
    for schedule in ("adaptive", "dl"):
        with pytest.raises(OperatorError) as raised:
            family.parent.change(schedule=schedule)
        assert raised.value.field == "schedule"


def _runs(pid: int) -> bool:
    try:
        return ") Z " not in Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
