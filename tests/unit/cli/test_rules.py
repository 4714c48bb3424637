"""`steelyard rule`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from tests.unit.cli.conftest import Program

Read = Callable[[], dict[str, Any]]


def test_a_rule_is_made_shown_changed_and_removed(steelyard: Program) -> None:
    said = steelyard.ok("rule", "add", "api", "match_type=prefix", "pattern=/api/?a=b")
    assert said.startswith("Content rule api made: revision")
    assert steelyard.json("rule", "show", "api")["pattern"] == "/api/?a=b"
    assert "/api/?a=b" in steelyard.ok("rule", "list") and "none" in steelyard.ok("rule", "list")
    assert "ignore_case" in steelyard.ok("rule", "set", "api", "ignore-case=yes", "--dry-run")
    steelyard.ok("rule", "set", "api", "ignore_case=yes")
    assert steelyard.json("rule", "show", "api")["ignore_case"] is True
    assert "match_type" in steelyard.ok("rule", "show", "api")
    steelyard.ok("rule", "remove", "api")
    assert steelyard.json("rule", "list") == []


def test_a_rule_is_attached_moved_and_detached(steelyard: Program, web: Read) -> None:
    for name in ("one", "two"):
        steelyard.ok("rule", "add", name, "pattern=^/x")
        steelyard.ok("rule", "attach", "web", name, "--list", "request")
        steelyard.ok("rule", "attach", "web", name, "--rs", "127.0.0.1:9001", "--position", "1")
    service = web()
    assert service["request_rules"] == ["one", "two"]
    assert [server["rules"] for server in service["servers"]] == [["two", "one"], []]
    steelyard.ok("rule", "attach", "web", "default", "--rs", "2")
    steelyard.ok("rule", "move", "web", "two", "1", "--list", "request")
    steelyard.ok("rule", "move", "web", "one", "1", "--rs", "1")
    steelyard.ok("rule", "detach", "web", "one", "--list", "request")
    service = web()
    assert service["request_rules"] == ["two"]
    assert [server["rules"] for server in service["servers"]] == [["one", "two"], ["default"]]
    refused = steelyard("rule", "remove", "two")
    assert (refused.exit_code, "in use" in refused.stderr, "web" in refused.stderr) == (1, True, True)
    steelyard.ok("rule", "remove", "two", "--detach")
    assert web()["request_rules"] == []


def test_a_slot_is_known_by_the_name_of_its_sub_service(steelyard: Program) -> None:
    steelyard.ok("vs", "add", "127.0.0.1:8089", "--name", "mail", "--type", "http")
    steelyard.ok("sub", "add", "mail", "--name", "owa")
    steelyard.ok("rule", "attach", "mail", "default", "--rs", "owa")
    assert [slot["rules"] for slot in steelyard.json("slot", "list", "mail")] == [["default"]]
    refused = steelyard("rule", "attach", "mail", "default", "--rs", "ews")
    assert refused.exit_code == 1 and "no sub-service 'ews'" in refused.stderr
    steelyard.ok("rule", "detach", "mail", "default", "--rs", "owa")


@pytest.mark.parametrize("options", [(), ("--list", "request", "--rs", "1"), ("--list", "requests")])
def test_a_place_is_a_list_or_a_member(steelyard: Program, web: Read, options: tuple[str, ...]) -> None:
    steelyard.ok("rule", "add", "one", "pattern=x")
    assert steelyard("rule", "attach", "web", "one", *options).exit_code == 2


def test_a_rule_is_tried_out(steelyard: Program) -> None:
    steelyard.ok("rule", "add", "shop", "header=Host", r"pattern=^shop\.", "only_on_flag=2")
    assert "flags keep" in steelyard.ok("rule", "test", "shop")
    assert steelyard.ok("rule", "test", "shop", "/", "-H", "Host: SHOP.example:80", "--flag", "2") == "It matches\n"
    assert steelyard.json("rule", "test", "shop", "/", "--flag", "2")["matches"] is False
    steelyard.ok("rule", "add", "old", "rule_type=4", "pattern=^/old/(.*)", r"replacement=/new/\1")
    assert steelyard.ok("rule", "test", "old", "/old/a?b") == "GET /new/a?b\n"
    assert steelyard.ok("rule", "test", "old", "/other") == "Nothing changes\n"
    assert steelyard("rule", "test", "old", "/", "-H", "x").exit_code == 2
