from __future__ import annotations

from typing import Any

from tests.unit.observe.events.making import AT

from steelyard.model.commands import AddService
from steelyard.model.configuration import Configuration
from steelyard.model.severity import Severity
from steelyard.observe.events.event import Event
from steelyard.observe.events.flapping import Flapping
from steelyard.observe.events.watching import Told, Watching
from steelyard.observe.status import AllStates, Verdict


def configuration(**settings: Any) -> Configuration:
    servers = [{"address": "10.0.0.1", "port": 80}, {"address": "2001:db8::1", "port": 80, "critical": True}]
    data = {"address": "192.0.2.1", "port": 80, "name": "shop", "enhanced_checks": True, "servers": servers}
    return AddService(data | settings).apply(Configuration()).configuration


def watching(notes: dict[str, str] | None = None, changes: int = 0) -> Watching:
    return Watching(notes or {}, Flapping(changes, 60))


def told(found: Any) -> list[Event]:
    return [one.event for one in found if one.event is not None]


def server(watch: Watching, state: str, target: str = "vs1/rs1", at: float = AT, **more: Any) -> list[Event]:
    return told(watch.server(CONFIGURATION, target, state, "timeout waiting for data", at, **more))


CONFIGURATION = configuration()


def test_a_server_that_goes_and_comes_back_is_told_of_in_the_manner_of_loadmaster() -> None:
    watch = watching()
    assert server(watch, "up") == [], "never seen before and well: no news"
    (down,) = server(watch, "down")
    assert down.kind == "server_down" and down.severity == Severity.WARN and (down.service, down.server) == (1, 1)
    assert down.text == "VS shop (tcp/192.0.2.1:80): RS 10.0.0.1:80 removed: timeout waiting for data"
    assert server(watch, "down") == [] and server(watch, "unknown") == []
    (up,) = server(watch, "up", late=True)
    assert up.kind == "server_up" and up.late and "RS 10.0.0.1:80 re-added" in up.text


def test_a_critical_server_is_critical_and_who_was_told_of_that_is_told_of_its_return() -> None:
    watch = watching()
    (down,) = server(watch, "down", "vs1/rs2")
    assert down.severity == Severity.CRITICAL and "RS [2001:db8::1]:80 removed" in down.text
    (up,) = server(watch, "up", "vs1/rs2")
    assert up.severity == Severity.WARN and up.reach == Severity.CRITICAL


def test_what_was_told_before_a_restart_is_not_told_again() -> None:
    watch = watching({"server vs1/rs1": "down"})
    assert server(watch, "down") == []
    assert [event.kind for event in server(watch, "up")] == ["server_up"]


def test_targets_that_are_no_real_server_of_the_configuration_are_no_news() -> None:
    watch = watching()
    for target in ("vs9/rs1", "vs1/rs9", "vs1/sub1", "vsx/rs1", "vs1"):
        assert server(watch, "down", target) == []


def test_reasons_cannot_break_a_line() -> None:
    found = watching().server(CONFIGURATION, "vs1/rs1", "down", "answered\r\n<3>forged\x1b[31m \ud800" + "x" * 5000, AT)
    (down,) = told(found)
    assert "\n" not in down.text and "\x1b" not in down.text and len(down.text) <= 1000
    down.text.encode()


def test_flapping_is_told_once_and_so_is_steady_with_what_it_is() -> None:
    watch = watching(changes=2)
    server(watch, "up")
    kinds: list[tuple[str, bool]] = []
    for number, state in enumerate(("down", "up", "down", "up", "down")):
        kinds += [(event.kind, event.damped) for event in server(watch, state, at=AT + number)]
    assert kinds == [
        ("server_down", False), ("server_up", False), ("server_down", True), ("server_flapping", False),
        ("server_up", True), ("server_down", True),
    ]  # fmt: skip
    assert told(watch.settled(CONFIGURATION, AT + 5)) == []
    (steady,) = told(watch.settled(CONFIGURATION, AT + 100))
    assert steady.kind == "server_steady" and steady.text.endswith("is steady again, and down")


def states(watch: Watching, given: Configuration, *verdicts: str) -> list[Event]:
    known = {f"vs1/rs{place}": Verdict(state, "why") for place, state in enumerate(verdicts, start=1)}
    found: list[Told] = list(watch.service(given, AllStates(given, known)[1], known, AT))
    return told(found)


def test_a_service_that_goes_down_is_critical_and_its_return_reaches_the_same() -> None:
    watch = watching()
    plain = configuration(enhanced_checks=False)
    assert states(watch, plain, "up", "up") == []
    assert states(watch, plain, "down", "up") == []
    (down,) = states(watch, plain, "down", "down")
    assert down.kind == "service_down" and down.severity == Severity.CRITICAL and down.server == 0
    assert down.text.startswith("VS shop (tcp/192.0.2.1:80) is down: no real server is available")
    assert states(watch, plain, "down", "down") == []
    (up,) = states(watch, plain, "down", "up")
    assert up.kind == "service_up" and up.reach == Severity.CRITICAL


def test_a_service_nobody_has_checked_yet_is_not_down() -> None:
    watch = watching({"service 1": "up"})
    assert states(watch, CONFIGURATION, "unknown", "unknown") == []
    assert states(watch, CONFIGURATION) == []
    assert [event.kind for event in states(watch, CONFIGURATION, "down", "down")] == ["service_down"]


def test_a_service_with_something_in_its_place_is_an_error() -> None:
    sorry = configuration(standby_address="10.0.0.9", standby_port=80)
    watch = watching({"service 1": "up"})
    (found,) = states(watch, sorry, "down", "down")
    assert found.kind == "service_instead" and found.severity == Severity.ERROR and "(Sorry)" in found.text


def test_what_an_operator_does_is_no_news() -> None:
    watch = watching({"service 1": "up"})
    assert states(watch, configuration(servers=[])) == []
    assert states(watch, configuration(enabled=False), "down", "down") == []
    watch = watching({"service 7": "up", "server vs7/rs1": "up", "service 1": "up"})
    assert watch.forgotten(CONFIGURATION, Configuration()) == {"service 7": None, "server vs7/rs1": None}
