"""`steelyard events`."""

from __future__ import annotations

from tests.unit.api.native.memory_appliance import MemoryAppliance
from tests.unit.cli.conftest import Bridge, Program
from tests.unit.observe.events.making import event

from steelyard.model.severity import Severity


def test_events_are_shown_tested_and_cleared() -> None:
    appliance = MemoryAppliance()
    bus = appliance.events()
    bus.publish(event("VS [bold]x: RS gone " + "y" * 200))
    bus.publish(event("told", severity=Severity.INFO, late=True))
    program = Program(Bridge(appliance))
    lines = program.ok("events", "show").splitlines()
    assert "warn" in lines[0] and "VS [bold]x: RS gone" in lines[0]
    assert "(late)" in program.ok("events", "show")
    assert [one["number"] for one in program.json("events", "show", "--severity", "warn")] == [1]
    refused = program("events", "show", "--kind", "nonsense")
    assert refused.exit_code == 1 and "server_down" in refused.output
    assert "event 3" in program.ok("events", "test", "--severity", "critical", "--text", "hello")
    assert program.json("events", "show", "--kind", "test")[0]["text"] == "hello"
    assert "Nobody is told" in program.ok("events", "subscribers")
    assert "3 events removed" in program.ok("events", "clear", "--yes")
    assert "No events" in program.ok("events", "show")
