"""The one door of passwords: the web interface and both APIs ask here, so that they share one lock against guessing.

A password that was right once is known by its digest, so an ordinary request costs a few look-ups. Others are hashed,
one at a time of each place: who sends a thousand guesses at once gets no more of them checked than one after another.
"""

from __future__ import annotations

import asyncio
import hmac
import logging
import secrets
import time
from collections.abc import Callable
from typing import Literal, Protocol

from steelyard.appliance.guessing import Guessing, place_of
from steelyard.appliance.sign_in_notes import SignInNotes
from steelyard.model.configuration import Configuration
from steelyard.model.errors import SteelyardError
from steelyard.model.severity import Severity
from steelyard.model.user import User
from steelyard.observe.events.bus import Bus
from steelyard.observe.events.event import Event, one_line

log = logging.getLogger("steelyard.access")

Door = Literal["web interface", "native API", "LoadMaster API"]

_LONGEST_NAME, _LONGEST_PASSWORD = 64, 1024


class LockedOut(SteelyardError):
    """Too many wrong passwords; `seconds` until this user may try again from this address."""

    kind = "locked_out"

    def __init__(self, seconds: float) -> None:
        self.seconds = max(1, round(seconds))
        super().__init__(
            f"Too many wrong passwords. Nobody is let in as this user from your address for {self.seconds} seconds"
        )


class Checks(Protocol):
    """How a password is compared."""

    def remembers(self, user: User, password: str) -> bool:
        """Whether it is known without hashing to be the user's password now."""
        ...

    def verify(self, user: User, password: str) -> bool:
        """Whether it is the user's password now."""
        ...

    def waste(self) -> None:
        """As much work as `verify`, so that the time tells nobody which names there are."""
        ...


class Admission:
    """Whether a user and a password are let in."""

    def __init__(self, configuration: Callable[[], Configuration], checks: Checks, events: Callable[[], Bus]) -> None:
        self._configuration = configuration
        self._checks = checks
        self._events = events
        self.notes = SignInNotes(events)
        self._guessing = Guessing(self.notes.knows)
        self._secret = secrets.token_bytes(32)
        self._turns: dict[str, _Turn] = {}

    async def admit(self, name: str, password: str, address: str, door: Door) -> User | None:
        """The user of that name and password, None when they are wrong. Raises `LockedOut`, for right ones too."""
        # a name that cannot be one is counted for its address alone
        known_as = name if 0 < len(name) <= _LONGEST_NAME and name.isprintable() else "?"
        self._refuse_locked(known_as, address, door)
        user = self._configuration().users.get(name)
        if user is not None and self._checks.remembers(user, password):
            self._let_in(user, address)
            return user
        async with self._turn(place_of(address)):
            self._refuse_locked(known_as, address, door)
            guess = self._digest(name, password, user)
            if self._guessing.tried(known_as, address, guess):
                log.warning("%s: %r from %s refused: the same wrong password again", door, known_as, address)
                return None
            if await asyncio.to_thread(self._is_right, user, password) and user is not None:
                self._let_in(user, address)
                return user
            self._count(known_as, user, address, door, guess)
            return None

    async def has(self, user: User, password: str) -> bool:
        """Whether that is the password of somebody who has been let in; nothing is counted."""
        return await asyncio.to_thread(self._is_right, user, password)

    def _is_right(self, user: User | None, password: str) -> bool:
        if user is None or len(password) > _LONGEST_PASSWORD:
            self._checks.waste()
            return False
        return self._checks.verify(user, password)

    def _digest(self, name: str, password: str, user: User | None) -> bytes:
        """Of a guess: another one after the password was changed, which may have made it right."""
        text = f"{name}\0{'' if user is None else user.password_hash}\0{password}"
        return hmac.digest(self._secret, text.encode("utf-8", "surrogatepass"), "sha256")

    def _refuse_locked(self, name: str, address: str, door: Door) -> None:
        left = self._guessing.locked_for(name, address, time.time(), self._most)
        if left:
            log.warning("%s: %r from %s refused: locked for %d s more", door, name, address, left)
            raise LockedOut(left)

    @property
    def _most(self) -> int:
        return self._configuration().administration.failed_sign_ins

    def _let_in(self, user: User, address: str) -> None:
        self._guessing.succeeded(user.name, address)
        self.notes.right_at(user.name, place_of(address))

    def _count(self, name: str, user: User | None, address: str, door: Door, guess: bytes) -> None:
        """A wrong password. Raises `LockedOut` when it was once too often."""
        now = time.time()
        log.warning("%s: %r from %s refused: user or password is wrong", door, name, address)
        if user is not None:
            self.notes.failed(user.name)
        if not self._guessing.failed(name, address, now, self._most, guess):
            return
        left = self._guessing.locked_for(name, address, now, self._most)
        text = f"Too many wrong passwords for user {name} from {address} at the {door}; locked for {left:.0f} seconds"
        log.warning("%s", text)
        self._events().publish(Event("sign_in_locked", Severity.WARN, one_line(text), now, about=address))
        raise LockedOut(left)

    def _turn(self, place: str) -> _Turn:
        return self._turns.setdefault(place, _Turn(place, self._turns))


class _Turn:
    """A lock that is gone when nobody has it or waits for it."""

    def __init__(self, place: str, turns: dict[str, _Turn]) -> None:
        self._place, self._turns = place, turns
        self._lock, self._users = asyncio.Lock(), 0

    async def __aenter__(self) -> None:
        self._users += 1
        try:
            await self._lock.acquire()
        except BaseException:
            self._leave()
            raise

    async def __aexit__(self, *_: object) -> None:
        self._lock.release()
        self._leave()

    def _leave(self) -> None:
        self._users -= 1
        if not self._users:
            del self._turns[self._place]
