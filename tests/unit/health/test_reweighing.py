"""Moving weights on the board: told to every backend that has the server, with its verdict, and to slots."""

from __future__ import annotations

from steelyard.health.board import Board
from steelyard.health.effects import Wanted
from steelyard.health.weigher import Reading, Weigher
from steelyard.plan.health import Check, HealthPlan, Service, Target
from steelyard.plan.weighting import Weighting

NONE = Check(kind="none", interval=9, timeout=4, attempts=2)
AGENT = Weighting(kind="agent", interval=9, url="/load", port=80, least_load=5)
EXTERNAL = Weighting(kind="external", interval=1)


def service(key: str, *targets: Target, weighting: Weighting | None = None) -> Service:
    return Service(
        key=key,
        check=NONE,
        persistent=False,
        fixed=False,
        drop_on_failure=False,
        targets=targets,
        weighting=weighting,
    )


def made(*services: Service) -> tuple[Board, Weigher]:
    weigher = Weigher()
    board = Board(weigh=weigher.weight)
    plan = HealthPlan(services={one.key: one for one in services})
    board.replace(plan, 1.0)
    weigher.take(plan.services)
    return board, weigher


def server(key: str, weight: int = 1000, **more: object) -> Target:
    return Target.model_validate(
        {"key": key, "address": "10.0.0.1", "port": 80, "weight": weight, "enabled": True, **more}
    )


def test_a_moved_weight_is_told_to_every_backend_and_changes_nothing_else() -> None:
    board, weigher = made(
        service("vs1", server("rs1", backends=("vs1", "vs1-a")), server("rs2"), weighting=AGENT),
        service("vs2", server("rs3")),
    )
    for _ in range(5):
        weigher.heard(("vs1", "rs1"), Reading(50, ""), 2.0)
    changes = board.reweigh({"vs1": ["rs1", "rs9"], "vs8": None}, 3.0)
    assert changes.wanted == {
        ("vs1", "rs1"): Wanted(True, "ready", 128),
        ("vs1-a", "rs1"): Wanted(True, "ready", 128),
    }
    assert not changes.events
    assert not changes.drops
    assert not board.reweigh({"vs1": None}, 4.0).wanted
    known = board.find(("vs2", "rs3"))
    assert known is not None
    assert board.status(known).weight is None


def test_slots_follow_external_weights() -> None:
    slot = Target(key="rs1", weight=1000, enabled=True, follows="vs2")
    other = Target(key="rs2", weight=1000, enabled=True, follows="vs3")
    board, weigher = made(
        service("vs1", slot, other, weighting=EXTERNAL), service("vs2", server("rs3")), service("vs3", server("rs4"))
    )
    weigher.set_external("vs1", {"rs2": 500}, 60.0, replace=False)
    while weigher.step():
        pass
    assert board.reweigh({"vs1": None}, 2.0).wanted == {("vs1", "rs2"): Wanted(True, "ready", 128)}


def test_a_disabled_server_keeps_a_weight_of_at_least_one() -> None:
    board, weigher = made(service("vs1", server("rs1", 1), server("rs2", 65535), weighting=AGENT))
    for _ in range(9):
        weigher.heard(("vs1", "rs1"), Reading(102, ""), 2.0)
    board.reweigh({"vs1": None}, 3.0)
    known = board.find(("vs1", "rs1"))
    assert known is not None
    assert board.status(known).weight == 1
