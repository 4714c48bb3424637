"""What is kept of a user's sign-ins beside the events: the last one, failures since then, and known places."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass

from steelyard.observe.events.bus import Bus

_NOTE, _PLACES = "signed in ", "signs in from "
#: a user has few places; the one known for longest goes first
_MOST_PLACES = 20


@dataclass(frozen=True)
class SignIns:
    """The last sign-in of a user: seconds since the epoch, None before the first; and the failures since then."""

    at: float | None = None
    address: str = ""
    failures: int = 0


class SignInNotes:
    """The notes on every user."""

    def __init__(self, events: Callable[[], Bus]) -> None:
        self._events = events
        # what was read or written before: notes are written some time later
        self._places: dict[str, list[str]] = {}
        self._known: dict[str, SignIns] = {}

    def of(self, user: str) -> SignIns:
        """What is known of a user's sign-ins."""
        if user not in self._known:
            kept = self._read(_NOTE + user)
            known = json.loads(kept) if kept else {}
            at = known.get("at")
            self._known[user] = SignIns(
                None if at is None else float(at), known.get("from", ""), int(known.get("failures", "0"))
            )
        return self._known[user]

    def failed(self, user: str) -> None:
        """One more failure."""
        before = self.of(user)
        self._write(user, SignIns(before.at, before.address, before.failures + 1))

    def signed_in(self, user: str, address: str, now: float) -> SignIns:
        """Keep this sign-in; returns what was known before."""
        before = self.of(user)
        self._write(user, SignIns(now, address))
        return before

    def knows(self, user: str, place: str) -> bool:
        """Whether the user has given the right password at that place before."""
        return place in self._places_of(user)

    def right_at(self, user: str, place: str) -> None:
        """The user gave the right password there."""
        places = self._places_of(user)
        if place in places:
            return
        places.append(place)
        del places[:-_MOST_PLACES]
        self._events().log.note({_PLACES + user: json.dumps(places)})

    def _places_of(self, user: str) -> list[str]:
        if user not in self._places:
            kept = self._read(_PLACES + user)
            self._places[user] = json.loads(kept) if kept else []
        return self._places[user]

    def _read(self, name: str) -> str | None:
        return self._events().log.notes(name).get(name)

    def _write(self, user: str, known: SignIns) -> None:
        self._known[user] = known
        kept = {"from": known.address, "failures": str(known.failures)}
        if known.at is not None:
            kept["at"] = str(known.at)
        self._events().log.note({_NOTE + user: json.dumps(kept)})
