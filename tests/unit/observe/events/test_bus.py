"""The bus with its channels: a subscriber that hangs or fails delays nobody, and what it missed comes later."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from tests.support.receivers import wait_for
from tests.unit.observe.events.making import event

import steelyard.observe.events.gathering as gathering_module
from steelyard.model.severity import Severity
from steelyard.observe.events.bus import Bus, Subscriber
from steelyard.observe.events.channel import Route, Undelivered
from steelyard.observe.events.event import Event
from steelyard.observe.events.gathering import Batch, Pace
from steelyard.observe.events.log import EventLog, Query


@dataclass
class Receiver:
    """A sender that keeps what it gets, or fails, or hangs."""

    got: list[str] = field(default_factory=list)
    batches: int = 0
    fails: bool = False
    hangs: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.hangs.set()

    def deliver(self, batch: Batch) -> None:
        self.hangs.wait(20)
        if self.fails:
            raise Undelivered("it does not answer")
        self.batches += 1
        self.got += [one.text for one in batch.events]

    def close(self) -> None:
        pass

    def subscribed(
        self,
        key: str,
        level: Severity = Severity.INFO,
        *,
        damped: bool = False,
        pace: Pace | None = None,
        as_: object = 0,
    ) -> Subscriber:
        return Subscriber(Route(key, level, damped, pace or Pace()), as_, lambda: self)


Open = Callable[[], Bus]


@pytest.fixture
def opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Open]:
    monkeypatch.setattr(gathering_module, "FIRST_RETRY", 0.02)
    buses: list[Bus] = []

    def make() -> Bus:
        buses.append(Bus(EventLog(tmp_path / "events.db")))
        return buses[-1]

    yield make
    for bus in buses:
        bus.close()


def has(receiver: Receiver, *texts: str) -> None:
    wait_for(lambda: receiver.got == list(texts), f"{texts}, got {receiver.got}")


def test_each_subscriber_is_told_of_its_level_and_graver_ones(opened: Open) -> None:
    bus, all_, critical = opened(), Receiver(), Receiver()
    bus.subscribe([all_.subscribed("all", damped=True), critical.subscribed("critical", Severity.CRITICAL)])
    bus.publish(event("down"))
    bus.publish(event("service down", severity=Severity.CRITICAL))
    bus.publish(event("flap", severity=Severity.CRITICAL, damped=True))
    bus.publish(event("up", severity=Severity.WARN, ends=Severity.CRITICAL))
    bus.publish(event("test", kind="test", severity=Severity.INFO))
    has(all_, "down", "service down", "flap", "up", "test")
    has(critical, "service down", "up", "test")


def test_one_that_hangs_delays_nobody(opened: Open) -> None:
    bus, stuck, well = opened(), Receiver(), Receiver()
    stuck.hangs.clear()
    bus.subscribe([stuck.subscribed("stuck"), well.subscribed("well")])
    began = time.monotonic()
    for number in range(1000):
        bus.publish(event(str(number)))
    assert time.monotonic() - began < 1.0
    wait_for(lambda: len(well.got) == 1000, "all told")
    stuck.hangs.set()
    wait_for(lambda: len(stuck.got) == 1000, "told late")
    assert stuck.got == well.got


def test_one_that_fails_is_tried_again_and_both_failing_and_working_are_events(opened: Open) -> None:
    bus, broken, other = opened(), Receiver(fails=True), Receiver()
    bus.subscribe([broken.subscribed("broken"), other.subscribed("other")])
    bus.publish(event("one"))
    has(other, "one", "Notification broken fails: it does not answer")
    (state,) = [one for one in bus.states() if one.key == "broken"]
    assert state.state == "failing" and state.error == "it does not answer" and state.waiting == 1
    broken.fails = False
    has(broken, "one")
    has(other, "one", "Notification broken fails: it does not answer", "Notification broken works again")
    wait_for(lambda: next(one for one in bus.states() if one.key == "broken").state == "working", "works")


def test_a_storm_is_few_messages_and_what_was_lost_is_counted_and_told(opened: Open) -> None:
    bus, mail, small = opened(), Receiver(), Receiver()
    small.hangs.clear()
    mail_pace = Pace(wait=0.2, pause=60, at_once=20_000, kept=20_000)
    small_pace = Pace(kept=100, at_once=100)
    bus.subscribe([mail.subscribed("mail", pace=mail_pace), small.subscribed("small", pace=small_pace)])
    bus.publish(event("first"))
    time.sleep(0.05)
    for number in range(1000):
        bus.publish(event(str(number)))
    wait_for(lambda: len(mail.got) == 1001, "the mail")
    assert mail.batches == 1
    small.hangs.set()
    wait_for(lambda: "999" in small.got, "the newest")
    assert small.got[0] == "first" and len([text for text in small.got if text.isdecimal()]) == 100
    lost = wait_for(lambda: bus.log.find(Query(kinds=("notification_lost",))), "what was lost is told")
    assert "small: 900 events were lost" in lost[0].text
    assert next(one for one in bus.states() if one.key == "small").lost == 900


def test_what_a_subscriber_was_not_told_comes_after_a_restart_and_once(opened: Open) -> None:
    bus, receiver = opened(), Receiver()
    bus.publish(event("before it was there"))
    bus.subscribe([receiver.subscribed("one")])
    bus.publish(event("first"))
    has(receiver, "first")
    receiver.fails = True
    bus.publish(event("second"))
    bus.close()
    receiver.fails = False
    bus = opened()
    bus.subscribe([receiver.subscribed("one"), Receiver().subscribed("two")])
    bus.publish(event("third"))
    has(receiver, "first", "second", "third")


def test_new_settings_take_over_what_waits(opened: Open) -> None:
    bus, wrong, right = opened(), Receiver(fails=True), Receiver()
    bus.subscribe([wrong.subscribed("mail", as_="wrong password")])
    bus.publish(event("one"))
    wait_for(lambda: bus.states()[0].error, "it fails")
    bus.subscribe([right.subscribed("mail", as_="right password")])
    wait_for(lambda: right.got, "the mail")
    assert right.got[0] == "one" and wrong.got == []
    bus.subscribe([])
    bus.publish(event("two"))
    bus.log.flush()
    assert bus.states() == [] and "two" not in right.got


def test_listeners_hear_at_once_until_they_end(opened: Open) -> None:
    bus = opened()
    heard: list[Event | None] = []
    end = bus.listen(heard.append)
    published = bus.publish(event("one"))
    assert heard == [published] and bus.listeners == 1
    bus.hang_up()
    assert heard[-1] is None
    end()
    bus.publish(event("two"))
    assert len(heard) == 2 and bus.listeners == 0
