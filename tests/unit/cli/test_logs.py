"""`steelyard logs edge`."""

from __future__ import annotations

from tests.unit.api.native.memory_appliance import MemoryAppliance
from tests.unit.cli.conftest import Bridge, Program

LINE = '2026-01-31T12:00:01.000Z service=1 name="x" host=a.com url="/' + "a" * 300 + '[bold]"'


def test_lines_are_printed_as_they_are() -> None:
    appliance = MemoryAppliance()
    appliance.edge_files().append("user", [LINE, LINE.replace(":01.", ":02.")])
    program = Program(Bridge(appliance))
    assert program.ok("logs", "edge", "user").splitlines() == [LINE, LINE.replace(":01.", ":02.")]
    assert program.ok("logs", "edge", "user", "--since", "2026-01-31T12:00:02Z").splitlines() == [
        LINE.replace(":01.", ":02.")
    ]
    assert program.json("logs", "edge", "user", "--tail", "1")["lines"] == [LINE.replace(":01.", ":02.")]
    refused = program("logs", "edge", "passwd")
    assert refused.exit_code == 1 and "connection, security, user" in refused.output
