"""States that are kept for as long as they hold."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from steelyard.model.commands import AddService, ChangeServer, RemoveService
from steelyard.model.configuration import Configuration
from steelyard.observe.kept_states import KeptStates
from steelyard.observe.status import AllStates, ServiceState, Verdict

SERVERS = [{"address": "10.0.0.1", "port": 80}]


class Told(Mapping[str, Verdict]):
    """Verdicts with marks; says how often it was asked."""

    def __init__(self, states: dict[str, str]) -> None:
        self.states, self.marks, self.asked = states, {"vs1": 0, "vs2": 0}, 0

    def __getitem__(self, target: str) -> Verdict:
        self.asked += 1
        return Verdict(self.states[target])

    def __iter__(self) -> Iterator[str]:
        return iter(self.states)

    def __len__(self) -> int:
        return len(self.states)

    def mark(self, service: str) -> object:
        return self.marks[service]


def made(schedule: str = "rr") -> Configuration:
    configuration = Configuration()
    for number in (1, 2):
        settings = {"address": f"192.0.2.{number}", "port": 80, "servers": SERVERS, "schedule": schedule}
        configuration = AddService(settings).apply(configuration).configuration
    return configuration


def states(configuration: Configuration, told: Told, kept: KeptStates[ServiceState], now: float = 0.0) -> list[str]:
    every = AllStates(configuration, told, 0.0, lambda: now, kept=kept)
    return [every[index].status for index in every]


def test_only_what_may_have_changed_is_worked_out_again() -> None:
    configuration, kept = made(), KeptStates[ServiceState]()
    told = Told({f"vs{number}/rs{number}": "up" for number in (1, 2)})
    assert states(configuration, told, kept) == ["Up", "Up"]
    assert states(configuration, told, kept) == ["Up", "Up"]
    assert told.asked == 2
    told.states["vs2/rs2"], told.marks["vs2"] = "down", 1
    assert states(configuration, told, kept) == ["Up", "Down"]
    assert told.asked == 3
    changed = ChangeServer(1, 1, {"enabled": False}).apply(configuration).configuration
    assert states(changed, told, kept) == ["Down", "Down"]
    assert told.asked == 4
    assert states(configuration, told, kept) == ["Up", "Down"], "and back"


def test_without_marks_nothing_is_kept() -> None:
    verdicts = {"vs1/rs1": Verdict("up"), "vs2/rs2": Verdict("up")}
    kept = KeptStates[ServiceState]()
    assert AllStates(made(), verdicts, kept=kept)[1].status == "Up"
    verdicts["vs1/rs1"] = Verdict("down")
    assert AllStates(made(), verdicts, kept=kept)[1].status == "Down"


def test_services_that_are_gone_are_forgotten() -> None:
    kept = KeptStates[ServiceState]()
    configuration = made()
    told = Told({"vs1/rs1": "up", "vs2/rs2": "up"})
    states(configuration, told, kept)
    for index in range(3, 203):
        kept.get(index, (), 0, lambda: ServiceState(0, "Up"))
    left = RemoveService(2).apply(configuration).configuration
    states(left, told, kept)
    assert set(kept._kept) == {1}
