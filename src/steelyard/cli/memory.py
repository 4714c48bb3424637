"""The cycle collector, kept from holding up requests.

A configuration of a thousand services is some hundred thousand objects that stay. A full collection walks them all, and
every request waits 50 ms for it, again and again. They are trees, freed by counting, so the collector need not know
them: what is there is frozen once after the start, and again when a full collection has become slow because there is
more. What is frozen while it is a cycle and in use stays for good; that is little, because it happens seldom.
"""

from __future__ import annotations

import contextlib
import gc
import time
from collections.abc import Iterator

#: a full collection that takes longer, in seconds, has walked what will stay
_SLOW_SECONDS = 0.02
_FULL = 2


@contextlib.contextmanager
def uncollected() -> Iterator[None]:
    """No collections while modules are imported: next to nothing they make is garbage, and walking it all is a tenth of
    the time a start takes.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def settle_memory() -> None:
    """Freeze what is there, now and whenever full collections have become slow.

    There is no collection before: it would find some hundred objects, and take a tenth of a second.
    """
    if not any(isinstance(callback, _Freezer) for callback in gc.callbacks):
        gc.callbacks.append(_Freezer())
    gc.freeze()


class _Freezer:
    """Called by the collector before and after each collection."""

    def __init__(self) -> None:
        self._began = 0.0

    def __call__(self, phase: str, info: dict[str, int]) -> None:
        if info["generation"] != _FULL:
            return
        if phase == "start":
            self._began = time.perf_counter()
        elif time.perf_counter() - self._began > _SLOW_SECONDS:
            gc.freeze()
