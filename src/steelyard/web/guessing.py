"""Guessing of passwords is slowed down: after too many failures nobody is let in for a while. Pure, the time is given.

Counted are a user together with an address, an address whatever the user, and a user whatever the address. The first
is what somebody meets who guesses from one place; the last allows more, or anybody could lock the administrator out.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass

#: LoadMaster lets its administrator try again after ten minutes (`reference/behaviour.md`, section 11)
LOCKED_SECONDS = 600.0
#: how much more an address or a user may fail than both together
_ADDRESS_FACTOR, _USER_FACTOR = 4, 10
_MOST_COUNTED = 10_000


@dataclass
class _Count:
    failures: int = 0
    last: float = 0.0


class Guessing:
    """The failures of the last minutes."""

    def __init__(self) -> None:
        self._counts: dict[tuple[str, str], _Count] = {}

    def locked_for(self, user: str, address: str, now: float, most: int) -> float:
        """Seconds until that user may try from that address again; 0 when it may now. `most` failures are let pass."""
        left = 0.0
        for key, factor in _keys(user, address):
            count = self._counts.get(key)
            if count is not None and count.failures >= most * factor:
                left = max(left, count.last + LOCKED_SECONDS - now)
        return max(left, 0.0)

    def failed(self, user: str, address: str, now: float, most: int) -> bool:
        """Count a failure; True when from now on it is locked."""
        self._forget(now)
        for key, _ in _keys(user, address):
            count = self._counts.setdefault(key, _Count())
            count.failures += 1
            count.last = now
        return self.locked_for(user, address, now, most) > 0

    def succeeded(self, user: str, address: str) -> None:
        """The password was right: this user's failures from there are forgotten."""
        self._counts.pop((user, _place(address)), None)

    def _forget(self, now: float) -> None:
        old = [key for key, count in self._counts.items() if now - count.last > LOCKED_SECONDS]
        for key in old:
            del self._counts[key]
        while len(self._counts) > _MOST_COUNTED:
            del self._counts[min(self._counts, key=lambda key: self._counts[key].last)]


def _keys(user: str, address: str) -> tuple[tuple[tuple[str, str], int], ...]:
    place = _place(address)
    return (((user, place), 1), (("", place), _ADDRESS_FACTOR), ((user, ""), _USER_FACTOR))


def _place(address: str) -> str:
    """Where somebody is: with IPv6 everybody has a whole /64 to come from (RFC 4291, section 2.5.1)."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    return str(ipaddress.ip_network((parsed, 64), strict=False)) if parsed.version == 6 else address
