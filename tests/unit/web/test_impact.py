"""What a review says of the people who are connected: in words, and in the numbers of the moment."""

from __future__ import annotations

from typing import Any

import pytest

from steelyard.appliance.contract import ObjectDifference, Preview
from steelyard.appliance.differences import differences
from steelyard.model.commands import (
    AddServer,
    AddService,
    ChangeServer,
    ChangeService,
    Command,
    RemoveServer,
    RemoveService,
    SetParameters,
)
from steelyard.model.configuration import Configuration
from steelyard.observe.statistics import Statistics, TrafficCounters
from steelyard.web.impact import effects
from steelyard.web.readable import Line, readable


def configuration() -> Configuration:
    found = Configuration()
    for command in (
        AddService({"address": "192.0.2.1", "port": 80, "name": "shop", "service_type": "http", "persistence": "src"}),
        AddServer(1, {"address": "10.0.0.1", "port": 80}),
        AddService({"address": "192.0.2.2", "port": 80, "name": "api"}),
    ):
        found = command.apply(found).configuration
    return found


def told(command: Command, *, reload: bool = False, operations: int = 1, **counters: int) -> list[tuple[str, str]]:
    before = configuration()
    after = command.apply(before).configuration
    found = differences(before, after)
    commands = tuple(f"command {number}" for number in range(operations))
    preview = Preview(
        1, after, 1, found, () if reload else commands, reload, ("it listens differently",) if reload else ()
    )
    of = TrafficCounters(**counters)
    statistics = Statistics(at=1.0, period=1.0, services={1: of}, servers={(1, 1): of})
    return [(one.weight, one.text) for one in effects(before, preview, statistics)]


@pytest.mark.parametrize(
    ("command", "counters", "weight", "text"),
    [
        (
            ChangeService(1, {"persistence": "super-src"}),
            {"persistence_entries": 412},
            "notice",
            "412 clients with a record are placed anew",
        ),
        (
            ChangeService(1, {"persistence": "super-src"}),
            {"persistence_entries": 1},
            "notice",
            "1 client with a record is placed anew",
        ),
        (ChangeService(1, {"persistence": "none"}), {}, "calm", "Nobody has a persistence record now"),
        (
            ChangeService(1, {"enabled": False}),
            {"active_connections": 7},
            "loss",
            "takes no new connections; 7 open connections go on until they end",
        ),
        (ChangeService(1, {"enabled": False}), {}, "loss", "nobody is connected now"),
        (
            ChangeService(1, {"port": 81}),
            {"active_connections": 1},
            "notice",
            "Clients have to come to 192.0.2.1 port 81 from now on; 1 open connection goes on until it ends",
        ),
        (ChangeService(1, {"ssl_acceleration": True}), {}, "notice", "New clients have to speak TLS"),
        (
            RemoveService(1),
            {"active_connections": 7, "persistence_entries": 3},
            "loss",
            "7 open connections go on until they end; 3 persistence records forgotten",
        ),
        (RemoveServer(1, 1), {"active_connections": 38}, "loss", "10.0.0.1:80 leaves: 38 open connections end"),
        (RemoveServer(1, 1), {}, "notice", "10.0.0.1:80 leaves: it has no connection now"),
        (
            ChangeServer(1, 1, {"enabled": False}),
            {"active_connections": 2},
            "notice",
            "10.0.0.1:80 drains: clients it knows may come for",
        ),
        (ChangeServer(1, 1, {"address": "10.0.0.9"}), {}, "notice", "New clients of 10.0.0.1:80 go to 10.0.0.9:80"),
        (
            AddServer(1, {"address": "10.0.0.2", "port": 80}),
            {},
            "calm",
            "10.0.0.2:80 gets clients as soon as its first check is good",
        ),
    ],
)
def test_who_notices_is_said_in_numbers(command: Command, counters: dict[str, int], weight: str, text: str) -> None:
    found = told(command, **counters)
    assert any(one == weight and text in words for one, words in found), found


def test_a_reload_and_what_needs_none_are_told_apart() -> None:
    change = ChangeService(1, {"idle_time": 5})
    assert told(change, reload=True, active_connections=12)[0][1] == (
        "HAProxy is reloaded once, without losing a connection; 12 open connections of all services stay open"
    )
    assert told(change, operations=2)[0][1] == "Nothing is reloaded: 2 commands to the running HAProxy"
    assert told(change, operations=0)[0][1] == "Nothing changes in HAProxy"
    assert told(ChangeService(1, {"idle_time": 660}), operations=0) == []


def test_other_services_are_said_to_be_left_alone() -> None:
    assert told(ChangeService(1, {"idle_time": 5}))[-2:] == [
        ("calm", "Nobody who is connected notices"),
        ("calm", "No other service is touched (1 of them)"),
    ]


def lines(command: Command, before: Configuration | None = None) -> tuple[Line, ...]:
    start = before or configuration()
    (found,) = differences(start, command.apply(start).configuration)
    return readable(found).lines


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"idle_time": 1800}, Line("Idle Connection Timeout", "660 s", "1800 s")),
        ({"schedule": "lc"}, Line("Scheduling Method", "round robin", "least connection")),
        ({"cache": True}, Line("Enable Caching", "off", "on")),
        ({"ssl_rewrite": "https"}, Line("Rewrite Redirects", "none", "https")),
        ({"extra_ports": ("81",)}, Line("Extra Ports", "(none)", "81")),
    ],
)
def test_a_difference_has_labels_and_meanings(changes: dict[str, Any], line: Line) -> None:
    assert line in lines(ChangeService(1, changes))


def test_members_and_parameters_are_named() -> None:
    assert lines(ChangeServer(1, 1, {"weight": 5})) == (Line("10.0.0.1:80: Weight", "1000", "5"),)
    assert lines(AddServer(1, {"address": "10.0.0.2", "port": 80}))[0].text == "real server 2 10.0.0.2:80: added"
    found = lines(SetParameters("checks", {"interval": 30}))
    assert found == (Line("Check Interval", "9 s", "30 s"),)


def test_what_has_no_label_is_shown_as_it_is() -> None:
    strange = ObjectDifference("nonsense", "1", "a thing", "change", ("field: old -> new", "no setting at all"))
    assert [line.text for line in readable(strange).lines] == ["field: old -> new", "no setting at all"]
