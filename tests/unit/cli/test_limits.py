"""`steelyard limit`."""

from __future__ import annotations

from tests.unit.cli.conftest import Program


def test_limits_are_set_shown_and_removed(steelyard: Program) -> None:
    steelyard.ok("parameters", "set", "limits", "client_connections=50")
    assert "set" in steelyard.ok("limit", "set", "requests-per-second", "10.0.0.0/8", "5")
    assert "10.0.0.0/8" in steelyard.ok("limit", "list")
    steelyard.ok("limit", "add-rule", "search", "pattern=^/search", "limit=5")
    steelyard.ok("limit", "add-rule", "bots", "pattern=bot", "limit=1", "match=2")
    steelyard.ok("limit", "move-rule", "bots", "1")
    steelyard.ok("limit", "change-rule", "bots", "limit=2")
    shown = steelyard.json("limit", "list")
    assert [(rule["name"], rule["limit"]) for rule in shown["rules"]] == [("bots", 2), ("search", 5)]
    steelyard.ok("limit", "remove-rule", "bots")
    steelyard.ok("limit", "remove", "requests_per_second", "10.0.0.0/8")
    assert steelyard.json("limit", "list")["clients"]["requests_per_second"] == []


def test_what_is_wrong_is_said(steelyard: Program) -> None:
    found = steelyard("limit", "set", "connections", "10.0.0.1/8", "5")
    assert found.exit_code == 1
    assert "10.0.0.0/8" in found.output
