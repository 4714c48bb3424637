"""One subscriber: a queue, and a thread that empties it. A subscriber that hangs delays nobody but itself.

What could not be delivered is tried again, later and later, until it is delivered or too much has come after it.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from steelyard.model.severity import Severity
from steelyard.observe.events.event import Event
from steelyard.observe.events.gathering import Batch, Gathering, Pace

log = logging.getLogger("steelyard.events")

#: failures after which a subscriber counts as failing, and that is an event itself
FAILING_FROM = 2

Report = Callable[[Event], None]


class Undelivered(Exception):
    """A batch did not arrive whole: the first `done` events did. Its text says why, for people."""

    def __init__(self, why: str, done: int = 0) -> None:
        super().__init__(why)
        self.done = done


class Sender(Protocol):
    """Takes batches to one subscriber. Called in one thread."""

    def deliver(self, batch: Batch) -> None:
        """Deliver; returns when the subscriber has it. Raises `Undelivered`."""
        ...

    def close(self) -> None:
        """End connections."""
        ...


@dataclass(frozen=True)
class Route:
    """Which events go to a subscriber, and how fast. `key` names it; `damped` says that damped ones go there too."""

    key: str
    level: Severity
    damped: bool = False
    pace: Pace = field(default_factory=Pace)

    def takes(self, event: Event) -> bool:
        """Whether this event goes there. One about the subscriber itself does not: it would feed itself."""
        if event.kind.startswith("notification") and event.about == self.key:
            return False
        if event.kind == "test":
            return True
        return event.reach <= self.level and (self.damped or not event.damped)


@dataclass(frozen=True)
class ChannelState:
    """How a subscriber is. Times in seconds since the epoch."""

    key: str
    level: Severity
    state: Literal["working", "failing", "idle"]
    delivered: int
    waiting: int
    lost: int
    error: str
    last_delivered: float | None


class Channel:
    """A route with its sender. `offer` may be called from any thread and never waits."""

    def __init__(self, route: Route, sender: Sender, report: Report, arrived: Callable[[str, int], None]) -> None:
        self.route = route
        self._sender = sender
        self._report = report
        self._arrived = arrived
        self._gathering = Gathering(route.pace)
        self._changed = threading.Condition()
        self._closing = False
        self._delivered = 0
        self._error = ""
        self._failing = False
        self._told_lost = 0
        self._last: float | None = None
        self._thread = threading.Thread(target=self._run, name=f"events {route.key}", daemon=True)
        self._thread.start()

    def offer(self, events: Iterable[Event], *, hurry: bool = False) -> None:
        """Take those that are for this subscriber."""
        wanted = [event for event in events if self.route.takes(event)]
        if wanted:
            with self._changed:
                self._gathering.put(wanted, time.monotonic())
                if hurry:
                    self._gathering.hurry()
                self._changed.notify()

    def state(self) -> ChannelState:
        """How it is."""
        with self._changed:
            working = "working" if self._last is not None else "idle"
            return ChannelState(
                self.route.key,
                self.route.level,
                "failing" if self._error else working,  # type: ignore[arg-type]
                self._delivered,
                len(self._gathering),
                self._gathering.lost,
                self._error,
                self._last,
            )

    def close(self) -> Sequence[Event]:
        """End soon; what waits is handed back. What is under way is finished or lost with the process."""
        with self._changed:
            self._closing = True
            left = self._gathering.left()
            self._changed.notify()
        return left

    def finish(self, seconds: float) -> None:
        """Give it that long to deliver what waits, and end it."""
        deadline = time.monotonic() + seconds
        with self._changed:
            self._gathering.hurry()
            self._changed.notify()
            while len(self._gathering) and not self._error and time.monotonic() < deadline:
                self._changed.wait(deadline - time.monotonic())
        self.close()
        self._thread.join(max(0.0, deadline - time.monotonic()))

    def _run(self) -> None:
        while True:
            batch = self._next()
            if batch is None:
                break
            try:
                self._sender.deliver(batch)
            except Undelivered as failure:
                self._failed(batch, str(failure), failure.done)
            except Exception as failure:
                log.exception("Telling %s failed in itself", self.route.key)
                self._failed(batch, f"a fault in Steelyard: {failure!r}", 0)
            else:
                self._done(batch)
        self._sender.close()

    def _next(self) -> Batch | None:
        with self._changed:
            while not self._closing:
                due = self._gathering.due()
                now = time.monotonic()
                if due is not None and due <= now:
                    return self._gathering.take()
                self._changed.wait(None if due is None else due - now)
        return None

    def _done(self, batch: Batch) -> None:
        with self._changed:
            if self._closing:
                # handed back, and told by whoever came after this
                return
            self._gathering.delivered(batch, time.monotonic())
            self._delivered += len(batch.events)
            self._last = time.time()
            self._error = ""
            was_failing, self._failing = self._failing, False
            self._changed.notify()
        self._arrived(self.route.key, batch.events[-1].number)
        if was_failing:
            text = f"Notification {self.route.key} works again"
            self._tell("notification_working", Severity.NOTICE, text, Severity.ERROR)
        if batch.lost:
            text = f"Notification {self.route.key}: {batch.lost} events were lost while it did not work"
            self._tell("notification_lost", Severity.ERROR, text)

    def _failed(self, batch: Batch, why: str, done: int) -> None:
        with self._changed:
            if self._closing:
                return
            self._delivered += done
            delay = self._gathering.failed(done, time.monotonic())
            self._error = why
            fresh = not self._failing and self._gathering.failures >= FAILING_FROM
            self._failing = self._failing or fresh
            self._changed.notify()
        if done:
            self._arrived(self.route.key, batch.events[done - 1].number)
        level = logging.WARNING if self._gathering.failures == 1 else logging.INFO
        log.log(level, "%s was not told: %s; trying again in %.0f s", self.route.key, why, delay)
        if fresh:
            self._tell("notification_failing", Severity.ERROR, f"Notification {self.route.key} fails: {why}")

    def _tell(self, kind: str, severity: Severity, text: str, ends: Severity | None = None) -> None:
        self._report(Event(kind, severity, text, time.time(), about=self.route.key, ends=ends))  # type: ignore[arg-type]
