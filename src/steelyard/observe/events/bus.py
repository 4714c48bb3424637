"""The one way of an event: into the log, and from there to every subscriber and to whoever listens live.

`publish` may be called in any thread and never waits for a disk or a subscriber.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from steelyard.observe.events.channel import Channel, ChannelState, Route, Sender
from steelyard.observe.events.event import Event
from steelyard.observe.events.log import EventLog, Query

#: called with None when there is nothing more to come
Listener = Callable[[Event | None], None]

#: seconds in all that subscribers get to be told the rest when the process ends
_LAST_SECONDS = 2.0
#: how far back a subscriber is told what it missed while the process was away
_MOST_MISSED = 5000


@dataclass(frozen=True)
class Subscriber:
    """A subscriber as it should be. `settings` tells when it has to be made anew; `make` makes what sends to it."""

    route: Route
    settings: object
    make: Callable[[], Sender]


class Bus:
    """The log, the subscribers and the listeners of one appliance."""

    def __init__(self, log: EventLog) -> None:
        self.log = log
        self._lock = threading.RLock()
        self._channels: dict[str, tuple[Channel, object]] = {}
        self._listeners: set[Listener] = set()
        self._begun = False

    def publish(self, event: Event, notes: Mapping[str, str | None] | None = None) -> Event:
        """Take an event; returns it with its number. Notes are kept with it."""
        with self._lock:
            numbered = self.log.take(event, notes)
            for channel, _ in self._channels.values():
                channel.offer((numbered,), hurry=numbered.kind == "test")
            for listener in tuple(self._listeners):
                listener(numbered)
        return numbered

    def listen(self, listener: Listener) -> Callable[[], None]:
        """Have `listener` called with every event, in whatever thread it comes from; the returned function ends it."""
        with self._lock:
            self._listeners.add(listener)

        def end() -> None:
            with self._lock:
                self._listeners.discard(listener)

        return end

    @property
    def listeners(self) -> int:
        """How many listen live."""
        return len(self._listeners)

    def hang_up(self) -> None:
        """End what listens live: the process is about to end."""
        with self._lock:
            for listener in tuple(self._listeners):
                listener(None)

    def subscribe(self, wanted: Sequence[Subscriber]) -> None:
        """Have exactly these subscribers. One whose settings changed gets what the old one was not told."""
        with self._lock:
            old, self._channels = self._channels, {}
            for one in wanted:
                key = one.route.key
                settings = (one.route, one.settings)
                before = old.pop(key, None)
                if before is not None and before[1] == settings:
                    self._channels[key] = before
                    continue
                left = before[0].close() if before is not None else self._missed(key)
                channel = Channel(one.route, one.make(), self._report, self._arrived)
                channel.offer(left)
                self._channels[key] = (channel, settings)
            for key, (channel, _) in old.items():
                channel.close()
                self.log.note({_place(key): None})
            self._begun = True

    def states(self) -> Sequence[ChannelState]:
        """How the subscribers are, by name."""
        with self._lock:
            return [channel.state() for _, (channel, _) in sorted(self._channels.items())]

    def close(self) -> None:
        """End; subscribers get a moment to be told the rest."""
        with self._lock:
            channels = [channel for channel, _ in self._channels.values()]
        enders = [threading.Thread(target=channel.finish, args=(_LAST_SECONDS,), daemon=True) for channel in channels]
        for ender in enders:
            ender.start()
        for ender in enders:
            ender.join(_LAST_SECONDS + 1)
        self.log.close()

    def _missed(self, key: str) -> Sequence[Event]:
        """What a subscriber of an earlier process was not told. One that is new hears what comes from now on."""
        if self._begun:
            self.log.note({_place(key): str(self.log.number)})
            return ()
        told = self.log.notes(_place(key)).get(_place(key))
        if told is None:
            self.log.note({_place(key): str(self.log.number)})
            return ()
        return self.log.find(Query(limit=_MOST_MISSED, after=int(told)))

    def _arrived(self, key: str, number: int) -> None:
        self.log.note({_place(key): str(number)})

    def _report(self, event: Event) -> None:
        self.publish(event)


def _place(key: str) -> str:
    return f"told {key}"
