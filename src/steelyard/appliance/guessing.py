"""Guessing of passwords is slowed down: after too many failures nobody is let in for a while. Pure, the time is given.

Counted are a user together with an address, an address whatever the user, and a user whatever the address. The first
is what somebody meets who guesses from one place. The last allows more and never holds where the user has signed in
before, or anybody could lock the administrator out from elsewhere. The same wrong password once more tells a guesser
nothing new and is not counted again: a program with an outdated password does not lock its host.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache

#: LoadMaster lets its administrator try again after ten minutes (`reference/behaviour.md`, section 11)
LOCKED_SECONDS = 600.0
#: how much more an address or a user may fail than both together
_ADDRESS_FACTOR, _USER_FACTOR = 4, 10
_MOST_COUNTED = 10_000


@dataclass
class _Count:
    failures: int = 0
    last: float = 0.0
    #: digests of what was tried, of a user from one place alone
    tried: set[bytes] = field(default_factory=set)


class Guessing:
    """The failures of the last minutes. `at_home` says whether a user has signed in at a place before."""

    def __init__(self, at_home: Callable[[str, str], bool] = lambda user, place: False) -> None:
        self._counts: dict[tuple[str, str], _Count] = {}
        self._at_home = at_home

    def locked_for(self, user: str, address: str, now: float, most: int) -> float:
        """Seconds until that user may try from that address again; 0 when it may now. `most` failures are let pass."""
        if not self._counts:
            return 0.0
        place, left = place_of(address), 0.0
        for key, factor in _keys(user, place):
            count = self._counts.get(key)
            if count is None or count.failures < most * factor or count.last + LOCKED_SECONDS <= now:
                continue
            if key[1] or not self._at_home(user, place):
                left = max(left, count.last + LOCKED_SECONDS - now)
        return left

    def tried(self, user: str, address: str, guess: bytes) -> bool:
        """Whether that digest of a password was wrong here just before."""
        count = self._counts.get((user, place_of(address)))
        return count is not None and guess in count.tried

    def failed(self, user: str, address: str, now: float, most: int, guess: bytes = b"") -> bool:
        """Count a failure; True when from now on it is locked. `guess` is a digest of what was tried."""
        self._forget(now)
        place = place_of(address)
        for key, _ in _keys(user, place):
            count = self._counts.setdefault(key, _Count())
            count.failures += 1
            count.last = now
        if guess:
            self._counts[(user, place)].tried.add(guess)
        return self.locked_for(user, address, now, most) > 0

    def succeeded(self, user: str, address: str) -> None:
        """The password was right: this user's failures from there are forgotten."""
        if self._counts:
            self._counts.pop((user, place_of(address)), None)

    def _forget(self, now: float) -> None:
        old = [key for key, count in self._counts.items() if now - count.last > LOCKED_SECONDS]
        for key in old:
            del self._counts[key]
        while len(self._counts) > _MOST_COUNTED:
            del self._counts[min(self._counts, key=lambda key: self._counts[key].last)]


def _keys(user: str, place: str) -> tuple[tuple[tuple[str, str], int], ...]:
    return (((user, place), 1), (("", place), _ADDRESS_FACTOR), ((user, ""), _USER_FACTOR))


@lru_cache(maxsize=1024)
def place_of(address: str) -> str:
    """Where somebody is: with IPv6 everybody has a whole /64 to come from (RFC 4291, section 2.5.1).

    A listener for both families names IPv4 clients ::ffff:192.0.2.1, which all are in one /64.
    """
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv4Address):
        return address
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(ipaddress.ip_network((parsed, 64), strict=False))
