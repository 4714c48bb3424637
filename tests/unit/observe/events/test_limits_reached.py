"""Limits that are reached are told once, and once when they are not any more."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from tests.unit.observe.events.making import AT

from steelyard.model.commands import AddService, CreateSubService, SetParameters
from steelyard.model.configuration import Configuration
from steelyard.model.severity import Severity
from steelyard.observe.events.event import Event
from steelyard.observe.events.limits_reached import QUIET_SECONDS, LimitsReached
from steelyard.observe.statistics import Statistics, TrafficCounters


def configuration(**settings: Any) -> Configuration:
    servers = [{"address": "10.0.0.1", "port": 80, "limit": 5}, {"address": "10.0.0.2", "port": 80}]
    data = {"address": "192.0.2.1", "port": 80, "name": "shop", "max_connections": 100, "servers": servers}
    return AddService(data | settings).apply(Configuration()).configuration


def sample(at: float, *, active: dict[int, int] | None = None, **counters: int) -> Statistics:
    servers = {(1, index): TrafficCounters(active_connections=most) for index, most in (active or {}).items()}
    return Statistics(AT + at, 5.0, {1: TrafficCounters(**counters)}, servers)


def look(watch: LimitsReached, of: Configuration, taken: Statistics) -> list[Event]:
    return [one.event for one in watch.look(of, taken) if one.event is not None]


def test_a_limit_of_a_service_is_told_once_and_when_it_is_over_with_how_many_it_refused() -> None:
    watch, shop = LimitsReached({}, AT), configuration()
    assert look(watch, shop, sample(0, connections_blocked=7)) == [], "refused before anybody looked"
    (reached,) = look(watch, shop, sample(5, connections_blocked=9))
    assert reached.kind == "limit_reached" and reached.severity == Severity.WARN
    assert (reached.service, reached.server) == (1, 0)
    assert reached.text == (
        "VS shop (tcp/192.0.2.1:80): its limit of 100 connections at a time is reached, connections are refused"
    )
    assert look(watch, shop, sample(10, connections_blocked=20)) == [], "it goes on"
    assert look(watch, shop, sample(9 + QUIET_SECONDS, connections_blocked=20)) == []
    (over,) = look(watch, shop, sample(10 + QUIET_SECONDS, connections_blocked=20))
    assert over.kind == "limit_over" and over.reach == Severity.WARN
    assert over.text.endswith("its limit of connections at a time was not reached for 60 seconds; 13 were refused")
    (again,) = look(watch, shop, sample(20 + QUIET_SECONDS, connections_blocked=21))
    assert again.kind == "limit_reached"


def test_each_kind_of_limit_is_told_by_itself_and_the_one_of_everything_is_named() -> None:
    of_all = SetParameters("limits", {"max_connections": 1000, "requests_per_second": 50})
    watch, shop = LimitsReached({}, AT), of_all.apply(configuration()).configuration
    look(watch, shop, sample(0))
    found = look(watch, shop, sample(5, connections_blocked=1, request_rate_blocked=1))
    assert [one.text.partition("): ")[2] for one in found] == [
        "its limit of 100 connections at a time or the limit of 1000 connections at a time of everything together is"
        " reached, connections are refused",
        "the limit of 50 requests a second of everything together is reached, requests are refused",
    ]


def test_a_real_server_with_as_many_connections_as_it_may_have_is_told() -> None:
    watch, shop = LimitsReached({}, AT), configuration()
    assert look(watch, shop, sample(0, active={1: 4, 2: 4000})) == []
    (full,) = look(watch, shop, sample(5, active={1: 5}))
    assert (full.service, full.server) == (1, 1)
    assert full.text.endswith("RS 10.0.0.1:80 has reached its limit of 5 connections at a time")
    assert look(watch, shop, sample(10, active={1: 5})) == []
    (over,) = look(watch, shop, sample(10 + QUIET_SECONDS, active={1: 1}))
    assert over.server == 1 and "its limit of connections at a time was not reached for 60 seconds" in over.text


def test_a_slot_is_called_as_its_sub_service() -> None:
    parent = AddService({"address": "192.0.2.1", "port": 80}).apply(Configuration()).configuration
    made = CreateSubService(1, {"name": "blog"}).apply(parent).configuration
    slot = made.services[1].slots[0]
    changed = made.services[1].model_copy(update={"slots": (slot.model_copy(update={"limit": 3}),)})
    family = replace(made, services={**made.services, 1: changed})
    (full,) = look(LimitsReached({}, AT), family, sample(0, active={slot.index: 3}))
    assert full.server == slot.index and "SubVS blog has reached its limit of 3" in full.text


def test_a_run_goes_on_with_what_an_earlier_one_told_and_forgets_what_is_gone() -> None:
    shop = configuration()
    first = LimitsReached({}, AT)
    notes = {name for one in first.look(shop, sample(0, active={1: 5})) for name in one.notes}
    assert len(notes) == 1
    second = LimitsReached(dict.fromkeys(notes, "reached"), AT)
    assert look(second, shop, sample(5, active={1: 5})) == []
    (over,) = look(second, shop, sample(5 + QUIET_SECONDS))
    assert over.kind == "limit_over"

    third = LimitsReached(dict.fromkeys(notes, "reached"), AT)
    (gone,) = third.look(Configuration(), sample(5))
    assert gone.event is None and gone.notes == dict.fromkeys(notes)
