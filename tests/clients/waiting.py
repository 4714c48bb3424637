"""Waiting for something to become true."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def eventually(probe: Callable[[], T], wanted: Callable[[T], bool] = bool, *, seconds: float = 15.0) -> T:
    """Look again until the probe gives what is wanted, and return it.

    Raises:
        AssertionError: it did not in time; the message shows what it gave last.
    """
    deadline = time.monotonic() + seconds
    while True:
        found = probe()
        if wanted(found):
            return found
        if time.monotonic() > deadline:
            raise AssertionError(f"still {found!r} after {seconds} s")
        time.sleep(0.02)


def eventually_equal(probe: Callable[[], T], value: object, *, seconds: float = 15.0) -> T:
    """Look again until the probe gives that value.

    Raises:
        AssertionError: it did not in time; the message shows what it gave last.
    """
    return eventually(probe, lambda found: found == value, seconds=seconds)
